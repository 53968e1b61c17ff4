"""One run, and the unadapted model beside it, as a reader wants to see them. Reads the folders of runs, never a model.

The figures are those of the task's main metric, which comes first among the metrics of `result.json` and is the mean of
the correctness in `predictions.parquet`; a folder where the two disagree is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polyprefix import languages
from polyprefix.analysis.answers import layout
from polyprefix.analysis.comparisons import corrected
from polyprefix.analysis.compare import compare_setting
from polyprefix.analysis.contrasts import RESAMPLES, Contrast
from polyprefix.analysis.runs import UNADAPTED, Run, read_run
from polyprefix.analysis.settings import Context, Setting
from polyprefix.config import task_title
from polyprefix.errors import OutputError
from polyprefix.languages import Language
from polyprefix.records import RunResult, Score
from polyprefix.report.averages import (
    ADAPTED,
    BASE,
    Average,
    Compared,
    Difference,
    all_averages,
    as_difference,
    as_score,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One language."""

    language: Language
    adapted: Score
    base: Score | None
    difference: Difference | None
    """Adapted minus base on the same examples; None without a base run, or where its examples are others."""
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
    gap: Score | None
    """English minus the average over the other languages; None where one of the two is missing."""
    base_gap: Score | None
    carried: Score | None
    """Share of the gain in English that the other languages have on average; None without an unadapted base in all
    languages, or where the gain in English is not clearly different from 0."""
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
    shared = _shared(run, base_run)
    alone = _compared({ADAPTED: run}, list(run.correctness))
    pair = _compared({ADAPTED: run, BASE: base_run}, shared) if base_run and shared else None
    whole = pair if len(shared) == len(run.correctness) else None
    result = run.result
    return Summary(
        run_id=result.run_id,
        base_run_id=base_run.result.run_id if base_run else None,
        task=task_title(result.config),
        model=str(result.config["model"]),
        method=run.method,
        metric=run.metric,
        rows=_rows(run, base_run, pair, shared),
        averages=all_averages(alone, pair, _baselines(run, base_run, shared)),
        gap=_score(alone.summary(ADAPTED).gap),
        base_gap=_score(whole.summary(BASE).gap) if whole else None,
        carried=_score(whole.summary(ADAPTED).carried) if whole else None,
        config=result.config,
        provenance=result.provenance,
        parameters=result.parameters,
        cost=result.cost,
        notes=(*result.notes, *(_remarks(run, base_run, shared) if base_run else ())),
    )


def _score(found: Contrast | None) -> Score | None:
    return as_score(found) if found else None


def _compared(runs: Mapping[str, Run], codes: list[str]) -> Compared:
    """The runs on the examples of some languages, which are the same in all of them; the base is the baseline."""
    first = next(iter(runs.values()))
    named = {name: (replace(run, result=_with_seed(run.result, first.seed)),) for name, run in runs.items()}
    context = Context(task_title(first.result.config), str(first.result.config["model"]), 0, named, ())
    places = layout({code: first.correctness[code].keys() for code in codes})
    values = {run.folder: places.values(run.correctness) for run in runs.values()}
    setting = Setting(context, first.metric, named, places, values, ())
    baseline = BASE if BASE in runs else None
    return Compared(setting, corrected([compare_setting(setting, baseline)], RESAMPLES).settings[0])


def _with_seed(result: RunResult, seed: int) -> RunResult:
    """Runs that are given as a pair are one, whatever their seeds."""
    return replace(result, config={**result.config, "seed": seed})


def _require_same_task(run: Run, base: Run) -> None:
    for what, ours, theirs in (
        ("task", _task(run.result), _task(base.result)),
        ("main metric", run.metric, base.metric),
    ):
        if ours != theirs:
            raise OutputError(
                f"{base.folder}: its {what} is {theirs}, that of {run.folder} is {ours}; compare like with like"
            )


def _shared(run: Run, base: Run | None) -> list[str]:
    """The languages where both runs have the same examples."""
    theirs = base.correctness if base else {}
    return [code for code, answers in run.correctness.items() if theirs.get(code, {}).keys() == answers.keys()]


def _rows(run: Run, base: Run | None, pair: Compared | None, shared: list[str]) -> tuple[Row, ...]:
    claims = {claim.name: claim for claim in pair.comparison.by_language} if pair else {}
    baselines = _baselines(run, base, shared)
    rows = [
        Row(
            language=languages.get(code),
            adapted=score,
            base=base.scores.get(code) if base else None,
            difference=as_difference(claims.get(code)),
            baselines={name: scores[code] for name, scores in baselines.items() if code in scores},
        )
        for code, score in run.scores.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.language.family or "~", -row.adapted.value, row.language.name)))


def _baselines(run: Run, base: Run | None, shared: list[str]) -> Mapping[str, Mapping[str, Score]]:
    """Those of the run itself; else of the base model's run, where they were computed, in languages with the same examples."""
    if run.result.baselines or base is None:
        return run.result.baselines
    return {
        name: {code: score for code, score in scores.items() if code in shared}
        for name, scores in base.result.baselines.items()
    }


def _task(result: RunResult) -> str:
    """What tells tasks apart: the title, or the content of a task file and its data, wherever they lay."""
    digest = result.config.get("task_digest")
    return f"that of the files {digest}" if digest else task_title(result.config)


def _remarks(run: Run, base: Run, shared: list[str]) -> list[str]:
    remarks = []
    for key in ("model", "shots"):
        ours, theirs = run.result.config.get(key), base.result.config.get(key)
        if ours != theirs:
            remarks.append(f"The base run has another {key}: {theirs}, not {ours}.")
    if base.method != UNADAPTED:
        remarks.append(f"The base run is not unadapted: its method is {base.method}.")
    for code in run.correctness.keys() - set(shared):
        count = len(base.correctness.get(code, ()))
        found = f"other examples ({count}, not {len(run.correctness[code])})" if count else "no score"
        remarks.append(
            f"The base run has {found} in {languages.get(code).name}: no difference there or in its averages."
        )
    return sorted(remarks)
