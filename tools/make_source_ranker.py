"""The ranker that `polyprefix sources` ships, from kept transfer matrices: python -m tools.make_source_ranker studies/results/transfer

It writes src/polyprefix/sources/ranker.json: the fit, what it was fitted on, and its validation; and what docs/source-ranker.md shows of
it and of the matrices, with their pictures. Every figure that the command shows comes from that file. The texts of the task are read from
POLYPREFIX_HUB or the Hub.

    --lambdarank    also validates LightGBM's lambdarank (the ranker of LangRank, Y.-H. Lin et al., ACL 2019) on the same features, and prints
                    how it compares; needs `pip install lightgbm`, which the package itself does not.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page import fill
from benchmarks.rounds import ROOT
from polyprefix import languages
from polyprefix.atomic import write_text
from polyprefix.data.hub import hub_from_environment
from polyprefix.report.charts.transfer import matrices, source_averages
from polyprefix.report.format import interval, signed
from polyprefix.report.grid import grid_of
from polyprefix.report.tables import as_markdown
from polyprefix.report.transfer import summary_tables
from polyprefix.report.vega import on_paper, svg
from polyprefix.results.table import ResultsTable, read_table
from polyprefix.scoring.bootstrap import Floats
from polyprefix.sources.fitted import SHIPPED, FittedRanker, as_dict, fitted, observe
from polyprefix.sources.ranker import Observed, cells_of, fit, with_measured
from polyprefix.sources.validation import Figures, Learner, Preference, Validation
from polyprefix.statistics.transfer import LanguageMean

OUT = ROOT / "src" / "polyprefix" / "sources" / SHIPPED
PAGE = ROOT / "docs" / "source-ranker.md"
GRADES = 31
"""Relevance of the best source of a target; lambdarank takes whole numbers from 0."""
TREES = {"objective": "lambdarank", "n_estimators": 100, "num_leaves": 16, "min_data_in_leaf": 5, "verbose": -1,
         "random_state": 0, "deterministic": True, "num_threads": 1, "label_gain": list(range(GRADES + 1))}  # fmt: skip
"""LangRank's 100 trees of 16 leaves."""
BEST = "best on average"
"""What a ranker has to beat."""


def lambdarank(observed: Sequence[Observed], left_out: str) -> Preference:
    """LightGBM's ranker on the features of ours; a target of a matrix is a query."""
    lightgbm: Any = importlib.import_module("lightgbm")
    cells = [cell for one in observed for cell in cells_of(one, {left_out})]
    grades = [np.round(GRADES * (y - y.min()) / max(1e-9, np.ptp(y))).astype(int) for _, _, y in cells]
    model = lightgbm.LGBMRanker(**TREES)
    model.fit(np.concatenate([x for _, x, _ in cells]), np.concatenate(grades), group=[len(y) for _, _, y in cells])
    measured = fit(observed, (), {left_out}).measured

    def preference(one: Observed, target: int) -> Floats:
        found: Floats = model.predict(with_measured(one.features[:, target], one.matrix.sources, measured))
        return found

    return preference


def made(table: ResultsTable, more: Mapping[str, Learner] | None = None) -> FittedRanker:
    """The ranker of the matrices in a table.

    Raises:
        SystemExit: if it holds no matrix with English among its sources.
    """
    observed, notes = observe(table, hub_from_environment())
    for note in notes:
        print(f"note: {note}")
    found = fitted(observed, more) if observed else None
    if found is None or found.validation is None:
        raise SystemExit(
            "no runs of one method in English and in another source language, so there is nothing to fit or to compare with"
        )
    for name, one in named(found.validation).items():
        print(line(name, one))
    return found


def named(validation: Validation) -> dict[str, Figures]:
    """Every way of choosing, those of new candidates last."""
    return {**validation.known, **{f"{name}, new candidates": one for name, one in validation.new.items()}}


def line(name: str, one: Figures) -> str:
    """A way of choosing in a line."""
    gain, regret = (f"{signed(x.value)} {interval(x.ci95, with_sign=True)}" for x in (one.gain, one.regret))
    return f"{name:48} above English {gain:22} regret {regret:22} NDCG@3 {one.ndcg.value:.3f}"


def validation_table(found: FittedRanker) -> str:
    """What the command says of itself, as the page has it."""
    assert found.validation
    rows = ["| first choice by | points above English | above the best on average | regret, cross-fitted | regret, same items | NDCG@3 |",
            "| --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name, one in named(found.validation).items():
        cross = "" if one.cross_fitted is None else _mean(one.cross_fitted)
        best = one.minus.get(BEST)
        cells = (name, _mean(one.gain), _mean(best) if best else "", cross, _mean(one.regret), f"{one.ndcg.value:.2f}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, "", best_on_average(found)])


def best_on_average(found: FittedRanker) -> str:
    """The name of the source that a reader without a ranker would take."""
    measured = found.ranker.measured
    return f"The source that is the best on average is {languages.get(max(measured, key=lambda code: measured[code])).name}."


def _mean(one: LanguageMean) -> str:
    return f"{signed(one.value)} {interval(one.ci95, with_sign=True)}"


def fitted_on(found: FittedRanker) -> str:
    """What the ranker was fitted on."""
    return "\n".join(
        f"- {one.task}, {one.model}, {one.method}: {len(one.sources)} sources x {one.targets} targets, "
        f"{one.items} items a target, seeds: {one.seeds}"
        for one in found.matrices
    )


def of_ranker(page: str, found: FittedRanker) -> str:
    """The page with the sections that come from ranker.json."""
    parts = {"fitted-on": fitted_on(found), "validation": validation_table(found)}
    for name, text in parts.items():
        page = fill(page, name, text)
    return page


def of_matrices(page: str, table: ResultsTable, pictures: Path) -> str:
    """The page with the sections that come from the runs; pictures are written beside it."""
    shown, charts = list[str](), list[str]()
    for view in grid_of(table).views:
        for one in view.transfer:
            sources = next(iter(summary_tables(one)))
            written = as_markdown(sources).partition("\n\n")[2]  # the page says once what the figures are
            targets = len(one.matrix.targets) - len(set(one.matrix.targets) & set(one.matrix.sources))
            shown.append(f"**{one.matrix.method}**, average over {targets} targets\n\n{written}")
        for chart in (*matrices(view), *source_averages(view)):
            write_text(pictures / f"{chart.name}.svg", on_paper(svg(chart)))
            charts.append(f"![{chart.description}]({pictures.name}/{chart.name}.svg)")
    return fill(fill(page, "matrices", "\n\n".join(shown)), "pictures", "\n\n".join(charts))


def main() -> None:
    """Write the file and the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--lambdarank", action="store_true", help="validate LightGBM beside it, and write nothing")
    given = parser.parse_args()
    table = read_table(given.folders)
    if given.lambdarank:
        made(table, {"LightGBM lambdarank": lambdarank})
        return
    found = made(table)
    write_text(given.out, json.dumps(as_dict(found), indent=1, allow_nan=False) + "\n")
    page = of_matrices(given.page.read_text(encoding="utf-8"), table, given.page.with_name("results"))
    write_text(given.page, of_ranker(page, found))


if __name__ == "__main__":
    main()
