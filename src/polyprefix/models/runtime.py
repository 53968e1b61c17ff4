"""Where a model runs, in which precision, and with which attention."""

from __future__ import annotations

import os
from typing import Any

from polyprefix.errors import ConfigError, nearest

DTYPES = ("auto", "float32", "bfloat16")
COMPILED_PRODUCTS = 128
"""That oneDNN keeps."""
ATTENTION = ("auto", "sdpa", "eager", "flex_attention")


def choose_device(wanted: str) -> str:
    """`auto` is CUDA where there is one, else the processor.

    Raises:
        ConfigError: if torch knows no such device, or this machine has none.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    where = f"device '{wanted}'"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise ConfigError(f"{where}: no such device; write auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise ConfigError(f"{where}: torch {torch.__version__} sees {count} CUDA devices here; write auto or cpu")
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"{where}: not on this machine; write auto or cpu")
    elif device.type not in {"cpu", "mps", "xpu"}:
        raise ConfigError(f"{where}: cannot run a model; write auto, cpu, cuda or cuda:1")
    return str(device)


def gpu_name(device: str) -> str | None:
    """What a CUDA device is called; None of another device."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None


def bound_compiled_products() -> None:
    """Have oneDNN keep fewer of the products of matrices that it compiles for a processor.

    It compiles one for each number of tokens, up to a megabyte each in bfloat16, and keeps 1,024: a process whose passes differ in length,
    as those of a service do, grows by a gigabyte. A pass needs about ten, and another one of the same length is rare. A number that is set
    in the environment is left alone; where oneDNN was used before, nothing changes.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(COMPILED_PRODUCTS))


def compute_deterministically() -> None:
    """Have CUDA give the same bits at every run of this process, as processors do: training runs again equal on the same kind of GPU.

    It holds for the whole process, torch knows no narrower place. An operation without a deterministic form stops the run with torch's words:
    where torch only warns, attention takes its faster gradient, which adds in any order. cuDNN's attention is left out.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.enable_cudnn_sdp(False)
    # otherwise every new tensor costs one more kernel, and nobody reads what it fills
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def choose_dtype(wanted: str, device: str) -> Any:
    """The torch dtype of frozen weights: `auto` is bfloat16 where the device computes in it, else float32.

    Raises:
        ConfigError: if the name is none of `DTYPES`.
    """
    import torch

    if wanted not in DTYPES:
        raise ConfigError(f"dtype '{wanted}': unknown, {nearest(wanted, DTYPES)}")
    if wanted == "auto":
        return torch.bfloat16 if computes_in_bfloat16(device) else torch.float32
    return getattr(torch, wanted)


def computes_in_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster there: on CUDA by torch's word, on a processor only with AVX512_BF16 or AMX.

    Without them torch computes in bfloat16 all the same, but several times slower than in float32.
    """
    import torch

    if device.startswith("cuda"):
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    # not public, so a later torch may lack them
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(test() for test in tests if test is not None)


def choose_attention(wanted: str, model_class: Any, config: Any) -> str:
    """transformers' attention implementation: `auto` is sdpa where that computes what the model needs, else eager.

    Raises:
        ConfigError: if the name is none of `ATTENTION`, or sdpa for a model with soft caps, which it leaves out.
    """
    if wanted not in ATTENTION:
        raise ConfigError(f"attention '{wanted}': unknown, {nearest(wanted, ATTENTION)}")
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None
    if wanted == "auto":
        return "sdpa" if model_class._supports_sdpa and not capped else "eager"
    if wanted == "sdpa" and capped:
        raise ConfigError(
            f"attention 'sdpa': leaves out the soft cap of {config.model_type}; write auto, eager or flex_attention"
        )
    return wanted
