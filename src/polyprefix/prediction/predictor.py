"""Answers of a saved adapter to questions of one's own.

text or rows -> Example -> Prompt -> tokens -> adapted model -> answer
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from polyprefix.adapters.saved import find_adapter, read_settings
from polyprefix.calibration.questions import QuestionCalibration, QuestionPrior, question_prior
from polyprefix.calibration.record import CalibrationRecord
from polyprefix.config import PredictConfig
from polyprefix.errors import AdapterError, ConfigError, DataError, LanguageError, nearest
from polyprefix.languages import find
from polyprefix.prediction.loading import base_run_of, load_adapted, record_beside
from polyprefix.prediction.rows import PREDICTION, examples_of, frame_rows, read_questions, shown_answer
from polyprefix.progress import SILENT, Reporter
from polyprefix.tasks import registry as tasks
from polyprefix.tasks.base import Task
from polyprefix.text.shots import with_shots_text
from polyprefix.text.tokens import TokenizedPrompt, encode, encode_apart
from polyprefix.types import Example, Prediction

if TYPE_CHECKING:
    from polyprefix.adapters.adapted import AdaptedModel
    from polyprefix.models.load import BaseModel


class Predictor:
    """An adapter that is loaded once and asked many times.

    The adapter, its task and what is asked are checked before the model is loaded, which happens at the first call.
    """

    def __init__(
        self,
        adapter: str | Path | AdaptedModel,
        *,
        task: str | Task | None = None,
        model: str | BaseModel | None = None,
        settings: PredictConfig | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        """A predictor.

        Args:
            adapter: the folder of a run or of an adapter, or an adapted model; the run of a base model asks the base model.
            task: a task, its name or its file; by default what the adapter was trained on.
            model: the base model that is loaded already, such as one for several predictors; or its name, where it is not found under
                the one that the adapter was trained with.
            settings: where and in which precision the model runs, and how many tokens at a time.

        Raises:
            AdapterError: if there is no adapter, or it does not say what it was trained on and `task` does not either.
            ConfigError: for a task that cannot be found.
        """
        self.settings, self.reporter = settings or PredictConfig(), reporter
        self.folder: Path | None = None
        """Of the adapter, or of the run of a base model; None of an adapter in memory."""
        self._record: Callable[[], CalibrationRecord | None]
        self._load: Callable[[], AdaptedModel]
        if isinstance(adapter, str | Path):
            folder = self.folder = find_adapter(adapter)
            base_run = base_run_of(folder)
            saved = base_run or read_settings(folder)
            self._load = partial(load_adapted, folder, saved, base_run is not None, model, self.settings)
            kept, where = saved.get("task") or {}, str(folder)
            self._record = (lambda: None) if task else partial(record_beside, folder)
        else:
            base_run, kept, where = None, adapter.learned or {}, "this adapted model"
            self._record = lambda: None
            self._load = lambda: adapter
        if not task and "name" not in kept:
            raise AdapterError(f"{where}: does not say what it was trained on; name the task with --task, or as `task`")
        if task:
            self.task: Task = tasks.get(task) if isinstance(task, str) else task
        else:
            self.task = tasks.restore(kept)
        named = tasks.reference(self.task) if task else dict(kept)
        self.identity: Mapping[str, Any] = {
            "task": named, "model": model if isinstance(model, str) else None, "runtime": self.settings.runtime.model_dump()
        }  # fmt: skip
        """What was asked for beside the adapter, as plain values."""
        self._where = where
        self._priors: dict[tuple[str, str], QuestionPrior] = {}
        self._shots = "" if task else str(kept.get("shots", ""))
        # no training says whether the choices of another task had an end
        self._end: str | None = None if task or base_run else str(kept.get("end", ""))

    @cached_property
    def adapted(self) -> AdaptedModel:
        """The adapted model, loaded when it is first used."""
        return self._load()

    def __call__(self, questions: Any, *, language: str = "en", calibration: QuestionCalibration = "none") -> Any:
        """Answer questions.

        Args:
            questions: texts, where the task has a single input; else mappings with the task's inputs; a data frame with a column for
                each; or the path of a JSONL, CSV or Parquet file.
            language: of the questions, as people write it; decides where a task words its prompts by language, and whose prior the
                run's is.
            calibration: `none` gives the probabilities of the model. `prior` divides the run's prior for the language out, or the mean
                of its tested languages; `batch` the mean probabilities of these questions, shrunken to that prior. Both then scale by
                the temperature of validation where the run kept it.

        Returns:
            For each question its own columns, then `prediction`; where the answer is chosen also `probabilities`, of each choice
            among all choices; with calibration both are calibrated, and `calibration` says what was divided out; and `context_cut`
            where a context was too long for the model and its end was left out. A data frame for a data frame, with the same index.

        Raises:
            DataError: if questions lack inputs, with all that is wrong with them, or are too long for the model.
            LanguageError, ModelError: for a language or a model that cannot be found.
            ConfigError: for a calibration that there is not, or a task whose choices have no prior.
            OutputError: for `prior` where the run kept none, or what it kept is damaged.
        """
        code = language_code(self.task, language)
        prior = self.prior(calibration, code)
        if isinstance(questions, str):
            questions = [questions]
        if not hasattr(questions, "iloc"):
            rows = read_questions(questions, self.task)
            found = self._answers(examples_of(rows, self.task, code), prior)
            return [{**row.cells, **answer} for row, answer in zip(rows, found, strict=True)]
        rows = frame_rows(questions, self.task)
        found = self._answers(examples_of(rows, self.task, code), prior) if rows else []
        names = dict.fromkeys((PREDICTION, *(name for answer in found for name in answer)))
        return questions.assign(**{name: [answer.get(name) for answer in found] for name in names})

    @cached_property
    def record(self) -> CalibrationRecord | None:
        """What the run keeps for calibration; None for an adapter without a run, or another task than the run's.

        Raises:
            OutputError: if it is damaged.
        """
        return self._record()

    def prior(self, calibration: QuestionCalibration, code: str) -> QuestionPrior | None:
        """What a calibration divides out of the probabilities of questions in a language (our code); None for `none`.

        Raises:
            ConfigError, OutputError: as a call.
        """
        if calibration not in get_args(QuestionCalibration):
            raise ConfigError(
                f"calibration '{calibration}': no such one, {nearest(calibration, get_args(QuestionCalibration))}"
            )
        if calibration == "none":
            return None
        if (calibration, code) not in self._priors:  # its temperature is a search over all validation texts
            self._priors[calibration, code] = self._question_prior(calibration, code)
        return self._priors[calibration, code]

    def _question_prior(self, calibration: str, code: str) -> QuestionPrior:
        labels = self.task.info.labels
        if not labels:
            raise ConfigError(
                f"calibration '{calibration}': the choices of '{self.task.info.name}' differ in every question"
            )
        record = self.record
        if record is not None and record.labels != labels:
            record = None
        return question_prior(cast("QuestionCalibration", calibration), record, labels, code, self._where)

    def encode(self, examples: Sequence[Example]) -> list[TokenizedPrompt]:
        """The prompts of questions as the adapter learned them, as tokens of its base model.

        Raises:
            DataError: if one is too long for the model.
        """
        base = self.adapted.base
        prompts = with_shots_text(self._shots, list(map(self.task.prompt, examples)))
        if self._end is None:
            return encode_apart(prompts, base.tokenizer, base.max_length, base.vocabulary)
        return encode(prompts, base.tokenizer, base.max_length, end=self._end, vocabulary=base.vocabulary)

    def predict(
        self, examples: Sequence[Example], encoded: Sequence[TokenizedPrompt], reporter: Reporter | None = None
    ) -> list[Prediction]:
        """The model's own predictions, one for each question."""
        from polyprefix.evaluation.predictions import predict

        key, budget = "questions", self.settings.eval.token_budget
        reporter = reporter or self.reporter
        return predict(self.adapted, {key: examples}, {key: encoded}, budget, reporter, "predict").predictions[key]

    def _answers(self, examples: Sequence[Example], prior: QuestionPrior | None) -> list[dict[str, Any]]:
        encoded = self.encode(examples)
        predictions = self.predict(examples, encoded)
        if prior is not None:
            predictions = prior.applied(examples, predictions)
        said = prior.name if prior else None
        return [
            shown_answer(example, prediction, said, item.cut)
            for example, prediction, item in zip(examples, predictions, encoded, strict=True)
        ]


def language_code(task: Task, text: str) -> str:
    """The task's own code of a language where it has one; any other language may be asked too."""
    try:
        return find(text, among=task.languages()).code
    except (LanguageError, DataError):  # the data that says its languages need not be here
        return find(text).code
