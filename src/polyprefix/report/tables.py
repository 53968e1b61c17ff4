"""The tables of a paper, as Markdown, CSV and LaTeX. Figures are those of the page, percentages with one decimal.

LaTeX needs the packages `booktabs` and `longtable`. A method is bold where its average is significantly above that of every other one; stars
say whether the difference to the baseline is significant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyprefix import languages
from polyprefix.report.charts.parts import file_name
from polyprefix.report.findings import clearly_best
from polyprefix.report.format import ABSENT, STARS, interval, percent
from polyprefix.report.grid import Grid
from polyprefix.report.view import View, training
from polyprefix.statistics.comparisons import PairedComparison
from polyprefix.statistics.contrasts import Contrast
from polyprefix.types import Score

if TYPE_CHECKING:
    import pandas as pd


ROWS_OF_A_PAGE = 45


@dataclass(frozen=True, slots=True)
class Field:
    """A cell: its text, whether it is significantly above all others, the stars of a difference, and an interval."""

    text: str
    best: bool = False
    stars: str = ""
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; the first `words` columns hold words, the others figures."""

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Field, ...], ...]
    words: int = 1


def paper_tables(grid: Grid) -> Iterator[Table]:
    """The averages of all methods; then, for each task and model, every language and every group."""
    yield _averages(grid)
    for view in grid.views:
        yield _languages(grid, view)
        if view.groups:
            yield _groups(grid, view)


def _averages(grid: Grid) -> Table:
    best = {(view.task, view.model): clearly_best(view) for view in grid.views}
    rows = []
    for method in grid.methods:
        there = [view.cells[method] for view in grid.views if method in view.cells]
        cells = [
            _figure(
                one.score if one else None, v.mean_differences.get(method), best[v.task, v.model] == method, ci=True
            )
            for v in grid.views
            for one in (v.summaries.get(method),)
        ]
        seeds = sorted({len(cell.seeds) for cell in there})
        trained = max(cell.trained for cell in there)
        rows.append((Field(method), Field(f"{trained:,}"), Field(" to ".join(map(str, {seeds[0], seeds[-1]}))), *cells))
    columns = (f"{view.task}, {view.model}" for view in grid.views)
    caption = f"Average over {grid.others_called}, %, with 95% intervals (the largest count of trained parameters over models)"
    if len(grid.methods) > 1:
        caption += ". Bold: significantly above every other method (p < 0.05, Holm over all pairs)"
    header = ("method", "trained parameters", "seeds", *columns)
    return Table("averages", caption + _legend(grid), header, tuple(rows))


def _languages(grid: Grid, view: View) -> Table:
    rows, origins = [], view.setting.origins
    for code in view.languages:
        told = [Field(origins.get(code, ABSENT))] if origins else []
        cells = [_figure(cell.scores.get(code), view.differences.get((m, code))) for m, cell in view.cells.items()]
        rows.append((Field(languages.get(code).name), Field(code), Field(training(view.setting, code)), *told, *cells))
    caption = f"{view.metric} by language, %: {view.task}, {view.model}{_legend(grid)}"
    name = file_name("languages", view.task, view.model)
    words = ("language", "code", "training", *(["test text"] if origins else []))
    return Table(name, caption, (*words, *view.cells), tuple(rows), words=len(words))


def _groups(grid: Grid, view: View) -> Table:
    rows = []
    for key, codes in view.groups.items():
        scores = {method: one.groups[key] for method, one in view.summaries.items() if key in one.groups}
        cells = (_figure(scores.get(m), view.group_differences.get((m, *key))) for m in view.cells)
        rows.append((Field(key[0]), Field(key[1]), Field(str(len(codes))), *cells))
    caption = f"{view.metric} by group of {view.setting.others_called}, %: {view.task}, {view.model}{_legend(grid)}"
    header = ("grouping", "group", "languages", *view.cells)
    return Table(file_name("groups", view.task, view.model), caption, header, tuple(rows), words=2)


def _figure(
    score: Score | Contrast | None, pair: PairedComparison | None, best: bool = False, *, ci: bool = False
) -> Field:
    if score is None:
        return Field(ABSENT)
    return Field(percent(score.value), best, pair.significance if pair else "", interval(score.ci95) if ci else "")


def _legend(grid: Grid) -> str:
    if grid.baseline is None:
        return ""
    return f". Difference to {grid.baseline}: {STARS}"


def as_markdown(table: Table) -> str:
    """A Markdown table under its caption."""
    alignment = ["---" if i < table.words else "---:" for i in range(len(table.header))]
    lines = [[_markdown(name) for name in table.header], alignment]
    for row in table.rows:
        lines.append([_markdown_cell(cell) for cell in row])
    return f"{_markdown(table.caption)}\n\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _markdown_cell(cell: Field) -> str:
    text = f"**{_markdown(cell.text)}**{_markdown(cell.stars)}" if cell.best else _markdown(cell.text + cell.stars)
    return f"{text} {_markdown(cell.interval)}".rstrip()


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
    """A table for `\\input`: a floating `tabular`, or one that breaks over pages where it is too long for one."""
    import pandas as pd

    long = len(table.rows) > ROWS_OF_A_PAGE
    columns = "l" * table.words + "r" * (len(table.header) - table.words)
    frame = pd.DataFrame([map(_latex_cell, row) for row in table.rows], columns=list(map(_latex_heading, table.header)))
    caption, label = _latex(table.caption), f"tab:{table.name}"
    text: str = frame.to_latex(
        index=False, escape=False, longtable=long, column_format=columns, caption=caption, label=label,
        position=None if long else "tbp",
    )  # fmt: skip
    return text if long else text.replace("\\begin{table}[tbp]\n", "\\begin{table}[tbp]\n\\centering\n", 1)


def document(tables: Sequence[Table]) -> str:
    """A LaTeX document that holds the files of all tables."""
    inputs = "\n".join(rf"\input{{{table.name}.tex}}" for table in tables)
    packages = r"\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp,booktabs,longtable}"
    page = r"\usepackage[landscape,margin=15mm]{geometry}"
    setting = r"\setlength{\tabcolsep}{3pt}\small"
    return (
        f"\\documentclass{{article}}\n{packages}\n{page}\n\\begin{{document}}{setting}\n{inputs}\n\\end{{document}}\n"
    )


def _latex_cell(cell: Field) -> str:
    text = rf"\textbf{{{_latex(cell.text)}}}" if cell.best else _latex(cell.text)
    text += rf"\rlap{{$^{{{cell.stars}}}$}}" if cell.stars else ""
    return rf"{text}\enspace{{\scriptsize {_latex(cell.interval)}}}" if cell.interval else text


def _latex_heading(name: str) -> str:
    """A heading; the settings of a method stand under its name, one a line, so that columns stay narrow."""
    method, _, settings = name.removesuffix(")").partition(" (")
    if "=" not in settings:
        return _latex(name)
    lines = r"\\".join(map(_latex, [method, *settings.split(", ")]))
    return rf"\shortstack[r]{{{lines}}}"


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


def scores_frame(grid: Grid) -> pd.DataFrame:
    """Every figure of every language, unrounded, one row a task, model, method and language; what is absent is empty."""
    import pandas as pd

    return pd.DataFrame(
        [
            _scores_row(view, method, code)
            for view in grid.views
            for method, cell in view.cells.items()
            for code in cell.scores
        ]
    )


def _scores_row(view: View, method: str, code: str) -> dict[str, object]:
    cell, one, pair = view.cells[method], languages.get(code), view.differences.get((method, code))
    score, runs = cell.scores[code], [run.Index for run in cell.runs.itertuples() if code in run.scores]
    difference = pair.difference if pair else None
    return {
        "task": view.task, "model": view.model, "method": method, "trained_parameters": cell.trained, "language": code,
        "language_name": one.name, "family": one.family, "script": one.script, "resource_level": one.resource_level,
        "training": view.setting.training[method].described(code),
        "origin": view.setting.origins.get(code),
        "metric": view.metric, "value": score.value, "ci95_low": score.ci95[0], "ci95_high": score.ci95[1], "n": score.n,
        "seeds": len(runs), "runs": " ".join(runs),
        "difference": difference.value if difference else None,
        "difference_ci95_low": difference.ci95[0] if difference else None,
        "difference_ci95_high": difference.ci95[1] if difference else None,
        "p_runs": difference.p_runs if difference else None, "p_runs_adjusted": pair.adjusted_runs if pair else None,
        "p_seeds": difference.p_seeds if difference else None, "p_seeds_adjusted": pair.adjusted_seeds if pair else None,
        "significance": pair.significance if pair else None,
        **{f"answers_{name}": figure for name, figure in cell.runs["answers"].iloc[0].get(code, {}).items()},
    }  # fmt: skip
