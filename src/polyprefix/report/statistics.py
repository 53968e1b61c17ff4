"""The statistics that the report of many runs shows: all of them pass through here.

Seeds: the figure of a cell is the mean over its seeds, example by example, so that its interval covers the choice of test
examples; how far the seeds lie apart is shown beside it. Differences are taken on the same examples in the same languages.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from polyprefix.records import Score
from polyprefix.scoring.bootstrap import RESAMPLES
from polyprefix.scoring.comparison import (
    ByExample,
    ByLanguage,
    Difference,
    average,
    average_difference,
    holm,
    paired_difference,
    transfer_gap,
)

Key = TypeVar("Key", bound=Hashable)

PERMUTATION_FLOOR = 1 / (1 + RESAMPLES)
"""The least p-value of a permutation test over `RESAMPLES` random exchanges."""


def mean_over_seeds(runs: Sequence[ByLanguage]) -> tuple[ByLanguage, tuple[tuple[int, str], ...]]:
    """Language -> example id -> mean correctness over the runs that have the language.

    Returns:
        The means, and (index of the run, language) of what was left out because its examples are not those of the
        first run with that language.
    """
    codes = dict.fromkeys(code for run in runs for code in run)
    means: dict[str, ByExample] = {}
    odd: list[tuple[int, str]] = []
    for code in codes:
        first = next(run[code] for run in runs if code in run)
        alike = [run[code] for run in runs if code in run and run[code].keys() == first.keys()]
        odd += [(i, code) for i, run in enumerate(runs) if code in run and run[code].keys() != first.keys()]
        means[code] = {key: sum(run[key] for run in alike) / len(alike) for key in first} if len(alike) > 1 else first
    return means, tuple(odd)


def score(correctness: ByLanguage) -> Score:
    """The unweighted mean over languages, with its interval.

    Raises:
        ValueError: if there is no language.
    """
    return average(correctness)


def language_difference(a: ByLanguage, b: ByLanguage, code: str) -> Difference | None:
    """a minus b in one language; None where one of them lacks it, or has other examples."""
    if code not in a or code not in b or a[code].keys() != b[code].keys():
        return None
    found = paired_difference(a[code], b[code])
    if found.p_value is None or not math.isclose(found.p_value, PERMUTATION_FLOOR):
        return found
    # Corrected over hundreds of languages, the smallest p-value that so many random exchanges can give is never below 0.05.
    # There the limit of the same test is taken: exchanges leave the sum of differences d with mean 0 and variance sum d².
    differences = [a[code][key] - b[code][key] for key in a[code]]
    z = abs(sum(differences)) / math.sqrt(sum(d * d for d in differences))
    return replace(found, p_value=min(found.p_value, math.erfc(z / math.sqrt(2))))


def mean_difference(a: ByLanguage, b: ByLanguage) -> Difference | None:
    """The mean of a minus b over the languages where both have the same examples; None where there is none."""
    codes = comparable(a, b)
    return average_difference({c: a[c] for c in codes}, {c: b[c] for c in codes}) if codes else None


def comparable(a: ByLanguage, b: ByLanguage) -> list[str]:
    """The languages in which both have the same examples."""
    return [code for code in a if code in b and a[code].keys() == b[code].keys()]


def gap(correctness: ByLanguage, english: str) -> Difference | None:
    """English minus the average over the other languages; None where one of the two is missing."""
    return transfer_gap(correctness, english) if english in correctness and len(correctness) > 1 else None


def adjusted(p_values: Mapping[Key, float | None]) -> dict[Key, float]:
    """P-values corrected for the number of comparisons among them (Holm)."""
    known = {key: p for key, p in p_values.items() if p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def pooled(parts: Mapping[tuple[str, ...], ByLanguage]) -> ByLanguage:
    """Several tasks and models as one table of languages.

    A column is a language of one part. The unit that is drawn stays the example: the first word of a part's name is its
    task, and parts of one task share their ids.
    """
    return {
        " ".join((*part, code)): {f"{part[0]} {key}": value for key, value in answers.items()}
        for part, correctness in parts.items()
        for code, answers in correctness.items()
    }
