"""Precision, recall and F1 of each label as a table: one for the page and the files of a paper."""

from __future__ import annotations

from collections.abc import Collection

from polyprefix.report.charts.parts import figures, file_name
from polyprefix.report.format import ABSENT
from polyprefix.report.tables import Field, Table
from polyprefix.report.view import View

CAPTION = (
    "Labels, %: of all methods macro F1, the mean of F1 over labels; of {which} precision, recall and F1 of each label, over {others}, with "
    "95% intervals"
)


def labels_table(view: View, by_label: Collection[str] | None = None) -> Table | None:
    """Macro F1 of each method, and the scores of its labels; None where answers are no labels.

    Args:
        by_label: the methods whose labels have rows of their own; None means all.
    """
    if not view.classes:
        return None
    named = view.classes if by_label is None else [method for method in view.classes if method in by_label]
    rows = []
    for method, found in view.classes.items():
        macro = " ".join(figures(found.macro_f1))
        rows.append(
            _row(method, "all, macro", found.macro_f1.n, sum(one.predicted for one in found.labels), "", "", macro)
        )
        for one in found.labels if method in named else ():
            scores = (" ".join(figures(score)) if score else ABSENT for score in (one.precision, one.recall, one.f1))
            rows.append(_row(method, one.label, one.n, one.predicted, *scores))
    which = "all methods" if len(named) == len(view.classes) else " and ".join(named)
    return Table(
        file_name("labels", view.task, view.model),
        CAPTION.format(which=which, others=view.setting.others_called) + f": {view.task}, {view.model}",
        ("method", "label", "right", "predicted", "precision", "recall", "F1"),
        tuple(rows),
        words=2,
    )


def _row(method: str, label: str, right: int, predicted: int, *scores: str) -> tuple[Field, ...]:
    return tuple(Field(text) for text in (method, label, f"{right:,}", f"{predicted:,}", *scores))
