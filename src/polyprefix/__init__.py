"""polyprefix: adapt decoder-only language models with English data, and measure what carries over to other languages.

The names below are loaded when they are first used, so that `import polyprefix` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyprefix.adapters.adapted import AdaptedModel
    from polyprefix.adapters.attach import attach
    from polyprefix.adapters.files import save_adapter
    from polyprefix.adapters.formats import from_peft, to_peft
    from polyprefix.api.comparison import compare, load_results
    from polyprefix.api.evaluation import evaluate
    from polyprefix.api.loading import load_adapter, load_task
    from polyprefix.api.result import Result
    from polyprefix.api.running import run
    from polyprefix.api.training import TrainingRecord, train
    from polyprefix.api.verdicts import calibrations, verdicts
    from polyprefix.config import RunConfig
    from polyprefix.integrations.callback import EvaluateLanguages
    from polyprefix.methods.full import FullFineTuning
    from polyprefix.methods.llama_adapter import LlamaAdapter
    from polyprefix.methods.lora import LoRA
    from polyprefix.methods.prefix_tuning import PrefixTuning
    from polyprefix.methods.soft_prompt import SoftPrompt
    from polyprefix.models.load import BaseModel, load_model
    from polyprefix.models.wrap import wrap_model
    from polyprefix.prediction import Predictor
    from polyprefix.results.table import ResultsTable
    from polyprefix.sources.ranking import SourceRanking, rank_sources
    from polyprefix.statistics.comparisons import Comparison
    from polyprefix.tasks._frames import Task
    from polyprefix.tasks.base import Source

_HOMES = {
    "AdaptedModel": "adapters.adapted",
    "BaseModel": "models.load",
    "Comparison": "statistics.comparisons",
    "EvaluateLanguages": "integrations.callback",
    "FullFineTuning": "methods.full",
    "LlamaAdapter": "methods.llama_adapter",
    "LoRA": "methods.lora",
    "Predictor": "prediction",
    "PrefixTuning": "methods.prefix_tuning",
    "Result": "api.result",
    "ResultsTable": "results.table",
    "RunConfig": "config",
    "SoftPrompt": "methods.soft_prompt",
    "Source": "tasks.base",
    "SourceRanking": "sources.ranking",
    "Task": "tasks._frames",
    "TrainingRecord": "api.training",
    "attach": "adapters.attach",
    "calibrations": "api.verdicts",
    "compare": "api.comparison",
    "evaluate": "api.evaluation",
    "from_peft": "adapters.formats",
    "load_adapter": "api.loading",
    "load_model": "models.load",
    "load_results": "api.comparison",
    "load_task": "api.loading",
    "rank_sources": "sources.ranking",
    "run": "api.running",
    "save_adapter": "adapters.files",
    "to_peft": "adapters.formats",
    "train": "api.training",
    "verdicts": "api.verdicts",
    "wrap_model": "models.wrap",
}

__all__ = [
    "AdaptedModel",
    "BaseModel",
    "Comparison",
    "EvaluateLanguages",
    "FullFineTuning",
    "LlamaAdapter",
    "LoRA",
    "Predictor",
    "PrefixTuning",
    "Result",
    "ResultsTable",
    "RunConfig",
    "SoftPrompt",
    "Source",
    "SourceRanking",
    "Task",
    "TrainingRecord",
    "attach",
    "calibrations",
    "compare",
    "evaluate",
    "from_peft",
    "load_adapter",
    "load_model",
    "load_results",
    "load_task",
    "rank_sources",
    "run",
    "save_adapter",
    "to_peft",
    "train",
    "verdicts",
    "wrap_model",
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
