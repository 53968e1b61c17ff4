"""The ranker that `polyprefix sources` ships, from kept transfer matrices: python -m tools.make_source_ranker studies/results/transfer

It writes src/polyprefix/sources/ranker.json: the fit, what it was fitted on, and its validation. Every figure that the command shows comes
from that file. The texts of the task are read from POLYPREFIX_HUB or the Hub.

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

from benchmarks.rounds import ROOT
from polyprefix.data.hub import hub_from_environment
from polyprefix.report.format import interval, signed
from polyprefix.results.table import read_table
from polyprefix.scoring.bootstrap import Floats
from polyprefix.sources.fitted import SHIPPED, as_dict, fitted, observe
from polyprefix.sources.ranker import Observed, cells_of, fit, with_measured
from polyprefix.sources.validation import Figures, Learner, Preference

OUT = ROOT / "src" / "polyprefix" / "sources" / SHIPPED
GRADES = 31
"""Relevance of the best source of a target; lambdarank takes whole numbers from 0."""
TREES = {"objective": "lambdarank", "n_estimators": 100, "num_leaves": 16, "min_data_in_leaf": 5, "verbose": -1,
         "random_state": 0, "deterministic": True, "num_threads": 1, "label_gain": list(range(GRADES + 1))}  # fmt: skip
"""LangRank's 100 trees of 16 leaves."""


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


def made(folders: Sequence[Path], more: Mapping[str, Learner] | None = None) -> dict[str, Any]:
    """What the file holds.

    Raises:
        SystemExit: if the runs hold no matrix.
    """
    observed, notes = observe(read_table(folders), hub_from_environment())
    if not observed:
        raise SystemExit(f"{', '.join(map(str, folders))}: no runs of one method in two source languages or more")
    for note in notes:
        print(f"note: {note}")
    found = fitted(observed, more)
    if found.validation is None:
        raise SystemExit("no matrix has English among its sources, so nothing can be compared with it")
    for name, one in (*found.validation.known.items(), *((f"{k}, new", v) for k, v in found.validation.new.items())):
        print(line(name, one))
    return as_dict(found)


def line(name: str, one: Figures) -> str:
    """A way of choosing in a line."""
    gain, regret = (f"{signed(x.value)} {interval(x.ci95, with_sign=True)}" for x in (one.gain, one.regret))
    return f"{name:48} above English {gain:22} regret {regret:22} NDCG@3 {one.ndcg.value:.3f}"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--lambdarank", action="store_true", help="validate LightGBM beside it, and write nothing")
    given = parser.parse_args()
    if given.lambdarank:
        made(given.folders, {"LightGBM lambdarank": lambdarank})
        return
    given.out.write_text(json.dumps(made(given.folders), indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
