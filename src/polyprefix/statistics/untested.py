"""Scores in languages that were not tested, predicted from those that were: a ridge regression on properties of languages.

    score_l = b0 + b · properties_l + e_l

Properties are resource level and class, distances from English, script and family, and where they are known for every language concerned,
the log of the tokenizer's fertility and the score of the base model. A family or script is a property where two tested languages have it;
ridge draws its coefficient to 0, so a family with few languages says little (partial pooling). The penalty and the size of errors come from
leaving each language out in turn; the interval takes Student's t. It is an interval for a score that would be measured on as many examples
as those of the tested languages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polyprefix import languages
from polyprefix.config import ENGLISH
from polyprefix.languages import Language
from polyprefix.results.trained_in import other_languages
from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.contrasts import quantile
from polyprefix.statistics.regression import LEVELS

FEWEST = 12
"""Tested languages, those of training apart, without which nothing is predicted."""
PENALTIES = np.logspace(-1, 4, 21)
"""Of standardised properties; the largest leaves the mean alone."""
PLAIN: Mapping[str, Callable[[Language], float | None]] = {
    "resource level": lambda one: LEVELS[one.resource_level] if one.resource_level else None,
    "resource class": lambda one: one.resource_class,
    "genetic distance": lambda one: one.genetic_distance,
    "syntactic distance": lambda one: one.syntactic_distance,
    "featural distance": lambda one: one.featural_distance,
    "geographic distance": lambda one: one.geographic_distance,
    "other script": lambda one: None if one.latin is None else float(not one.latin),
}
"""Property -> its value; what is not known counts as the mean of the tested languages."""


@dataclass(frozen=True, slots=True)
class PredictedScore:
    """The score of a language that was not tested: a prediction, no measurement."""

    language: str
    value: float
    ci95: tuple[float, float]
    """Prediction interval."""
    properties: tuple[str, ...]
    """What it rests on."""


def predict_untested(
    scores: Mapping[str, float],
    wanted: Iterable[str],
    known: Mapping[str, Mapping[str, float]] | None = None,
    trained: Collection[str] = (ENGLISH,),
) -> tuple[PredictedScore, ...] | str:
    """Predictions for languages, or why there are none.

    Args:
        scores: language -> score, tested.
        wanted: languages to predict; those with a score, and those of training, are passed over.
        known: further properties: name -> language -> value. One counts for a language if it and all tested ones have it.
        trained: the languages of training. Their scores are left out: they say nothing about a language that training has not seen.
    """
    tested = [code for code in scores if code not in trained]
    if len(tested) < FEWEST:
        return f"{len(tested)} tested {other_languages(trained)} are too few to predict others; {FEWEST} are needed"
    groups: dict[tuple[str, ...], list[str]] = {}
    for code in wanted:
        if code not in scores and code not in trained:
            usable = tuple(n for n, values in (known or {}).items() if {code, *tested} <= values.keys())
            groups.setdefault(usable, []).append(code)
    y = np.array([scores[code] for code in tested])
    found: list[PredictedScore] = []
    for names, codes in groups.items():
        columns, extra = _design(tested, codes, {name: (known or {})[name] for name in names})
        value, half = _fitted(columns[: len(tested)], y, columns[len(tested) :])
        for code, middle in zip(codes, value, strict=True):
            interval = max(0.0, float(middle - half)), min(1.0, float(middle + half))
            found.append(PredictedScore(code, float(np.clip(middle, 0, 1)), interval, extra))
    return tuple(found)


def _design(
    tested: Sequence[str], wanted: Sequence[str], known: Mapping[str, Mapping[str, float]]
) -> tuple[Floats, tuple[str, ...]]:
    """Properties of tested and wanted languages in rows, standardised over the tested ones, and their names."""
    members = [languages.get(code) for code in (*tested, *wanted)]
    count = len(tested)
    columns: dict[str, list[float | None]] = {name: [of(one) for one in members] for name, of in PLAIN.items()}
    columns |= {name: [values[one.code] for one in members] for name, values in known.items()}
    for kind in ("family", "script"):
        groups = [getattr(one, kind) for one in members]
        common = sorted({str(name) for name in groups[:count] if name is not None and groups[:count].count(name) > 1})
        columns |= {f"{kind} {name}": [float(group == name) for group in groups] for name in common}
    kept, names = [], []
    for name, column in columns.items():
        values = np.array([np.nan if value is None else value for value in column], dtype=np.float64)
        there = values[:count][~np.isnan(values[:count])]
        if len(there) and there.std() > 0:
            kept.append((np.where(np.isnan(values), there.mean(), values) - there.mean()) / there.std())
            names.append(name)
    shown = (*(name for name in names if not name.startswith(("family ", "script "))), "family", "script")
    return np.column_stack(kept or [np.zeros(len(members))]), shown


def _fitted(x: Floats, y: Floats, new: Floats) -> tuple[Floats, float]:
    """Predictions for new rows, and the half width of their 95% intervals.

    Of the penalties whose error is within one standard error of the least, the largest is taken (Breiman et al. 1984): the least error of
    several is on the low side.
    """
    from sklearn.linear_model import Ridge, RidgeCV

    errors = RidgeCV(alphas=PENALTIES, store_cv_results=True).fit(x, y).cv_results_
    means, best = errors.mean(axis=0), int(errors.mean(axis=0).argmin())
    bound = means[best] + errors[:, best].std(ddof=1) / np.sqrt(len(y))
    place = int(np.flatnonzero(means <= bound)[-1])
    predicted: Floats = Ridge(PENALTIES[place]).fit(x, y).predict(new)
    error = float(np.sqrt(means[place]))
    return predicted, quantile(len(y) - 1) * error
