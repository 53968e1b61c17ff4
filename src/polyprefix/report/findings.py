"""The finding of a study in two sentences, with its uncertainty. What the runs do not allow to say is said instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

from polyprefix.report.format import interval, percent, signed
from polyprefix.report.grid import Grid
from polyprefix.report.view import View
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.comparisons import ALPHA, PairedComparison, adjusted
from polyprefix.statistics.contrasts import Contrast, contrast, contrasts, weights
from polyprefix.statistics.pool import pool


@dataclass(frozen=True)
class Overall:
    """All tasks and models together, for the methods that can be compared in each of them."""

    answers: Answers
    """With one column, the mean over every other language (`Setting.others`) of every task and model; of one task and model its own."""
    columns: tuple[int, ...] = (0,)
    """Whose mean is meant."""

    @property
    def ranked(self) -> tuple[str, ...]:
        """The methods, the best first."""
        averages_M = self.answers.scores[:, self.columns].mean(axis=1)
        means = dict(zip(self.answers.systems, averages_M, strict=True))
        return tuple(sorted(means, key=lambda method: -means[method]))

    def average(self, method: str, minus: str | None = None) -> Contrast:
        """Of a method, or its difference to another."""
        plus, base = self.answers.systems.index(method), None if minus is None else self.answers.systems.index(minus)
        return contrast(self.answers, weights(self.answers, plus, self.columns, minus=base))

    @property
    def pairs(self) -> int:
        """Number of pairs of methods."""
        return comb(len(self.answers.systems), 2)

    def against(self, method: str) -> list[PairedComparison]:
        """A method minus each of the others, the best of them first; corrected over all pairs, because the data chose the method."""
        return [pair for pair in self._compared if pair.system == method]

    @cached_property
    def _compared(self) -> list[PairedComparison]:
        """Every pair, the better of the two minus the other: sentences of one page ask for them several times."""
        systems, order = self.answers.systems, self.ranked
        keys = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
        wanted = [weights(self.answers, systems.index(a), self.columns, minus=systems.index(b)) for a, b in keys]
        found = contrasts(self.answers, wanted)
        scores = {name: float(self.answers.scores[i, self.columns].mean()) for i, name in enumerate(systems)}
        pairs = [
            PairedComparison(a, "average", f"{a} - {b}", (), scores[a], scores[b], one, 0.0, baseline=b)
            for (a, b), one in zip(keys, found, strict=True)
        ]
        return adjusted(pairs, "holm")


def clearly_best(view: View) -> str | None:
    """The method whose average is significantly above that of every other one; None where there is none."""
    whole = _overall([view])
    if whole is None or len(whole.ranked) < 2:
        return None
    best = whole.ranked[0]
    above = all(pair.significance and pair.difference.value > 0 for pair in whole.against(best))
    return best if above and len(whole.ranked) == len(view.cells) else None


def overall(grid: Grid) -> Overall | None:
    """All views together; None where no method can be compared in all of them."""
    return _overall(grid.views)


def _overall(views: Sequence[View]) -> Overall | None:
    settings = {(view.task, view.model): view.setting for view in views if view.compared}
    pooled = pool(settings)
    if pooled is None or len(settings) < len(views):
        return None
    if len(settings) > 1:
        return Overall(pooled)
    (setting,) = (
        settings.values()
    )  # pooling takes a mean of ratios for linear: its figures would differ from the tables' in a digit
    answers = setting.answers(pooled.seeds, pooled.systems)
    return Overall(answers, tuple(setting.others(answers.languages)))


def finding(grid: Grid, whole: Overall | None) -> tuple[str, str]:
    """Which method has the highest average; from which others it differs significantly.

    Args:
        grid: what was run, and its figures.
        whole: what all of them give together.
    """
    if whole is None:
        return (
            f"No method can be compared with the others in every task and model in {grid.others_called}, "
            "so no single comparison covers this study.",
            "The tables below compare where that is possible, and the last section names every missing cell.",
        )
    best, *others = whole.ranked
    mean = whole.average(best)
    rest = [method for method in grid.methods if method not in whole.ranked]
    of = f" of the {len(whole.ranked)} methods that every task and model has" if others and rest else ""
    highest = f"{best} has the highest average{of}" if others else f"The average of {best}"
    first = f"{highest}: {percent(mean.value)}% {interval(mean.ci95)} over {_extent(grid)}"
    if others:
        return first + ".", _certainty(grid, whole) + (_left_out(rest, grid) if rest else "")
    reason = "The study holds no other method" if len(grid.methods) == 1 else "No other method has all these cells"
    return first + ".", f"{reason}, so nothing here says whether another would do better."


MOST_NAMED = 6
"""Methods that a sentence names."""


def in_short(grid: Grid, whole: Overall | None) -> str:
    """The second sentence of the finding without figures: which other methods the best one is above, and which it is not."""
    if whole is None or len(whole.ranked) < 2:
        return finding(grid, whole)[1]
    found, several = whole.against(whole.ranked[0]), len(whole.answers.seeds) > 1
    above = [pair.baseline or "" for pair in found if pair.significance and pair.difference.value > 0]
    even = [pair.baseline or "" for pair in found if not pair.significance]
    parts = [
        f"{'significantly higher' if several else 'higher, with this one seed,'} than {_names(above)}" if above else "",
        f"{'not significantly different' if several else 'no different, but for the choice of examples,'} from {_names(even)}"
        if even
        else "",
    ]
    return f"It is {'; '.join(filter(None, parts))}."


def _names(methods: Sequence[str]) -> str:
    if len(methods) > MOST_NAMED:
        return f"{methods[0]}, {methods[1]} and {len(methods) - 2} other methods"
    return " and ".join(filter(None, (", ".join(methods[:-1]), methods[-1])))


def _extent(grid: Grid) -> str:
    views = grid.views
    compared = len({code for view in views for code in view.compared})
    tested = len({code for view in views for cell in view.cells.values() for code in cell.others})
    tasks, models = len({view.task for view in views}), len({view.model for view in views})
    count = f"{compared} of {tested}" if compared < tested else str(tested)
    return (
        f"{count} {_called(grid, tested)}, {tasks} task{'' if tasks == 1 else 's'}, "
        f"{models} model{'' if models == 1 else 's'}"
    )


def _called(grid: Grid, count: int) -> str:
    called = grid.others_called
    return called.replace("languages", "language") if count == 1 else called


def points(change: Contrast) -> str:
    """A difference in words."""
    return f"{signed(change.value)} points {interval(change.ci95, with_sign=True)}"


def _left_out(methods: Sequence[str], grid: Grid) -> str:
    """Which methods have cells in some tasks and models only, and whether one of them does better where it has."""
    text = f" Not run in every task and model, and so not in that comparison: {', '.join(methods)}"
    for method in methods:
        there = [view for view in grid.views if method in view.summaries]
        if highest := sum(method in view.best for view in there):
            text += f"; {method} has the highest average in {highest} of the {len(there)} where it was"
    return text + "."


def _certainty(grid: Grid, whole: Overall) -> str:
    best = whole.ranked[0]
    found = whole.against(best)
    rule = f"p < {ALPHA}" + (f", Holm over all {whole.pairs} pairs of methods" if whole.pairs > 1 else "")
    if len(whole.answers.seeds) > 1:
        higher, even = "significantly higher than", "not significantly different from"
        kind = f" (incl. seed variance; {rule})"
    else:  # what one seed shows is no finding about methods
        higher, even = "higher than", "no different, but for the choice of examples, from"
        kind = f" (fixed seeds; {rule}). All of them share one seed only, so it is not said that another seed would show it"
    parts = [
        f"{words} {', '.join(f'{pair.baseline} ({points(pair.difference)})' for pair in those)}"
        for words, those in (
            (higher, [pair for pair in found if pair.significance and pair.difference.value > 0]),
            (even, [pair for pair in found if not pair.significance]),
        )
        if those
    ]
    text = f"{'It is' if len(whole.answers.seeds) > 1 else 'In these runs it is'} {'; '.join(parts)}{kind}"
    pairs = [pair for view in grid.views for (method, _), pair in view.differences.items() if method == best]
    if not pairs or best == grid.baseline:
        return text + "."
    better = sum(bool(pair.significance) and pair.difference.value > 0 for pair in pairs)
    worse = sum(bool(pair.significance) and pair.difference.value < 0 for pair in pairs)
    return (
        f"{text}. Of its {len(pairs)} differences to {grid.baseline} in single languages, {better} are above and {worse} below 0 after "
        "correction (stars in the tables)."
    )
