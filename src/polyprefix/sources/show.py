"""A ranking of source languages in the terminal and as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from polyprefix import languages
from polyprefix.config import ENGLISH
from polyprefix.report.format import ABSENT, interval, percent, signed
from polyprefix.sources.fitted import FittedRanker, as_dict
from polyprefix.sources.ranking import RankedSource, SourceRanking, TargetRanking
from polyprefix.statistics.transfer import LanguageMean

WIDE = 110
"""Terminal columns from which on all features of a candidate are shown."""


def render(found: SourceRanking, top: int, console: Console) -> None:
    """Print the first candidates of each target, whether to follow them, and how that was found out.

    Args:
        top: candidates of each target; English is always shown.
    """
    for one in found.by_target:
        console.print(Text(f"\n{languages.get(one.target).name} ({one.target})", style="bold"))
        console.print(_candidates(one, top, console.width >= WIDE))
    console.print(Text(f"\n{found.advice}\n"))
    if (validation := found.fitted.validation) is not None:
        console.print(_validation(found.fitted))
        if validation.new:
            console.print(Text("new: each candidate ranked by a fit that never saw it as a source", style="dim"))
    for line in (*_legend(found), *(f"Note: {note}" for note in found.notes)):
        console.print(Text(line, style="dim"))


def plain(found: SourceRanking) -> dict[str, Any]:
    """All of it in dictionaries, lists, strings and numbers."""
    told = as_dict(found.fitted)
    return {
        "task": found.task, "model": found.model, "variant": found.variant, "advice": found.advice, "ranking": found.rows(),
        "matrices": told["matrices"], "validation": told["validation"], "notes": list(found.notes),
    }  # fmt: skip


def _candidates(one: TargetRanking, top: int, wide: bool) -> Table:
    against = "English" if any(row.source == ENGLISH for row in one.candidates) else "an average source"
    table = Table(box=None, padding=(0, 1, 0, 0), expand=False)
    table.add_column("", justify="right")
    table.add_column("source")
    for name in (f"points above {against}", "95% prediction interval"):
        table.add_column(name, justify="right")
    for name in ("related", "km", *(("script", "syntactic", "overlap", "fertility", "rows") if wide else ())):
        table.add_column(name, justify="right")
    shown = [(i, row) for i, row in enumerate(one.candidates, 1) if i <= top or row.source == ENGLISH]
    for rank, row in shown:
        cells = list(_facts(row))
        name = languages.get(row.source).name + ("" if row.measured else " (not measured)")
        gain = ABSENT if row.source == ENGLISH else signed(row.gain)
        bounds = ABSENT if row.source == ENGLISH else interval(row.ci95, with_sign=True)
        table.add_row(str(rank), Text(name), gain, bounds, *cells[: None if wide else 2])
    return table


def _facts(row: RankedSource) -> Iterator[str]:
    """What is known of a candidate, in a few words each."""
    facts, pair = row.facts, row.facts.pair
    related = "branch" if pair.same_branch else "family" if pair.same_family else "no"
    yield ABSENT if pair.same_family is None else related
    yield ABSENT if pair.km is None else f"{pair.km:,.0f}"
    yield ABSENT if pair.same_script is None else "same" if pair.same_script else "other"
    yield ABSENT if pair.syntactic is None else f"{pair.syntactic:.2f}"
    yield ABSENT if facts.overlap is None else f"{percent(facts.overlap)}%"
    yield ABSENT if facts.fertility is None else f"{facts.fertility:.1f}"
    rows = facts.facts.rows.get(row.source)
    yield ABSENT if rows is None else f"{rows:,}"


def _validation(found: FittedRanker) -> Table:
    """Every way of choosing: what its first choice gains, what it misses."""
    assert found.validation is not None
    table = Table(box=None, padding=(0, 1, 0, 0), expand=False)
    table.add_column("first choice by")
    for name in ("points above English", "regret, cross-fitted", "regret, same items", "NDCG@3"):
        table.add_column(name, justify="right")
    named = {**found.validation.known, **{f"{name}, new": one for name, one in found.validation.new.items()}}
    for name, one in named.items():
        cells = (_mean(one.gain), _mean(one.cross_fitted), _mean(one.regret), f"{one.ndcg.value:.2f}")
        table.add_row(Text(name), *(Text(cell) for cell in cells))
    return table


def _mean(one: LanguageMean | None) -> str:
    return ABSENT if one is None else f"{signed(one.value)} {interval(one.ci95, with_sign=True)}"


def _legend(found: SourceRanking) -> Iterator[str]:
    for one in found.fitted.matrices:
        seeds = "1 seed" if one.seeds == 1 else f"{one.seeds} seeds"
        yield (
            f"fitted on {one.task}, {one.model}, {one.method}: {len(one.sources)} sources x {one.targets} targets, "
            f"{one.items} items a target, {seeds}"
        )
    yield f"ranked by {found.variant}; regret: points below the best source, on the same items too high, cross-fitted too low"
    yield "intervals of means are over targets, clustered by family; that of a candidate is for a difference measured on as many answers"
