"""Scores in many languages while somebody else's trainer trains: a callback of `transformers.Trainer` and of TRL's trainers.

    trainer.add_callback(pp.EvaluateLanguages(trainer, "xnli", ["sw", "th"], every=200, eval_size=100))

The model is evaluated as it is at that step, an adapted model or any causal decoder, also one with LoRA by PEFT. Training is not disturbed:
no state of random numbers is moved, and flags, hooks and attention of the model are afterwards those from before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import Trainer, TrainerCallback

from polyprefix import languages as table
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.api.evaluation import test_inputs
from polyprefix.api.loading import load_task
from polyprefix.api.result import SCORE_COLUMNS
from polyprefix.api.training import configure
from polyprefix.errors import ConfigError
from polyprefix.evaluation.predictions import predict
from polyprefix.methods.none import NoAdapter
from polyprefix.models.load import BaseModel
from polyprefix.models.wrap import wrap_model
from polyprefix.progress import SILENT
from polyprefix.tasks.base import Task, score_all
from polyprefix.types import Score

if TYPE_CHECKING:
    import pandas as pd

Scores = Mapping[str, Mapping[str, Score]]
"""Language -> metric -> score."""


class EvaluateLanguages(TrainerCallback):
    """Every so many steps, and after the last, the scores of a task in several languages go into the trainer's log.

    The log has `eval_LANGUAGE_METRIC`, such as `eval_swh_Latn_accuracy`, a share between 0 and 1, for whatever the trainer reports to. These
    are test languages: weights are not to be chosen by them.
    """

    def __init__(
        self,
        trainer: Trainer,
        task: Task | str | Path,
        languages: Sequence[str] | str = "all",
        *,
        every: int,
        eval_size: int | None = 100,
        tokenizer: Any = None,
        hub: Path | None = None,
        **settings: Any,
    ) -> None:
        """Read the examples and make their tokens, so that a mistake is said before training.

        Args:
            trainer: whose model is evaluated, and whose log is written.
            task: from `load_task`, or its name or task file.
            languages: as people write them (`sw`, `swh_Latn`, `Swahili`); `all` means all of the task. English is always among them where
                the task has it.
            every: optimiser steps from one evaluation to the next.
            eval_size: test examples a language, the same in each; None means all.
            tokenizer: of the model; by default the trainer's, or that of an adapted model.
            hub: a local mirror of the Hub; None means POLYPREFIX_HUB, or the Hub itself.
            settings: others that an evaluation has: `shots`, `shot_language`, `eval`, `text`.

        Raises:
            ConfigError: if `every` is less than 1, there is no tokenizer, or the model is one that cannot be evaluated from outside.
            LanguageError, DataError, ModelError: as `evaluate`.
        """
        if every < 1:
            raise ConfigError(f"every={every}: expected a number of steps, 1 or more")
        self._trainer, self._every = trainer, every
        self._task = load_task(task) if isinstance(task, str | Path) else task
        self._base = _base_of(_model_of(trainer), tokenizer or trainer.processing_class)
        asked = languages if isinstance(languages, str) else list(languages)
        given = {"languages": asked, "eval_size": eval_size, **settings}
        self._config = configure(self._base, self._task, NoAdapter(), given)
        self._inputs = test_inputs(self._base, self._task, self._config, hub)
        self._rows: list[tuple[Any, ...]] = []

    @property
    def scores(self) -> pd.DataFrame:
        """One row per evaluation, language and metric: `step`, and the columns of `Result.scores`."""
        import pandas as pd

        return pd.DataFrame(self._rows, columns=["step", *SCORE_COLUMNS])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate where it is time."""
        if state.global_step % self._every == 0:
            self.evaluate()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate the last weights, unless that was done."""
        if state.global_step % self._every:
            self.evaluate()

    def evaluate(self) -> Scores:
        """Evaluate now, and write the scores into the trainer's log."""
        start = time.perf_counter()
        device = self._base.model.device
        # the check of an architecture, when an adapter is attached, draws tokens
        with torch.random.fork_rng([device] if device.type == "cuda" else []), self._adapted() as adapted:
            answers = predict(
                adapted,
                self._inputs.examples.test,
                self._inputs.tokens.test,
                self._config.eval.token_budget,
                SILENT,
                "",
            )
        found = score_all(self._task, self._inputs.examples.test, answers.predictions)
        step = self._trainer.state.global_step
        self._rows += [
            (step, code, table.get(code).name, metric, score.value, score.n, *score.ci95)
            for code, metrics in found.items()
            for metric, score in metrics.items()
        ]
        figures = {f"eval_{code}_{metric}": s.value for code, metrics in found.items() for metric, s in metrics.items()}
        self._log({**figures, "eval_languages_runtime": round(time.perf_counter() - start, 4)})
        return found

    def _log(self, figures: dict[str, float]) -> None:
        """A record beside those of training, which come as they would without it."""
        due = self._trainer.control.should_log  # a record is taken for the one that is due
        # Trainer's own: TRL's would add what it has gathered of training since its last record, and begin anew
        Trainer.log(self._trainer, figures)
        self._trainer.control.should_log = due

    @contextmanager
    def _adapted(self) -> Iterator[AdaptedModel]:
        """The model as the engine takes it; outside it is the trainer's alone."""
        model = _model_of(self._trainer)
        if isinstance(model, AdaptedModel):
            yield model.eval()  # a trainer sets the mode of training in every step
            return
        modes = [(module, module.training) for module in model.modules()]
        adapted = attach(self._base, NoAdapter())
        try:
            yield adapted.eval()
        finally:
            adapted.detach()
            for module, training in modes:
                module.training = training


def _model_of(trainer: Trainer) -> Any:
    """The model without what accelerate puts around it.

    Raises:
        ConfigError: if its weights are split over processes.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise ConfigError(
            "EvaluateLanguages: the trainer splits weights over processes (FSDP, DeepSpeed), so no process can evaluate; save "
            "checkpoints and evaluate those"
        )
    return trainer.accelerator.unwrap_model(trainer.model)


def _base_of(model: Any, tokenizer: Any) -> BaseModel:
    """The base model of an adapted model, or a caller's model as one; LoRA's layers by PEFT are part of it.

    Raises:
        ConfigError: if there is no tokenizer, or PEFT puts virtual tokens before the text, which the model itself does not know.
        ModelError: if it is no causal decoder.
    """
    if isinstance(model, AdaptedModel):
        return model.base
    if tokenizer is None:
        raise ConfigError("EvaluateLanguages: the trainer has no processing_class; give tokenizer=")
    if hasattr(model, "get_base_model"):  # PEFT's
        if model.active_peft_config.is_prompt_learning:
            raise ConfigError(
                f"EvaluateLanguages: PEFT's {model.active_peft_config.peft_type.value} stands outside the model; train it as an adapted "
                "model (pp.attach with pp.PrefixTuning or pp.SoftPrompt)"
            )
        model = model.get_base_model()
    return wrap_model(model, tokenizer)
