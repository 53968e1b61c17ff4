"""What was run, what a second run of it gave, and what was not run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from tools.results_page.kept import Kept
from tools.results_page.words import row, rule

from polyprefix.progress import duration
from polyprefix.report.format import size
from polyprefix.results.files import read_result
from polyprefix.study import table
from polyprefix.study.devices import device
from polyprefix.study.plan import plan

PAPER = "paper"
"""The study of the paper's models."""
GPU = "h100"


def counts(studies: Iterable[Kept]) -> str:
    """How many cells of each study are finished, what they took, and where."""
    rows = [row("study", "cells finished", "training and evaluation", "on"), rule(3)]
    for kept in studies:
        study = kept.cells()
        seconds = (
            [one.seconds for one in table.validation_table(study, kept.books).itertuples()] if kept.finished else []
        )
        machines = (read_result(kept.folder / config.run_id()).provenance["machine"] for _, config in kept.finished)
        places = Counter(machine.get("gpu", "CPU") for machine in machines)
        where = ", ".join(f"{name} ({n})" for name, n in places.most_common())
        finished = f"all {len(study)}" if len(seconds) == len(study) else f"{len(seconds)} of {len(study)}"
        rows.append(row(kept.name, finished, duration(sum(seconds)), where))
    return "\n".join(rows)


def again(studies: Iterable[Kept]) -> str:
    """What a second run of some cells gave."""
    rows = [row("study", "cells", "answers", "the same", "scores"), rule(4)]
    for kept in studies:
        record = kept.folder.with_name(f"{kept.name}-again.json")
        if record.exists():
            cells = json.loads(record.read_text(encoding="utf-8"))["cells"]
            answers, same = (str(sum(one[key] for one in cells)) for key in ("answers", "same"))
            equal = "equal" if all(one["scores_equal"] for one in cells) else "not equal"
            rows.append(row(kept.name, str(len(cells)), answers, same, equal))
    return "\n".join(rows) if len(rows) > 2 else "Not run."


def not_run() -> str:
    """What the whole comparison would need, by model."""
    found = plan(Kept.of(PAPER).cells(), device(GPU))
    rows = [row("model", "cells", f"hours on one {GPU.upper()}", "memory at most"), rule(3)]
    for model in dict.fromkeys(planned.config.model for planned in found.rows):
        mine = [planned for planned in found.rows if planned.config.model == model]
        costs = [(planned.count, planned.cost) for planned in mine if planned.cost]
        hours, most = sum(n * cost.seconds for n, cost in costs) / 3600, max(cost.memory for _, cost in costs)
        rows.append(row(model, str(sum(planned.count for planned in mine)), f"{hours:,.0f}", size(most)))
    rows.append(row("together", str(sum(planned.count for planned in found.rows)), f"{found.seconds / 3600:,.0f}", ""))
    return "\n".join(rows)
