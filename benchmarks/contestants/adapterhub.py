"""AdapterHub's adapters under its own Trainer: prefixes as plain keys and values, and LoRA.

With SDPA, its default, prefixes are wrong where no text of a batch is padded: no mask is made, and torch lets each token see as many keys as
it has places. `adapterhub` trains them with eager attention, `adapterhub-sdpa` shows the other loss.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

import adapters
from adapters import AdapterTrainer, LoRAConfig, PrefixTuningConfig
from benchmarks.contestants.trainer import dtype_of, first_loss, peft_settings, train_under
from benchmarks.workload import Workload

ADAPTER = "task"


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """AdapterTrainer.train on rows whose prompt is hidden from the loss."""
    return train_under(AdapterTrainer, _loaded(name, work), work, started)


def check(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The loss of the first batch."""
    return first_loss(_loaded(name, work), work)


def _loaded(name: str, work: Workload) -> Any:
    config: Any = AutoConfig.from_pretrained(work.model)
    config.rope_theta = config.rope_parameters["rope_theta"]  # where transformers 5 writes it, and 4 does not look
    attention = "eager" if work.method == "prefix" and not name.endswith("sdpa") else "sdpa"
    model: Any = AutoModelForCausalLM.from_pretrained(
        work.model, config=config, dtype=dtype_of(work), attn_implementation=attention
    )
    model = model.to(work.device)
    adapters.init(model)
    if work.method == "prefix":
        values = load_file(work.prefix)
        model.add_adapter(ADAPTER, PrefixTuningConfig(flat=True, prefix_length=values["keys.0"].shape[1], dropout=0.0))
        _set_prefix(model, values)
    elif work.method == "lora":
        _add_lora(model, work)
    else:
        raise ValueError(f"{work.method}: AdapterHub has no such method for this model")
    model.train_adapter(ADAPTER)
    return model


def _set_prefix(model: Any, values: dict[str, torch.Tensor]) -> None:
    """Initial keys and values [G, P, K] of each layer, as its flat parameter [P, 2 L, G, K] holds them."""
    rows = [values[f"{part}.{layer}"] for layer in range(len(values) // 2) for part in ("keys", "values")]
    flat = [p for name, p in model.named_parameters() if name.endswith("control_trans")]
    with torch.no_grad():
        flat[0].copy_(torch.stack(rows).permute(2, 0, 1, 3).reshape(-1))


def _add_lora(model: Any, work: Workload) -> None:
    """LoRA on queries and values, with the values of PEFT's file."""
    settings = peft_settings(work)
    matrices = [name.removesuffix("_proj") for name in settings["target_modules"]]
    model.add_adapter(
        ADAPTER, LoRAConfig(r=settings["r"], alpha=settings["lora_alpha"], attn_matrices=matrices, dropout=0.0)
    )
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in load_file(Path(work.peft, "adapter_model.safetensors")).items():
            place = name.removeprefix("base_model.model.").replace(".lora_", f".loras.{ADAPTER}.lora_")
            own[place.removesuffix(".weight")].copy_(tensor)
