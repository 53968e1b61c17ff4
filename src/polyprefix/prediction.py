"""Answers of a saved adapter to questions of one's own.

text or rows -> Example -> Prompt -> tokens -> adapted model -> answer
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from polyprefix.adapters.saved import SETTINGS, find_adapter, read_settings
from polyprefix.calibration.questions import QuestionCalibration, QuestionPrior, question_prior, record_from_predictions
from polyprefix.calibration.record import CalibrationRecord, read_record
from polyprefix.config import PredictConfig
from polyprefix.data.files import Row, Table, ValidationErrors, arrow_table, read_table, table_of
from polyprefix.errors import AdapterError, ConfigError, DataError, LanguageError, nearest
from polyprefix.languages import find
from polyprefix.progress import SILENT, Reporter
from polyprefix.results.files import RESULT, read_result
from polyprefix.tasks import registry as tasks
from polyprefix.tasks._custom_rows import question, read_inputs, require_columns
from polyprefix.tasks.base import Task
from polyprefix.text.shots import with_shots_text
from polyprefix.text.tokens import encode, encode_apart
from polyprefix.types import Example, Prediction

if TYPE_CHECKING:
    import pandas as pd

    from polyprefix.adapters.adapted import AdaptedModel

PREDICTION, PROBABILITIES, CALIBRATION, CUT = "prediction", "probabilities", "calibration", "context_cut"
"""What an answer adds to the columns of its question."""


class Predictor:
    """An adapter that is loaded once and asked many times.

    The adapter, its task and what is asked are checked before the model is loaded, which happens at the first call.
    """

    def __init__(
        self,
        adapter: str | Path | AdaptedModel,
        *,
        task: str | Task | None = None,
        model: str | None = None,
        settings: PredictConfig | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        """A predictor.

        Args:
            adapter: the folder of a run or of an adapter, or an adapted model; the run of a base model asks the base model.
            task: a task, its name or its file; by default what the adapter was trained on.
            model: the base model, where it is not found under the name that the adapter was trained with.
            settings: where and in which precision the model runs, and how many tokens at a time.

        Raises:
            AdapterError: if there is no adapter, or it does not say what it was trained on and `task` does not either.
            ConfigError: for a task that cannot be found.
        """
        self.settings, self.reporter = settings or PredictConfig(), reporter
        self._record: Callable[[], CalibrationRecord | None]
        if isinstance(adapter, str | Path):
            folder = find_adapter(adapter)
            base_run = _base_run(folder)
            saved = base_run or read_settings(folder)
            self._load = partial(_loaded, folder, saved, base_run is not None, model, self.settings)
            kept, where = saved.get("task") or {}, str(folder)
            self._record = (lambda: None) if task else partial(_record_beside, folder)
        else:
            base_run, kept, where = None, adapter.learned or {}, "this adapted model"
            self._record = lambda: None
            self._load = partial(_as_is, adapter)
        if not task and "name" not in kept:
            raise AdapterError(f"{where}: does not say what it was trained on; name the task with --task, or as `task`")
        if task:
            self.task: Task = tasks.get(task) if isinstance(task, str) else task
        else:
            self.task = tasks.restore(kept)
        self._where = where
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
        code = _language_code(self.task, language)
        divide = None if calibration == "none" else self._calibration(calibration, code)
        if isinstance(questions, str):
            questions = [questions]
        if not hasattr(questions, "iloc"):
            rows = _rows(questions, self.task)
            found = self._answers(rows, _questions(rows, self.task, code), divide)
            return [{**row.cells, **answer} for row, answer in zip(rows, found, strict=True)]
        rows = _frame_rows(questions, self.task)
        found = self._answers(rows, _questions(rows, self.task, code), divide) if rows else []
        names = dict.fromkeys((PREDICTION, *(name for answer in found for name in answer)))
        return questions.assign(**{name: [answer.get(name) for answer in found] for name in names})

    @cached_property
    def _kept(self) -> CalibrationRecord | None:
        """What the run keeps for calibration; None for an adapter without a run, or another task than the run's."""
        return self._record()

    def _calibration(self, name: str, code: str) -> QuestionPrior:
        if name not in get_args(QuestionCalibration):
            raise ConfigError(f"calibration '{name}': no such one, {nearest(name, get_args(QuestionCalibration))}")
        labels = self.task.info.labels
        if not labels:
            raise ConfigError(f"calibration '{name}': the choices of '{self.task.info.name}' differ in every question")
        record = self._kept
        if record is not None and record.labels != labels:
            record = None
        return question_prior(cast("QuestionCalibration", name), record, labels, code, self._where)

    def _answers(
        self, rows: Sequence[Row], examples: Sequence[Example], divide: QuestionPrior | None
    ) -> list[dict[str, Any]]:
        from polyprefix.evaluation.predictions import predict as answer_all

        adapted, end, key = self.adapted, self._end, "questions"
        base = adapted.base
        prompts = with_shots_text(self._shots, list(map(self.task.prompt, examples)))
        if end is None:
            encoded = encode_apart(prompts, base.tokenizer, base.max_length, base.vocabulary)
        else:
            encoded = encode(prompts, base.tokenizer, base.max_length, end=end, vocabulary=base.vocabulary)
        budget = self.settings.eval.token_budget
        answers = answer_all(adapted, {key: examples}, {key: encoded}, budget, self.reporter, "predict")
        predictions, said = answers.predictions[key], {}
        if divide is not None:
            predictions, said = divide.applied(examples, predictions), {CALIBRATION: divide.name}
        return [
            {**_answer(example, prediction), **said, **({CUT: True} if item.cut else {})}
            for example, prediction, item in zip(examples, predictions, encoded, strict=True)
        ]


def _record_beside(folder: Path) -> CalibrationRecord | None:
    """The record of the run that an adapter belongs to: in its own folder, or in the one around it. Of a run of an earlier version it is
    made from the predictions, which have no content-free scores and no validation.

    Raises:
        OutputError: if it is damaged.
    """
    for place in (folder, folder.parent):
        if (place / RESULT).is_file():
            return read_record(place) or record_from_predictions(place)
    return read_record(folder)


def _as_is(adapted: AdaptedModel) -> AdaptedModel:
    return adapted


def _loaded(
    folder: Path, saved: Mapping[str, Any], base_run: bool, model: str | None, settings: PredictConfig
) -> AdaptedModel:
    from polyprefix.adapters.adapted import attach
    from polyprefix.adapters.files import load_adapter
    from polyprefix.adapters.registry import build
    from polyprefix.models.load import load_model

    base = load_model(model or saved["base"]["name"], **settings.runtime.model_dump())
    return attach(base, build(saved["method"])) if base_run else load_adapter(base, folder, restorable=False)


def _base_run(folder: Path) -> dict[str, Any] | None:
    """What `adapter.json` would say of the run of a base model, which has no adapter; None for other folders.

    Raises:
        OutputError: if the result in the folder is damaged.
        AdapterError: if its prompts had shots, which only adapters keep.
    """
    if (folder / SETTINGS).exists() or not (folder / RESULT).is_file():
        return None
    config = read_result(folder).config
    method = config.get("method")
    if not isinstance(method, Mapping) or method.get("name") != "none" or config.get("adapter"):
        return None
    if config.get("shots"):
        raise AdapterError(
            f"{folder}: a base model with {config['shots']} shots, which are not kept; ask an adapter's run"
        )
    task = {"name": str(config.get("task")), "protocol": str(config.get("protocol", "default"))}
    return {"base": {"name": str(config.get("model"))}, "method": {"name": "none"}, "task": task}


def _language_code(task: Task, text: str) -> str:
    """The task's own code of a language where it has one; any other language may be asked too."""
    try:
        return find(text, among=task.languages()).code
    except (LanguageError, DataError):  # the data that says its languages need not be here
        return find(text).code


def _rows(questions: Sequence[str | Mapping[str, Any]] | Path, task: Task) -> list[Row]:
    """The questions with their places.

    Raises:
        DataError: if a file has errors, or texts come to a task with several inputs.
    """
    names = task.info.inputs
    if not names:
        raise DataError(
            f"task '{task.info.name}': does not say what its inputs are called; name them in its info.inputs"
        )
    if isinstance(questions, Path):
        errors = ValidationErrors()
        table = read_table(questions, errors)
        if table.rows:
            _check_columns(table, task, errors)
        errors.check()
        return list(table.rows)
    rows = []
    for number, item in enumerate(questions, 1):
        if isinstance(item, str) and len(names) != 1:
            raise DataError(
                f"text {number}: task '{task.info.name}' asks with {len(names)} inputs ({', '.join(names)}), not one; "
                "give each by its name, or a file with these columns"
            )
        rows.append(Row(f"text {number}", {names[0]: item} if isinstance(item, str) else dict(item)))
    return rows


def _frame_rows(frame: pd.DataFrame, task: Task) -> list[Row]:
    """The rows of a data frame with their places.

    Raises:
        DataError: if it lacks columns, or has one of ours.
    """
    if frame.empty:
        return []
    errors = ValidationErrors()
    table = table_of(arrow_table(frame, "data frame"), "data frame", errors)
    _check_columns(table, task, errors)
    errors.check()
    return list(table.rows)


def _check_columns(table: Table, task: Task, errors: ValidationErrors) -> None:
    """Every input of the task is there, and nothing that has the name of an answer."""
    require_columns(table, dict.fromkeys(task.info.inputs, f"the task '{task.info.name}'"), errors)
    for name in {PREDICTION, PROBABILITIES, CALIBRATION, CUT} & set(table.columns):
        errors.add(f"{table.where}, column '{name}'", "the name of what is predicted", "another name")


def _questions(rows: Sequence[Row], task: Task, language: str) -> list[Example]:
    """Examples without answers.

    Raises:
        DataError: with every input that is missing or empty.
    """
    errors, info = ValidationErrors(), task.info
    inputs = [read_inputs(row, info.inputs, errors) for row in rows]
    errors.check()
    return [question(info, pieces, row.where, language) for row, pieces in zip(rows, inputs, strict=True)]


def _answer(example: Example, prediction: Prediction) -> dict[str, Any]:
    if not example.choices:
        return {PREDICTION: prediction.prediction}
    top = max(prediction.log_likelihoods)
    weights = [math.exp(value - top) for value in prediction.log_likelihoods]
    shares = {choice: weight / sum(weights) for choice, weight in zip(example.choices, weights, strict=True)}
    return {PREDICTION: prediction.prediction, PROBABILITIES: shares}
