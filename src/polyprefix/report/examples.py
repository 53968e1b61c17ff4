"""Examples with the answer of each method side by side, for one page.

Which ones is decided by the hash of the example's id alone, never by who was right, and parallel tasks show the same ids in
every language. How many is decided by the size of the texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polyprefix import languages
from polyprefix.languages.lookup import tag
from polyprefix.report.grid import Grid
from polyprefix.report.view import View

if TYPE_CHECKING:
    import pandas as pd

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


def examples(grid: Grid, texts: bool) -> dict[tuple[str, str], Examples]:
    """Examples of each view.

    Args:
        grid: what was run.
        texts: whether to show texts and free answers of the benchmark, or ids, labels and who was right only.
    """
    found = {}
    for view in grid.views:
        frames = {method: _first_seed(view, method) for method in view.cells}
        per_language = MOST
        while per_language >= 1:
            shown = _examples(view, frames, texts, per_language)
            if _size(shown) <= BUDGET / len(grid.views) or per_language == 1:
                break
            per_language //= 2
        found[view.task, view.model] = shown
    return found


def _size(shown: Examples) -> int:
    return sum(len(str(value)) for item in shown.items for value in item.values())


def _first_seed(view: View, method: str) -> pd.DataFrame:
    """The predictions of a cell's first seed, by language and example."""
    frame = view.setting.table.examples
    return frame[frame["run_id"] == view.setting.systems[method][0]].set_index(["language", "example_id"])


def _examples(view: View, frames: Mapping[str, pd.DataFrame], texts: bool, count: int) -> Examples:
    ids: dict[str, set[str]] = {code: set() for code in view.languages}
    for code, key in (found for frame in frames.values() for found in frame.index):
        ids[code].add(key)
    chosen = [(code, key) for code in view.languages for key in _chosen(ids[code], count)]
    labelled = set(view.languages) if texts else _labelled(view, frames)
    answers = {method: _predictions(frame, chosen, view.metric) for method, frame in frames.items()}
    items = []
    for code, key in chosen:
        given = [answers[method].get((code, key)) for method in view.cells]
        first = next(one for one in given if one)
        free = code not in labelled
        items.append({
            "language": view.languages.index(code),
            "id": key,
            "text": first["text"] if texts else None,
            "gold": None if free else " / ".join(first["references"]),
            "predicted": [None if free or one is None else one["prediction"] for one in given],
            "correct": [None if one is None else round(one[view.metric], 4) for one in given],
        })  # fmt: skip
    return Examples(
        tuple(view.cells),
        tuple({"code": one.code, "name": one.name, "tag": tag(one)} for one in map(languages.get, view.languages)),
        tuple(items),
        sum(map(len, ids.values())),
    )


def _chosen(ids: Iterable[str], count: int) -> list[str]:
    return sorted(ids, key=lambda key: hashlib.sha256(f"example {key}".encode()).digest())[:count]


def _predictions(
    frame: pd.DataFrame, keys: Iterable[tuple[str, str]], metric: str
) -> dict[tuple[str, str], dict[str, Any]]:
    """(language, id) -> text, references, prediction and metric, of those that the frame has."""
    rows = frame.loc[frame.index.intersection(list(keys)), ["text", "references", "prediction", metric]]
    return dict(zip(rows.index, rows.to_dict("records"), strict=True))


def _labelled(view: View, frames: Mapping[str, pd.DataFrame]) -> set[str]:
    """The languages whose answers are labels in every cell."""
    free: set[str] = set()
    for frame in frames.values():
        different: dict[str, set[tuple[str, ...]]] = {}
        for (code, _), references in frame["references"].items():
            different.setdefault(code, set()).add(tuple(references))
        free |= {code for code, answers in different.items() if len(answers) > LABELS}
    return set(view.languages) - free
