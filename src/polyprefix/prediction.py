"""Answers of a saved adapter to questions of one's own.

text or rows -> Example -> Prompt -> tokens -> adapted model -> answer
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyprefix.config import PredictConfig
from polyprefix.data.files import Row, ValidationErrors, read_table
from polyprefix.errors import AdapterError, DataError
from polyprefix.languages import find
from polyprefix.methods.saved import SETTINGS, find_adapter, read_settings
from polyprefix.progress import SILENT, Reporter
from polyprefix.records import Example, Prediction
from polyprefix.results.files import RESULT, read_result
from polyprefix.tasks import registry as tasks
from polyprefix.tasks._custom_rows import question, read_inputs, require_columns
from polyprefix.tasks.base import Task
from polyprefix.text.shots import with_shots_text
from polyprefix.text.tokens import encode, encode_apart

PREDICTION, PROBABILITIES, CUT = "prediction", "probabilities", "context_cut"
"""What an answer adds to the columns of its question."""


def predict(
    adapter: str | Path,
    questions: Sequence[str | Mapping[str, Any]] | Path,
    *,
    task: str | None = None,
    model: str | None = None,
    language: str = "en",
    settings: PredictConfig | None = None,
    reporter: Reporter = SILENT,
) -> list[dict[str, Any]]:
    """Ask an adapter what it was trained to answer.

    Args:
        adapter: its folder, or that of its run; the run of a base model asks the base model.
        questions: texts, where the task has a single input; else mappings with the task's inputs; or the path of a
            JSONL, CSV or Parquet file with a column for each.
        task: a name or a task file; by default what the adapter was trained on.
        model: the base model, where it is not found under the name that the adapter was trained with.
        language: of the questions, as people write it; decides only where a task words its prompts by language.
        settings: where and in which precision the model runs, and how many tokens at a time.

    Returns:
        For each question its own columns, then `prediction`; where the answer is chosen also `probabilities`, of each
        choice among all choices; and `context_cut` where a context was too long for the model and its end was left out.

    Raises:
        AdapterError: if there is no adapter, or it does not say what it was trained on and `task` does not either.
        DataError: if questions lack inputs, with all that is wrong with them, or are too long for the model.
        ConfigError, LanguageError, ModelError: for a task, language or model that cannot be found.
    """
    folder, settings = find_adapter(Path(adapter)), settings or PredictConfig()
    of_base = _base_run(folder)
    saved = of_base or read_settings(folder)
    kept = saved.get("task") or {}
    if not task and "name" not in kept:
        raise AdapterError(f"{folder}: does not say what it was trained on; name the task with --task")
    asked = tasks.get(task) if task else tasks.restore(kept)
    rows = _rows(questions, asked)
    examples = _questions(rows, asked, find(language).code)

    # after all that can be said without them: these load torch
    from polyprefix.engine.evaluate import predict as answer_all
    from polyprefix.methods.adapted import attach
    from polyprefix.methods.files import load_adapter
    from polyprefix.methods.registry import build
    from polyprefix.models.load import load_model

    base = load_model(model or saved["base"]["name"], **settings.runtime.model_dump())
    adapted = attach(base, build(saved["method"])) if of_base else load_adapter(base, folder)
    shots = "" if task else str(kept.get("shots", ""))
    prompts = with_shots_text(shots, list(map(asked.prompt, examples)))
    if task or of_base:  # no training says whether choices had an end
        encoded = encode_apart(prompts, base.tokenizer, base.max_length, base.vocabulary)
    else:
        end = str(kept.get("end", ""))
        encoded = encode(prompts, base.tokenizer, base.max_length, end=end, vocabulary=base.vocabulary)
    answers = answer_all(
        adapted, {language: examples}, {language: encoded}, settings.eval.token_budget, reporter, "predict"
    )
    return [
        {**row.cells, **_answer(example, prediction), **({CUT: True} if item.cut else {})}
        for row, example, prediction, item in zip(rows, examples, answers.predictions[language], encoded, strict=True)
    ]


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
            require_columns(table, dict.fromkeys(names, f"the task '{task.info.name}'"), errors)
            for name in {PREDICTION, PROBABILITIES, CUT} & set(table.columns):
                errors.add(f"{table.where}, column '{name}'", "the name of what is predicted", "another name")
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
