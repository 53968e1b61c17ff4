"""The report of one run or of many as one HTML file: no network, no fonts, no pictures; readable without JavaScript.

The template engine escapes all text, what the script reads is escaped JSON, and the page forbids itself every request and every
script but its own (Content-Security-Policy with the script's hash).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polyprefix import languages
from polyprefix.atomic import output_errors, write_text
from polyprefix.languages import Language
from polyprefix.progress import duration
from polyprefix.report import first, vega
from polyprefix.report import format as figures
from polyprefix.report.answers import answers_table
from polyprefix.report.charts import task_charts, together, view_charts
from polyprefix.report.charts.averages import SHOWN_GROUPS
from polyprefix.report.drawing import Drawing, drawing
from polyprefix.report.examples import examples
from polyprefix.report.findings import finding, in_short, overall
from polyprefix.report.grid import Grid
from polyprefix.report.labels import labels_table
from polyprefix.report.transfer import sentence, summary_tables
from polyprefix.report.view import Cell, View, marked, training_note
from polyprefix.results.table import flatten
from polyprefix.statistics.calibration import LEVELS, LanguageCalibration, LevelCalibration, SystemCalibration
from polyprefix.statistics.groups import GROUPINGS

DARK = {
    "land": "#2c3239", "m0": "#a3adb8", "m1": "#6db3ff", "m2": "#f2955a", "m3": "#4cc9a0", "m4": "#e08bd0", "m5": "#d9b64a",
    "m6": "#e6e9ec", "m7": "#ff8f85", "s0": "#16202b", "s1": "#182c40", "s2": "#1a3a57", "s3": "#1c4a70", "s4": "#1e5b8b",
    "s5": "#3f86bd", "s6": "#66a6d8", "s7": "#8fc4ee", "s8": "#bfe0ff",
}  # fmt: skip
"""The colours of charts on a dark page; `vega.PAPER` has those on a light one."""


def write_page(grid: Grid, path: Path, *, texts: bool = True) -> None:
    """Write the report of a grid, whole or not at all; missing folders are made.

    Args:
        grid: what was run, and its figures.
        path: the file.
        texts: whether examples show texts of the benchmark.

    Raises:
        OutputError: if the file cannot be written.
    """
    whole, views = overall(grid), grid.views
    environment = _environment()
    script = environment.get_template("report.js").render()
    with drawing(len(views)) as draw:
        page = environment.get_template("report.html.j2").render(
            # first, since they are drawn while the rest is computed
            charts={(v.task, v.model): [draw(chart) for chart in view_charts(grid, v)] for v in views},
            across={task: [draw(chart) for chart in task_charts(grid, task)] for task in grid.tasks},
            together=[draw(chart) for chart in together(grid, whole)],
            grid=grid,
            views=views,
            answers={(v.task, v.model): table for v in views if (table := answers_table(v))},
            labels={(v.task, v.model): table for v in views if (table := labels_table(v, v.base_and_shown))},
            opened=fullest(grid),
            finding=finding(grid, whole),
            in_short=in_short(grid, whole),
            cost={(v.task, v.model): first.cost(v) for v in views},
            adapter={(v.task, v.model): first.adapter(v) for v in views},
            title=title(grid),
            comparisons=sum(len(view.differences) for view in views),
            examples=examples(grid, texts),
            texts=texts,
            common=_common(grid),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            dark=DARK,
        )
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


MOST_SOURCES = 3
"""Languages of training that the title names."""


def title(grid: Grid) -> str:
    """What the page is about."""
    if not grid.sources:
        return "Without training"
    many = f"{len(grid.sources)} languages" if len(grid.sources) > MOST_SOURCES else ", ".join(grid.sources)
    return f"Transfer from {many}"


@cache
def _environment() -> Environment:
    """Its templates are compiled once a process."""
    environment = Environment(
        loader=PackageLoader("polyprefix.report"),
        autoescape=lambda name: name is None or not name.endswith((".js", ".css")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    for helper in (
        figures.percent, figures.signed, figures.interval, figures.p_value, duration, figures.costs, figures.trained_share,
        shade, limits, reach, first.by_name,
        inline, group_names, across_seeds, facts, settings, by_level, by_language, sentence, summary_tables,
    ):  # fmt: skip
        environment.globals[helper.__name__] = helper
    environment.tests["match_prefix"] = lambda name, prefix: name.startswith(prefix + "-")
    environment.globals |= {
        "ABSENT": figures.ABSENT,
        "language": languages.get,
        "marked": marked,
        "training_note": training_note,
        "light": {name: colour for name, colour in vega.PAPER.items() if name in DARK},
        "groupings": SHOWN_GROUPS,
        "LEVELS": LEVELS,
        "STARS": figures.STARS,
        "colours": vega.METHOD_COLOURS,
    }
    return environment


def inline(drawing: Drawing) -> Markup:
    """The drawing with ids of its own, and nothing for a screen reader inside: its title and table say what it shows."""
    chart = drawing.chart
    silent = r' (?:role="graphics-[a-z]+"|aria-[a-z]+="[^"]*")'

    def adapted(tag: re.Match[str]) -> str:
        return re.sub(r'(\bid="|url\(#)(\w+)', rf"\g<1>{chart.name}-\g<2>", re.sub(silent, "", tag[0]))

    svg = re.sub("<[^>]*>", adapted, drawing.svg())
    return Markup('<svg role="img" aria-label="{}"').format(chart.description) + Markup(svg[len("<svg") :])


def _common(grid: Grid) -> Path | None:
    """The deepest folder that holds all runs, where paths of the page start; None for results in memory."""
    folders = [folder.resolve() for cell in grid.cells for folder in cell.runs["folder"] if folder]
    parents = folders[0].parents if folders else ()
    return next((parent for parent in parents if all(parent in folder.parents for folder in folders)), None)


def facts(grid: Grid) -> dict[str, str]:
    """Data, devices and cost of all runs; what no run says is absent."""
    runs = [run for cell in grid.cells for run in cell.runs.itertuples()]
    tests = [sum(score[cell.metric].n for score in cell.runs["scores"].iloc[0].values()) for cell in grid.cells]
    sizes = {cell.runs["config"].iloc[0].get("train_size") for cell in grid.cells if cell.trained}
    english = "English " if grid.sources == ("English",) else ""
    found = {
        "languages of training": "" if english else ", ".join(grid.sources),
        f"{english}training examples": ", ".join(sorted(f"{size:,}" if size else "all of the task" for size in sizes)),
        "test predictions of a run": " to ".join(f"{count:,}" for count in sorted({min(tests), max(tests)})),
        "devices": ", ".join(sorted({str(run.provenance["device"]) for run in runs if "device" in run.provenance})),
    }  # fmt: skip
    seconds = {
        name: sum(run.cost.get(f"{name}_seconds", 0.0) for run in runs) for name in ("train", "validation", "eval")
    }
    if total := sum(seconds.values()):
        parts = ", ".join(
            f"{duration(seconds[key])} {name}"
            for key, name in (("train", "training"), ("validation", "validation"), ("eval", "testing"))
            if seconds[key] or key != "validation"  # earlier versions did not time it
        )
        found["computing time"] = f"{duration(total)}: {parts}"
    if peak := max((run.cost.get("peak_memory_bytes", 0.0) for run in runs), default=0.0):
        found["peak memory"] = figures.size(peak)
    return {name: fact for name, fact in found.items() if fact}


def settings(cell: Cell) -> dict[str, str]:
    """Settings and provenance of a cell's first run; what is not set is left out."""
    run = cell.runs.iloc[0]
    values = flatten({**run["config"], **run["provenance"]})
    return {
        key: ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for key, value in values.items()
        if value is not None
    }


def fullest(grid: Grid) -> View:
    """The view with the most runs and languages: what a reader sees first."""
    return max(grid.views, key=lambda view: sum(len(cell.runs) * len(cell.scores) for cell in view.cells.values()))


def limits(view: View) -> tuple[float, float]:
    """The lowest and the highest score of a view: the ends of its colour scale."""
    values = [score.value for cell in view.cells.values() for score in cell.scores.values()]
    return min(values), max(values)


def shade(value: float, low: float, high: float) -> int:
    """The step of the colour scale, 0 to 8.

    >>> shade(0.2, 0.2, 0.8), shade(0.5, 0.2, 0.8), shade(0.8, 0.2, 0.8), shade(0.5, 0.5, 0.5)
    (0, 4, 8, 4)
    """
    share = (value - low) / (high - low) if high > low else 0.5
    return min(vega.SHADES - 1, int(share * vega.SHADES))


def reach(view: View) -> float:
    """The furthest end of an interval of differences from 0, so that the plots of a view share one scale."""
    ends = [abs(end) for pair in view.differences.values() for end in pair.difference.ci95]
    return max([*ends, 0.01])


def group_names(language: Language) -> dict[str, str]:
    """Grouping -> the group of the language."""
    return {grouping: GROUPINGS[grouping](language) for grouping in SHOWN_GROUPS}


def by_level(system: SystemCalibration) -> dict[str, LevelCalibration]:
    """Resource level -> calibration there."""
    return {one.level: one for one in system.levels}


def by_language(system: SystemCalibration) -> dict[str, LanguageCalibration]:
    """Language -> raw and calibrated figures."""
    return {one.language: one for one in system.languages}


def across_seeds(view: View, method: str) -> Sequence[float]:
    """The average for each seed that is compared, over the languages that averages are over."""
    if method not in view.summaries:
        return []
    common, runs = view.setting.common, view.setting.systems[method]
    columns = [common.languages.index(code) for code in view.compared]
    counts = common.present.sum(axis=1)
    means = [(common.values[run].sum(axis=1) / counts)[columns].mean() for run in runs]
    return [float(mean) for mean in means] if len(runs) > 1 else []
