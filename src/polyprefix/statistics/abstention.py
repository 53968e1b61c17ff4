"""Abstention: the confidence from which on a wanted share of answers in the source languages is right, and what it does in each language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polyprefix import languages
from polyprefix.calibration import abstention
from polyprefix.calibration.abstention import Price
from polyprefix.calibration.answers import Calibration, LabelAnswers, check_calibration
from polyprefix.calibration.measures import answers_of
from polyprefix.calibration.probabilities import log_softmax
from polyprefix.calibration.table import answers_by_run
from polyprefix.errors import ConfigError
from polyprefix.results.table import ResultsTable
from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.settings import Setting, read_settings

if TYPE_CHECKING:
    import pandas as pd

WANTED = 0.8
NOTHING = "no answers, because the runs kept no validation and were tested in no source language"


@dataclass(frozen=True, slots=True)
class SystemAbstention:
    """One system of one task and model."""

    task: str
    model: str
    system: str
    calibration: Calibration | None
    """Of the confidences and answers; None is raw."""
    wanted: float
    threshold: float | None
    """Confidence from which on answers are kept; None where no threshold gives the wanted accuracy in the source languages."""
    source: str
    """What the threshold was chosen on, and how many answers that were."""
    prices: Mapping[str, Price]
    """Language -> what the threshold does there, over all seeds; empty without a threshold."""
    curves: Mapping[str, tuple[tuple[float, float], ...]]
    """Language -> coverage and accuracy at every twentieth of coverage, from the surest answers on."""


def abstentions(
    table: ResultsTable, wanted: float = WANTED, calibration: str | None = None
) -> tuple[tuple[SystemAbstention, ...], tuple[str, ...]]:
    """Thresholds and prices of every system whose answers are chosen labels, and a note for each run without such answers.

    Args:
        table: of finished runs.
        wanted: the share of kept answers that should be right.
        calibration: of confidences and answers; None is raw.

    Raises:
        ConfigError: if the share is none, or there is no such calibration.
    """
    if not 0 < wanted <= 1:
        raise ConfigError(f"wanted accuracy {wanted}: expected a share above 0 and up to 1, such as 0.8")
    name = None if calibration is None else check_calibration(calibration)
    answers, notes = answers_by_run(table)
    found = [
        _system(setting, system, [answers[run] for run in runs], wanted, name)
        for setting in read_settings(table)
        for system, runs in setting.systems.items()
        if all(run in answers for run in runs)
    ]
    return tuple(found), tuple(notes)


def to_pandas(found: Sequence[SystemAbstention]) -> pd.DataFrame:
    """One row a system and language: threshold, coverage, and accuracy of the kept answers with Wilson's interval."""
    import pandas as pd

    rows = [
        {"task": one.task, "model": one.model, "system": one.system, "calibration": one.calibration or "none",
         "wanted": one.wanted, "threshold": one.threshold, "source": one.source, "language": code, "n": price.n,
         "kept": price.kept, "coverage": price.coverage, "accuracy": price.accuracy,
         "ci95_low": price.ci95[0] if price.ci95 else None, "ci95_high": price.ci95[1] if price.ci95 else None}
        for one in found for code, price in one.prices.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


Judged = tuple[Floats, Floats]
"""Confidence and rightness of each answer."""


def _system(
    setting: Setting, system: str, runs: Sequence[LabelAnswers], wanted: float, calibration: Calibration | None
) -> SystemAbstention:
    judged = _by_language(runs, calibration)
    chosen_on, source = _validation(runs, calibration) or _tested(judged, setting.sources(system))
    threshold = abstention.threshold_for(*chosen_on, wanted) if chosen_on else None
    prices = {} if threshold is None else {c: abstention.price(*pair, threshold) for c, pair in judged.items()}
    curves = {code: _curve(*pair) for code, pair in judged.items()}
    said = f"{source}: {len(chosen_on[1]):,} answers" if chosen_on else source
    return SystemAbstention(setting.title, setting.model, system, calibration, wanted, threshold, said, prices, curves)


def _by_language(runs: Sequence[LabelAnswers], calibration: Calibration | None) -> dict[str, Judged]:
    """Of the answers of all seeds."""
    found: dict[str, list[Judged]] = {}
    for run in runs:
        if calibration is None:
            scores = {code: log_softmax(ll) for code, ll in run.log_likelihoods.items()}
        else:
            scores = run.calibrated(calibration, temperature=True)
        for code, log_p in scores.items():
            found.setdefault(code, []).append(answers_of(log_p, run.targets[code]))
    return {code: _joined(parts) for code, parts in found.items()}


def _validation(runs: Sequence[LabelAnswers], calibration: Calibration | None) -> tuple[Judged, str] | None:
    """Validation of all seeds, and what it is called; None where no run kept it."""
    parts = [answers_of(*kept) for run in runs if (kept := run.validation(calibration))]
    codes = dict.fromkeys(code for run in runs for code in run.validated)
    return (_joined(parts), f"{_called(codes)} validation") if parts else None


def _tested(judged: Mapping[str, Judged], sources: Sequence[str]) -> tuple[Judged | None, str]:
    """Test answers in the source languages, and what they are called."""
    codes = [code for code in sources if code in judged]
    if not codes:
        return None, NOTHING
    return _joined(
        [judged[code] for code in codes]
    ), f"{_called(codes)} test answers, because the run kept no validation"


def _called(codes: Iterable[str]) -> str:
    return " and ".join(languages.get(code).name for code in codes)


def _joined(parts: Sequence[Judged]) -> Judged:
    confidence, right = (np.concatenate(side) for side in zip(*parts, strict=True))
    return confidence, right


def _curve(confidence: Floats, right: Floats) -> tuple[tuple[float, float], ...]:
    coverage, accuracy, _ = abstention.accuracy_by_coverage(confidence, right)
    places = np.unique(np.searchsorted(coverage, np.arange(1, 21) / 20 - 1e-9))
    return tuple((float(coverage[i]), float(accuracy[i])) for i in places if i < len(coverage))
