"""Learning rates: what each reaches on English validation examples, and what the defaults reach beside the best of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from tools.results_page.kept import Kept
from tools.results_page.words import NOT_FINISHED, row, rule

from polyprefix.config import ENGLISH, RunConfig
from polyprefix.progress import duration
from polyprefix.report.format import ABSENT, percent
from polyprefix.results.files import read_result
from polyprefix.study.grid import TUNE
from polyprefix.types import RunResult

GEMMA, SMOLLM2 = "gemma-3-270m", "smollm2-135m"
DATA = {
    ("sib200", None): "SIB-200, 701 rows",
    ("sib200", 200): "SIB-200, 200 rows",
    ("terms", None): "terms",
    ("emoji", None): "emoji",
    ("xnli", 3000): "XNLI, 3,000 rows",
    ("examples/things", None): "the guide's task",
}
"""(task, training size) -> what a table calls the data."""
SETS = ("SIB-200, 701 rows", "SIB-200, 200 rows", "emoji", "terms", "the guide's task", "XNLI, 3,000 rows")
"""Those on which rates were swept."""
CLOSE = 0.02
"""How far below the best of the sweep the defaults should be at most."""
BEFORE = ("before", "before-xnli", "before-things")
"""The parts of the study of defaults that do what the first version did."""


@dataclass(frozen=True)
class Run:
    """A finished run with a learning rate."""

    method: str
    """The study's label."""
    config: RunConfig
    folder: Path

    @property
    def data(self) -> str | None:
        """What it was trained on; None of data that no table has."""
        return DATA.get((self.config.task, self.config.train_size))

    @property
    def model(self) -> str:
        """Base model."""
        return self.config.model

    @property
    def rate(self) -> float:
        """Peak learning rate."""
        rate = self.config.train.learning_rate
        assert isinstance(rate, float), self.config
        return rate

    @property
    def settings(self) -> str:
        """What it is a repetition of: everything of training but the seed and what is validated."""
        train = self.config.train
        return repr(
            (
                self.model,
                self.data,
                self.config.method,
                train.learning_rate,
                train.batch_size,
                train.epochs,
                train.steps,
            )
        )

    @cached_property
    def result(self) -> RunResult:
        """What was kept."""
        return read_result(self.folder)

    @property
    def training(self) -> Mapping[str, Any]:
        """Figures of training."""
        assert self.result.training is not None
        return self.result.training

    def validated(self, step: int) -> tuple[float, float]:
        """Log-likelihood and accuracy at a step."""
        point = next(p for p in self.training["validation"] if p["step"] == step)
        return point["log_likelihood"], point["accuracy"]

    @property
    def last(self) -> tuple[float, float]:
        """Log-likelihood and accuracy after the last step."""
        return self.validated(self.training["steps"])

    @property
    def kept(self) -> tuple[float, float]:
        """Those of the weights that were kept."""
        return self.validated(self.training["kept_step"])

    @property
    def english(self) -> float | None:
        """Accuracy on English test examples, where more than a few were asked."""
        score = self.result.scores.get(ENGLISH, {}).get("accuracy")
        return score.value if score and score.n >= 100 else None


def _runs(kept: Kept) -> Iterator[tuple[str, Run]]:
    """The part of the study and the run, of every trained one that is finished."""
    for cell, config in kept.finished:
        if config.method["name"] != "none":
            yield cell.part, Run(cell.labels["method"], config, kept.folder / config.run_id())


def swept(studies: Iterable[Kept]) -> Iterator[Run]:
    """The runs that try rates at full length: those that tune a study, and all of the studies of rates and benchmarks."""
    for kept in studies:
        yield from (run for part, run in _runs(kept) if part == TUNE or kept.name in ("rates", "benchmarks"))


def compared(kept: Kept) -> Iterator[Run]:
    """The runs of a study's comparison."""
    return (run for part, run in _runs(kept) if part != TUNE)


def defaults(kept: Kept, *, before: bool = False) -> Iterator[Run]:
    """The runs in which nothing is set but the data; or those that do what the first version did with nothing set."""
    return (run for part, run in _runs(kept) if (part in BEFORE) == before)


def curves(runs: Iterable[Run], model: str) -> str:
    """Method by data: rate, log-likelihood and accuracy after the last step; bold is the best by log-likelihood."""
    tried: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.data and run.model == model:
            tried[run.method, run.data].append(run)
    sets = [data for data in SETS if any(known == data for _, known in tried)]
    rows = [row("method", *sets), "| --- |" + " --- |" * len(sets)]
    for method in dict.fromkeys(method for method, _ in tried):
        rows.append(row(method, *(_cell(tried.get((method, data), [])) for data in sets)))
    return "\n".join(rows) if tried else NOT_FINISHED


def _cell(runs: list[Run]) -> str:
    best = max(runs, key=lambda run: run.last, default=None)
    texts = []
    for run in sorted(runs, key=lambda run: run.rate):
        text = f"{run.rate:g}: {run.last[0]:.2f}, {percent(run.last[1])}"
        texts.append(f"**{text}**" if run is best else text)
    return "<br>".join(texts) or ABSENT


def beside_the_best(chosen: Iterable[Run], before: Iterable[Run], runs: Sequence[Run], final: Iterable[Run]) -> str:
    """What a method's defaults reach and cost, what the first version's did, and what the best rate of the sweep reaches on the same data.

    Args:
        chosen: runs of the defaults.
        before: of the first version's defaults.
        runs: of the sweep.
        final: others with settings of the sweep. Their English tests stand for those of sweeps that tested a few examples.
    """
    tried: dict[tuple[str, str, str | None], list[Run]] = defaultdict(list)
    for run in runs:
        tried[run.model, run.method, run.data].append(run)
    tested: dict[str, list[float]] = defaultdict(list)
    for run in (*runs, *final):
        if run.english is not None:
            tested[run.settings].append(run.english)
    earlier = {(run.method, run.data): run for run in before}
    columns = (
        "data", "steps, kept", "training", "English test", "before", "sweep", "validation", "before", "sweep", "rate of the sweep",
        "test, validation minus sweep",
    )  # fmt: skip
    rows, below = [row("method", *columns), rule(len(columns))], []
    for run in sorted((run for run in chosen if run.data), key=lambda run: list(DATA.values()).index(run.data or "")):
        best = max(tried[run.model, run.method, run.data], key=lambda one: one.last, default=None)
        old = earlier.get((run.method, run.data))
        steps = f"{run.training['steps']}, {run.training['kept_step']}"
        gpu = re.search(r"[A-Z]+\d+", run.result.provenance["machine"].get("gpu") or "")
        on = gpu[0] if gpu else "CPU"
        seconds = f"{duration(run.result.cost['train_seconds'])}, {on}"
        tests = tested.get(best.settings, []) if best else []
        reached = fmean(tests) if tests else None
        if reached is not None and run.english is not None and (less := reached - run.english) > CLOSE:
            below.append(f"{run.method} on {run.data} ({percent(less)})")
        rows.append(
            row(
                run.method, str(run.data), steps, seconds, _test(run.english), _test(old.english if old else None),
                f"{_test(reached)} ({len(tests)})" if tests else ABSENT,
                said(run.kept), said(old.kept) if old else ABSENT, said(best.last) if best else ABSENT,
                f"{best.rate:g}" if best else ABSENT,
                f"{_change(run.english, reached)}, {_change(run.kept[1], best.last[1] if best else None)}",
            )
        )  # fmt: skip
    most = (
        f"More than {100 * CLOSE:.0f} points below their sweep on English test examples: {', '.join(below) or 'none'}."
    )
    return "\n".join([*rows, "", most])


def said(validated: tuple[float, float]) -> str:
    """Accuracy and log-likelihood, as the tables have them."""
    log_likelihood, accuracy = validated
    return f"{percent(accuracy)}, {log_likelihood:.2f}"


def _test(accuracy: float | None) -> str:
    return ABSENT if accuracy is None else percent(accuracy)


def _change(value: float | None, other: float | None) -> str:
    return ABSENT if value is None or other is None else f"{100 * (value - other):+.1f}"
