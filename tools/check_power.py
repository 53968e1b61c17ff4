"""Does the test over seeds keep its level, what does it find, and does `study plan --power` say so? Simulated studies.

    PYTHONPATH=src:. python -m tools.check_power [--simulations 1000]

Answers are sums of normal effects with the variance components of a study (`polyprefix.statistics.components`). For several of
them it prints how often a difference of 0 (size) and of 10 points (power) is significant at 5% and at 5% over 12: a trained
system minus the base model, and minus another trained system.
Then, for some designs, how often the difference is found that the plan calls detectable: 80% is right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.components import Components, ItemComponents
from polyprefix.statistics.contrasts import p_value, weights
from polyprefix.statistics.variance import Variances, influence, table_variance
from polyprefix.study.power import Design, detectable
from polyprefix.study.variances import prior

LEVELS = 0.05, 0.05 / 12
GAIN = 10.0
STUDY = prior().of("sib200", "gemma-3-270m")[0]
SCENARIOS: Mapping[str, Components] = {
    "the kept study": STUDY,
    "seeds do nothing": replace(STUDY, seed=0.0, shared=0.0, seed_language=0.0),
    "seeds do much": replace(STUDY, seed=60.0),
    "seeds do much, to all systems at once": replace(STUDY, seed=18.0, shared=42.0),
}
DESIGNS = {
    "59 languages, 10 examples of its own, 8 systems": Design(3, 59, 10, 7, True, 204),
    "15 languages, 20 examples, the same, 3 systems": Design(3, 15, 20, 2, False, 20),
}
KINDS = {"base model": 0, "pair": 2}
"""What the first trained system is compared with -> its place."""


def simulate(
    random: np.random.Generator, design: Design, found: Components, gain: float = 0.0, unstable: float = 1.0
) -> Answers:
    """Answers of the base model and of trained systems; the first of these is better by `gain` points.

    Args:
        unstable: times the standard deviation over seeds of the first trained system.
    """
    S, L, n, K = design.seeds, design.languages, design.each, design.systems
    ids = design.pool if design.disjoint else n
    present = random.random((L, ids)).argsort(axis=1).argsort(axis=1) < n
    half = ItemComponents(*(x / 2 for x in (found.pair.item, found.pair.cell, found.pair.residual)))
    base = found.base.item - half.item, found.base.cell - half.cell, found.base.residual - half.residual
    shared = np.sqrt(found.shared) * random.normal(size=(S, 1, 1))
    values = np.empty((K + 1, S, L, ids))
    item, cell, residual = (max(0.0, x) for x in base)
    values[0] = _items(random, item, cell, residual, L, ids)
    for m in range(1, K + 1):
        scale = unstable if m == 1 else 1.0
        own = np.sqrt(found.seed) * random.normal(size=(S, 1, 1))
        own = own + np.sqrt(found.seed_language) * random.normal(size=(S, L, 1))
        chance = np.sqrt(half.residual) * random.normal(size=(S, L, ids))
        values[m] = _items(random, half.item, half.cell, 0.0, L, ids) + scale * own + shared + chance
    values[1] += gain
    names = ("base", *(f"system {m}" for m in range(1, K + 1)))
    languages = tuple(f"l{column}" for column in range(L))
    return Answers(names, tuple(range(S)), languages, values / 100 * present, present)


def _items(random: np.random.Generator, item: float, cell: float, chance: float, L: int, ids: int) -> Floats:
    found: Floats = np.sqrt(item) * random.normal(size=ids) + np.sqrt(cell + chance) * random.normal(size=(L, ids))
    return found


def p_now(answers: Answers, minus: int) -> float:
    """Of the average difference of the first trained system to another, as `compare` has it."""
    weights_ML = weights(answers, 1, range(len(answers.languages)), minus=minus)
    return p_value(float(np.sum(weights_ML * answers.scores)), Variances(answers).of(weights_ML))


def p_first(answers: Answers, minus: int) -> float:
    """The same by the first rule: the larger of its own and the systems' average variance over seeds, always with S - 1 degrees of
    freedom a system, in a sum of Student's t and a normal value."""
    from scipy.stats import t

    L, S = len(answers.languages), len(answers.seeds)
    share = np.full(L, 1 / L)
    moved = [int(m) for m in np.flatnonzero(answers.moved)]
    each = {m: table_variance(influence(answers, m, share)).seeds for m in moved}
    mine = [m for m in (1, minus) if m in moved]
    seeds = max(sum(each[m] for m in mine), len(mine) * float(np.mean(list(each.values()))))
    d_SI = influence(answers, 1, share) - influence(answers, minus, share)
    examples = float(np.sqrt(table_variance(d_SI).ids.value))
    value = abs(float((answers.scores[1] - answers.scores[minus]).mean()))
    if seeds <= 0:
        return float(2 * t.sf(value / examples, d_SI.shape[1] - 1))
    nodes, hermite = np.polynomial.hermite_e.hermegauss(64)
    tail = t.sf((value - examples * nodes) / np.sqrt(seeds), len(mine) * (S - 1)) @ hermite / hermite.sum()
    return float(min(1.0, 2 * tail))


def rates(
    simulations: int, design: Design, found: Components, gain: float, rules: Mapping[str, object], unstable: float = 1.0
) -> dict[tuple[str, str, float], float]:
    """(contrast, rule, level) -> share of studies in which it is significant."""
    hits: dict[tuple[str, str, float], int] = {}
    for number in range(simulations):
        answers = simulate(np.random.default_rng([number, design.systems]), design, found, gain, unstable)
        for (kind, minus), (rule, test) in ((k, r) for k in KINDS.items() for r in rules.items()):
            p = test(answers, minus)  # type: ignore[operator]
            for level in LEVELS:
                hits[kind, rule, level] = hits.get((kind, rule, level), 0) + (p < level)
    return {key: count / simulations for key, count in hits.items()}


def _tables(simulations: int) -> Iterator[str]:
    columns = [(kind, level) for kind in KINDS for level in LEVELS]
    heads = " | ".join(f"{kind}, {level:.4f}".rstrip("0") for kind, level in columns)
    yield f"| seeds | design | {heads} |"
    yield "| --- | --- |" + " ---: |" * len(columns)
    unstable = ("one system's seeds do three times as much", STUDY, 3.0)
    for name, found, times in (*((name, found, 1.0) for name, found in SCENARIOS.items()), unstable):
        for what, design in DESIGNS.items():
            level_of, power_of = (
                rates(simulations, design, found, gain, {"now": p_now}, times) for gain in (0.0, GAIN)
            )
            keys = [(kind, "now", level) for kind, level in columns]
            cells = " | ".join(f"{100 * level_of[key]:.1f}, {100 * power_of[key]:.1f}%" for key in keys)
            yield f"| {name} | {what} | {cells} |"


def found_at_detectable(
    simulations: int, design: Design, found: Components, contrasts: int, kind: str
) -> tuple[float, float]:
    """The detectable difference, and how often it is found."""
    points = detectable(design, found, contrasts, base=kind == "base model")
    hits = 0
    for number in range(simulations):
        answers = simulate(np.random.default_rng([number, 7]), design, found, points)
        hits += p_now(answers, KINDS[kind]) < 0.05 / contrasts
    return points, hits / simulations


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000)
    given = parser.parse_args()
    for line in _tables(given.simulations):
        print(line, flush=True)
    print("\n| design | contrast | detectable, one contrast and twelve | found |\n| --- | --- | ---: | ---: |")
    for what, design in DESIGNS.items():
        for kind in KINDS:
            (one, found), (twelve, found_of_twelve) = (
                found_at_detectable(given.simulations, design, STUDY, contrasts, kind) for contrasts in (1, 12)
            )
            shares = f"{100 * found:.1f}, {100 * found_of_twelve:.1f}%"
            print(f"| {what} | {kind} | {one:.1f}, {twelve:.1f} points | {shares} |", flush=True)


if __name__ == "__main__":
    main()
