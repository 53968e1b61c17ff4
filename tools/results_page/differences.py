"""Differences between systems, tested and put into words. The tests of one table or paragraph are one family of Holm's correction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from tools.results_page.kept import Part

from polyprefix.analysis.claims import ALPHA, Claim, holm
from polyprefix.analysis.contrasts import Contrast
from polyprefix.report.format import interval, signed
from polyprefix.report.views import View

Family = Literal["averages", "by_language", "by_group"]


def claims(
    part: Part, view: View, pairs: Iterable[tuple[str, str]], family: Family = "averages", names: Sequence[str] = ()
) -> dict[tuple[str, str, str], Claim]:
    """(system, baseline, name of the languages) -> claim, corrected over all of them together.

    Args:
        pairs: systems and what each is compared with; what is not finished is passed over.
        family: over which languages.
        names: of languages or groups; empty means all.
    """
    found: dict[tuple[str, str, str], Claim] = {}
    for system, baseline in pairs:
        compared = part.with_baseline(view, baseline)
        for claim in getattr(compared, family) if compared else ():
            if claim.system == system and (not names or claim.name in names):
                found[system, baseline, claim.name] = claim
    return dict(zip(found, _corrected(list(found.values())), strict=True))


def _corrected(found: list[Claim]) -> list[Claim]:
    runs, seeds = holm([claim.difference.p_runs for claim in found]), [claim.difference.p_seeds for claim in found]
    several = holm([p for p in seeds if p is not None]) if None not in seeds else [None] * len(found)
    return [
        replace(claim, adjusted_runs=p, adjusted_seeds=over_seeds)
        for claim, p, over_seeds in zip(found, runs, several, strict=True)
    ]


def p_of(claim: Claim) -> float:
    """The corrected p-value that counts: over seeds where there are several."""
    return claim.adjusted_runs if claim.adjusted_seeds is None else claim.adjusted_seeds


def verdict(claim: Claim) -> str:
    """Which of three it is."""
    if p_of(claim) >= ALPHA:
        return "not told apart"
    return "better" if claim.difference.value > 0 else "worse"


def told(claim: Claim) -> str:
    """The verdict with its figures."""
    return f"{verdict(claim)} ({points(claim.difference)}, p {written(p_of(claim))})"


def points(found: Contrast) -> str:
    """A difference in words."""
    return f"{signed(found.value)} points {interval(found.ci95, with_sign=True)}"


def tested(claim: Claim | None) -> str:
    """A difference for a table, bold where it is clear."""
    if claim is None:
        return ""
    difference = f"{signed(claim.difference.value)} {interval(claim.difference.ci95, with_sign=True)}"
    text = f"{difference}, p {written(p_of(claim))}"
    return f"**{text}**" if p_of(claim) < ALPHA else text


def written(p: float) -> str:
    """
    >>> written(0.0312), written(0.00001), written(1)
    ('= 0.031', '< 0.001', '= 1.000')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
