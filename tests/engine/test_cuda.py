"""Laws of a CUDA device: it computes what a processor does, and with `runtime.deterministic` the same bits at every run.

Skipped where there is no such device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from polyprefix.config import RunConfig
from polyprefix.models.runtime import compute_deterministically
from polyprefix.recipe import run
from polyprefix.results.files import read_predictions, read_result
from polyprefix.results.log import read_jsonl
from polyprefix.settings import validate

if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)

METHODS: tuple[dict[str, Any], ...] = (
    {"name": "none"}, {"name": "soft-prompt"}, {"name": "prefix"}, {"name": "prefix", "parametrization": "projected"},
    {"name": "prefix", "layers": "top:1"}, {"name": "llama-adapter"}, {"name": "lora"}, {"name": "lora", "targets": "all-linear"},
    {"name": "full"},
)  # fmt: skip


def outcome(folder: Path, method: dict[str, Any], device: str, out: Path) -> tuple[list[float], list[list[float]]]:
    """Losses of each step, and log-likelihoods of every choice of every answer."""
    settings = {
        "model": str(folder), "task": "terms", "languages": ["sw", "th"], "eval_size": 9, "train_size": 12, "method": method,
        "train": {"epochs": 2, "batch_size": 4, "validation_size": 6},
        "runtime": {"device": device, "dtype": "float32", "deterministic": True},
    }  # fmt: skip
    (made,) = run(validate(RunConfig, settings, "run"), out=out)
    predictions, _ = read_predictions(made / "predictions.parquet")
    if device == "cuda":
        assert read_result(made).provenance["machine"]["gpu"] == torch.cuda.get_device_name()
    steps = read_jsonl(made / "train.jsonl") if (made / "train.jsonl").exists() else []
    return [step["loss"] for step in steps if "loss" in step], [list(p.log_likelihoods or ()) for p in predictions]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(method.values()))
def test_a_gpu_computes_what_a_processor_does(method: dict[str, Any], tiny_folder: Path, tmp_path: Path) -> None:
    on_cpu, on_gpu, again = (
        outcome(tiny_folder, method, device, tmp_path / name)
        for name, device in (("cpu", "cpu"), ("gpu", "cuda"), ("again", "cuda"))
    )
    assert again == on_gpu, "deterministic, and other bits"
    assert bool(on_cpu[0]) == (method["name"] != "none")
    assert on_gpu[0] == pytest.approx(on_cpu[0], rel=1e-4)
    assert len(on_cpu[1]) == len(on_gpu[1]) > 0
    for expected, found in zip(on_cpu[1], on_gpu[1], strict=True):
        assert expected and found == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_attention_over_long_texts_are_the_same_bits(dtype: torch.dtype, masked: bool) -> None:
    """Long enough that a kernel splits the keys, whose parts a faster gradient adds in any order."""
    compute_deterministically()
    torch.manual_seed(0)
    rows = [torch.randn(2, 8, 4096, 64, device="cuda", dtype=dtype, requires_grad=True) for _ in range(3)]
    mask = torch.ones(4096, 4096, device="cuda", dtype=torch.bool).tril() if masked else None

    def gradients() -> list[torch.Tensor]:
        out = torch.nn.functional.scaled_dot_product_attention(*rows, attn_mask=mask, is_causal=not masked)
        return list(torch.autograd.grad(out.square().sum(), rows))

    first = gradients()
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(first, gradients(), strict=True))
