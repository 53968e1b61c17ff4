"""The adapters of a service: loaded once, on one base model.

Adapters that leave the base model's modules alone are attached to it together. One that puts modules of its own into the model gets a copy
of the modules over the same weights; one that trains the weights gets weights of its own. What a method is says which (`Method`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from polyprefix.adapters import registry
from polyprefix.adapters.saved import find_adapter, read_settings
from polyprefix.calibration.questions import QuestionPrior
from polyprefix.config import ENGLISH, PredictConfig
from polyprefix.data.table import Row
from polyprefix.errors import AdapterError, ConfigError, OutputError
from polyprefix.prediction.loading import base_run_of
from polyprefix.prediction.predictor import Predictor
from polyprefix.prediction.rows import examples_of
from polyprefix.results.files import PREDICTIONS, read_predictions
from polyprefix.serving.measured import Measured
from polyprefix.text.tokens import common_prefix_length

if TYPE_CHECKING:
    from polyprefix.adapters.adapted import AdaptedModel
    from polyprefix.models.load import BaseModel

MOST_EXAMPLES = 12
"""Sentences to try, one a language."""


@dataclass(frozen=True)
class Served:
    """One adapter of the service."""

    name: str
    """What requests call it."""
    predictor: Predictor
    measured: Measured
    copies: tuple[AdaptedModel, ...] = ()
    """Models of the same weights without an adapter, for forward passes beside those of `model`, which are given its prefix; none where
    the adapter changes the weights."""

    @property
    def model(self) -> AdaptedModel:
        """The adapted model."""
        return self.predictor.adapted

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs of a question."""
        return self.predictor.task.info.inputs

    @cached_property
    def generates(self) -> bool:
        """Whether answers are written; else they are chosen."""
        info = self.predictor.task.info
        return not info.labels and not info.options

    @cached_property
    def examples(self) -> dict[str, str]:
        """Language -> a test sentence of the run, of some languages; none where a question has several inputs."""
        folder = self.predictor.folder
        places = [p / PREDICTIONS for p in (folder, folder.parent)] if folder else []
        path = next((path for path in places if path.is_file()), None)
        if path is None or len(self.inputs) != 1:
            return {}
        found: dict[str, str] = {}
        for one in read_predictions(path)[0]:
            if one.text and len(found) < MOST_EXAMPLES:
                found.setdefault(one.language, one.text)
        return found

    @cached_property
    def begin(self) -> tuple[int, ...]:
        """The tokens that prompts of different questions begin with: the task's instruction."""
        task = self.predictor.task
        rows = [Row("", dict.fromkeys(self.inputs, text)) for text in ("a b", "7 c", "ж д", "天 地")]
        encoded = self.predictor.encode(examples_of(rows, task, ENGLISH))
        return encoded[0].ids[: common_prefix_length([item.ids for item in encoded])]

    def prior(self, code: str) -> QuestionPrior | None:
        """What calibration divides out of the probabilities in a language; None where the run kept nothing for that."""
        record, labels = self.predictor.record, self.predictor.task.info.labels
        if not labels or record is None or record.labels != labels or not record.priors:
            return None
        return self.predictor.prior("prior", code)


def named(runs: Sequence[str]) -> dict[str, Path]:
    """Name -> folder, from `FOLDER` or `NAME=FOLDER`.

    Raises:
        ConfigError: if two have one name, or a name has characters that do not belong into one.
        AdapterError: if there is no adapter and no run.
    """
    found: dict[str, Path] = {}
    for run in runs:
        name, separator, folder = run.partition("=")
        path = find_adapter(folder if separator and not Path(run).exists() else run)
        if not separator or Path(run).exists():
            name = path.resolve().parent.name if path.name == "adapter" else path.resolve().name
        if not name or not all(character.isalnum() or character in "-_.:/" for character in name):
            raise ConfigError(
                f"'{run}': the name '{name}' has other characters than letters, digits and -_.:/; give NAME=FOLDER"
            )
        if name in found:
            raise ConfigError(f"'{run}': another run has the name '{name}'; give NAME=FOLDER")
        found[name] = path
    return found


def load(
    folders: dict[str, Path], settings: PredictConfig, model: str | None = None, concurrent_passes: int | None = None
) -> list[Served]:
    """Load adapters onto one base model.

    Args:
        folders: name -> folder of an adapter, or of the run of a base model.
        settings: where and in which precision the model runs.
        model: the base model, where it is not found under the name that the adapters were trained with.
        concurrent_passes: forward passes that may run at the same time; None means two on a processor with two threads or more, else one.

    Raises:
        AdapterError: if they were trained on different base models, or one is damaged.
        ModelError: if the base model cannot be loaded.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # requests are short, and the cores are the engine's
    # Each thread that computes has OpenMP workers of its own. Where those are more than the processors, GNU's OpenMP no longer lets them wait
    # awake, and every pass of the engine takes a quarter longer: so the thread that loads ends here, and its workers with it.
    with ThreadPoolExecutor(1, "polyprefix-load") as thread:
        return thread.submit(_load, folders, settings, model, concurrent_passes).result()


def _load(
    folders: dict[str, Path], settings: PredictConfig, model: str | None, concurrent_passes: int | None
) -> list[Served]:
    saved = {name: base_run_of(folder) or read_settings(folder) for name, folder in folders.items()}
    names = {name: settings["base"]["name"] for name, settings in saved.items()}
    first = next(iter(names))
    for name, base in names.items():
        if base != names[first] and model is None:
            raise AdapterError(
                f"{folders[name]}: trained on {base}, and '{first}' on {names[first]}; serve each base model by a process of its own"
            )
    from polyprefix.adapters.attach import attach
    from polyprefix.models.load import load_model
    from polyprefix.models.share import sharing_weights

    runtime, source = settings.runtime.model_dump(), model or names[first]
    base = load_model(source, **runtime)
    kinds = {name: type(registry.build(settings["method"])) for name, settings in saved.items()}
    models: dict[str, BaseModel] = {}
    for name, kind in kinds.items():  # copies are made before anything is attached
        if kind.changes_base:
            models[name] = load_model(source, **runtime) if kind.trains_base_weights else sharing_weights(base)
    passes = _concurrent_passes(base) if concurrent_passes is None else concurrent_passes
    bases = [sharing_weights(base) for _ in range(passes - 1)] if len(models) < len(folders) else []
    copies = tuple(attach(copy, registry.build({"name": "none"})).eval() for copy in bases)
    return [
        _served(name, folder, models.get(name, base), settings, () if name in models else copies)
        for name, folder in folders.items()
    ]


def _concurrent_passes(base: BaseModel) -> int:
    """Two on a processor where each has a thread; more were not measured. A GPU computes one after the other anyway."""
    import torch

    # only OpenMP counts the threads of each caller by itself, and flex attention is compiled, which two threads may not do at once
    several = torch.get_num_threads() > 1 and torch.backends.openmp.is_available()
    compiles = base.model.config._attn_implementation.endswith("flex_attention")
    return 2 if base.model.device.type == "cpu" and several and not compiles else 1


def _served(
    name: str, folder: Path, base: BaseModel, settings: PredictConfig, copies: tuple[AdaptedModel, ...]
) -> Served:
    predictor = Predictor(folder, model=base, settings=settings)
    info = predictor.task.info
    if not info.inputs:
        raise AdapterError(
            f"{folder}: task '{info.name}' does not say what its inputs are called, so nothing can be asked"
        )
    try:
        _ = predictor.record
    except OutputError as error:
        raise AdapterError(str(error)) from None
    predictor.adapted.eval()
    predictor.adapted.adapter.merge()
    found = Served(name, predictor, Measured.of(folder, info.metrics[0], info.chance), copies)
    _ = found.begin  # now, since a tokenizer serves one thread at a time
    return found
