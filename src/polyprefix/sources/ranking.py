"""`pp.rank_sources`: candidates for the source language of each target, the most promising first, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polyprefix import languages
from polyprefix.config import ENGLISH
from polyprefix.data.hub import hub_from_environment
from polyprefix.errors import ConfigError, LanguageError
from polyprefix.languages import find_each
from polyprefix.names import DEFAULT_PROTOCOL
from polyprefix.report.format import interval, signed
from polyprefix.results.table import BASE_METHOD, ResultsTable, read_table
from polyprefix.sources.features import FEATURES, NAMES, Candidate, Facts, candidate, features, read_facts
from polyprefix.sources.fitted import FittedRanker, fitted, observe, shipped, tokenizer_of
from polyprefix.sources.ranker import VARIANTS
from polyprefix.sources.validation import BASELINES, Figures
from polyprefix.statistics.contrasts import normal_quantile
from polyprefix.tasks import registry
from polyprefix.tasks.base import Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class RankedSource:
    """A candidate for one target."""

    source: str
    gain: float
    """How much higher it is expected to score than English or, where English is no candidate, than an average source; a share."""
    ci95: tuple[float, float]
    """Prediction interval, for a gain measured on as many answers as those of the matrices; (0, 0) of English itself."""
    measured: bool
    """Whether it is a source of the matrices that the ranker was fitted on."""
    facts: Candidate
    """What is known of the two languages."""


@dataclass(frozen=True, slots=True)
class TargetRanking:
    """The candidates for one target, the most promising first."""

    target: str
    candidates: tuple[RankedSource, ...]


@dataclass(frozen=True, slots=True)
class SourceRanking:
    """The candidates for each target, and how good such rankings were."""

    task: str
    model: str | None
    variant: str
    """What the ranking rests on: one of `polyprefix.sources.ranker.VARIANTS`."""
    by_target: tuple[TargetRanking, ...]
    fitted: FittedRanker
    notes: tuple[str, ...]

    @property
    def figures(self) -> Figures | None:
        """How good first choices of this ranker were in the targets that it was not fitted on; where a candidate is no source of the
        matrices, on candidates that it was not fitted on."""
        known = all(one.measured for target in self.by_target for one in target.candidates)
        validation = self.fitted.validation
        if validation is None:
            return None
        return (validation.known if known else validation.new).get(f"ranker: {self.variant}")

    @property
    def advice(self) -> str:
        """Whether to follow the ranking, in a sentence or two, from its validation."""
        figures, validation = self.figures, self.fitted.validation
        if figures is None or validation is None:
            return (
                "The ranking was not validated: there is no English among the sources of its matrices to compare with."
            )
        known = {name: one for name, one in validation.known.items() if name in BASELINES}
        measured = self.fitted.ranker.measured
        return advice(
            figures, known, validation.targets, languages.get(max(measured, key=lambda code: measured[code])).name
        )

    def to_pandas(self) -> pd.DataFrame:
        """One row a target and candidate, with every feature; what is not known is empty."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """The same in plain values."""
        return [
            {
                "target": one.target, "rank": rank, "source": found.source, "name": languages.get(found.source).name,
                "gain": found.gain, "ci95_low": found.ci95[0], "ci95_high": found.ci95[1], "measured": found.measured,
                **{name: of(found.facts) for name, (_, of) in FEATURES.items()},
            }
            for one in self.by_target
            for rank, found in enumerate(one.candidates, start=1)
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False, float_format="{:.3f}".format))


def advice(figures: Figures, baselines: Mapping[str, Figures], targets: int, average: str) -> str:
    """Whether a ranker's first choice is better than what needs no ranker; every figure is that of the validation.

    Args:
        average: the name of the source that is the best on average.
    """
    best = max(baselines, key=lambda name: baselines[name].gain.value)
    against = figures.minus.get(best)
    ours = f"{signed(figures.gain.value)} points {interval(figures.gain.ci95, with_sign=True)}"
    over = f"over {targets} targets, each left out in turn"
    if figures.gain.ci95[0] <= 0:
        better = [name for name, one in baselines.items() if one.gain.ci95[0] > 0]
        other = (
            f"; {_named(best, average)} is ({signed(baselines[best].gain.value)} {interval(baselines[best].gain.ci95, with_sign=True)})"
            if better
            else ""
        )
        take = _named(best, average) if better else "English"
        return f"The first choice was not significantly better than English: {ours} {over}{other}. Take {take} unless you can measure."
    if best != "English" and against is None:  # new candidates: no other baseline chooses among them
        return f"The first choice was better than English: {ours} {over}. It was compared with no other baseline."
    if best == "English" or (against and against.ci95[0] > 0):
        return f"The first choice was better than English: {ours} {over}, and better than every baseline."
    assert against
    return (
        f"The first choice was better than English: {ours} {over}, but not significantly better than {_named(best, average)} "
        f"({signed(against.value)} {interval(against.ci95, with_sign=True)})."
    )


def _named(baseline: str, average: str) -> str:
    words = {"same family": "a source of the same family", "nearest": "the nearest source", "most data": "the source with the most data",
             "best on average": f"the source that is the best on average, {average}"}  # fmt: skip
    return words.get(baseline, baseline)


def rank_sources(
    task: str | Task,
    targets: Sequence[str],
    candidates: Sequence[str] | str | None = None,
    *,
    model: str | None = None,
    results: ResultsTable | str | Path | None = None,
    hub: str | Path | None = None,
    protocol: str = DEFAULT_PROTOCOL,
    own: bool = False,
) -> SourceRanking:
    """Rank source languages for each target, before anything is trained.

    Args:
        task: what `load_task` reads, or returns.
        targets: languages as people write them.
        candidates: likewise; None means those that transfer was measured from, as far as the task has training data in them; `all` means
            every language that the task has training data in.
        model: whose tokenizer counts, and whose scores in `results`; None ranks by what is known of languages alone.
        results: finished runs. The base model's scores in the candidates are features; if there are transfer matrices among the runs, the
            ranker is fitted on them in place of those that ship with the package.
        hub: a local mirror of the Hub.
        own: whether a target is a candidate for itself.

    Raises:
        LanguageError: if nobody knows a language, it comes twice, or the task has no training data in a candidate.
        ConfigError: if there are no matrices to rank by, no candidates, or no such task.
        ModelError: if the tokenizer cannot be read.
    """
    known = registry.get(task, protocol) if isinstance(task, str) else task
    mirror = hub_from_environment(Path(hub) if hub is not None else None)
    table = read_table([Path(results)]) if isinstance(results, str | Path) else results
    observed, notes = ([], []) if table is None else observe(table, mirror)
    ranker = None if observed else _shipped()
    matrices = ranker.matrices if ranker else [one.matrix for one in observed]
    measured = tuple(dict.fromkeys(code for one in matrices for code in one.sources))
    codes = _candidates(known, candidates, measured)
    trained = ranker or fitted(observed, new=not set(codes) <= set(measured))
    wanted = find_each(targets, "targets")
    tokenizer = None if model is None else tokenizer_of(model)
    base = {} if table is None else _base_scores(table, known, model)
    facts = read_facts(known, codes, wanted, hub=mirror, tokenizer=tokenizer, base=base)
    variant = _variant(trained, facts, codes)
    ranked = tuple(_ranked(trained, variant, target, codes, facts, own) for target in wanted)
    return SourceRanking(known.info.name, model, variant, ranked, trained, (*notes, *facts.notes))


def _shipped() -> FittedRanker:
    if (found := shipped()) is None:
        raise ConfigError(
            "sources: no transfer matrix to rank by; give --results DIR with runs that were trained in several source languages"
        )
    return found


def _candidates(task: Task, asked: Sequence[str] | str | None, measured: Sequence[str]) -> tuple[str, ...]:
    """The codes of the candidates, all of which the task has training data in."""
    there = task.train_languages()
    if asked is None:
        usable = tuple(code for code in measured if code in there)
        found = usable if len(usable) > 1 else there
    elif asked == "all":
        found = there
    else:
        found = _asked(task, [asked] if isinstance(asked, str) else asked)
    if len(found) < 2:
        named = ", ".join(languages.get(code).name for code in found) or "no language"
        raise ConfigError(f"sources: {task.info.name} has training data in {named} only, so there is nothing to rank")
    return found


def _asked(task: Task, texts: Sequence[str]) -> tuple[str, ...]:
    there = task.train_languages()
    codes = find_each(texts, "candidates")
    if lacking := [code for code in codes if code not in there]:
        names = ", ".join(f"{languages.get(code).name} ({code})" for code in lacking)
        raise LanguageError(f"candidates: {task.info.name} has no training data in {names}; leave it out")
    return codes


def _base_scores(table: ResultsTable, task: Task, model: str | None) -> dict[str, float]:
    """Language -> zero-shot score of the base model in the runs of this task and model; of several runs the one in most languages."""
    runs = table.runs[(table.runs["method"] == BASE_METHOD) & (table.runs["shots"] == 0)]
    mine = [
        {code: scores[run.metric].value for code, scores in run.scores.items()}
        for run in runs.itertuples()
        if run.config["task"] == registry.reference(task)["task"] and run.config["model"] == model
    ]
    return max(mine, key=len, default={})


def _variant(trained: FittedRanker, facts: Facts, codes: Sequence[str]) -> str:
    """The variant with all kinds of features that are known here and were known where the ranker was fitted."""
    known = {"tokenizer": bool(facts.texts), "base model": any(code in facts.base for code in codes)}
    usable = [v for v in trained.ranker.penalties if all(known.get(kind, True) for kind in VARIANTS[v])]
    return usable[-1]


def _ranked(
    trained: FittedRanker, variant: str, target: str, codes: Sequence[str], facts: Facts, own: bool
) -> TargetRanking:
    chosen = sorted(code for code in codes if own or code != target)
    found = {code: candidate(code, target, facts) for code in chosen}
    table = np.array([features(one) for one in found.values()]).reshape(len(found), len(NAMES))
    expected = dict(zip(chosen, trained.ranker.predict(table, chosen, variant), strict=True))
    level = float(expected.get(ENGLISH, 0.0))
    error = trained.ranker.penalties[variant].error * (sqrt(2) if ENGLISH in expected else 1.0)
    half = normal_quantile() * error
    rows = [_row(code, float(value) - level, half, found[code], trained) for code, value in expected.items()]
    return TargetRanking(target, tuple(sorted(rows, key=lambda one: (-one.gain, one.source))))


def _row(code: str, gain: float, half: float, facts: Candidate, trained: FittedRanker) -> RankedSource:
    interval = (0.0, 0.0) if code == ENGLISH else (gain - half, gain + half)
    return RankedSource(code, gain, interval, code in trained.sources, facts)
