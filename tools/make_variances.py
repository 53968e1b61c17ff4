"""The variance components that `study plan --power` begins with, from the kept study: python -m tools.make_variances"""

from __future__ import annotations

import json

from tools.results_page.kept import Kept
from tools.results_page.sections import SMALL

from benchmarks.rounds import ROOT
from polyprefix.study.grid import MAIN
from polyprefix.study.table import results
from polyprefix.study.variances import PRIOR, as_dict, of_runs

OUT = ROOT / "src" / "polyprefix" / "study" / PRIOR


def made() -> str:
    """The file's text."""
    kept = Kept.of(SMALL)
    finished = results(kept.cells(MAIN), kept.books)
    settings = [
        {"task": task, "model": model, "components": as_dict(found)}
        for (task, model), found in of_runs(finished.folders, finished.names).items()
    ]
    return (
        json.dumps({"source": "studies/small.yaml, part main; squared points", "settings": settings}, indent=2) + "\n"
    )


if __name__ == "__main__":
    OUT.write_text(made(), encoding="utf-8")
