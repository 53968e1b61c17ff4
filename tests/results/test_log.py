"""Law: every record that was written is read back, and the torn last line of a killed run is not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyprefix.errors import OutputError
from polyprefix.results.log import JsonlLog, read_jsonl


def test_records_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    JsonlLog(path).write({"step": 1, "text": "línea\nnueva"})
    JsonlLog(path).write({"step": 2})
    with path.open("a") as file:
        file.write('{"step": ')
    assert list(read_jsonl(path)) == [{"step": 1, "text": "línea\nnueva"}, {"step": 2}]


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"train\.jsonl: cannot be written \(No such file or directory\)"):
        JsonlLog(tmp_path / "nowhere" / "train.jsonl").write({})
