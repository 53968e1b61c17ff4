"""Run folders of what other tools measured: answers of any model, with a value for each, so that comparisons, groups and reports read them.

Each tool's reader (`lm_eval_files`, `lighteval_files`, `inspect_files`) makes samples of its files; what a run folder needs is here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polyprefix.errors import LanguageError, OutputError, nearest
from polyprefix.languages import all_languages, find
from polyprefix.names import slug
from polyprefix.results.files import write_predictions
from polyprefix.results.folder import RunFolder
from polyprefix.scoring.metrics import accuracy
from polyprefix.types import Prediction, RunResult, Score

KNOWN = {language.code for language in all_languages()}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is imported, where the files leave it open."""

    model: str | None = None
    """What the runs call the model; None means as the tool called it."""
    method: str | None = None
    """What is compared; None means `none`, or the name of the adapter."""
    metric: str | None = None
    """The main metric; None means the first of a task that has a value between 0 and 1 for each sample."""
    filter: str | None = None
    """Of lm-evaluation-harness; None means a task's first."""
    parallel: bool = False
    """Whether a document number means the same item in every language, so that languages are paired and clustered by it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer, and the tool's figures of it."""

    prediction: Prediction
    metrics: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class About:
    """What a tool's files say of a run."""

    tool: str
    """As results call it, such as `lm-eval`."""
    title: str
    """As a sentence calls it."""
    task: str
    """The task without its language."""
    tasks: tuple[str, ...]
    """As the tool calls them, with their languages."""
    model: str
    method: str
    digest: str
    """Of all documents: equal where the same were asked."""
    shots: int = 0
    limit: int | None = None
    """Documents of a language at most."""
    total: int | None = None
    """Parameters."""
    provenance: Mapping[str, Any] = field(default_factory=dict)


def usable_metrics(task: str, samples: Iterable[Sample], wanted: str | None) -> list[str]:
    """The metrics that have a value between 0 and 1 for each sample, the main one first.

    Raises:
        OutputError: if there is none, or not the wanted one.
    """
    rows = list(samples)
    named = list(rows[0].metrics) if rows else []
    usable = [name for name in named if all(_is_share(row.metrics.get(name)) for row in rows)]
    if wanted is not None and wanted not in usable:
        raise OutputError(
            f"{task}: metric '{wanted}' has no value between 0 and 1 for each sample, {nearest(wanted, usable)}"
        )
    if not usable:
        raise OutputError(
            f"{task}: none of its metrics ({', '.join(named) or 'none named'}) has a value between 0 and 1 for each sample, so no two runs "
            "can be paired; leave the task out"
        )
    return sorted(usable, key=lambda name: name != wanted) if wanted else usable


def write_run(out: Path, about: About, samples: Mapping[str, Sequence[Sample]], metrics: Sequence[str]) -> Path:
    """One run folder: a task in all its languages.

    Args:
        out: the folder of all runs.
        samples: language -> its samples.
        metrics: from `usable_metrics`.

    Raises:
        OutputError: if the folder cannot be written.
    """
    flat = [sample for found in samples.values() for sample in found]
    values = {name: [_value(sample, name) for sample in flat] for name in metrics}
    scores = {
        code: {name: accuracy([_value(sample, name) for sample in found]) for name in metrics}
        for code, found in samples.items()
    }
    result = _result(about, scores)
    folder = RunFolder(out, result.run_id)
    main, *others = metrics
    write_predictions(
        folder.predictions,
        [sample.prediction for sample in flat],
        values[main],
        {name: values[name] for name in others},
    )
    return folder.finish(result)


SAME = 1e-6
"""Difference up to which two means are the same."""


def require_reported(
    path: Path, samples: Sequence[Sample], metrics: Iterable[str], reported: Mapping[str, object]
) -> None:
    """The mean over samples is what the tool reports, where it reports a mean.

    Args:
        path: the file of the samples, for the message.
        reported: metric -> what the results file says of it.

    Raises:
        OutputError: if it is another.
    """
    for metric in metrics:
        mean = math.fsum(_value(one, metric) for one in samples) / len(samples)
        told = reported.get(metric)
        if isinstance(told, int | float) and abs(told - mean) > SAME:
            raise OutputError(
                f"{path}: found a mean {metric} of {mean:.6f}, expected {told:.6f} as in the results file; samples are missing, or the "
                "metric is no mean: choose another with --metric"
            )


def _value(sample: Sample, metric: str) -> float:
    return float(sample.metrics[metric])  # type: ignore[arg-type]  # `usable_metrics` has looked


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _result(about: About, scores: dict[str, dict[str, Score]]) -> RunResult:
    config: dict[str, Any] = {
        "model": about.model, "task": about.task, "protocol": about.tool, "method": {"name": about.method}, "languages": list(scores),
        "shots": about.shots, "seed": 0, "train": {"steps": 0, "epochs": 0}, "eval_size": about.limit,
    }  # fmt: skip
    identity = json.dumps([config, about.digest], sort_keys=True).encode()
    name = "-".join((slug(about.task), slug(about.tool), slug(about.method), slug(about.model.rpartition("/")[2])))
    return RunResult(
        run_id=f"{name}-{hashlib.sha256(identity).hexdigest()[:8]}",
        config=config,
        provenance={**about.provenance, "data_digest": about.digest},
        parameters={"trainable": 0, "total": about.total} if about.total else {},
        scores=scores,
        cost={},
        notes=(
            f"Imported from {about.title}: {', '.join(about.tasks)}. What the model was trained on is not known, so no language is called "
            "zero-shot.",
        ),
    )


def known_language(text: str) -> str | None:
    """The code of a language that benchmarks use; None for other words, which may be rare languages too."""
    try:
        code = find(text).code if text else ""
    except LanguageError:
        return None
    return code if code in KNOWN else None


def digest_of(asked: Iterable[object]) -> str:
    """Of what identifies each document."""
    return hashlib.sha256(json.dumps(sorted(asked, key=str)).encode()).hexdigest()


def short_hash(text: str) -> str:
    """Of a document's text, where a tool gives none."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
