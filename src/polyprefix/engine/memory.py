"""How many tokens go through a model at once: as many as memory holds, and half of that where it did not.

A forward pass of a few thousand tokens is as fast as any larger one, so each kind of device has an upper limit; less memory lowers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.errors import ModelError
from polyprefix.models.memory import available_memory
from polyprefix.models.shape import ModelShape

SHARE = 0.5
"""Of the free memory; the rest is for what the estimate leaves out."""
LEAST = 256
MOST = {("cpu", True): 4096, ("cpu", False): 4096, ("cuda", True): 32768, ("cuda", False): 65536}
"""(device, training) -> tokens beyond which a pass is no faster. On a CPU longer ones are slower: malloc takes each activation of 32 MiB and
more anew from the system, page by page (Gemma 3 270M in bfloat16: 8,192 tokens take 1.3 times as long as twice 4,096)."""
WRITING = {"cpu": 8, "cuda": 4}
"""Device -> times as many tokens where answers are written: every further token reads all weights, whatever the number of rows."""
SHORTAGES = ("can't allocate memory", "ALLOC_FAILED", "CUDA error: out of memory", "mha_graph.execute")
"""In messages of plain runtime errors: of malloc, of cuBLAS, of the driver, and of cuDNN's attention, which says no more than that it failed
(seen on an H100 whose memory other processes held)."""
Result = TypeVar("Result")


def token_budget(model: AdaptedModel, wanted: int | None, *, training: bool, shared: int = 0) -> int:
    """Tokens of one forward pass: as wanted, else from free memory and what a token takes; no more than a packed row may hold.

    Args:
        shared: tokens of the common prefix at the start of the row.
    """
    tokens = _budget(model, wanted, training)
    return max(1, model.hook.lengths.row(tokens + shared) - shared) if model.hook.supports_packing() else tokens


def _budget(model: AdaptedModel, wanted: int | None, training: bool) -> int:
    if wanted is not None:
        return wanted
    most = MOST[_kind(model), training]
    return _fitting(model, most, bytes_per_token(model, training=training))


def writing_budget(model: AdaptedModel, wanted: int | None) -> int:
    """Tokens of prompts whose answers are written together: as wanted, else more than of one pass, if memory holds their keys and values."""
    if wanted is not None:
        return wanted
    most = WRITING[_kind(model)] * MOST[_kind(model), False]
    shape = ModelShape.of(model.model)
    kept = 2 * shape.L * shape.G * shape.K * model.hook.dtype.itemsize
    return _fitting(model, most, 2 * kept)  # growing copies them


def _kind(model: AdaptedModel) -> str:
    """Of device: one that is no CUDA GPU is taken for a processor."""
    return "cuda" if model.device.type == "cuda" else "cpu"


def _fitting(model: AdaptedModel, most: int, each: int) -> int:
    """So many tokens at most, or fewer where memory does not hold them at so many bytes each."""
    free = free_bytes(model.device)
    return most if free is None else max(LEAST, min(most, int(SHARE * free / each)))


def bytes_per_token(model: AdaptedModel, *, training: bool) -> int:
    """An estimate: what a layer keeps of a token for the backward pass, in all layers; without one, in two layers at a time.

    Norm inputs and residuals 6 D, queries, attention output and their rotated copies 4 H K, keys and values 4 G K, the MLP 4 I.
    """
    recomputed = any(getattr(module, "gradient_checkpointing", False) is True for module in model.modules())
    return (
        values_per_token(ModelShape.of(model.model), training=training, recomputed=recomputed)
        * model.hook.dtype.itemsize
    )


def values_per_token(shape: ModelShape, *, training: bool, recomputed: bool) -> int:
    """The same in values, from the sizes alone."""
    kept = shape.L if training and not recomputed else 2
    layer = 6 * shape.D + 4 * (shape.H + shape.G) * shape.K + 4 * shape.I
    return kept * layer + (shape.L * shape.D if training else 0)


def free_bytes(device: torch.device) -> int | None:
    """What may still be allocated, on a GPU of this process's share of it; None where nobody says."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device)
        left = int(total * torch.cuda.get_per_process_memory_fraction(device)) - reserved
        return max(0, min(free, left)) + reserved - torch.cuda.memory_allocated(device)
    return available_memory()


def keep_to_share(share: float) -> None:
    """Leave the rest of every GPU to the processes that share it: each would else plan its passes for all that is free when it looks.

    Args:
        share: of a GPU's memory; 1 or more is all of it, 0 says that no GPU is used.
    """
    for index in range(torch.cuda.device_count() if share > 0 else 0):
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), index)


def out_of_memory(error: BaseException) -> bool:
    """Whether this is how Python, torch or a library below it says that there is no more memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SHORTAGES)


def release(device: torch.device) -> None:
    """Give cached blocks back, so that smaller ones fit."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def too_large(tokens: int, device: torch.device) -> ModelError:
    """A single sequence does not fit."""
    return ModelError(
        f"out of memory on {device}: one sequence of {tokens} tokens does not fit beside the model; free memory, "
        "shorten the sequences, or load with --set runtime.dtype=bfloat16 or runtime.quantize=4bit"
    )


def retry_on_oom(
    batches: Iterable[list[int]], work: Callable[[list[int]], Result], lengths: list[int], device: torch.device
) -> Iterator[tuple[list[int], Result]]:
    """What `work` makes of each batch; a batch for which memory is short is halved, and later ones are not larger than its halves.

    Raises:
        ModelError: if a single sequence does not fit.
    """
    most: int | None = None
    pending = list(batches)[::-1]
    while pending:
        batch = pending.pop()
        tokens = sum(lengths[i] for i in batch)
        if most is None or tokens <= most or len(batch) == 1:
            try:
                result = work(batch)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise too_large(tokens, device) from error
                most = tokens // 2 + 1
            else:
                yield batch, result
                continue
            release(device)
        middle = len(batch) // 2
        pending += [batch[middle:], batch[:middle]]
