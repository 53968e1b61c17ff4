"""One run, and the unadapted model beside it, as a reader wants to see them. Reads the folders of runs, never a model.

The figures are those of the task's main metric, which comes first among the metrics of `result.json` and is the mean of
the correctness in `predictions.parquet`; a folder where the two disagree is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix import languages
from polyprefix.analysis.groups import ENGLISH
from polyprefix.analysis.runs import UNADAPTED, Run, read_run
from polyprefix.config import task_title
from polyprefix.errors import OutputError
from polyprefix.languages import Language
from polyprefix.records import RunResult, Score
from polyprefix.report.averages import Average, all_averages
from polyprefix.results.files import read_result
from polyprefix.scoring.comparison import ByLanguage, Difference, holm, paired_difference, transfer_gap


@dataclass(frozen=True, slots=True)
class Row:
    """One language."""

    language: Language
    adapted: Score
    base: Score | None
    difference: Difference | None
    """Adapted minus base on the same examples; None without a base run, or where its examples are others."""
    adjusted_p: float | None
    """The p-value of the difference after Holm's correction over all languages of the run."""
    baselines: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class Summary:
    """One run."""

    run_id: str
    base_run_id: str | None
    task: str
    model: str
    method: str
    metric: str
    rows: tuple[Row, ...]
    """By family, then from the highest score to the lowest."""
    averages: tuple[Average, ...]
    gap: Difference | None
    """English minus the average over the other languages; None where one of the two is missing."""
    base_gap: Difference | None
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    parameters: Mapping[str, int]
    cost: Mapping[str, float]
    notes: tuple[str, ...]
    """Those of the run, then what the comparison had to leave out."""


def summarise(folder: Path, base: Path | None = None) -> Summary:
    """Read a finished run and, if given, that of the unadapted model on the same task.

    Raises:
        OutputError: if a file is missing or damaged, or the two runs are of different tasks.
        LanguageError: if a language of the run is not in the table of languages.
    """
    run = read_run(folder)
    base_run = read_run(base) if base else None
    if base_run:
        _require_same_task(run, base_run)
    pairs = _pairs(run, base_run)
    result = run.result
    return Summary(
        run_id=result.run_id,
        base_run_id=base_run.result.run_id if base_run else None,
        task=task_title(result.config),
        model=str(result.config["model"]),
        method=run.method,
        metric=run.metric,
        rows=_rows(run, base_run, pairs),
        averages=all_averages(run.correctness, pairs, _baselines(run, base_run, pairs), ENGLISH),
        gap=_gap(run.correctness),
        base_gap=_gap(pairs) if len(pairs) == len(run.correctness) else None,
        config=result.config,
        provenance=result.provenance,
        parameters=result.parameters,
        cost=result.cost,
        notes=(*result.notes, *(_remarks(run, base_run, pairs) if base_run else ())),
    )


def summarise_all(folders: Sequence[Path]) -> list[Summary]:
    """Summarise runs, each beside the run of the unadapted model that belongs to it, if that is among them.

    It belongs to it if model, task, shots and number of examples are the same; of several, one with the same seed is
    preferred. Unadapted runs that serve so are not listed by themselves.

    Raises:
        OutputError: as `summarise`, or if there are no runs.
    """
    if not folders:
        raise OutputError("no finished runs to report; give folders that hold some")
    results = {folder: read_result(folder) for folder in folders}
    bases = {folder: _base_of(result, results) for folder, result in results.items()}
    serving = set(bases.values())
    return [summarise(folder, base) for folder, base in bases.items() if folder not in serving]


def _require_same_task(run: Run, base: Run) -> None:
    for what, ours, theirs in (
        ("task", _task(run.result), _task(base.result)),
        ("main metric", run.metric, base.metric),
    ):
        if ours != theirs:
            raise OutputError(
                f"{base.folder}: its {what} is {theirs}, that of {run.folder} is {ours}; compare like with like"
            )


def _pairs(run: Run, base: Run | None) -> ByLanguage:
    """The base's correctness in the languages where both runs have the same examples."""
    if base is None:
        return {}
    return {
        code: base.correctness[code]
        for code, answers in run.correctness.items()
        if code in base.correctness and base.correctness[code].keys() == answers.keys()
    }


def _rows(run: Run, base: Run | None, pairs: ByLanguage) -> tuple[Row, ...]:
    differences = {code: paired_difference(run.correctness[code], pairs[code]) for code in pairs}
    p_values = {code: d.p_value for code, d in differences.items() if d.p_value is not None}
    baselines = _baselines(run, base, pairs)
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    rows = [
        Row(
            language=languages.get(code),
            adapted=score,
            base=base.scores.get(code) if base else None,
            difference=differences.get(code),
            adjusted_p=adjusted.get(code),
            baselines={name: scores[code] for name, scores in baselines.items() if code in scores},
        )
        for code, score in run.scores.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.language.family or "~", -row.adapted.value, row.language.name)))


def _baselines(run: Run, base: Run | None, pairs: ByLanguage) -> Mapping[str, Mapping[str, Score]]:
    """Those of the run itself; else of the base model's run, where they were computed, in languages with the same examples."""
    if run.result.baselines or base is None:
        return run.result.baselines
    return {
        name: {code: score for code, score in scores.items() if code in pairs}
        for name, scores in base.result.baselines.items()
    }


def _task(result: RunResult) -> str:
    """What tells tasks apart: the title, or the content of a task file and its data, wherever they lay."""
    digest = result.config.get("task_digest")
    return f"that of the files {digest}" if digest else task_title(result.config)


def _gap(correctness: ByLanguage) -> Difference | None:
    return transfer_gap(correctness, ENGLISH) if ENGLISH in correctness and len(correctness) > 1 else None


def _remarks(run: Run, base: Run, pairs: ByLanguage) -> list[str]:
    remarks = []
    for key in ("model", "shots"):
        ours, theirs = run.result.config.get(key), base.result.config.get(key)
        if ours != theirs:
            remarks.append(f"The base run has another {key}: {theirs}, not {ours}.")
    if base.method != UNADAPTED:
        remarks.append(f"The base run is not unadapted: its method is {base.method}.")
    for code in run.correctness.keys() - pairs.keys():
        count = len(base.correctness.get(code, ()))
        found = f"other examples ({count}, not {len(run.correctness[code])})" if count else "no score"
        remarks.append(
            f"The base run has {found} in {languages.get(code).name}: no difference there or in its averages."
        )
    return sorted(remarks)


def _base_of(result: RunResult, results: Mapping[Path, RunResult]) -> Path | None:
    keys = ("model", "shots", "eval_size")
    if str(result.config["method"]["name"]) == UNADAPTED:
        return None
    matching = [
        (other.config.get("seed") != result.config.get("seed"), folder)
        for folder, other in results.items()
        if str(other.config["method"]["name"]) == UNADAPTED
        and _task(other) == _task(result)
        and all(other.config.get(key) == result.config.get(key) for key in keys)
    ]
    return min(matching)[1] if matching else None
