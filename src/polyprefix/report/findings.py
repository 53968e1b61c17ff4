"""The finding of a study in two sentences, with its uncertainty. What the runs do not allow to say is said instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polyprefix.report import statistics
from polyprefix.report.format import interval, percent, signed
from polyprefix.report.grid import Grid
from polyprefix.report.views import View
from polyprefix.scoring.comparison import ByLanguage, Difference


def finding(grid: Grid, views: Sequence[View]) -> tuple[str, str]:
    """Which method carries over best and by how much; how sure that is.

    Methods are compared over all tasks, models and languages other than English; only those that have a score wherever
    any method has one can be.
    """
    whole = _complete(views)
    if not whole:
        return (
            "No method has a score for every task, model and language other than English that others have, "
            "so no single comparison covers this study.",
            "The tables below compare where that is possible, and the last section names every missing cell.",
        )
    means = {method: statistics.score(correctness) for method, correctness in whole.items()}
    ranked = sorted(means, key=lambda method: -means[method].value)
    best = ranked[0]
    first = (
        f"{best} carries over {'best' if len(ranked) > 1 else 'from English as follows'}: "
        f"{percent(means[best].value)}% {interval(means[best].ci95)} on average over {_extent(views)}"
    )
    base = whole.get(grid.baseline) if grid.baseline else None
    if base and best != grid.baseline and (change := statistics.mean_difference(whole[best], base)):
        first += f", {_points(change)} against {grid.baseline}"
    return first + ".", _certainty(grid, views, whole, ranked)


def _complete(views: Sequence[View]) -> dict[str, ByLanguage]:
    """Method -> all its answers in languages other than English, where it has all that others have."""
    parts: dict[str, dict[tuple[str, ...], ByLanguage]] = {}
    for view in views:
        for method, cell in view.cells.items():
            if len(cell.scores) == len(view.languages) and cell.others:
                parts.setdefault(method, {})[view.task, view.model] = cell.others
    return {method: statistics.pooled(found) for method, found in parts.items() if len(found) == len(views)}


def _extent(views: Sequence[View]) -> str:
    codes = {code for view in views for cell in view.cells.values() for code in cell.others}
    counts = (
        (len(codes), "language other than English", "languages other than English"),
        (len({view.task for view in views}), "task", "tasks"),
        (len({view.model for view in views}), "model", "models"),
    )
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)


def _points(change: Difference) -> str:
    return f"{signed(change.value)} points {interval(change.ci95, with_sign=True)}"


def _certainty(grid: Grid, views: Sequence[View], whole: Mapping[str, ByLanguage], ranked: Sequence[str]) -> str:
    best = ranked[0]
    if len(ranked) == 1:
        reason = "The study holds no other method" if len(grid.methods) == 1 else "No other method has all these cells"
        return f"{reason}, so nothing here says whether another would do better."
    lead = statistics.mean_difference(whole[best], whole[ranked[1]])
    if lead is None:
        return (
            f"The next best, {ranked[1]}, was tested on other examples, so the distance between the two is not known."
        )
    told = "which does not exclude 0: the two are not told apart" if not lead.excludes_zero() else "which excludes 0"
    text = f"Its lead over the next best, {ranked[1]}, is {_points(lead)}, {told}"
    if best == grid.baseline or grid.baseline is None:
        return text + "."
    pairs = [compared for view in views for (method, _), compared in view.differences.items() if method == best]
    better = sum(compared.certain and compared.difference.value > 0 for compared in pairs)
    worse = sum(compared.certain and compared.difference.value < 0 for compared in pairs)
    return (
        f"{text}; against {grid.baseline}, language by language, it is clearly better in {better} and clearly worse in "
        f"{worse} of {len(pairs)} comparisons (p < 0.05, corrected for their number)."
    )
