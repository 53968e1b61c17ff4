"""Files for a paper: tables as Markdown, CSV and LaTeX, figures as SVG, PNG and PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import starmap
from pathlib import Path

from polyprefix.atomic import output_errors, write_text, writing
from polyprefix.report import vega
from polyprefix.report.answers import answers_table
from polyprefix.report.charts import paper_charts
from polyprefix.report.findings import finding, overall
from polyprefix.report.grid import Grid
from polyprefix.report.labels import labels_table
from polyprefix.report.tables import as_latex, as_list, as_markdown, document, paper_tables, scores_frame
from polyprefix.report.transfer import sentence, transfer_frame
from polyprefix.report.transfer import tables as transfer_tables

DRAWN: Mapping[str, Callable[[str], bytes]] = {
    "svg": lambda drawing: drawing.encode(),
    "png": vega.png,
    "pdf": vega.pdf,
}


def write_paper(grid: Grid, form: str, folder: Path, *, width: float | None = None) -> list[Path]:
    """Write the files of one format into a folder, which is made where it is missing.

    Args:
        grid: what was run, and its figures.
        form: `md`, `csv`, `tex`, or one of `DRAWN`.
        folder: the place; files of the same names are replaced.
        width: of figures, in points; None means as on the page.

    Returns:
        The files.

    Raises:
        OutputError: if one cannot be written.
    """
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in _contents(grid, form, width):
        path = folder / name
        if isinstance(content, str):
            write_text(path, content)
        else:
            with writing(path) as temporary:
                temporary.write_bytes(content)
        written.append(path)
    return written


def _contents(grid: Grid, form: str, width: float | None) -> Iterable[tuple[str, str | bytes]]:
    if form in DRAWN:
        for chart in paper_charts(grid, overall(grid)):
            yield f"{chart.name}.{form}", DRAWN[form](vega.on_paper(vega.svg(chart, width)))
        return
    matrices = [one for view in grid.views for one in view.transfer]
    if form == "csv":
        yield "scores.csv", scores_frame(grid).to_csv(index=False, lineterminator="\n")
        if matrices:
            yield "transfer.csv", transfer_frame(matrices).to_csv(index=False, lineterminator="\n")
        return
    of_transfer = [table for one in matrices for table in transfer_tables(one)]
    of_answers = (table for view in grid.views for table in (labels_table(view), answers_table(view)) if table)
    tables = [*paper_tables(grid), *of_transfer, *of_answers]
    if form == "md":
        left_out = (f"{view.task}, {view.model}: {one}" for view in grid.views for one in view.left_out)
        lists = {"Missing or failed": grid.missing, "Left out of averages and differences": tuple(left_out)}
        parts = (
            " ".join(finding(grid, overall(grid))),
            *map(sentence, matrices),
            *map(as_markdown, tables),
            *starmap(as_list, lists.items()),
        )
        yield "report.md", "\n\n".join(parts)
        return
    for table in tables:
        yield f"{table.name}.tex", as_latex(table)
    yield "all.tex", document(tables)
