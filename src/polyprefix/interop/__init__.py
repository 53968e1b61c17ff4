"""Adapters in other tools' formats.

    peft             in and out: soft prompt, prefix, Llama-Adapter, LoRA
    prompt-embeds    out: a soft prompt as the embeddings that vLLM takes with each request

Each conversion is exact, or refused with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from polyprefix.errors import ConfigError, nearest
from polyprefix.interop.peft import from_peft, to_peft
from polyprefix.interop.prompt_embeds import to_prompt_embeds
from polyprefix.methods.adapted import AdaptedModel
from polyprefix.models.load import BaseModel

__all__ = ["FORMATS", "Format", "export_adapter", "from_peft", "import_adapter", "to_peft", "to_prompt_embeds"]


@dataclass(frozen=True, slots=True)
class Format:
    """One other format, and what can be done with it."""

    title: str
    write: Callable[[AdaptedModel, str | Path], Path]
    read: Callable[[BaseModel, str | Path], AdaptedModel] | None = None


FORMATS: dict[str, Format] = {
    "peft": Format("a folder for PEFT's PeftModel.from_pretrained", to_peft, from_peft),
    "prompt-embeds": Format("a soft prompt as prompt embeddings for vLLM", to_prompt_embeds),
}


def export_adapter(model: AdaptedModel, format: str, out: str | Path) -> Path:
    """Write an adapter in another format into the folder `out`, and return it.

    Raises:
        ConfigError: if there is no such format.
        AdapterError: if the adapter has no exact counterpart there.
        OutputError: if the folder cannot be written.
    """
    return _find(format, list(FORMATS)).write(model, out)


def import_adapter(base: BaseModel, format: str, folder: str | Path) -> AdaptedModel:
    """Attach an adapter that another tool saved in `folder`.

    Raises:
        ConfigError: if there is no such format, or it can only be written.
        AdapterError: if the folder is damaged, does not fit the base model, or has no exact counterpart here.
    """
    readable = [name for name, known in FORMATS.items() if known.read]
    read = _find(format, readable).read
    if read is None:
        raise ConfigError(f"format '{format}' can only be exported; import one of: {', '.join(readable)}")
    return read(base, folder)


def _find(format: str, known: list[str]) -> Format:
    if format not in FORMATS:
        raise ConfigError(f"format '{format}': no such format, {nearest(format, known)}")
    return FORMATS[format]
