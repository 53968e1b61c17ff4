"""The finding of a study in two sentences, with its uncertainty. What the runs do not allow to say is said instead."""

from __future__ import annotations

from collections.abc import Sequence

from polyprefix.analysis.answers import Answers
from polyprefix.analysis.contrasts import RESAMPLES, Contrast, contrast, resampled_scores, weights
from polyprefix.analysis.pool import pool
from polyprefix.report.format import interval, percent, signed
from polyprefix.report.grid import Grid
from polyprefix.report.views import View

ALL = [0]
"""Pooled answers have one column."""


def finding(grid: Grid, views: Sequence[View], resamples: int = RESAMPLES) -> tuple[str, str]:
    """Which method carries over best and by how much; how sure that is.

    Methods are compared over all tasks, models and languages other than English; only those that can be compared wherever
    any method was run can be.
    """
    settings = {(view.task, view.model): view.setting for view in views if view.setting and view.compared}
    answers = pool({key: setting.answers for key, setting in settings.items()})
    if answers is None or len(settings) < len(views):
        return (
            "No method can be compared with the others in every task and model in languages other than English, "
            "so no single comparison covers this study.",
            "The tables below compare where that is possible, and the last section names every missing cell.",
        )
    scores = resampled_scores(answers, resamples)
    means = answers.scores[:, 0]
    ranked = sorted(range(len(means)), key=lambda m: -means[m])
    best = answers.systems[ranked[0]]
    mean = contrast(answers, scores, weights(answers, ranked[0], ALL))
    first = (
        f"{best} carries over {'best' if len(ranked) > 1 else 'from English as follows'}: "
        f"{percent(mean.value)}% {interval(mean.ci95)} on average over {_extent(views)}"
    )
    if grid.baseline in answers.systems and best != grid.baseline:
        base = answers.systems.index(grid.baseline)
        change = contrast(answers, scores, weights(answers, ranked[0], ALL, minus=base))
        first += f", {_points(change)} against {grid.baseline}"
    if len(ranked) == 1:
        reason = "The study holds no other method" if len(grid.methods) == 1 else "No other method has all these cells"
        return first + ".", f"{reason}, so nothing here says whether another would do better."
    lead = contrast(answers, scores, weights(answers, ranked[0], ALL, minus=ranked[1]))
    return first + ".", _certainty(grid, views, answers, ranked, lead)


def _extent(views: Sequence[View]) -> str:
    compared = len({code for view in views for code in view.compared})
    tested = len({code for view in views for cell in view.cells.values() for code in cell.others})
    of = f" of {tested}" if compared < tested else ""
    counts = (
        (f"{compared}{of}", tested, "language other than English", "languages other than English"),
        *((len(names), len(names), one, one + "s") for one, names in (
            ("task", {view.task for view in views}), ("model", {view.model for view in views}))),
    )  # fmt: skip
    return ", ".join(f"{count} {one if number == 1 else many}" for count, number, one, many in counts)


def _points(change: Contrast) -> str:
    return f"{signed(change.value)} points {interval(change.ci95, with_sign=True)}"


def _certainty(grid: Grid, views: Sequence[View], answers: Answers, ranked: Sequence[int], lead: Contrast) -> str:
    best, second = (answers.systems[m] for m in ranked[:2])
    apart = lead.ci95[0] > 0 or lead.ci95[1] < 0
    told = "excludes 0" if apart else "does not exclude 0: the two are not told apart"
    lead_is = f"Its lead over the next best, {second}, is {_points(lead)}, which"
    subject = "That difference" if second == grid.baseline else lead_is
    text = f"{subject} {told}{'' if len(answers.seeds) > 1 else ', and what other seeds would give is not known'}"
    claims = [claim for view in views for (method, _), claim in view.differences.items() if method == best]
    if not claims:
        return text + "."
    better = sum(bool(claim.mark) and claim.difference.value > 0 for claim in claims)
    worse = sum(bool(claim.mark) and claim.difference.value < 0 for claim in claims)
    return (
        f"{text}; against {grid.baseline}, language by language, it is clearly better in {better} and clearly worse in "
        f"{worse} of {len(claims)} comparisons (p < 0.05, corrected for their number)."
    )
