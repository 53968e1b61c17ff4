"""Examples with the answer of each method side by side, for one page.

Which ones is decided by the hash of the example's id alone, never by who was right, and parallel tasks show the same ids in
every language. How many is decided by the size of the texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from polyprefix import languages
from polyprefix.languages.lookup import tag
from polyprefix.records import Prediction
from polyprefix.report.grid import Cell
from polyprefix.report.views import View
from polyprefix.results.files import count_answers, read_predictions

MOST = 8
"""Examples a language at most."""
BUDGET = 1_200_000
"""Characters of all examples of a report, about; one example a language is shown in any case."""
LABELS = 12
"""A language with so few different accepted answers is answered with labels, which are no text of the benchmark."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Those of one task and model."""

    methods: tuple[str, ...]
    languages: tuple[dict[str, str], ...]
    """`code`, `name` and `tag` (BCP 47)."""
    items: tuple[dict[str, Any], ...]
    """`language`, `id`, `text`, `gold`, and per method `predicted` and `correct` (None where it has no answer)."""
    of: int
    """So many examples there are, over all languages."""


def examples(views: Sequence[View], texts: bool) -> dict[tuple[str, str], Examples]:
    """Examples of each view.

    Args:
        views: with at least one cell each.
        texts: whether to show texts and free answers of the benchmark, or ids, labels and who was right only.

    Raises:
        OutputError: if predictions cannot be read.
    """
    found = {}
    for view in views:
        per_language = MOST
        while per_language >= 1:
            shown = _examples(view, texts, per_language)
            if _size(shown) <= BUDGET / len(views) or per_language == 1:
                break
            per_language //= 2
        found[view.task, view.model] = shown
    return found


def _size(shown: Examples) -> int:
    return sum(len(str(value)) for item in shown.items for value in item.values())


def _examples(view: View, texts: bool, count: int) -> Examples:
    ids = {code: _chosen(view.cells.values(), code, count) for code in view.languages}
    wanted = {key for keys in ids.values() for key in keys}
    answers = {method: _answers(cell, wanted) for method, cell in view.cells.items()}
    labelled = _labelled(view) if not texts else set(view.languages)
    items = []
    for code in view.languages:
        open_answers = code not in labelled
        for key in ids[code]:
            given = [answers[method].get((code, key)) for method in view.cells]
            first = next(answer for answer in given if answer)
            items.append({
                "language": view.languages.index(code),
                "id": key,
                "text": first[0].text if texts else None,
                "gold": None if open_answers else " / ".join(first[0].references),
                "predicted": [None if open_answers or answer is None else answer[0].prediction for answer in given],
                "correct": [None if answer is None else round(answer[1], 4) for answer in given],
            })  # fmt: skip
    return Examples(
        tuple(view.cells),
        tuple({"code": one.code, "name": one.name, "tag": tag(one)} for one in map(languages.get, view.languages)),
        tuple(items),
        sum(len(_ids(view.cells.values(), code)) for code in view.languages),
    )


def _chosen(cells: Iterable[Cell], code: str, count: int) -> list[str]:
    return sorted(_ids(cells, code), key=lambda key: hashlib.sha256(f"example {key}".encode()).digest())[:count]


def _ids(cells: Iterable[Cell], code: str) -> set[str]:
    return {key for cell in cells for key in cell.runs[0].correctness.get(code, ())}


def _answers(cell: Cell, ids: set[str]) -> dict[tuple[str, str], tuple[Prediction, float]]:
    """(language, id) -> answer and how right it is, of the first seed."""
    found: dict[tuple[str, str], tuple[Prediction, float]] = {}
    for path in cell.runs[0].predictions:
        for prediction, right in zip(*read_predictions(path, ids), strict=True):
            found.setdefault((prediction.language, prediction.example_id), (prediction, right))
    return found


def _labelled(view: View) -> set[str]:
    """The languages whose answers are labels in every cell."""
    free = set()
    for cell in view.cells.values():
        for path in cell.runs[0].predictions:
            free |= {code for code, count in count_answers(path).items() if count > LABELS}
    return set(view.languages) - free
