"""Law: rows are those of the files that are there now; whatever is wrong with them is one line that names the place."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from polyprefix import network
from polyprefix.data import hub
from polyprefix.data.hub import MissingDataError, expect_rows, hub_from_environment, load_rows
from polyprefix.errors import DataError, OutputError

CARD = """---
configs:
- config_name: en
  data_files:
  - {split: train, path: "en/train.parquet"}
  - {split: test, path: "en/test.parquet"}
- config_name: fr
  data_files:
  - {split: test, path: "fr/test.parquet"}
---
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    root = tmp_path / "hub"
    fill(root / "org" / "name")
    return root


def fill(folder: Path, text: str = "row") -> None:
    for place, n in (("en/train", 5), ("en/test", 3), ("fr/test", 3)):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write(folder / f"{place}.parquet", [f"{text} {i}" for i in range(n)])
    (folder / "README.md").write_text(CARD)


def write(path: Path, texts: list[str]) -> None:
    pd.DataFrame({"text": texts}).to_parquet(path)


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_rows_come_in_the_order_of_the_file(mirror: Path) -> None:
    assert list(load_rows("org/name", "en", "train", mirror)["text"]) == [f"row {i}" for i in range(5)]
    assert len(load_rows("org/name", "fr", "test", mirror)) == 3


def test_a_replaced_file_and_another_mirror_are_never_served_from_the_cache(mirror: Path, tmp_path: Path) -> None:
    assert load_rows("org/name", "en", "test", mirror)[0]["text"] == "row 0"
    fill(tmp_path / "second" / "org" / "name", "other")
    assert load_rows("org/name", "en", "test", tmp_path / "second")[0]["text"] == "other 0"
    write(mirror / "org/name/en/test.parquet", ["mended"] * 3)
    assert load_rows("org/name", "en", "test", mirror)[0]["text"] == "mended"


@pytest.mark.parametrize(
    ("dataset", "config", "split", "words"),
    [
        ("org/absent", "en", "test", "not in the local mirror"),
        ("org/name", "eng", "test", "did you mean 'en'"),
        ("org/name", None, "test", "needs a configuration"),
        ("org/name", "en", "tests", "did you mean 'test'"),
    ],
)
def test_what_does_not_exist_is_named_with_the_nearest(
    mirror: Path, dataset: str, config: str | None, split: str, words: str
) -> None:
    with pytest.raises(MissingDataError, match=words) as error:
        load_rows(dataset, config, split, mirror)
    one_line(error)


@pytest.mark.parametrize("contents", [b"", b"PAR1 and then nothing", b"half"])
def test_a_damaged_file_is_named(mirror: Path, contents: bytes) -> None:
    file = mirror / "org/name/en/test.parquet"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if contents == b"half" else contents)
    with pytest.raises(DataError) as error:
        load_rows("org/name", "en", "test", mirror)
    assert str(file) in one_line(error)
    assert len(load_rows("org/name", "fr", "test", mirror)) == 3  # the others are still served


def test_a_part_of_a_data_set_is_read_whichever_it_is(tmp_path: Path) -> None:
    """Somebody who needs two languages of two hundred fetches those."""
    names = ["first", "second", "third"]
    listed = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: data/{name}/test.tsv\n" for name in names
    )
    for there in names:
        folder = tmp_path / there / "some" / "set"
        (folder / "data" / there).mkdir(parents=True)
        (folder / "README.md").write_text(f"---\nconfigs:\n{listed}---\n")
        (folder / "data" / there / "test.tsv").write_text(f"text\n{there} row\n")
        assert load_rows("some/set", there, "test", tmp_path / there)["text"] == [f"{there} row"]
        for other in set(names) - {there}:
            with pytest.raises(DataError, match=f"some/set {other}: "):
                load_rows("some/set", other, "test", tmp_path / there)


def test_a_split_without_rows_is_refused(mirror: Path) -> None:
    write(mirror / "org/name/fr/test.parquet", [])
    with pytest.raises(DataError, match="org/name/fr/test"):
        load_rows("org/name", "fr", "test", mirror)
    (mirror / "org/name/fr/test.parquet").unlink()
    with pytest.raises(DataError, match="org/name fr"):
        load_rows("org/name", "fr", "test", mirror)


def test_without_network_and_mirror_it_fails_at_once_and_names_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    start = time.monotonic()
    with pytest.raises(DataError, match="connect to the network, or give a local mirror with --hub") as error:
        load_rows("org/name", "en", "test", None)
    one_line(error)
    assert time.monotonic() - start < 5


def test_without_network_an_earlier_download_is_used(
    mirror: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_rows("org/name", "en", "test", mirror)
    (prepared,) = cache.glob("mirror-*/name")
    shutil.move(prepared, cache / "org___name")  # where rows from the Hub itself lie
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    assert list(load_rows("org/name", "en", "test", None)["text"]) == ["row 0", "row 1", "row 2"]
    with pytest.raises(MissingDataError, match="did you mean 'train'"):
        load_rows("org/name", "en", "trian", None)


def test_a_full_disk_is_no_fault_of_the_data(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.arrow_writer

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(datasets.arrow_writer.ArrowWriter, "write_table", full)
    with pytest.raises(OutputError, match="No space left on device") as error:
        load_rows("org/name", "en", "test", mirror)
    assert "HF_HOME" in one_line(error)


def test_two_processes_read_the_same_rows(mirror: Path, tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from polyprefix.data.hub import load_rows;"
        f"print(list(load_rows('org/name', 'en', 'train', Path({str(mirror)!r}))['text']))"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert outputs == [str([f"row {i}" for i in range(5)]) + "\n"] * 2


def test_the_mirror_comes_from_the_flag_then_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.delenv("POLYPREFIX_HUB", raising=False)
    assert hub_from_environment() is None
    monkeypatch.setenv("POLYPREFIX_HUB", str(tmp_path / "a"))
    assert hub_from_environment() == tmp_path / "a"
    assert hub_from_environment(tmp_path / "b") == tmp_path / "b"
    with pytest.raises(DataError, match="--hub"):
        hub_from_environment(tmp_path / "c")
    monkeypatch.setenv("POLYPREFIX_HUB", str(tmp_path / "c"))
    with pytest.raises(DataError, match="POLYPREFIX_HUB"):
        hub_from_environment()


def test_row_counts_are_those_published() -> None:
    expect_rows(10, 10, "x")
    expect_rows(9, 10, "x", subset_ok=True)
    for found, subset_ok in ((9, False), (11, False), (11, True), (0, True)):
        with pytest.raises(DataError, match=rf"x test: {found} rows"):
            expect_rows(found, 10, "x test", subset_ok)


def test_the_hub_is_asked_for_three_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://192.0.2.1")  # reserved for documentation: nobody answers
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    network._ask.cache_clear()
    start = time.monotonic()
    assert not network.hub_answers()
    assert time.monotonic() - start < 4
    network._ask.cache_clear()


def test_the_card_is_read_once_for_all_configurations_and_again_when_it_changes(
    mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets.load

    asked = []
    original = datasets.load.dataset_module_factory
    monkeypatch.setattr(
        datasets.load, "dataset_module_factory", lambda path, **more: asked.append(path) or original(path, **more)
    )
    for config, split in (("en", "train"), ("fr", "test"), ("en", "test")):
        load_rows("org/name", config, split, mirror)
    assert len(asked) == 1
    (mirror / "org/name/README.md").write_text(CARD.replace("config_name: fr", "config_name: de"))
    assert len(load_rows("org/name", "de", "test", mirror)) == 3
    assert len(asked) == 2
