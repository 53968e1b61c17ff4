"""The task file itself: all mistakes in it are reported at once, with their lines."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from polyprefix.data.cells import shown
from polyprefix.data.files import is_data_file
from polyprefix.data.hub_rows import HubRows
from polyprefix.data.table import Table
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import ConfigError, LanguageError, nearest
from polyprefix.languages import Once, find
from polyprefix.settings import read_yaml, read_yaml_as_written
from polyprefix.tasks._custom_definition import ANY, LANGUAGE, TASK_TYPES, Dataset, Definition
from polyprefix.tasks._custom_types import DEFINITIONS
from polyprefix.types import Split
from polyprefix.yaml12 import line_of

TYPED = ("parallel", "max_new_tokens")
"""Keys whose values are no text."""
LABELS = ("labels", "choices")
"""Keys in which even `null` is text; left out, a value is missing."""
Rows = Path | Table | HubRows
"""A data file, the rows themselves, or where the Hub has them."""
Located = Mapping[Split, Mapping[str, Rows]]
"""Split -> language (or `ANY`) -> where the rows are."""
SPLITS: tuple[Split, ...] = ("test", "train", "validation")


OLD_KEY = "shape"
"""What `task_type` was called first. Files and adapters that have it stay readable."""


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a task file under today's names."""
    return {
        "task_type" if key == OLD_KEY and "task_type" not in values else key: value for key, value in values.items()
    }


def deprecations(path: Path) -> tuple[str, ...]:
    """A note for each key that has another name now."""
    return (f"{path.name}: the key '{OLD_KEY}' is called 'task_type' now",) if OLD_KEY in read_yaml(path) else ()


def read_definition(path: Path) -> Definition:
    """A task file.

    Raises:
        ConfigError: with all unknown, missing and impossible keys, or else with all parts that contradict each other.
    """
    values = named(_with_text(read_yaml(path), read_yaml_as_written(path)))
    errors = ValidationErrors()
    name = values.get("task_type")
    if not isinstance(name, str) or name not in DEFINITIONS:  # it decides which other keys there may be
        key = OLD_KEY if OLD_KEY in read_yaml(path) else "task_type"
        where = f"{path}:{line_of(path, (key,))}, key '{key}'"
        errors.add(where, shown(name), f"one of {len(TASK_TYPES)} task types, {nearest(str(name or ''), TASK_TYPES)}")
        errors.check(ConfigError)
    kind = DEFINITIONS[str(name)]
    try:
        definition = kind.model_validate(values)
    except ValidationError as error:
        for item in error.errors():
            _explain(path, kind, item, errors)
        errors.check(ConfigError)
        raise
    for keys, found, expected in definition.contradictions():
        errors.add(f"{path}:{line_of(path, keys)}, key '{'.'.join(keys)}'", found, expected)
    errors.check(ConfigError)
    return definition


def locate(definition: Definition, path: Path) -> Located:
    """The data files that a task file names, by split and language.

    Raises:
        ConfigError: with all files that are not there, and all languages that nobody knows or that come twice.
    """
    errors = ValidationErrors()
    located: dict[Split, dict[str, Rows]] = {}
    if definition.dataset is not None:
        return _on_the_hub(definition.dataset, path)
    for split in SPLITS:
        paths = getattr(definition.files, split)
        if paths is None:
            continue
        found: dict[str, Path] = {}
        once = Once()
        for language, code, file, where in _named(path, split, paths, errors):
            if code != ANY and (repeated := once.take(code, language, where)):
                errors.add(where, f"{file.name}; {repeated}", "one file a language")
            found[code] = file
        located[split] = dict(found)
    errors.check(ConfigError)
    return located


def _on_the_hub(dataset: Dataset, path: Path) -> Located:
    """The splits of a data set, by language."""
    errors, once, codes = ValidationErrors(), Once(), dict[str, str]()
    for language, config in dataset.config.items():
        where = f"{path}:{line_of(path, ('dataset', 'config', language))}, key 'dataset.config'"
        if language == ANY:
            codes[ANY] = config
            continue
        try:
            code = find(language, unregistered=True).code
        except LanguageError as error:
            errors.add(where, repr(language), f"a language ({error})")
            continue
        if repeated := once.take(code, language, where):
            errors.add(where, repeated, "one configuration a language")
        codes[code] = config
    errors.check(ConfigError)
    named = {split: name for split in SPLITS if (name := getattr(dataset.split, split)) is not None}
    return {
        split: {
            code: HubRows(
                dataset.id, config or None, name, dataset.revision, dataset.rows.get(split), dataset.file(config, name)
            )
            for code, config in codes.items()
        }
        for split, name in named.items()
    }


def _named(
    path: Path, split: str, paths: Mapping[str, str], errors: ValidationErrors
) -> Iterator[tuple[str, str, Path, str]]:
    """(language as written, its code or `ANY`, data file, place in the task file) of each file of a split."""
    for language, name in paths.items():
        keys = ("files", split, language) if language else ("files", split)
        where = f"{path}:{line_of(path, keys)}, key '{'.'.join(keys)}'"
        before, pattern, after = name.partition(LANGUAGE)
        if language == ANY and pattern:
            files = _matching(path.parent, before, after)
            if not files:
                errors.add(where, f"no file like {name}", "one for each language")
            for file in files:
                written = str(file.relative_to(path.parent)).removeprefix(before).removesuffix(after)
                yield from _of_language(written, file, f"{where}, {file.name}", errors)
        elif not (path.parent / name).is_file():
            errors.add(where, f"no file {path.parent / name}", "a file; paths are seen from the task file")
        elif language == ANY:
            yield "", ANY, path.parent / name, where
        else:
            yield from _of_language(language, path.parent / name, where, errors)


def _matching(folder: Path, before: str, after: str) -> list[Path]:
    """The data files whose path has something in place of the language, that alone decides whether it is data."""
    found = []
    try:
        paths = sorted(folder.glob(f"{glob.escape(before)}*{glob.escape(after)}"))
    except (ValueError, NotImplementedError, OSError):  # an empty, an absolute or an impossible pattern
        return []
    for file in paths:
        written = str(file.relative_to(folder)).removeprefix(before).removesuffix(after)
        named = file.relative_to(folder).parts[len(Path(before + "x").parts) - 1 :]
        if file.is_file() and is_data_file(Path(written)) and is_data_file(Path(*named)):
            found.append(file)
    return found


def _with_text(values: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a task file with the text that was written where text is meant: everywhere but in `TYPED` keys."""
    return {
        key: value if key in TYPED or value is None else _text(value, written[key], key in LABELS)
        for key, value in values.items()
    }


def _text(value: Any, written: Any, label: bool) -> Any:
    if isinstance(value, dict):
        return {key: _text(item, written[key], label) for key, item in value.items()}
    if isinstance(value, list):
        return [_text(item, text, label) for item, text in zip(value, written, strict=True)]
    return written if label or value is not None else None


def _of_language(
    written: str, file: Path, where: str, errors: ValidationErrors
) -> Iterator[tuple[str, str, Path, str]]:
    try:
        yield written, find(written, unregistered=True).code, file, where
    except LanguageError as error:
        errors.add(where, repr(written), f"a language ({error})")


def _explain(path: Path, kind: type[Definition], item: Any, errors: ValidationErrors) -> None:
    """A mistake that pydantic found, in the words of this project."""
    keys = tuple(item["loc"])
    section: Any = kind
    for key in keys[:-1]:
        fields = getattr(section, "model_fields", {})
        kind_of = fields[key].annotation if key in fields else None
        section = next(
            (part for part in (kind_of, *get_args(kind_of)) if hasattr(part, "model_fields")), None
        )  # it may be left out
    fields = getattr(section, "model_fields", {})
    where = f"{path}:{line_of(path, keys)}, key '{'.'.join(map(str, keys))}'"
    if item["type"] == "extra_forbidden":
        errors.add(where, "an unknown key", f"another; {nearest(str(keys[-1]), fields)}")
    elif item["type"] == "missing":
        description = fields[keys[-1]].description or ""
        errors.add(where, "nothing", f"{description.rstrip('.')[:1].lower()}{description.rstrip('.')[1:]}")
    else:
        expected = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("expected ")
        errors.add(where, shown(item["input"]), expected)
