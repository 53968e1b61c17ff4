"""Budgets: how far each method gets with so many sentences in so many passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools.results_page.comparison import FULL, LORA, PREFIX
from tools.results_page.differences import contrasts, tested
from tools.results_page.kept import Kept, Part
from tools.results_page.words import NOT_FINISHED, english, heading, row, rule, with_interval

from polyprefix.config import TrainConfig
from polyprefix.report.charts.lines import line_chart
from polyprefix.report.charts.parts import Row, percentages
from polyprefix.report.vega import Chart
from polyprefix.report.view import View
from polyprefix.study.grid import MAIN

PARTS = (MAIN, "learned", "full")
COMPARED = ((PREFIX, LORA), (LORA, FULL))
"""Methods whose difference is tested at each budget."""


@dataclass(frozen=True, order=True)
class Budget:
    """What a run is given."""

    sentences: int
    passes: float

    @property
    def steps(self) -> int:
        """Optimiser steps, of the default number of sentences each."""
        return TrainConfig(epochs=self.passes).total_steps(self.sentences)


def table(kept: Kept) -> str:
    """A row for each budget: every method's averages, and what LoRA is compared with, corrected over all of the table."""
    part = kept.part(*PARTS)
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    found = by_budget(view)
    methods = list(dict.fromkeys(method for at in found.values() for method in at))
    duels = contrasts(part, view, [(at[a], at[b]) for at in found.values() for a, b in COMPARED if {a, b} <= at.keys()])
    pairs = {(system, baseline): pair for (system, baseline, _), pair in duels.items()}
    columns = ("passes", "steps", *methods, *(f"{a} minus {b}" for a, b in COMPARED))
    rows = [row("sentences", *columns), rule(len(columns))]
    for budget, at in found.items():
        averages = (f"{with_interval(view.summaries[at[m]].score)}" if m in at else "" for m in methods)
        differences = (tested(pairs.get((at.get(a, ""), at.get(b, "")))) for a, b in COMPARED)
        rows.append(row(str(budget.sentences), f"{budget.passes:g}", str(budget.steps), *averages, *differences))
    base = next(name for name, cell in view.cells.items() if not cell.trained)
    alone = f"The base model: {with_interval(view.summaries[base].score)}."
    return "\n".join([heading(view), "", *rows, "", alone, "", *_english(view, found, methods)])


def _english(view: View, found: Mapping[Budget, Mapping[str, str]], methods: list[str]) -> Iterator[str]:
    """English test scores of the same runs."""
    yield from (row("English, %", *(f"{b.sentences} x {b.passes:g}" for b in found)), rule(len(found)))
    for method in methods:
        yield row(
            method, *(english(view.summaries[at[method]].english) if method in at else "" for at in found.values())
        )


def by_budget(view: View) -> dict[Budget, dict[str, str]]:
    """Budget -> method -> what a view calls its runs there."""
    found: dict[Budget, dict[str, str]] = {}
    for name, cell in view.cells.items():
        settings = cell.settings
        if cell.trained and name in view.summaries:
            budget = Budget(int(settings["train_size"]), float(settings["train.epochs"]))
            found.setdefault(budget, {})[name.partition(" (")[0]] = name
    return dict(sorted(found.items()))


def curves(kept: Kept) -> list[Chart]:
    """Averages over optimiser steps: a line for each method and number of sentences."""
    part: Part | None = kept.part(*PARTS)
    if part is None:
        return []
    (view,) = part.views
    points: list[Row] = []
    for budget, at in by_budget(view).items():
        for method, name in at.items():
            score = view.summaries[name].score
            line = f"{method}, {budget.sentences} sentences"
            points.append({"method": line, "setting": budget.steps, **percentages(score), "score": score})
    names = sorted({str(point["method"]) for point in points})
    label = (
        "budgets", "Other languages over optimiser steps",
        f"Lines: {view.metric} on average over {view.setting.others_called}, with 95% intervals, over the optimiser steps of training "
        "on a logarithmic axis; one line for each method and number of training sentences.",
    )  # fmt: skip
    x = "optimiser steps", True, "setting", lambda p: str(p["setting"])
    return [line_chart(names, label, x, points, (view.metric, view.setting.others_called))]
