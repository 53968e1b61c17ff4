"""Methods against each other: averages, differences, groups of languages, and what the source study says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product

from tools.results_page.differences import (
    BETTER,
    EVEN,
    VERDICTS,
    WORSE,
    change,
    contrasts,
    figures,
    tested,
    verdict,
    written,
)
from tools.results_page.kept import Part
from tools.results_page.words import NOT_FINISHED, english, heading, memory, row, rule, seconds, with_interval

from polyprefix.report.charts.averages import costs
from polyprefix.report.format import ABSENT, percent
from polyprefix.report.vega import Chart
from polyprefix.report.view import View
from polyprefix.statistics.comparisons import PairedComparison

BASE, PREFIX, LORA, FULL = "none", "prefix", "lora", "full"
PREFIXES = ("soft-prompt", PREFIX, "prefix-projected", "llama-adapter")
LEAST = 3
"""Languages of a group that is shown."""


def finding(part: Part, view: View) -> str:
    """Which method is best, how sure that is, and how often a prefix method beats the others."""
    trained = [method for method in view.summaries if method != BASE]
    gains = view.mean_differences  # of all models together, as every other table of these figures
    if not gains:
        return f"**{view.model}.** {NOT_FINISHED}"
    best, light = (
        max(methods, key=lambda method: view.summaries[method].score.value)
        for methods in (trained, [method for method in trained if method != FULL])
    )
    means = {method: with_interval(one.score, unit="%") for method, one in view.summaries.items()}
    verdicts = Counter(verdict(pair) for pair in contrasts(part, view, product(*sides(view))).values())
    among = (
        ""
        if light == best
        else f"; among the methods that leave the model's weights as they are, {light}, {means[light]}"
    )
    return "\n".join(
        [
            f"**{view.model}**, {len(view.compared)} languages other than English:",
            "",
            f"- {best} has the highest average, {means[best]}{among}. The base model has {means[BASE]}.",
            *(
                f"- {word.capitalize()} {'from' if word == EVEN else 'than'} the base model: {', '.join(those)}."
                for word in VERDICTS
                if (those := [f"{c.system} (p {written(c.p)})" for c in gains.values() if verdict(c) == word])
            ),
            f"- In {verdicts.total()} comparisons of a prefix method with LoRA or full fine-tuning, the prefix is significantly better "
            f"in {verdicts[BETTER]}, significantly worse in {verdicts[WORSE]}, and not significantly different in {verdicts[EVEN]}.",
        ]
    )


def sides(view: View) -> tuple[list[str], list[str]]:
    """The prefix methods of a view, and the others that train."""
    trained = [method for method in view.summaries if method != BASE]
    return [m for m in PREFIXES if m in trained], [m for m in trained if m not in PREFIXES]


def averages(view: View) -> str:
    """A row for each method."""
    columns = (
        "trained parameters",
        "English",
        "other languages",
        "minus the base model",
        "transfer gap",
        "transfer ratio",
    )
    rows = [row("method", *columns, "training", "memory"), rule(len(columns) + 2)]
    for method, summary in view.summaries.items():
        cell, pair = view.cells[method], view.mean_differences.get(method)
        gain = f"{change(pair.difference)}{pair.significance}" if pair else ""
        rows.append(
            row(
                method, f"{cell.trained:,}", english(summary.english), with_interval(summary.score), gain,
                with_interval(summary.transfer_gap), with_interval(summary.transfer_ratio), seconds(cell), memory(cell),
            )
        )  # fmt: skip
    return "\n".join([heading(view), "", *rows])


def charts(part: Part) -> list[Chart]:
    """Of each model: the averages against the number of trained parameters."""
    return [chart for view in part.views for chart in costs(part.grid, view) if "parameters" in chart.name]


def duels(part: Part, view: View) -> str:
    """Each prefix method minus each of the others."""
    prefixes, others = sides(view)
    found = contrasts(part, view, product(prefixes, others))
    if not found:
        return f"**{view.model}.** {NOT_FINISHED}"
    by_pair = {(system, baseline): pair for (system, baseline, _), pair in found.items()}
    rows = [row("", *(f"minus {name}" for name in others)), rule(len(others))]
    rows += [row(system, *(tested(by_pair.get((system, name))) for name in others)) for system in prefixes]
    return "\n".join([f"**{view.model}**", "", *rows])


def groups(part: Part, view: View) -> str:
    """By script, family, resources and distance: the average of each method, and the prefix minus LoRA, which is not tested here."""
    found: dict[tuple[str, ...], PairedComparison] = {}
    for pair in contrasts(part, view, [(PREFIX, LORA)], "by_group").values():
        if len(pair.languages) >= LEAST:
            found.setdefault(tuple(pair.languages), pair)  # the same languages once, by their first name
    if not found:
        return f"**{view.model}.** {NOT_FINISHED}"
    rows = [row("group", "languages", *view.summaries, f"{PREFIX} minus {LORA}"), rule(len(view.summaries) + 2)]
    for pair in found.values():
        scores = [one.groups.get((pair.grouping, pair.name)) for one in view.summaries.values()]
        means = (percent(score.value) if score else ABSENT for score in scores)
        rows.append(row(f"{pair.grouping}: {pair.name}", str(len(pair.languages)), *means, change(pair.difference)))
    return "\n".join([f"**{view.model}**", "", *rows])


def calibrated(view: View) -> str:
    """Raw and batch-calibrated averages of each method."""
    rows = [row("method", "raw", "calibrated", "difference"), rule(3)]
    for method, one in view.calibrated.items():
        rows.append(row(method, percent(one.raw.value), percent(one.calibrated.value), change(one.difference)))
    return "\n".join([heading(view), "", *rows])


def agreement(found: Mapping[str, tuple[Part, View]]) -> str:
    """The source study's claims, and what is seen here.

    Args:
        found: what a column is called -> the comparison.
    """
    seen = {name: dict(_agreement(part, view)) for name, (part, view) in found.items()}
    said = list(dict.fromkeys(pair for one in seen.values() for pair in one))
    rows = [row("arXiv 2510.24619 finds", *seen), "| --- |" + " --- |" * len(seen)]
    rows += [row(pair, *(one.get(pair, ABSENT) for one in seen.values())) for pair in said]
    return "\n".join(rows) if said else NOT_FINISHED


def _agreement(part: Part, view: View) -> Iterator[tuple[str, str]]:
    words = dict(zip(VERDICTS, ("agrees", "the opposite", "not seen"), strict=True))
    prefixes = sides(view)[0]
    duel = {s: pair for (s, _, _), pair in contrasts(part, view, product(prefixes, [LORA])).items()}
    for method, pair in duel.items():
        yield f"{method} scores higher than LoRA in other languages", f"{words[verdict(pair)]}: {figures(pair)}"
    for pair in contrasts(part, view, [(PREFIX, LORA)], "by_group", ["low"]).values():
        number = f"{len(pair.languages)} languages"
        yield f"{PREFIX} helps where resources are low", f"{words[verdict(pair)]}: {figures(pair)}; {number}"
