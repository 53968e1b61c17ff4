"""The tables of a paper, as Markdown, CSV and LaTeX. Figures are those of the page, percentages with one decimal.

LaTeX needs the packages `booktabs` and `longtable`; the best of a column is bold, and a difference to the baseline is marked as
`polyprefix compare` marks it.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polyprefix import languages
from polyprefix.analysis.comparisons import Claim
from polyprefix.analysis.contrasts import Contrast
from polyprefix.records import Score
from polyprefix.report.charts.parts import file_name
from polyprefix.report.format import ABSENT, MARKS, percent
from polyprefix.report.grid import Grid
from polyprefix.report.views import View


@dataclass(frozen=True, slots=True)
class Field:
    """A cell: its text, whether it is the best of its column or row, and the mark of a difference."""

    text: str
    best: bool = False
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; the first `words` columns hold words, the others figures."""

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Field, ...], ...]
    words: int = 1


def paper_tables(grid: Grid, views: Sequence[View]) -> Iterator[Table]:
    """The averages of all methods; then, for each task and model, every language and every group."""
    yield _averages(grid, views)
    for view in views:
        yield _languages(grid, view)
        if view.groups:
            yield _groups(view)


def _averages(grid: Grid, views: Sequence[View]) -> Table:
    rows = []
    for method in grid.methods:
        trained = max(view.cells[method].trained for view in views if method in view.cells)
        cells = [
            _figure(v.averages.get(method), len(grid.methods) > 1 and method in v.best, v.mean_differences.get(method))
            for v in views
        ]
        rows.append((Field(method), Field(f"{trained:,}"), *cells))
    columns = (f"{view.task}, {view.model}" for view in views)
    caption = "Average over languages other than English, % (the largest count of trained parameters over models)"
    return Table("averages", caption + _legend(grid), ("method", "trained parameters", *columns), tuple(rows))


def _languages(grid: Grid, view: View) -> Table:
    rows = []
    for code in view.languages:
        scores = {method: cell.scores[code] for method, cell in view.cells.items() if code in cell.scores}
        top = max(score.value for score in scores.values()) if len(view.cells) > 1 else None
        cells = [
            _figure(scores.get(m), m in scores and scores[m].value == top, view.differences.get((m, code)))
            for m in view.cells
        ]
        rows.append((Field(languages.get(code).name), Field(code), *cells))
    caption = f"{view.metric} by language, %: {view.task}, {view.model}{_legend(grid)}"
    name = file_name("languages", view.task, view.model)
    return Table(name, caption, ("language", "code", *view.cells), tuple(rows), words=2)


def _groups(view: View) -> Table:
    rows = []
    for key in dict.fromkeys((group.grouping, group.name) for _, group in view.groups):
        members = {method: group for method, group in view.groups if (group.grouping, group.name) == key}
        top = max(one.score.value for one in members.values()) if len(view.cells) > 1 else None
        count = max(len(one.languages) for one in members.values())
        cells = (
            Field(percent(members[m].score.value), members[m].score.value == top) if m in members else Field(ABSENT)
            for m in view.cells
        )
        rows.append((Field(key[0]), Field(key[1]), Field(str(count)), *cells))
    caption = f"{view.metric} by group of languages, English apart, %: {view.task}, {view.model}"
    header = ("grouping", "group", "languages", *view.cells)
    return Table(file_name("groups", view.task, view.model), caption, header, tuple(rows), words=2)


def _figure(score: Score | Contrast | None, best: bool, claim: Claim | None) -> Field:
    return Field(percent(score.value), best, claim.mark if claim else "") if score else Field(ABSENT)


def _legend(grid: Grid) -> str:
    if grid.baseline is None:
        return ""
    return f". Difference to {grid.baseline}: {MARKS}"


def as_markdown(table: Table) -> str:
    """A Markdown table under its caption."""
    alignment = ["---" if i < table.words else "---:" for i in range(len(table.header))]
    lines = [[_markdown(name) for name in table.header], alignment]
    for row in table.rows:
        lines.append(
            [f"**{_markdown(c.text)}**{_markdown(c.mark)}" if c.best else _markdown(c.text + c.mark) for c in row]
        )
    return f"{_markdown(table.caption)}\n\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines)


def as_list(title: str, lines: Sequence[str]) -> str:
    """A Markdown list under its title."""
    return f"{title}:\n\n" + ("".join(f"- {_markdown(line)}\n" for line in lines) or "Nothing.\n")


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", " ".join(text.split()))


LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "–": "--", "−": "$-$", "’": "'", "ʼ": "'",
}  # fmt: skip


def as_latex(table: Table) -> str:
    """A table for `\\input`; long ones break over pages."""
    columns = "l" * table.words + "r" * (len(table.header) - table.words)
    body = [_latex_row(row) for row in table.rows]
    head = " & ".join(map(_latex, table.header)) + r" \\"
    caption, label = _latex(table.caption), f"tab:{table.name}"
    lines = [
        rf"\begin{{longtable}}{{{columns}}}", rf"\caption{{{caption}}}\label{{{label}}}\\", r"\toprule", head, r"\midrule",
        r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot", *body,
        r"\end{longtable}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def document(tables: Sequence[Table]) -> str:
    """A LaTeX document that holds the files of all tables."""
    inputs = "\n".join(rf"\input{{{table.name}.tex}}" for table in tables)
    packages = r"\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp,booktabs,longtable}"
    page = r"\usepackage[landscape,margin=15mm]{geometry}"
    setting = r"\setlength{\tabcolsep}{3pt}\small"
    return (
        f"\\documentclass{{article}}\n{packages}\n{page}\n\\begin{{document}}{setting}\n{inputs}\n\\end{{document}}\n"
    )


def _latex_row(row: Sequence[Field]) -> str:
    cells = []
    for cell in row:
        text = rf"\textbf{{{_latex(cell.text)}}}" if cell.best else _latex(cell.text)
        cells.append(text + (rf"\rlap{{$^{{{cell.mark}}}$}}" if cell.mark else ""))
    return " & ".join(cells) + r" \\"


def _latex(text: str) -> str:
    """Text that TeX prints as it is; a letter that its usual fonts lack loses its marks, or becomes `?`."""
    return "".join(map(_letter, " ".join(text.split())))


def _letter(letter: str) -> str:
    if letter in LATEX:
        return LATEX[letter]
    if " " <= letter <= "~" or ("\xc0" <= letter <= "\xff" and letter.isalpha()):
        return letter
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if " " <= part <= "~" and part not in LATEX)
    return plain or "?"


SCORES = ("task", "model", "method", "trained_parameters", "language", "language_name", "family", "script",
          "resource_level", "metric", "value", "ci95_low", "ci95_high", "n", "seeds", "runs",
          "difference", "difference_ci95_low", "difference_ci95_high", "p_runs", "p_runs_adjusted", "p_seeds", "p_seeds_adjusted",
          "mark")  # fmt: skip


def as_csv(grid: Grid, views: Sequence[View]) -> str:
    """Every figure of every language, unrounded, one row a task, model, method and language; what is absent is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SCORES)
    for view in views:
        for method, cell in view.cells.items():
            for code, score in cell.scores.items():
                one = languages.get(code)
                runs = [run for run in cell.runs if code in run.scores]
                writer.writerow(
                    (view.task, view.model, method, cell.trained, code, one.name, one.family or "", one.script,
                     one.resource_level or "", view.metric, score.value, *score.ci95, score.n, len(runs),
                     " ".join(run.result.run_id for run in runs), *_compared(view.differences.get((method, code))))
                )  # fmt: skip
    return out.getvalue()


def _compared(claim: Claim | None) -> tuple[object, ...]:
    if claim is None:
        return ("",) * 8
    difference, adjusted = claim.difference, claim.adjusted_seeds
    seeds = "" if difference.p_seeds is None else difference.p_seeds
    p_values = difference.p_runs, claim.adjusted_runs, seeds, "" if adjusted is None else adjusted
    return difference.value, *difference.ci95, *p_values, claim.mark
