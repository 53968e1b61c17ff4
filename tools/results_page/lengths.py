"""Lengths, starts, ranks and scales: what each variant of a method learns in English, and what of it transfers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tools.results_page.differences import contrasts, tested
from tools.results_page.kept import Kept
from tools.results_page.rates import compared, said
from tools.results_page.words import NOT_FINISHED, english, heading, row, rule, with_interval

from polyprefix.study.grid import MAIN

USUAL = {
    "prefix": "prefix-16",
    "soft-prompt": "soft-prompt-16",
    "llama-adapter": "llama-adapter-10",
    "lora": "lora-rank-8",
}
"""Method -> the variant that is its default."""


def table(kept: Kept) -> str:
    """A row for each variant, and its difference to the default; differences of the whole table are corrected together."""
    part = kept.part(MAIN)
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    usual = {name: default for name, default in _usual(view.summaries) if default in view.summaries}
    found = {system: pair for (system, _, _), pair in contrasts(part, view, usual.items()).items()}
    validated = {run.method: said(run.last) for run in compared(kept)}
    rows = [
        row("variant", "trained parameters", "validation", "English", "other languages", "minus the default"),
        rule(5),
    ]
    for name in sorted(view.summaries, key=list(validated).index):
        summary, cell = view.summaries[name], view.cells[name]
        figures = f"{cell.trained:,}", validated[name], english(summary.english), with_interval(summary.score)
        rows.append(row(name, *figures, tested(found[name]) if name in found else ""))
    return "\n".join([heading(view), "", *rows])


def _usual(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        method = next(method for method in USUAL if name.startswith(method))
        if name != USUAL[method]:
            yield name, USUAL[method]
