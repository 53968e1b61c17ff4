"""What goes with a large transfer gap? A mixed-effects regression over languages.

    gap_l = b0 + b1 distance_l + b2 resources_l + b3 script_l + b4 fertility_l + family_f(l) + e_l

with a random intercept per family (N. M. Laird and J. H. Ware, Biometrics 38, 1982), fitted by restricted maximum
likelihood (`polyprefix.statistics.reml`). Languages of a family are alike, so without it every relative would count as
new evidence. Intervals take Student's t with Satterthwaite's degrees of freedom, because normal ones are too short for a
handful of languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from polyprefix import languages
from polyprefix.languages import Language
from polyprefix.statistics.groups import ENGLISH
from polyprefix.statistics.reml import fit_random_intercept

LEVELS = {"low": 0.0, "medium": 1.0, "high": 2.0}
SPARE = 5
"""The fewest languages beyond the number of coefficients."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One coefficient: how much larger the gap is per unit of a predictor."""

    name: str
    unit: str
    value: float
    ci95: tuple[float, float]
    p_value: float


@dataclass(frozen=True, slots=True)
class Regression:
    """The fit for one system."""

    effects: tuple[Effect, ...]
    """The intercept first: the gap of an average language."""
    languages: int
    families: int
    family_sd: float
    """Standard deviation of the random intercept; 0 where families differ no more than their languages do."""
    family_sd_ci95: tuple[float, float]
    family_p: float
    """Of "families do not differ"."""
    residual_sd: float
    left_out: Mapping[str, str]
    """Language or predictor -> why it is not in the fit."""


def gap_regression(gaps: Mapping[str, float], fertility: Mapping[str, float]) -> Regression | str:
    """Regress the transfer gap of languages on what is known of them; where that is impossible, say why.

    Args:
        gaps: code -> score in English minus score in the language; English itself is passed over.
        fertility: code -> tokens per word; may be empty.

    Raises:
        LanguageError: if a text is no code of a language.
    """
    wanted = {code: languages.get(code) for code in gaps if code != ENGLISH}
    predictors = _predictors(wanted, fertility)
    left_out: dict[str, str] = {}
    for name in [name for name, column in predictors.items() if not column]:
        left_out[name] = "no language has a value"
        del predictors[name]
    complete = [
        code for code in wanted if wanted[code].family and all(code in column for column in predictors.values())
    ]
    for code in wanted.keys() - set(complete):
        missing = [name for name, column in predictors.items() if code not in column]
        left_out[code] = "no " + ", ".join(missing or ["family"])
    for name in [name for name, column in predictors.items() if len({column[code] for code in complete}) < 2]:
        left_out[name] = "the same for all languages"
        del predictors[name]
    if len(complete) < len(predictors) + 1 + SPARE:
        return f"{len(complete)} languages with all properties are too few for {len(predictors)} predictors"
    columns, units = [np.ones(len(complete))], ["the average language"]
    for name, column in predictors.items():
        values = np.array([column[code] for code in complete])
        by_sd = name in ("syntactic distance", "fertility")
        columns.append((values - values.mean()) / (values.std() if by_sd else 1))
        units.append("per standard deviation" if by_sd else UNITS[name])
    x, y = np.column_stack(columns), np.array([gaps[code] for code in complete])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return f"the predictors {', '.join(predictors)} say the same about these languages"
    groups = [str(wanted[code].family) for code in complete]
    fit = fit_random_intercept(y, x, groups)
    names = ["intercept", *predictors]
    effects = tuple(Effect(name, unit, *fit.effect(i)) for i, (name, unit) in enumerate(zip(names, units, strict=True)))
    family = fit.group_sd, fit.group_sd_ci95, fit.group_p
    return Regression(effects, len(complete), len(set(groups)), *family, fit.residual_sd, left_out)


UNITS = {"resource level": "per level (low, medium, high)", "other script": "other than Latin"}


def _predictors(known: Mapping[str, Language], fertility: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Predictor -> code -> value, of the languages that have one."""
    return {
        "syntactic distance": {
            code: language.syntactic_distance
            for code, language in known.items()
            if language.syntactic_distance is not None
        },
        "resource level": {
            code: LEVELS[language.resource_level] for code, language in known.items() if language.resource_level
        },
        "other script": {code: float(not one.latin) for code, one in known.items() if one.latin is not None},
        "fertility": {code: float(np.log(fertility[code])) for code in known if fertility.get(code, 0) > 0},
    }
