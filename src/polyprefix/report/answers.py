"""Checks of generated answers as a table: one for the terminal, the page, and the files of a paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polyprefix import languages
from polyprefix.report.charts.parts import file_name
from polyprefix.report.format import ABSENT, percent
from polyprefix.report.tables import Field, Table
from polyprefix.report.view import View

SHARES = {"empty": "empty", "cut": "cut", "repetitive": "repetitive"}
"""Figure that is a count -> its heading."""
RATES = {"line_pass_rate": "LPR", "word_pass_rate": "WPR", "language_confusion_pass_rate": "LCPR"}
"""Figure that is a share -> its heading."""
CAPTION = (
    "Generated answers, %: empty, cut at the most tokens, and repetitive ones of all; of the checked ones, which have a line that is long "
    "enough, LPR without a line in another language, of these WPR without an English word, LCPR the harmonic mean of both"
)


def answers_table(view: View) -> Table | None:
    """One row a method and language, of the first seed; None where no answer was generated, or by an earlier version."""
    rows = tuple(_rows(view))
    if not rows:
        return None
    header = ("method", "language", "answers", *SHARES.values(), "checked", *RATES.values())
    caption = f"{CAPTION}: {view.task}, {view.model}"
    return Table(file_name("answers", view.task, view.model), caption, header, rows, words=2)


def _rows(view: View) -> Iterator[tuple[Field, ...]]:
    for method, cell in view.cells.items():
        found: Mapping[str, Mapping[str, float]] = cell.runs["answers"].iloc[0]
        for code, figures in sorted(found.items(), key=lambda item: languages.get(item[0]).name):
            count = int(figures["answers"])
            shares = (percent(figures[key] / count) if key in figures else ABSENT for key in SHARES)
            checked = f"{int(figures['checked']):,}" if "checked" in figures else ABSENT
            rates = (percent(figures[key]) if key in figures else ABSENT for key in RATES)
            texts = (method, languages.get(code).name, f"{count:,}", *shares, checked, *rates)
            yield tuple(Field(text) for text in texts)
