"""Law: the regression is statsmodels' own, finds effects that are there, and says why where it cannot be made."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from polyprefix import languages
from polyprefix.analysis.regression import Regression, fit_mixed, gap_regression


def table() -> list[languages.Language]:
    """One row a language, with everything known."""
    seen: dict[str, languages.Language] = {}
    for row in languages.all_languages():
        if row.syntactic_distance is not None and row.resource_level and row.family and row.code != "eng_Latn":
            seen.setdefault(row.iso639_3, row)
    return list(seen.values())


def test_fit_is_statsmodels_formula() -> None:
    random = np.random.default_rng(0)
    groups = [f"g{i % 12}" for i in range(90)]
    shift = dict(zip(sorted(set(groups)), random.normal(size=12), strict=True))
    x = random.normal(size=90)
    y = 2 + 0.7 * x + np.array([shift[g] for g in groups]) + 0.5 * random.normal(size=90)
    ours = fit_mixed(y, np.column_stack([np.ones(90), x]), groups)
    theirs = smf.mixedlm("y ~ x", pd.DataFrame({"y": y, "x": x, "g": groups}), groups="g").fit(reml=True)
    assert ours.coefficients == pytest.approx(np.asarray(theirs.fe_params), rel=1e-3)
    assert ours.errors == pytest.approx(np.asarray(theirs.bse_fe), rel=1e-3)
    assert ours.group_sd**2 == pytest.approx(float(theirs.cov_re.iloc[0, 0]), rel=0.01)
    assert ours.residual_sd**2 == pytest.approx(theirs.scale, rel=0.01)


def test_without_a_difference_between_groups_it_is_ordinary_least_squares() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=40)
    y = 1 + x + random.normal(size=40)
    y -= np.repeat(y.reshape(10, 4).mean(axis=1) - (1 + x).reshape(10, 4).mean(axis=1), 4)  # groups exactly on the line
    ours = fit_mixed(y, np.column_stack([np.ones(40), x]), [f"g{i // 4}" for i in range(40)])
    theirs = smf.ols("y ~ x", pd.DataFrame({"y": y, "x": x})).fit()
    assert ours.group_sd == 0
    assert ours.coefficients == pytest.approx(np.asarray(theirs.params))
    assert ours.effect(1)[1] == pytest.approx(tuple(theirs.conf_int().loc["x"]))


def test_effects_that_are_there_are_found() -> None:
    random = np.random.default_rng(2)
    rows = table()
    distance = np.array([row.syntactic_distance for row in rows], dtype=float)
    standard = (distance - distance.mean()) / distance.std()
    family = dict(zip(sorted({str(row.family) for row in rows}), random.normal(size=99), strict=False))
    fertility = {row.code: float(np.exp(random.normal() * 0.3)) for row in rows}
    gaps = {
        row.code: 0.2 + 0.05 * z + 0.08 * (not row.latin) + 0.03 * family[str(row.family)] + 0.02 * random.normal()
        for row, z in zip(rows, standard, strict=True)
    }
    found = gap_regression({**gaps, "eng_Latn": 0.0}, fertility)
    assert isinstance(found, Regression)
    effects = {effect.name: effect for effect in found.effects}
    assert list(effects) == ["intercept", "syntactic distance", "resource level", "other script", "fertility"]
    assert effects["syntactic distance"].value == pytest.approx(0.05, abs=0.01)
    assert effects["other script"].value == pytest.approx(0.08, abs=0.02)
    assert effects["other script"].p_value < 1e-4
    assert effects["resource level"].ci95[0] < 0 < effects["resource level"].ci95[1]
    assert found.languages == len(rows) and found.family_sd == pytest.approx(0.03, abs=0.015)
    assert not found.left_out


def test_what_cannot_be_fitted_says_why() -> None:
    assert "too few" in str(gap_regression({"deu_Latn": 0.1, "fra_Latn": 0.2}, {}))
    rows = [row for row in table() if row.latin]
    random = np.random.default_rng(3)
    found = gap_regression({**{row.code: random.random() for row in rows}, "ast_Latn": 0.1}, {})
    assert isinstance(found, Regression)
    assert found.left_out["fertility"] == "no language has a value"
    assert found.left_out["other script"] == "the same for all languages"
    assert found.left_out["ast_Latn"] == "no syntactic distance"
