"""What calibration changes: raw and calibrated scores on the same examples, confidences before and after, labels predicted and expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from polyprefix import languages
from polyprefix.calibration.answers import Calibration, LabelAnswers, check_calibration
from polyprefix.calibration.measures import Bin, Reliability, answers_of, curve, reliability
from polyprefix.calibration.probabilities import log_softmax
from polyprefix.calibration.table import answers_by_run, with_calibration
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
class LanguageCalibration:
    """One language, over all seeds."""

    language: str
    raw: float
    calibrated: float
    difference: Contrast
    """Calibrated less raw, on the same examples."""
    before: Reliability
    after: Reliability
    predicted: tuple[float, ...]
    """Share of texts for which each label is the likeliest, raw."""
    predicted_after: tuple[float, ...]
    mean: tuple[float, ...]
    """Mean raw probability of each label."""
    right: tuple[float, ...]
    """Share of texts for which each label is right."""


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
    table = setting.table
    mine = setting.runs.index
    part = replace(table, runs=table.runs.loc[mine], examples=table.examples[table.examples["run_id"].isin(mine)])
    try:
        done = with_calibration(part, calibration)
    except ConfigError:
        return ()
    raw = replace(done, runs=done.runs.assign(metric=part.runs.loc[done.runs.index, "metric"]))
    answers, _ = answers_by_run(raw)
    before, after = replace(setting, table=raw), replace(setting, table=done)
    there = [system for system, runs in setting.systems.items() if all(run in answers for run in runs)]
    return tuple(_system(before, after, system, answers, calibration) for system in there)


def _system(
    raw: Setting, new: Setting, system: str, answers: Mapping[str, LabelAnswers], calibration: Calibration
) -> SystemCalibration:
    alone = {system: raw.systems[system]}
    before, after = replace(raw, systems=alone), replace(new, systems=alone)
    seeds = tuple(sorted(before.seeds[system]))
    one, other = before.answers(seeds), after.answers(seeds)
    both = replace(one, systems=("raw", "calibrated"), values=np.concatenate([one.values, other.values]))
    columns = raw.others(both.languages)
    runs = [answers[run] for run in raw.systems[system]]
    pairs = _log_probabilities(runs, both.languages, calibration)
    differences = language_contrasts(both, 0)
    temperatures = [T for run in runs if (T := run.temperature(calibration)) is not None]
    return SystemCalibration(
        task=raw.title, model=raw.model, system=system, metric=before.metric, calibration=calibration, seeds=seeds,
        labels=runs[0].labels, temperature=float(np.mean(temperatures)) if temperatures else None,
        raw=contrast(both, weights(both, 0, columns)),
        calibrated=contrast(both, weights(both, 1, columns)),
        difference=contrast(both, weights(both, 1, columns, minus=0)),
        languages=tuple(
            _language(both, column, differences[1, column], *pairs[code]) for column, code in enumerate(both.languages)
        ),
        levels=tuple(_levels(both, [both.languages[column] for column in columns], pairs)),
        others_called=raw.others_called,
    )  # fmt: skip


Pair = tuple[Floats, Floats, Any]
"""Log-probabilities before and after, `[N, K]`, and the places of the right labels, `[N]`."""


def _log_probabilities(runs: Sequence[LabelAnswers], codes: Sequence[str], calibration: Calibration) -> dict[str, Pair]:
    """Language -> the answers of all seeds, before and after."""
    done = [run.calibrated(calibration, temperature=True) for run in runs]
    found = {}
    for code in codes:
        there = [(run, new) for run, new in zip(runs, done, strict=True) if code in new]
        before = np.concatenate([log_softmax(run.log_likelihoods[code]) for run, _ in there])
        after = np.concatenate([new[code] for _, new in there])
        found[code] = before, after, np.concatenate([run.targets[code] for run, _ in there])
    return found


def _language(both: Answers, column: int, difference: Contrast, *pair: Any) -> LanguageCalibration:
    before, after, targets = pair
    K = before.shape[1]
    return LanguageCalibration(
        both.languages[column],
        float(both.scores[0, column]),
        float(both.scores[1, column]),
        difference,
        reliability(before, targets),
        reliability(after, targets),
        _shares(before.argmax(axis=1), K),
        _shares(after.argmax(axis=1), K),
        tuple(np.exp(before).mean(axis=0).tolist()),
        _shares(targets, K),
    )


def _shares(places: Any, K: int) -> tuple[float, ...]:
    return tuple((np.bincount(places, minlength=K) / len(places)).tolist())


def _levels(both: Answers, codes: Sequence[str], pairs: Mapping[str, Pair]) -> Iterator[LevelCalibration]:
    """By resource level; languages of unknown level are in none."""
    for level in LEVELS:
        members = [code for code in codes if GROUPINGS["resources"](languages.get(code)) == level]
        if members:
            before, after, targets = (np.concatenate([pairs[code][i] for code in members]) for i in range(3))
            yield LevelCalibration(
                level,
                len(members),
                reliability(before, targets),
                reliability(after, targets),
                curve(*answers_of(before, targets)),
                curve(*answers_of(after, targets)),
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
