"""Law: where memory is short, work is done in smaller parts with the same outcome; one text that does not fit is a clear error."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.engine.test_flop_counter import rows

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import TrainConfig
from polyprefix.engine import memory
from polyprefix.engine.memory import bytes_per_token, out_of_memory, retry_on_oom, token_budget
from polyprefix.errors import ModelError
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.testing.tiny import tiny_base
from polyprefix.training.length import Length
from polyprefix.training.optimizer import Optimizer

CPU = torch.device("cpu")
SHORT = {
    "torch": torch.OutOfMemoryError("CUDA out of memory."),
    "python": MemoryError(),
    "allocator": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    "driver": torch.AcceleratorError("CUDA error: out of memory", 2),
    "cuDNN": RuntimeError(
        "Expected mha_graph.execute(handle, variant_pack, workspace_ptr.get()).is_good() to be true, but got false."
    ),
}


def short_of_memory(model: AdaptedModel, most: int, error: Exception) -> None:
    """Let the model fail for more tokens than `most`, as a device does: at the end of the pass, when much is computed."""

    def fail(module: Any, args: Any, out: Any) -> None:
        states = out[0] if isinstance(out, tuple) else out
        if states.shape[0] * states.shape[1] > most:
            raise error

    model.model.model.layers[-1].register_forward_hook(fail)


@pytest.mark.parametrize("error", SHORT.values(), ids=SHORT)
def test_ranking_in_smaller_parts_is_the_same(error: Exception) -> None:
    items = rows(24)
    whole = loglikelihood(attach(tiny_base("llama-gqa-tied"), registry.build({"name": "prefix"})), items, None)
    model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "prefix"}))
    model.hook.supports_packing()
    short_of_memory(model, 300, error)
    for a, b in zip(loglikelihood(model, items, None), whole, strict=True):
        assert a.encoded is b.encoded and a.log_likelihoods == pytest.approx(b.log_likelihoods, abs=1e-5)


@pytest.mark.parametrize("error", SHORT.values(), ids=SHORT)
def test_a_step_in_smaller_parts_has_the_same_gradients(error: Exception) -> None:
    def after(short: bool) -> tuple[float, float, torch.Tensor]:
        model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "prefix"}), seed=1)
        model.train()
        optimizer = Optimizer(model, rows(16), TrainConfig(learning_rate=1e-2, weight_decay=0.0), Length.exactly(10))
        if short:
            short_of_memory(model, 300, error)
        record = optimizer.step(range(16))
        assert (optimizer.budget <= 300) == short
        return record["loss"], record["gradient_norm"], torch.cat([p.detach().flatten() for _, p in model.trainable()])

    (loss, norm, weights), (loss2, norm2, weights2) = after(False), after(True)
    assert loss2 == pytest.approx(loss, abs=1e-5) and norm2 == pytest.approx(norm, rel=1e-4)
    torch.testing.assert_close(weights2, weights, atol=1e-4, rtol=0)


def test_one_text_that_does_not_fit_is_said_in_one_line() -> None:
    model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "prefix"}))
    optimizer = Optimizer(model, rows(4), TrainConfig(learning_rate=1e-2, weight_decay=0.0), Length.exactly(10))
    model.hook.supports_packing()
    short_of_memory(model, 20, MemoryError())
    for work in (lambda: loglikelihood(model, rows(4), None), lambda: optimizer.step(range(4))):
        with pytest.raises(ModelError, match=r"out of memory on cpu: one sequence of \d+ tokens"):
            work()


def test_other_errors_are_not_taken_for_it() -> None:
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied")) and not out_of_memory(ValueError("x"))

    def work(batch: list[int]) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(retry_on_oom([[0, 1]], work, [1, 1], CPU))


def test_later_batches_are_not_larger_than_what_fitted() -> None:
    tried: list[int] = []

    def work(batch: list[int]) -> int:
        tried.append(len(batch))
        if len(batch) > 4:
            raise MemoryError
        return len(batch)

    done = list(retry_on_oom([list(range(8)), list(range(8, 16))], work, [10] * 16, CPU))
    assert [i for batch, _ in done for i in batch] == list(range(16))
    assert tried == [8, 4, 4, 4, 4]


def test_the_budget_is_what_was_asked_for_or_what_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "prefix"}))
    assert token_budget(model, 77, training=True) == 77
    each = bytes_per_token(model, training=True)
    for free, budget in ((None, 4096), (10**15, 4096), (each * 2000, 1000), (0, memory.LEAST)):
        monkeypatch.setattr(memory, "available_memory", lambda free=free: free)
        assert token_budget(model, None, training=True) == budget
    assert bytes_per_token(model, training=False) < each


@pytest.mark.parametrize(("share", "fits"), [(0, 30), (2, 30), (1.0, 30), (0.25, 10), (0.1, 0)])
def test_a_process_plans_with_its_share_of_a_gpu(share: float, fits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 bytes, of which others hold 55 and this process 15, 5 of them unused."""
    chosen: dict[int, float] = {}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, index: chosen.update({index: share})
    )
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: chosen.get(device.index, 1.0))
    for name, value in (("mem_get_info", (30, 100)), ("memory_reserved", 15), ("memory_allocated", 10)):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    memory.keep_to_share(share)
    assert chosen == ({0: min(1, share), 1: min(1, share)} if share else {})
    assert memory.free_bytes(torch.device("cuda", 0)) == fits + 5
