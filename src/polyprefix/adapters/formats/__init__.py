"""Adapters in other tools' formats.

    peft             in and out: soft prompt, prefix, Llama-Adapter, LoRA
    transformers     out: a fine-tuned model, or one with LoRA merged, as a plain model folder
    kv-cache         out: a prefix or soft prompt as keys and values for transformers' cache
    llama.cpp        out: a prefix or soft prompt as a slot file of its server, LoRA as a GGUF adapter
    prompt-embeds    out: a soft prompt as the embeddings that vLLM takes with each request
    polyprefix       out: a folder of this package's own, such as one adapter of several

Each conversion is exact, or refused with the reason.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix.errors import ConfigError, nearest

if TYPE_CHECKING:  # torch is not needed to know the formats
    from polyprefix.adapters.adapted import AdaptedModel
    from polyprefix.adapters.formats.peft import from_peft, to_peft
    from polyprefix.adapters.formats.prompt_embeds import to_prompt_embeds
    from polyprefix.models.load import BaseModel

__all__ = ["FORMATS", "Format", "export_adapter", "from_peft", "import_adapter", "to_peft", "to_prompt_embeds"]


@dataclass(frozen=True, slots=True)
class Format:
    """One other format, and what can be done with it."""

    title: str
    write: str
    """The function here that takes an adapted model and a folder."""
    read: str | None = None
    """The function here that takes the base model, the folder, and whether pickled tensors are allowed."""
    float32: bool = False
    """Whether the base model must be loaded in float32."""
    template: str | None = None
    """What the other tool must have made before, where a conversion follows such a file."""


FORMATS: dict[str, Format] = {
    "peft": Format("a folder for PEFT's PeftModel.from_pretrained", "to_peft", "from_peft"),
    "transformers": Format(
        "a plain model folder for AutoModelForCausalLM: full fine-tuning, or LoRA merged",
        "to_transformers",
        float32=True,
    ),
    "kv-cache": Format("keys and values for transformers' KV cache, and the lines that use them", "to_kv_cache"),
    "llama.cpp": Format(
        "a slot file (prefix, soft prompt) or a GGUF adapter (LoRA) for llama.cpp's server",
        "to_llama_cpp",
        float32=True,
        template="a slot file that its server saved (prefix, soft prompt), or the base model's GGUF file (lora)",
    ),
    "prompt-embeds": Format("a soft prompt as prompt embeddings for vLLM", "to_prompt_embeds"),
    "polyprefix": Format("an adapter folder of polyprefix, of several prefixes joined to one", "save_adapter"),
}


def export_adapter(model: AdaptedModel, format: str, out: str | Path, template: str | Path | None = None) -> Path:
    """Write an adapter in another format into the folder `out`, and return it.

    Args:
        template: what `Format.template` asks for.

    Raises:
        ConfigError: if there is no such format, or its template is missing.
        AdapterError: if the adapter has no exact counterpart there.
        OutputError: if the folder cannot be written.
    """
    write: Callable[..., Path] = __getattr__(check_template(format, template).write)
    return write(model, out) if template is None else write(model, out, Path(template))


def import_adapter(base: BaseModel, format: str, folder: str | Path, *, allow_pickle: bool = False) -> AdaptedModel:
    """Attach an adapter that another tool saved in `folder`; pickled tensors only where that is allowed.

    Raises:
        ConfigError: if there is no such format, or it can only be written.
        AdapterError: if the folder is damaged, does not fit the base model, or has no exact counterpart here.
    """
    read: Callable[..., AdaptedModel] = __getattr__(str(check_format(format, to_read=True).read))
    return read(base, folder, allow_pickle=allow_pickle)


def check_format(format: str, *, to_read: bool = False) -> Format:
    """The format of that name, found without loading torch.

    Raises:
        ConfigError: if there is none, or it is to be read and can only be written.
    """
    readable = [name for name, known in FORMATS.items() if known.read]
    if format not in FORMATS:
        raise ConfigError(f"format '{format}': no such format, {nearest(format, readable if to_read else FORMATS)}")
    if to_read and format not in readable:
        raise ConfigError(f"format '{format}' can only be exported; import one of: {', '.join(readable)}")
    return FORMATS[format]


def check_template(format: str, template: str | Path | None) -> Format:
    """The format of that name, with a template where it needs one and without where not.

    Raises:
        ConfigError: if there is no such format, or that is not so.
    """
    found = check_format(format)
    if found.template and template is None:
        raise ConfigError(
            f"format '{format}' follows a template: give --template with {found.template} (docs/deploy.md)"
        )
    if template is not None and not found.template:
        raise ConfigError(f"format '{format}' follows no template; leave --template out")
    return found


def __getattr__(name: str) -> Any:
    """The conversions, loaded when one is used."""
    own = f"{__name__}.peft"
    places = {
        "from_peft": own, "to_peft": own, "to_prompt_embeds": f"{__name__}.prompt_embeds",
        "to_transformers": f"{__name__}.transformers", "to_kv_cache": f"{__name__}.kv_cache",
        "to_llama_cpp": f"{__name__}.llama_cpp", "save_adapter": "polyprefix.adapters.files",
    }  # fmt: skip
    if name not in places:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(places[name]), name)
