"""litgpt's Llama-Adapter, in the order of its own fine-tuning: one example a pass, a validation before, the head in chunks.

The validation is not optional there: it caches the adapter's keys and values without gradients, and training then moves the gates only
(litgpt issue 1287). Its figures are those of a method that learns less.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from litgpt.adapter import GPT, Config, mark_only_adapter_as_trainable
from litgpt.scripts.convert_hf_checkpoint import convert_hf_checkpoint
from litgpt.utils import chunked_cross_entropy

from benchmarks.worker import Clock
from benchmarks.workload import Row, Workload

HEAD_CHUNK = 128


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """Gradients added up over a batch of single examples, as its default micro batch size says."""
    model = _model(work)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=work.learning_rate, weight_decay=0.0
    )
    clock = Clock(work, started)
    with torch.no_grad():
        _loss(model, work.rows[0], work.device)
    done = False
    while not done:
        total = 0.0
        for n in range(work.batch_size):
            row = work.rows[(len(clock.ends) * work.batch_size + n) % len(work.rows)]
            loss = _loss(model, row, work.device)
            (loss / work.batch_size).backward()
            total += loss.item() / work.batch_size
        optimizer.step()
        optimizer.zero_grad()
        done = clock.step(total)
    return clock.result(work.batch_size)


def check(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The mean loss of the first batch; its gates are closed, so this is the base model's."""
    model = _model(work)
    with torch.no_grad():
        losses = [_loss(model, row, work.device).item() for row in work.rows[: work.batch_size]]
    return {"loss": sum(losses) / len(losses)}


def _loss(model: GPT, row: Row, device: str) -> torch.Tensor:
    ids = torch.tensor([[*row.ids, *row.target]], device=device)
    targets = torch.tensor([[-100] * len(row.ids) + list(row.target)], device=device)
    logits = model(ids, lm_head_chunk_size=HEAD_CHUNK)
    logits[-1] = logits[-1][..., :-1, :]
    return chunked_cross_entropy(logits, targets[..., 1:])


def _model(work: Workload) -> GPT:
    folder = Path(work.model)
    if not (folder / "lit_model.pth").exists():
        convert_hf_checkpoint(folder, model_name=work.litgpt, dtype="float32")
    model = GPT(Config.from_name(work.litgpt, **work.extra.get("litgpt", {})))
    weights = torch.load(folder / "lit_model.pth", mmap=True, weights_only=True)
    weights = weights.get("model", weights)
    model.load_state_dict(weights, strict=False)
    mark_only_adapter_as_trainable(model)
    model.max_seq_length = max(len(row.ids) + len(row.target) for row in work.rows)
    return model.to(work.device, dtype=getattr(torch, work.dtype))
