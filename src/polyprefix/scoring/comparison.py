"""Averages over languages, and paired differences between runs, with their uncertainty.

The items of a parallel data set are the same in every language, so answers to one item are not independent: the unit
that is drawn is the example id, with all its languages together (a clustered bootstrap; C. A. Field and A. H. Welsh,
JRSS-B 69, 2007). Differences are always taken between answers to the same example in the same language.

Throughout: I ids, L languages, R resamples; NaN where a language lacks an id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polyprefix.records import Score
from polyprefix.scoring.bootstrap import Floats, percentile_interval, random_signs, resample_counts

ByExample = Mapping[str, float]
"""Example id -> correctness between 0 and 1, in one language."""
ByLanguage = Mapping[str, ByExample]


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher one figure is than another on the same examples."""

    value: float
    n: int
    ci95: tuple[float, float]
    p_value: float | None
    """Of "there is no difference", two-sided; None where no exchange of labels tests it."""

    def excludes_zero(self) -> bool:
        """Whether the 95% interval lies on one side of 0."""
        return self.ci95[0] > 0 or self.ci95[1] < 0


@dataclass(frozen=True, slots=True)
class Group:
    """Several languages and the average over them."""

    languages: tuple[str, ...]
    score: Score


def paired_difference(a: ByExample, b: ByExample) -> Difference:
    """Mean of a - b over the examples of one language.

    The interval is a percentile bootstrap over examples. The p-value is McNemar's exact test where all values are 0 or
    1 (Q. McNemar, Psychometrika 12, 1947: of the examples that only one side got right, is half a fair share?), else
    the permutation test of `average_difference`.

    Raises:
        ValueError: if the example ids differ, or there are none.
    """
    _require_same_ids(a, b, "")
    x = np.array([[float(a[key])] for key in sorted(a)])
    y = np.array([[float(b[key])] for key in sorted(a)])
    binary = bool(np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all())
    p = _mcnemar(int(np.sum(x > y)), int(np.sum(x < y))) if binary else _sign_flip(x - y)
    return Difference(float(np.mean(x - y)), len(a), percentile_interval(_resampled_averages(x - y)), p)


def average(correctness: ByLanguage) -> Score:
    """The unweighted mean over languages of their mean correctness; n counts answers, over all languages.

    The interval resamples example ids, all languages of an id together. A resample that happens to hold no example of a
    language averages over the others.

    Raises:
        ValueError: if there is no language, one without examples, or a value that is no number.
    """
    x = _matrix(correctness)
    return Score(_average(x), int(np.sum(~np.isnan(x))), percentile_interval(_resampled_averages(x)))


def average_difference(a: ByLanguage, b: ByLanguage) -> Difference:
    """The average over languages of `paired_difference`; n counts answers, over all languages.

    The interval is that of `average`. The p-value is a permutation test: without a difference, the two answers to an
    example can be exchanged, so the sign of each id's contribution is flipped at random, in all its languages together.

    Raises:
        ValueError: if the languages or the example ids differ, or there are none.
    """
    if a.keys() != b.keys():
        raise ValueError(f"the languages differ: {len(a)} and {len(b)}, {len(a.keys() & b.keys())} in common")
    for language in a:
        _require_same_ids(a[language], b[language], f"{language}: ")
    d = _matrix({code: {key: a[code][key] - b[code][key] for key in a[code]} for code in a})
    n = int(np.sum(~np.isnan(d)))
    return Difference(_average(d), n, percentile_interval(_resampled_averages(d)), _sign_flip(d))


def transfer_gap(correctness: ByLanguage, reference: str) -> Difference:
    """The score of the `reference` language minus the average over the others: what is lost on the way.

    The interval is that of `average`, both terms over the same draw. No p-value: languages cannot be exchanged.

    Raises:
        ValueError: if the reference or every other language is missing, or one has no examples.
    """
    if reference not in correctness or len(correctness) < 2:
        raise ValueError(f"a gap needs {reference} and another language, found {len(correctness)} languages")
    x = _matrix({reference: correctness[reference], **correctness})  # the reference becomes column 0
    means = _resampled_means(x)
    gaps = means[:, 0] - _mean_of_present(means[:, 1:])
    value = float(np.nanmean(x[:, 0])) - _average(x[:, 1:])
    return Difference(value, int(np.sum(~np.isnan(x))), percentile_interval(gaps[~np.isnan(gaps)]), None)


def grouped(correctness: ByLanguage, group_of: Mapping[str, str]) -> dict[str, Group]:
    """The `average` of each group of languages, such as families; groups in alphabetical order.

    Raises:
        ValueError: if a language has no group.
    """
    if missing := sorted(correctness.keys() - group_of.keys()):
        raise ValueError(f"languages without a group: {', '.join(missing)}")
    members: dict[str, list[str]] = {}
    for language in correctness:
        members.setdefault(group_of[language], []).append(language)
    return {
        group: Group(tuple(codes), average({code: correctness[code] for code in codes}))
        for group, codes in sorted(members.items())
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false claim among them at the nominal level.

    With m values in rising order, `p'_(i) = max over j <= i of min(1, (m - j + 1) p_(j))` (S. Holm, Scandinavian
    Journal of Statistics 6, 1979). The order of the arguments is kept.

    Raises:
        ValueError: if a value is no probability.
    """
    p = np.asarray(p_values, dtype=float)
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError("p-values must lie between 0 and 1")
    if not p.size:
        return []
    from statsmodels.stats.multitest import multipletests  # here, because tasks import scoring and must load quickly

    return [float(value) for value in multipletests(p, method="holm")[1]]


def _require_same_ids(a: ByExample, b: ByExample, where: str) -> None:
    if a.keys() != b.keys():
        shared = len(a.keys() & b.keys())
        raise ValueError(f"{where}the examples differ: {len(a)} and {len(b)}, {shared} in common")
    if not a:
        raise ValueError(f"{where}no examples to compare")


def _matrix(correctness: ByLanguage) -> Floats:
    """`[I, L]`, ids in alphabetical order, languages in the given order."""
    if not correctness:
        raise ValueError("an average over no languages")
    if empty := [language for language, values in correctness.items() if not values]:
        raise ValueError(f"languages without examples: {', '.join(empty)}")
    row = {key: i for i, key in enumerate(sorted(set().union(*correctness.values())))}
    x = np.full((len(row), len(correctness)), np.nan)
    for column, values in enumerate(correctness.values()):
        x[[row[key] for key in values], column] = list(values.values())
    if np.sum(~np.isnan(x)) != sum(map(len, correctness.values())):
        raise ValueError("correctness holds NaN, which is no answer: leave the example out or score it")
    return x


def _average(x_IL: Floats) -> float:
    return float(np.mean(np.nanmean(x_IL, axis=0)))


def _resampled_means(x_IL: Floats) -> Floats:
    """Mean of each language in each resample, `[R, L]`; NaN where the draw holds none of its examples."""
    present = ~np.isnan(x_IL)
    draws = resample_counts(len(x_IL))
    if present.all():
        complete: Floats = (draws @ x_IL.astype(np.float32)).astype(np.float64) / len(x_IL)
        return complete
    sums = draws @ np.where(present, x_IL, 0).astype(np.float32)
    counts = draws @ present.astype(np.float32)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def _mean_of_present(means_RL: Floats) -> Floats:
    present = ~np.isnan(means_RL)
    counts = present.sum(axis=1)
    sums = np.where(present, means_RL, 0).sum(axis=1)
    result: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return result


def _resampled_averages(x_IL: Floats) -> Floats:
    """`_average` of each resample, `[R]`. Every id has a language, so every draw has an average."""
    return _mean_of_present(_resampled_means(x_IL))


def _mcnemar(only_a: int, only_b: int) -> float:
    from scipy.stats import binomtest  # here, because tasks import scoring and must stay quick to load

    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0


def _sign_flip(d_IL: Floats) -> float:
    """Share of random exchanges with an average at least as far from 0, the observed one among them."""
    share = np.sum(~np.isnan(d_IL), axis=0) * d_IL.shape[1]
    contributions = np.nansum(d_IL / share, axis=1)
    flipped = random_signs(len(contributions)) @ contributions
    extreme = np.abs(flipped) >= abs(contributions.sum()) - 1e-9  # sums of the same terms differ in their last digits
    return float((1 + np.sum(extreme)) / (1 + len(flipped)))
