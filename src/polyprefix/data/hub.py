"""Rows of a data set of the Hugging Face Hub, or of a local mirror with the same layout.

Both go through `datasets`, which keeps an Arrow copy in its cache; processes that start at once wait for each other
there.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix.errors import DataError, OutputError, first_line, nearest
from polyprefix.network import hub_answers
from polyprefix.safe_files import require_regular

if TYPE_CHECKING:
    from datasets import Dataset

FORMATS = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tsv")
"""Of files of data that `datasets` reads by their names."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}
"""What the system says where the cache cannot be written."""


class MissingDataError(DataError):
    """The data set, configuration or split does not exist where it was looked for."""


def hub_from_environment(explicit: Path | None = None) -> Path | None:
    """The folder of the local mirror: the one given, else `POLYPREFIX_HUB`, else None for the Hub itself.

    Raises:
        DataError: if there is no such folder.
    """
    named = str(explicit) if explicit is not None else os.environ.get("POLYPREFIX_HUB", "")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        flag = "--hub" if explicit is not None else "POLYPREFIX_HUB"
        raise DataError(f"{flag} {named}: no such folder; give one that holds data sets as facebook/xnli and so on")
    return folder


def load_rows(dataset: str, config: str | None, split: str, hub: Path | None, revision: str | None = None) -> Dataset:
    """The rows of one split.

    Args:
        dataset: id on the Hub, such as `facebook/xnli`.
        config: name of the configuration, such as `en`; None where the data set has only one.
        split: name of the split in the source.
        hub: folder of a local mirror; None means the Hub.
        revision: a commit, a branch or a tag of the Hub; a mirror has one state alone.

    Raises:
        MissingDataError: if the data set, configuration or split does not exist.
        DataError: if a file is damaged, or the Hub cannot be reached.
        OutputError: if the cache of `datasets` cannot be written.
    """
    where = " ".join(part for part in (dataset, config) if part)
    with _quiet_datasets(), _full_disk_as_output_error():
        if hub is None and not hub_answers():
            return _cached(dataset, config, split, where)
        builder = _builder(dataset, config, hub, where, revision)
        _prepare(builder, where)
        splits = {name: info.num_examples for name, info in (builder.info.splits or {}).items()}
        if split not in splits:
            raise MissingDataError(f"{where}: no split '{split}', {nearest(split, splits)}")
        if not splits[split]:
            raise DataError(f"{where}: split '{split}' has no rows; fetch its files again")
        return builder.as_dataset(split=split)


def load_file(dataset: str, file: str, hub: Path | None, revision: str | None = None) -> Dataset:
    """The rows of one Parquet file of a data set, for those whose repository is a script, which `datasets` no longer runs.

    Args:
        dataset: id on the Hub.
        file: path inside the data set, such as `hi/test/0000.parquet`.
        hub: folder of a local mirror; None means the Hub.
        revision: a commit, a branch or a tag of the Hub; the Hub keeps Parquet copies on `refs/convert/parquet`.

    Raises:
        MissingDataError: if there is no such file.
        DataError: if it is damaged, or the Hub cannot be reached.
        OutputError: if the cache of the Hub cannot be written.
    """
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = f"{dataset} {file}"
    path = hub / dataset / file if hub else _downloaded(dataset, file, revision, where)
    if not path.is_file():
        raise MissingDataError(f"{where}: not in the local mirror {hub}; add it, or leave out --hub and POLYPREFIX_HUB")
    try:
        require_regular(path)
        return datasets.Dataset(datasets.table.InMemoryTable(pq.read_table(path)))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: damaged ({first_line(error)}); fetch it again") from None


def _downloaded(dataset: str, file: str, revision: str | None, where: str) -> Path:
    """A file in the cache of the Hub, fetched where it is not there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        with _full_disk_as_output_error():
            local = not hub_answers()
            return Path(hf_hub_download(dataset, file, repo_type="dataset", revision=revision, local_files_only=local))
    except (LocalEntryNotFoundError, ConnectionError) as error:
        raise DataError(_unreachable(where)) from error
    except HfHubHTTPError as error:
        reason = f"not on the Hub, or not open to you ({first_line(error)})"
        raise MissingDataError(f"{where}: {reason}; check the name, or log in") from error


def with_label_names(dataset: Dataset) -> Any:
    """The rows as an Arrow table, the numbers of `ClassLabel` columns as their names; a number without a name is empty."""
    import pyarrow as pa

    table = dataset.with_format("arrow")[:]
    for column, feature in dataset.features.items():
        if names := getattr(feature, "names", None):
            values = [None if n is None or n < 0 else names[n] for n in table[column].to_pylist()]
            table = table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))
    return table


def expect_rows(found: int, expected: int, where: str, subset_ok: bool = False) -> None:
    """Check the size of a split against the published one.

    Args:
        where: dataset, configuration and split, for the message.
        subset_ok: allow fewer rows (never more); whoever allows it names the number in the result.

    Raises:
        DataError: if there are too few or too many.
    """
    if found == expected or (subset_ok and 0 < found < expected):
        return
    raise DataError(f"{where}: {found:,} rows, the published split has {expected:,}; fetch its files again")


def _builder(dataset: str, config: str | None, hub: Path | None, where: str, revision: str | None) -> Any:
    import datasets

    path, state, cache = dataset, "", None
    if hub is not None:
        path = str(hub / dataset)
        if not (hub / dataset).is_dir():
            raise MissingDataError(
                f"{dataset}: not in the local mirror {hub}; add it, or leave out --hub and POLYPREFIX_HUB"
            )
        state = _state(hub / dataset)
        cache = str(Path(datasets.config.HF_DATASETS_CACHE) / f"mirror-{state}")
    try:
        return _known_builder(_module(path, state, None if hub else revision), config, cache)
    except datasets.exceptions.DatasetNotFoundError as error:
        reason = f"not on the Hub, or not open to you ({first_line(error)})"
        raise MissingDataError(f"{dataset}: {reason}; check the name, or log in") from error
    except ConnectionError as error:
        raise DataError(_unreachable(where)) from error
    except ValueError as error:
        if "BuilderConfig" in str(error) or "Config name is missing" in str(error):
            known = datasets.get_dataset_config_names(path)
            what = f"no configuration '{config}'" if config else "needs a configuration"
            raise MissingDataError(f"{dataset}: {what}, {nearest(config or '', known)}") from None
        raise DataError(f"{where}: cannot be read ({first_line(error)}); check the README.md in {path}") from error
    except (FileNotFoundError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{where}: no data that can be read ({first_line(error)}); check {path}") from error


@lru_cache(maxsize=16)
def _module(path: str, state: str, revision: str | None) -> Any:
    """What `datasets` finds out about a data set: its configurations and files. Read once, not again for each of them.

    Args:
        state: of a mirrored data set, so that a changed one is read again.
    """
    from datasets.load import dataset_module_factory

    try:
        return dataset_module_factory(path, revision=revision)
    except FileNotFoundError:  # it learns the format from the first configuration, which a part of a data set may lack
        there = sorted(entry.path for entry in _files(path) if entry.name.endswith(FORMATS)) if state else []
        if not there:
            raise
        return dataset_module_factory(path, data_files=str(Path(there[0]).relative_to(path)))


def _known_builder(module: Any, config: str | None, cache: str | None) -> Any:
    """The second half of `datasets.load_dataset_builder`, which would find out everything again."""
    from datasets.load import get_dataset_builder_class

    options = {**module.builder_kwargs}
    name = options.pop("config_name", config or module.builder_configs_parameters.default_config_name)
    return get_dataset_builder_class(module, dataset_name=options.get("dataset_name"))(
        cache_dir=cache,
        config_name=name,
        hash=module.hash,
        info=(module.dataset_infos or {}).get(name),
        **options,
    )


def _state(folder: Path) -> str:
    """Changes with the path of a mirrored data set and with the names, sizes and times of its files.

    The cache key of `datasets` knows none of these: rows of another mirror, or of a file since replaced, would be taken
    for these.
    """
    digest = hashlib.sha256(str(folder.resolve()).encode())
    for file in _files(folder):
        stat = file.stat()
        digest.update(f"|{file.path}|{stat.st_size}|{stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _files(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _files(entry.path)
        elif entry.is_file():
            yield entry


def _prepare(builder: Any, where: str) -> None:
    import datasets

    try:
        builder.download_and_prepare()
    except ConnectionError as error:
        raise DataError(_unreachable(where)) from error
    except (datasets.exceptions.DatasetsError, FileNotFoundError, ValueError) as error:
        if _system_error(error):
            raise
        file, reason = _damaged_file(builder) or (where, first_line(error.__cause__ or error))
        raise DataError(f"{file}: damaged ({reason}); fetch it again") from error


def _damaged_file(builder: Any) -> tuple[str, str] | None:
    """The first file of the configuration that cannot be read by itself, and why; `datasets` does not say."""
    import datasets

    for files in (builder.config.data_files or {}).values():
        for file in files:
            try:
                for _ in datasets.load_dataset(builder.name, data_files=[str(file)], split="train", streaming=True):
                    pass
            except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
                return str(file), first_line(error)
    return None


def _cached(dataset: str, config: str | None, split: str, where: str) -> Dataset:
    """What an earlier run left in the cache; the public way to it first tries the Hub for half a minute."""
    from datasets.packaged_modules.cache.cache import Cache

    try:
        name = dataset.split("/")[-1]
        builder = Cache(repo_id=dataset, dataset_name=name, config_name=config, version="auto", hash="auto")
    except ValueError:
        raise DataError(_unreachable(where)) from None
    splits = list(builder.info.splits or ())
    if split not in splits:
        raise MissingDataError(f"{where}: no split '{split}', {nearest(split, splits)}")
    return builder.as_dataset(split=split)


def _unreachable(where: str) -> str:
    return (
        f"{where}: not on this machine, and the Hub does not answer; connect to the network, "
        f"or give a local mirror with --hub DIR or POLYPREFIX_HUB"
    )


def _system_error(error: BaseException | None) -> OSError | None:
    """The refusal of the system to write that lies behind an error, if one does."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in FULL:
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def _full_disk_as_output_error() -> Iterator[None]:
    import datasets

    try:
        yield
    except DataError:
        raise
    except Exception as error:
        system = _system_error(error)
        if system is None:
            raise
        reason = os.strerror(system.errno or 0)
        raise OutputError(
            f"{datasets.config.HF_DATASETS_CACHE}: the data cache cannot be written ({reason}); "
            f"free space there, or set HF_HOME to another folder"
        ) from error


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """No bars and no log lines of `datasets`, as before afterwards: what goes wrong is raised."""
    import datasets

    verbosity, bars = datasets.logging.get_verbosity(), datasets.utils.is_progress_bar_enabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()
