"""Law: the regression is statsmodels' own where that finds its maximum, its intervals and tests keep their promises at known truth, and
it says why where it cannot be made."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import binomtest, multivariate_normal

from polyprefix import languages
from polyprefix.statistics.regression import Regression, gap_regression
from polyprefix.statistics.reml import _Design, _likelihood, fit_random_intercept


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
    ours = fit_random_intercept(y, np.column_stack([np.ones(90), x]), groups)
    theirs = smf.mixedlm("y ~ x", pd.DataFrame({"y": y, "x": x, "g": groups}), groups="g").fit(reml=True)
    assert ours.coefficients == pytest.approx(np.asarray(theirs.fe_params), rel=1e-3)
    assert ours.errors == pytest.approx(np.asarray(theirs.bse_fe), rel=5e-3)
    assert ours.group_sd**2 == pytest.approx(float(theirs.cov_re.iloc[0, 0]), rel=0.01)
    assert ours.residual_sd**2 == pytest.approx(theirs.scale, rel=0.01)


def test_without_a_difference_between_groups_it_is_ordinary_least_squares() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=40)
    y = 1 + x + random.normal(size=40)
    y -= np.repeat(y.reshape(10, 4).mean(axis=1) - (1 + x).reshape(10, 4).mean(axis=1), 4)  # groups exactly on the line
    ours = fit_random_intercept(y, np.column_stack([np.ones(40), x]), [f"g{i // 4}" for i in range(40)])
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


def layout(random: np.random.Generator, rows: int = 57, groups: int = 15) -> tuple[np.ndarray, list[str]]:
    """As in the kept study: one large family, many small ones; predictors of languages and of families."""
    sizes = np.ones(groups, dtype=int)
    sizes[0] = rows // 2
    np.add.at(sizes, random.integers(1, groups, rows - sizes.sum()), 1)
    member = np.repeat(np.arange(groups), sizes)
    family = random.normal(size=groups)[member]
    columns = (
        np.ones(rows),
        random.normal(size=rows) + 0.5 * family,
        random.integers(0, 3, rows),
        (family > 0).astype(float),
    )
    return np.column_stack(columns), [f"g{k}" for k in member]


@pytest.mark.parametrize("sd", [0.0, 0.3, 0.7, 1.5])
def test_intervals_and_the_test_of_families_keep_their_promises(sd: float) -> None:
    random = np.random.default_rng(4)
    x, groups = layout(random)
    number = np.unique(groups, return_inverse=True)[1]
    held, inside, rejected, studies = 0, 0, 0, 250
    for _ in range(studies):
        y = sd * random.normal(size=15)[number] + random.normal(size=len(x))
        fit = fit_random_intercept(y, x, groups)
        held += sum(fit.effect(i)[1][0] <= 0 <= fit.effect(i)[1][1] for i in range(x.shape[1]))
        inside += fit.group_sd_ci95[0] <= sd <= fit.group_sd_ci95[1]
        rejected += fit.group_p < 0.05
        assert (fit.group_sd_ci95[0] > 0) == (fit.group_p < 0.05)
        assert fit.group_sd_ci95[0] <= fit.group_sd <= fit.group_sd_ci95[1] and np.isfinite(fit.log_likelihood)
    for count, tries in ((held, studies * x.shape[1]), (inside, studies)):
        low, high = binomtest(count, tries).proportion_ci(0.999)
        assert low <= 0.965 and high >= 0.935, count / tries
    if sd == 0:
        assert binomtest(rejected, studies).proportion_ci(0.999).low <= 0.05
    else:
        assert rejected / studies > {0.3: 0.08, 0.7: 0.45, 1.5: 0.9}[sd]


def test_the_variance_is_where_the_likelihood_is_highest() -> None:
    """On 60 data sets the profile finds what a search of the whole restricted likelihood, as densities of scipy, finds."""
    random = np.random.default_rng(5)
    for _ in range(60):
        x, groups = layout(random, 40, 12)
        index = np.unique(groups, return_inverse=True)[1]
        y = 0.5 * random.normal(size=12)[index] + random.normal(size=len(x))
        z = (np.array(groups)[:, None] == np.unique(groups)).astype(float)
        fit = fit_random_intercept(y, x, groups)
        contrasts = _Design(x, z).residual
        best = -np.inf
        for ratio in np.concatenate([[0], np.geomspace(1e-3, 30, 150)]):
            covariance = contrasts.T @ (np.eye(len(x)) + ratio * z @ z.T) @ contrasts
            e = contrasts.T @ y
            scale = e @ np.linalg.solve(covariance, e) / len(e)
            best = max(best, multivariate_normal(cov=scale * covariance).logpdf(e))
        values, vectors = _Design(x, z).spectrum
        squares = (vectors.T @ (contrasts.T @ (y / np.abs(y).max()))) ** 2
        ours = fit.group_sd**2 / fit.residual_sd**2
        at = float(_likelihood(squares, values, np.array([ours]))[0])
        constant = -0.5 * len(squares) * (np.log(2 * np.pi) + 1 - np.log(len(squares)))
        constant -= len(squares) * np.log(np.abs(y).max())
        assert at + constant >= best - 1e-6 and at == pytest.approx(fit.log_likelihood)


def test_data_that_leave_nothing_or_are_not_numbers() -> None:
    x = np.column_stack([np.ones(12), np.arange(12.0)])
    groups = [f"g{i % 3}" for i in range(12)]
    exact = fit_random_intercept(x @ [1.0, 2.0], x, groups)
    assert exact.group_sd == 0 and exact.coefficients == pytest.approx([1, 2]) and exact.effect(1)[2] == 0
    for bad in (np.full(12, np.nan), np.full(12, 1e300)):
        with pytest.raises(ValueError, match="finite"):
            fit_random_intercept(bad * np.sin(np.arange(12) + 1), x, groups)
    with pytest.raises(ValueError, match="depend"):
        fit_random_intercept(np.arange(12.0), np.ones((12, 2)), groups)
    assert fit_random_intercept(np.sin(np.arange(12.0)), x, [str(i) for i in range(12)]).group_sd == 0
