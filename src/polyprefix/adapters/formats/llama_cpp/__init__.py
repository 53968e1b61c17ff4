"""Adapters for llama.cpp: a prefix or a soft prompt as a slot file of its server, LoRA as a GGUF adapter.

What is written follows a template that the user's own llama.cpp made or reads, so that layers, types and the order of dimensions are
observed and not assumed. Tried with xllamacpp 2026.10.11549 (slot files of version 4).
"""

from __future__ import annotations

from pathlib import Path

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.errors import AdapterError


def to_llama_cpp(model: AdaptedModel, path: str | Path, template: Path) -> Path:
    """Write `slot.bin` with what uses it, or `adapter.gguf`, into a folder.

    Args:
        template: a slot file that the server saved, for a prefix or a soft prompt; the base model's GGUF file for LoRA.

    Raises:
        AdapterError: if llama.cpp cannot compute what the adapter computes, or the template does not fit.
        OutputError: if the folder cannot be written.
    """
    from polyprefix.adapters.formats.llama_cpp.lora import write_lora
    from polyprefix.adapters.formats.llama_cpp.prefix import write_prefix

    if (prefix := model.adapter.prefix(model.hook)) is not None:
        if prefix.gated:
            raise AdapterError(
                f"'{model.method.name}' adds a softmax of its own, which llama.cpp does not compute; export peft, or train a prefix"
            )
        return write_prefix(model, Path(path), template)
    if not model.method.changes_base:
        raise AdapterError(f"'{model.method.name}' has trained nothing; give llama.cpp the base model")
    if model.method.trains_base_weights:
        raise AdapterError(f"'{model.method.name}' is a whole model; export transformers, and convert that to GGUF")
    return write_lora(model, Path(path), template)
