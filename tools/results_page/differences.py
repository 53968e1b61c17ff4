"""Differences between systems, tested and put into words. The tests of one table or paragraph are one family of the correction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from tools.results_page.kept import Part

from polyprefix.report.findings import points
from polyprefix.report.format import interval, signed
from polyprefix.report.view import View
from polyprefix.statistics.comparisons import ALPHA, FAMILIES, PairedComparison, adjusted
from polyprefix.statistics.contrasts import Contrast

VERDICTS = BETTER, WORSE, EVEN = "significantly better", "significantly worse", "not significantly different"
Family = Literal["averages", "by_language", "by_group"]


def contrasts(
    part: Part, view: View, pairs: Iterable[tuple[str, str]], family: Family = "averages", names: Sequence[str] = ()
) -> dict[tuple[str, str, str], PairedComparison]:
    """(system, baseline, name of the languages) -> pair, corrected over all of them together.

    Args:
        pairs: systems and what each is compared with; what is not finished is passed over.
        family: over which languages.
        names: of languages or groups; empty means all.
    """
    found = uncorrected(part, view, pairs, family, names)
    return dict(zip(found, adjusted(list(found.values()), FAMILIES[family]), strict=True))


def uncorrected(
    part: Part, view: View, pairs: Iterable[tuple[str, str]], family: Family = "averages", names: Sequence[str] = ()
) -> dict[tuple[str, str, str], PairedComparison]:
    """The same before the correction, for a family of several parts."""
    found: dict[tuple[str, str, str], PairedComparison] = {}
    for system, baseline in pairs:
        compared = part.with_baseline(view, baseline)
        for pair in getattr(compared, family) if compared else ():
            if pair.system == system and (not names or pair.name in names):
                found[system, baseline, pair.name] = pair
    return found


def is_even(pair: PairedComparison) -> bool:
    """Whether the two are not significantly different."""
    return pair.p >= ALPHA


def verdict(pair: PairedComparison) -> str:
    """Which of three it is."""
    if is_even(pair):
        return EVEN
    return BETTER if pair.difference.value > 0 else WORSE


def with_figures(pair: PairedComparison) -> str:
    """The verdict with its figures."""
    return f"{verdict(pair)} ({figures(pair)})"


def figures(pair: PairedComparison) -> str:
    """The difference with its interval and the corrected p-value."""
    return f"{points(pair.difference)}, p {written(pair.p)}"


def change(found: Contrast) -> str:
    """A difference for a table."""
    return f"{signed(found.value)} {interval(found.ci95, with_sign=True)}"


def tested(pair: PairedComparison | None) -> str:
    """The same with its p-value, bold where it is clear."""
    if pair is None:
        return ""
    text = f"{change(pair.difference)}, p {written(pair.p)}"
    return text if is_even(pair) else f"**{text}**"


def written(p: float) -> str:
    """
    >>> written(0.0312), written(0.00001), written(1)
    ('= 0.031', '< 0.001', '= 1.000')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
