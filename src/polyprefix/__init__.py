"""polyprefix: adapt decoder-only language models with English data, and measure what carries over to other languages.

The names below are loaded when they are first used, so that `import polyprefix` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyprefix.analysis.compare import compare
    from polyprefix.config import RunConfig
    from polyprefix.interop import from_peft, to_peft
    from polyprefix.methods.adapted import AdaptedModel, attach
    from polyprefix.methods.files import load_adapter, save_adapter
    from polyprefix.methods.full import FullFineTuning
    from polyprefix.methods.llama_adapter import LlamaAdapter
    from polyprefix.methods.lora import LoRA
    from polyprefix.methods.prefix_tuning import PrefixTuning
    from polyprefix.methods.soft_prompt import SoftPrompt
    from polyprefix.models.load import BaseModel, load_model
    from polyprefix.prediction import predict
    from polyprefix.recipe import run

_HOMES = {
    "AdaptedModel": "methods.adapted",
    "BaseModel": "models.load",
    "FullFineTuning": "methods.full",
    "LlamaAdapter": "methods.llama_adapter",
    "LoRA": "methods.lora",
    "PrefixTuning": "methods.prefix_tuning",
    "RunConfig": "config",
    "SoftPrompt": "methods.soft_prompt",
    "attach": "methods.adapted",
    "compare": "analysis.compare",
    "from_peft": "interop",
    "load_adapter": "methods.files",
    "load_model": "models.load",
    "predict": "prediction",
    "run": "recipe",
    "save_adapter": "methods.files",
    "to_peft": "interop",
}

__all__ = [
    "AdaptedModel",
    "BaseModel",
    "FullFineTuning",
    "LlamaAdapter",
    "LoRA",
    "PrefixTuning",
    "RunConfig",
    "SoftPrompt",
    "attach",
    "compare",
    "from_peft",
    "load_adapter",
    "load_model",
    "predict",
    "run",
    "save_adapter",
    "to_peft",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("polyprefix")
    if name not in _HOMES:
        raise AttributeError(f"module 'polyprefix' has no attribute '{name}'")
    return getattr(import_module(f"polyprefix.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted((*__all__, "__version__"))
