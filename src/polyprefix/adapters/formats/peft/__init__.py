"""PEFT in and out: the same logits on both sides, or a refusal with the reason.

    soft-prompt      PROMPT_TUNING      as it is
    prefix           PREFIX_TUNING      all layers; keys moved from positions -P..-1 to 0..P-1 and back
    llama-adapter    ADAPTION_PROMPT    one gate a layer, tanh folded into it
    lora             LORA               as it is

PEFT: github.com/huggingface/peft, tried with 0.21.
"""

from __future__ import annotations

import warnings
from pathlib import Path, PurePath
from types import ModuleType

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.formats.peft import adaption_prompt, lora, prefix_tuning, prompt_tuning
from polyprefix.adapters.formats.peft.files import CONFIG, Saved, read, write
from polyprefix.errors import AdapterError
from polyprefix.models.embedded import EMBEDDED, published_name
from polyprefix.models.load import BaseModel

__all__ = ["from_peft", "to_peft"]

CONVERTERS: dict[str, tuple[str, ModuleType]] = {
    "soft-prompt": ("PROMPT_TUNING", prompt_tuning),
    "prefix": ("PREFIX_TUNING", prefix_tuning),
    "llama-adapter": ("ADAPTION_PROMPT", adaption_prompt),
    "lora": ("LORA", lora),
}
"""Our method -> PEFT's type, and the module with `export` and `load`."""
NO_ADAPTER = {
    "none": "nothing was trained; use the base model",
    "full": "all weights were trained; save the whole model with model.model.save_pretrained",
}


def to_peft(model: AdaptedModel, path: str | Path) -> Path:
    """Write a folder for which `PeftModel.from_pretrained(base, path)` gives the same logits.

    PEFT's own limits stay: its soft prompts and prefixes do not survive packing, its soft prompts do not survive left
    padding, and both slide out of a sliding window (a warning says at which length of text).

    Raises:
        AdapterError: if PEFT has no exact counterpart; says why and what to do.
        OutputError: if the folder cannot be written.
    """
    name = model.method.name
    if name not in CONVERTERS:
        raise AdapterError(f"'{name}' cannot be exported to PEFT: {NO_ADAPTER.get(name, 'it has no such method')}")
    saved: Saved = CONVERTERS[name][1].export(model)
    if (embedded := EMBEDDED.get(model.base.name)) is not None:
        warnings.warn(
            f"trained on {embedded.source}: with the weights of {embedded.hub_id} itself the adapter computes nearly the same, not the same",
            stacklevel=2,
        )
    return write(Path(path), saved, published_name(model.base.name))


def from_peft(base: BaseModel, path: str | Path, *, allow_pickle: bool = False) -> AdaptedModel:
    """Attach an adapter that PEFT saved in the folder `path`.

    Raises:
        AdapterError: if the folder is damaged, does not fit the base model, or has no exact counterpart here.
        ModelError: if the base model cannot be served.
    """
    folder = Path(path)
    saved = read(folder, allow_pickle=allow_pickle)
    kind = saved.config["peft_type"]
    loaders = dict(CONVERTERS.values())
    if kind not in loaders:
        raise AdapterError(
            f"{folder / CONFIG}: PEFT's {kind} has no counterpart here; polyprefix reads {', '.join(sorted(loaders))}"
        )
    trained_on = saved.config.get("base_model_name_or_path")
    if isinstance(trained_on, str) and _last(trained_on) not in (
        "",
        _last(base.name),
        _last(published_name(base.name)),
    ):
        warnings.warn(
            f"{folder}: trained on '{trained_on}', of which PEFT keeps only the name; make sure that it is {base.name}",
            stacklevel=2,
        )
    model: AdaptedModel = loaders[kind].load(base, saved)
    return model


def _last(name: str) -> str:
    """A model's name without its owner or folder."""
    return PurePath(name.replace("\\", "/")).name.lower()
