"""Fixtures: tiny models on disk, a mirror of the Hub, and the command in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from polyprefix.testing.tiny import tiny_model, tiny_tokenizer

os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = (
    "1"  # transformers' loader threads meet a broken OpenMP pool in processes that tests fork
)
torch.set_num_threads(1)  # tiny tensors, several workers: more threads only wait for each other


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the real model need its package, tests on the mirror its folder; say which is missing, do not pass."""
    mirror = hub_folder()
    for item in items:
        if item.get_closest_marker("hub") and mirror is None:
            item.add_marker(
                pytest.mark.skip(reason="no local mirror of the Hub: set POLYPREFIX_HUB to test on real benchmark data")
            )


def hub_folder() -> Path | None:
    """POLYPREFIX_HUB, or the mirror beside the checkout."""
    named = os.environ.get("POLYPREFIX_HUB")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "hub"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def hub() -> Path:
    """The local mirror."""
    folder = hub_folder()
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Gemma 3 in `save_pretrained` layout, with the byte tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny-gemma3"
    tiny_model("gemma3").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def polyprefix(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Call the command as a shell would: (exit status, standard output, standard error)."""
    from polyprefix.cli import main

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["polyprefix", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call
