"""Variants of one method against the usual one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tools.results_page.differences import contrasts, tested
from tools.results_page.kept import Part
from tools.results_page.words import NOT_FINISHED, english, heading, row, rule, with_interval

from polyprefix.report.format import percent
from polyprefix.report.view import View


def ablation(part: Part | None, usual: str) -> str:
    """Each variant, and its difference to the one that the comparison has."""
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    return variants(part, view, {name: usual for name in view.summaries if name != usual})


def shots(part: Part | None) -> str:
    """With few-shot examples minus without, for each method."""
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    without = {name.partition(" (")[0]: name for name in view.summaries if "shots=0" in name}
    pairs = {name: without[method] for name in view.summaries if (method := name.partition(" (")[0]) in without}
    found = variants(part, view, {name: usual for name, usual in pairs.items() if name != usual})
    return "\n".join([found, "", *_label_bias(view)])


def _label_bias(view: View) -> Iterator[str]:
    """How often each variant gives its most frequent answer, where nobody's answers are so uneven."""
    for name, cell in view.cells.items():
        examples = view.setting.table.examples
        asked = examples[(examples["run_id"] == cell.runs.index[0]) & examples["language"].isin(view.compared)]
        given, n = Counter(asked["prediction"]).most_common(1)[0]
        (_, most), *_ = Counter(references[0] for references in asked["references"]).most_common(1)
        yield (
            f'- {name}: {percent(n / len(asked))}% of its answers in other languages are "{given}" (the most frequent right answer: '
            f"{percent(most / len(asked))}%)"
        )


def variants(part: Part, view: View, usual: Mapping[str, str]) -> str:
    """Every method of a view.

    Args:
        usual: method -> the one that it is compared with.
    """
    found = {system: pair for (system, _, _), pair in contrasts(part, view, usual.items()).items()}
    rows = [row("variant", "trained parameters", "English", "other languages", "difference"), rule(4)]
    for name, summary in view.summaries.items():
        difference = f"{tested(found[name])} to {usual[name]}" if name in found else ""
        figures = f"{view.cells[name].trained:,}", english(summary.english), with_interval(summary.score)
        rows.append(row(name, *figures, difference))
    return "\n".join([heading(view), "", *rows])
