"""Do intervals and corrected p-values of `polyprefix compare` keep their promises? Simulated runs with a known truth.

    PYTHONPATH=src python tools/check_statistics.py [--simulations 1000] [--languages 15 40 200]
    PYTHONPATH=src python tools/check_statistics.py --each 10 --languages 60

Each answer is right where a sum of normal effects is positive: of the system and language (fixed), of the seed, of the
seed in that language, of the example (shared by all languages: parallel data), of the example for that system, and of
chance. The true score of a system in a language is then `Phi(fixed / sqrt(1 + sum of the variances))`. Prints, for each
number of languages, systems' effects and seeds: the share of 95% intervals that hold the true value, and how often at
least one of all comparisons without a true difference is called significant after the correction of its family. With `--each`, every
language is asked about so few examples only: the same ones, then each about its own (`eval_ids: disjoint`), and how wide
the intervals of averages are is printed too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from scipy.stats import norm

from polyprefix.config import SOURCE_TIMES
from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.comparisons import adjust
from polyprefix.statistics.contrasts import contrast, language_contrasts

POOL = 200
"""Examples of a test set, of which each language is asked about its own."""
EXAMPLE, OWN_EXAMPLE = 0.8, 0.3
"""Standard deviations of an example's easiness, and of what one system makes of it; chance has 1."""


@dataclass(slots=True)
class Tally:
    """Counts over simulations."""

    hits: dict[str, float] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, hits: float, tries: int = 1) -> None:
        """Add outcomes, or quantities."""
        self.hits[name] = self.hits.get(name, 0) + hits
        self.tries[name] = self.tries.get(name, 0) + tries

    def share(self, name: str) -> float:
        """Of all tries, how many hit; of quantities the mean."""
        return self.hits[name] / self.tries[name]


def simulate(
    random: np.random.Generator, systems: int, seeds: int, languages: int, ids: int, gain: float, seed_sd: float,
    own: int | None = None,
) -> tuple[Answers, Floats]:  # fmt: skip
    """Answers, and the true score of each system and language; system 1 and later are better by `gain` (probits).

    With `own`, every language has so many of the ids, drawn for it alone, and the first, English, ten times as many.

    With one seed, the truth is that of this seed: nobody can see the others.
    """
    shape = (systems, seeds, languages, ids)
    fixed = np.linspace(0.9, -0.4, languages) + gain * (np.arange(systems) > 0)[:, None]
    by_seed = seed_sd * (
        random.normal(size=(systems, seeds, 1)) + 0.5 * random.normal(size=(systems, seeds, languages))
    )
    if seeds == 1:
        fixed, by_seed = fixed + by_seed[:, 0], 0 * by_seed
    shared = EXAMPLE * random.normal(size=ids) + OWN_EXAMPLE * random.normal(size=(systems, 1, 1, ids))
    right = fixed[:, None, :, None] + by_seed[..., None] + shared + random.normal(size=shape) > 0
    present = np.ones((languages, ids), dtype=bool)
    if own is not None:
        ranks = random.random((languages, ids)).argsort(axis=1).argsort(axis=1)
        present = ranks < np.where(np.arange(languages) > 0, own, SOURCE_TIMES * own)[:, None]
    variance = 1 + EXAMPLE**2 + OWN_EXAMPLE**2 + (1.25 * seed_sd**2 if seeds > 1 else 0)
    answers = Answers(
        tuple(f"system {m}" for m in range(systems)),
        tuple(range(seeds)),
        tuple(f"l{column}" for column in range(languages)),
        (right & present).astype(float),
        present,
    )
    return answers, norm.cdf(fixed / np.sqrt(variance))


def tally(
    simulations: int, languages: int, seeds: int, *, gain: float = 0.0, ids: int = 150, seed_sd: float = 0.1,
    systems: int = 3, start: int = 0, own: int | None = None,
) -> Tally:  # fmt: skip
    """Run simulations and count what held."""
    counts = Tally()
    for number in range(start, start + simulations):
        random = np.random.default_rng([languages, seeds, number])
        answers, truth = simulate(random, systems, seeds, languages, ids, gain, seed_sd, own)
        true = truth - truth[0]
        found = language_contrasts(answers, baseline=0)
        inside = [d.ci95[0] <= true[m, column] <= d.ci95[1] for (m, column), d in found.items()]
        counts.count("language", sum(inside), len(inside))
        averages = []
        for m in range(1, systems):
            weights = np.zeros((systems, languages))
            weights[m], weights[0] = 1 / languages, -1 / languages
            averages.append(contrast(answers, weights))
            low, high = averages[-1].ci95
            counts.count("average", low <= true[m].mean() <= high)
            counts.count("width", high - low)
        gap = np.zeros((systems, languages))
        gap[1, 0], gap[1, 1:] = 1, -1 / (languages - 1)
        low, high = contrast(answers, gap).ci95
        counts.count("gap", bool(low <= np.sum(gap * truth) <= high))
        if gain == 0 and (seeds > 1 or seed_sd == 0):  # else the one seed's effect is a true difference
            by_language = min(adjust([claim.p for claim in found.values()], "fdr_bh"))
            counts.count("false: any language", by_language < 0.05)
            least = min(claim.p for claim in averages)  # Holm's first step decides whether there is any
            counts.count("false: any average", least * len(averages) < 0.05)
    return counts


def few(simulations: int, languages: Sequence[int], each: int) -> None:
    """One line for the same examples in every language, and one for each language's own; without a true gain, then with one of 0.25."""
    print("| languages | examples of each | average | gap | false: any average | width of averages |")
    print("| --- | --- | --- | --- | --- | --- |")
    for number, (ids, own) in product(languages, ((each, None), (POOL, each))):
        none, some = (tally(simulations, number, 3, gain=gain, ids=ids, own=own) for gain in (0.0, 0.25))
        average, gap, width = (
            f"{100 * none.share(name):.1f}, {100 * some.share(name):.1f}" for name in ("average", "gap", "width")
        )
        what = f"the same {each}" if own is None else f"{each} of its own of {POOL}"
        false = f"{100 * none.share('false: any average'):.1f}%"
        print(f"| {number} | {what} | {average}% | {gap}% | {false} | {width} points |", flush=True)


def main() -> None:
    """Print one line a setting; coverage without a true gain, then with one of 0.25."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--languages", type=int, nargs="+", default=[15, 40, 200])
    parser.add_argument("--each", type=int, metavar="N", help="examples of a language")
    arguments = parser.parse_args()
    if arguments.each:
        few(arguments.simulations, arguments.languages, arguments.each)
        return
    print("| languages | seeds | sd of seeds | language | average | gap | false: any language | false: any average |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for languages in arguments.languages:
        for seeds, seed_sd in ((1, 0.0), (3, 0.0), (3, 0.1), (5, 0.1)):
            none, some = (
                tally(arguments.simulations, languages, seeds, gain=gain, seed_sd=seed_sd) for gain in (0.0, 0.25)
            )
            inside = (
                f"{100 * none.share(name):.1f}, {100 * some.share(name):.1f}%"
                for name in ("language", "average", "gap")
            )
            false = (f"{100 * none.share(f'false: any {name}'):.1f}%" for name in ("language", "average"))
            print(f"| {languages} | {seeds} | {seed_sd} | {' | '.join((*inside, *false))} |", flush=True)


if __name__ == "__main__":
    main()
