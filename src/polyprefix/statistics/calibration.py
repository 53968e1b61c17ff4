"""What calibration changes: raw and calibrated scores on the same examples, confidences before and after, labels predicted and expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from polyprefix import languages
from polyprefix.calibration.answers import Calibration, LabelAnswers, check_calibration
from polyprefix.calibration.measures import Bin, Reliability, answers_of, curve, reliability
from polyprefix.calibration.probabilities import log_softmax
from polyprefix.calibration.table import answers_by_run, calibrated_table, with_calibration
from polyprefix.errors import ConfigError
from polyprefix.results.table import ResultsTable
from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.contrasts import Contrast, contrast, language_contrasts, weights
from polyprefix.statistics.groups import GROUPINGS
from polyprefix.statistics.settings import Setting, read_settings

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("high", "medium", "low")
"""Resource levels, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same answers before and after."""

    before: Floats
    """Log-probabilities of the labels, `[N, K]`."""
    after: Floats
    targets: Any
    """Places of the right labels, `[N]`."""
    ids: Any
    """Of the test examples, `[N]`: the same one may be asked in several languages and of several seeds."""

    @classmethod
    def together(cls, pairs: Iterable[Pair]) -> Pair:
        """The answers of several languages or seeds as one."""
        parts = zip(*((pair.before, pair.after, pair.targets, pair.ids) for pair in pairs), strict=True)
        return cls(*(np.concatenate(part) for part in parts))


@dataclass(frozen=True)
class LanguageCalibration:
    """One language, over all seeds. What is seldom asked for is computed when it is."""

    language: str
    raw: float
    calibrated: float
    difference: Contrast
    """Calibrated less raw, on the same examples."""
    answers: Pair = field(repr=False, compare=False)

    @cached_property
    def before(self) -> Reliability:
        """Of raw confidences."""
        return reliability(self.answers.before, self.answers.targets)

    @cached_property
    def after(self) -> Reliability:
        """Of calibrated confidences."""
        return reliability(self.answers.after, self.answers.targets)

    @cached_property
    def predicted(self) -> tuple[float, ...]:
        """Share of texts for which each label is the likeliest, raw."""
        return self._shares(self.answers.before.argmax(axis=1))

    @cached_property
    def predicted_after(self) -> tuple[float, ...]:
        """The same, calibrated."""
        return self._shares(self.answers.after.argmax(axis=1))

    @cached_property
    def mean(self) -> tuple[float, ...]:
        """Mean raw probability of each label."""
        return tuple(np.exp(self.answers.before).mean(axis=0).tolist())

    @cached_property
    def right(self) -> tuple[float, ...]:
        """Share of texts for which each label is right."""
        return self._shares(self.answers.targets)

    def _shares(self, places: Any) -> tuple[float, ...]:
        return tuple((np.bincount(places, minlength=self.answers.before.shape[1]) / len(places)).tolist())


@dataclass(frozen=True, slots=True)
class LevelCalibration:
    """The answers in all languages of a resource level, those of training apart."""

    level: str
    languages: int
    before: Reliability
    after: Reliability
    curve_before: tuple[Bin, ...]
    curve_after: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class SystemCalibration:
    """One system of one task and model."""

    task: str
    model: str
    system: str
    metric: str
    """Of the raw scores."""
    calibration: Calibration
    seeds: tuple[int, ...]
    labels: tuple[str, ...]
    temperature: float | None
    """Of validation, mean over seeds; None where that was not kept, and then nothing is scaled."""
    raw: Contrast
    """Average over the languages that no system was trained in."""
    calibrated: Contrast
    difference: Contrast
    languages: tuple[LanguageCalibration, ...]
    levels: tuple[LevelCalibration, ...]
    others_called: str
    """What the languages of the averages are called."""


@dataclass(frozen=True)
class Calibrations:
    """Every system that can be calibrated."""

    calibration: Calibration
    systems: tuple[SystemCalibration, ...]
    notes: tuple[str, ...]
    """What was left out, and why."""

    def to_pandas(self) -> pd.DataFrame:
        """One row a system and language. Scores, confidences and errors are shares; `_raw` is before, `_calibrated` after."""
        import pandas as pd

        rows = [_row(system, one) for system in self.systems for one in system.languages]
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return str(self.to_pandas().to_html(index=False, float_format="{:.3f}".format))


def calibrations(table: ResultsTable, calibration: str = "batch") -> Calibrations:
    """What a calibration changes in every system of a table.

    Confidences are also scaled by the temperature of validation where the runs kept it; that changes no answer.

    Raises:
        ConfigError: if there is no such calibration, or no run that can be calibrated.
        OutputError: if systems of a setting have no example in common.
    """
    name = check_calibration(calibration)
    notes = with_calibration(table, name).notes
    found = (one for setting in read_settings(table) for one in setting_calibrations(setting, name))
    return Calibrations(name, tuple(found), notes)


def setting_calibrations(setting: Setting, calibration: Calibration) -> tuple[SystemCalibration, ...]:
    """The same of the systems of one setting; those whose runs cannot all be calibrated are left out."""
    import pandas as pd

    table = setting.table
    mine = setting.runs.index
    part = replace(table, runs=table.runs.loc[mine], examples=table.examples[table.examples["run_id"].isin(mine)])
    try:
        answers, notes = answers_by_run(part)
        done = calibrated_table(part, answers, notes, calibration)
    except ConfigError:
        return ()
    raw = replace(done, runs=done.runs.assign(metric=part.runs.loc[done.runs.index, "metric"]))
    examples = dict(list(done.examples.groupby("run_id", sort=False)))
    found = []
    for system, runs in setting.systems.items():
        if all(run in examples for run in runs):
            mine = pd.concat([examples[run] for run in runs])  # looked through for each system: only its own examples
            before, after = (
                replace(setting, systems={system: runs}, table=replace(table, examples=mine)) for table in (raw, done)
            )
            found.append(_system(before, after, system, [answers[run] for run in runs], calibration))
    return tuple(found)


def _system(
    before: Setting, after: Setting, system: str, runs: Sequence[LabelAnswers], calibration: Calibration
) -> SystemCalibration:
    seeds = tuple(sorted(before.seeds[system]))
    one, other = before.answers(seeds), after.answers(seeds)
    both = replace(one, systems=("raw", "calibrated"), values=np.concatenate([one.values, other.values]))
    columns = before.others(both.languages)
    pairs = _pairs(runs, both.languages, calibration)
    differences = language_contrasts(both, 0)
    temperatures = [T for run in runs if (T := run.temperature(calibration)) is not None]
    return SystemCalibration(
        task=before.title, model=before.model, system=system, metric=before.metric, calibration=calibration, seeds=seeds,
        labels=runs[0].labels, temperature=float(np.mean(temperatures)) if temperatures else None,
        raw=contrast(both, weights(both, 0, columns)),
        calibrated=contrast(both, weights(both, 1, columns)),
        difference=contrast(both, weights(both, 1, columns, minus=0)),
        languages=tuple(
            LanguageCalibration(
                code, float(both.scores[0, n]), float(both.scores[1, n]), differences[1, n], pairs[code]
            )
            for n, code in enumerate(both.languages)
        ),
        levels=tuple(_levels(both, [both.languages[column] for column in columns], pairs)),
        others_called=before.others_called,
    )  # fmt: skip


def _pairs(runs: Sequence[LabelAnswers], codes: Sequence[str], calibration: Calibration) -> dict[str, Pair]:
    """Language -> the answers of all seeds, before and after."""
    done = [(run, run.calibrated(calibration, temperature=True)) for run in runs]
    return {
        code: Pair.together(
            Pair(log_softmax(run.log_likelihoods[code]), new[code], run.targets[code], run.ids[code])
            for run, new in done
            if code in new
        )
        for code in codes
    }


def _levels(both: Answers, codes: Sequence[str], pairs: Mapping[str, Pair]) -> Iterator[LevelCalibration]:
    """By resource level; languages of unknown level are in none."""
    for level in LEVELS:
        members = [code for code in codes if GROUPINGS["resources"](languages.get(code)) == level]
        if members:
            pair = Pair.together(pairs[code] for code in members)
            yield LevelCalibration(
                level,
                len(members),
                reliability(pair.before, pair.targets),
                reliability(pair.after, pair.targets),
                curve(*answers_of(pair.before, pair.targets)),
                curve(*answers_of(pair.after, pair.targets)),
            )


def _row(system: SystemCalibration, one: LanguageCalibration) -> dict[str, Any]:
    figures = {
        f"{name}_{side}": getattr(found, name)
        for name in ("confidence", "overconfidence", "ece", "brier", "nll")
        for side, found in (("raw", one.before), ("calibrated", one.after))
    }
    return {
        "task": system.task, "model": system.model, "system": system.system, "calibration": system.calibration,
        "seeds": len(system.seeds), "language": one.language, "n": one.difference.n, "metric": system.metric, "raw": one.raw,
        "calibrated": one.calibrated, "difference": one.difference.value, "ci95_low": one.difference.ci95[0],
        "ci95_high": one.difference.ci95[1], **figures,
    }  # fmt: skip
