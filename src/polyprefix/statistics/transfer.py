"""Transfer between languages: systems of one method that differ in their source language alone, tested in the same languages.

A matrix has a row for each source language and a column for each target. A language is no source of itself: the score of an adapter that was
trained in the target language stands in the matrix, and in no average, choice or regret.

The *regret* of a source in a target is the score of the best source there minus its own. The best of N measured scores is too high, for it is
chosen by the noise that it is reported with. So there are two figures: on the same items, which is too high on average and never
negative; and cross-fitted, where the best is chosen by four fifths of the items and the other seeds, and scored by the rest. What chance
makes the best is then no better on the rest, so the cross-fitted figure is too low on average: the truth lies between.

N sources, S seeds, T targets (the languages L of `Answers`), I ids, F folds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from polyprefix import languages
from polyprefix.config import ENGLISH
from polyprefix.results.table import OF_TRAINED_SYSTEMS
from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers, Bools
from polyprefix.statistics.contrasts import quantile
from polyprefix.statistics.settings import Setting

FOLDS, REPEATS = 5, 10
"""Parts of the items, each of which is scored once by what the others choose; and how often they are drawn anew."""


@dataclass(frozen=True)
class TransferMatrix:
    """The answers of one method after training in each of several source languages."""

    task: str
    model: str
    shots: int
    metric: str
    method: str
    """Its name, with the settings that distinguish it from other matrices of the method."""
    answers: Answers = field(compare=False, repr=False)
    """Its systems are the codes of the source languages, English first."""
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Settings of its first run."""
    base: Mapping[str, float] = field(default_factory=dict)
    """Language -> score of the base model, where it was run."""
    notes: tuple[str, ...] = ()
    """What was left out."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The codes of the source languages."""
        return self.answers.systems

    @property
    def targets(self) -> tuple[str, ...]:
        """The codes of the test languages, source languages among them."""
        return self.answers.languages

    @cached_property
    def others(self) -> tuple[int, ...]:
        """Places of the targets that are no source: averages of all sources are over the same languages; all if there is no other."""
        found = tuple(i for i, code in enumerate(self.targets) if code not in self.sources)
        return found or tuple(range(len(self.targets)))

    @cached_property
    def candidates(self) -> Bools:
        """Which sources may be chosen for which targets, `[N, T]`: all but the target itself."""
        return np.array([[source != target for target in self.targets] for source in self.sources])

    @property
    def scores(self) -> Floats:
        """Mean over seeds, `[N, T]`."""
        return self.answers.scores

    @cached_property
    def best(self) -> Floats:
        """The highest measured score of a candidate for each target, `[T]`."""
        found: Floats = np.where(self.candidates, self.scores, -np.inf).max(axis=0)
        return found

    @cached_property
    def regret(self) -> Floats:
        """Of each source in each target, on the same items, `[N, T]`: never negative; NaN in the source itself."""
        return np.where(self.candidates, self.best - self.scores, np.nan)

    @cached_property
    def cross_fitted_regret(self) -> Floats:
        """The same, cross-fitted; NaN also where a target has a single item."""
        chosen, scores = cross_fitted(self.answers, self.candidates)
        return np.where(self.candidates, chosen - scores, np.nan)


@dataclass(frozen=True, slots=True)
class LanguageMean:
    """A mean over languages that stand for others; languages of one family are one cluster."""

    value: float
    ci95: tuple[float, float]
    languages: int
    families: int


def mean_over_languages(values: Mapping[str, float]) -> LanguageMean | None:
    """The mean of a figure over languages, with a 95% interval for other languages.

    Deviations are added up within a family before they are squared (cluster-robust, K.-Y. Liang and S. Zeger, Biometrika 73, 1986), times
    G / (G - 1) for G families; Student's t has G - 1 degrees of freedom. A language whose family is not known, or that has no relatives,
    is a family of its own.

    Args:
        values: language -> value.

    Returns:
        None without languages; the interval of a single family is anything.
    """
    if not values:
        return None
    families = [languages.get(code).family for code in values]
    groups = [f if f not in (None, "Isolate") else code for f, code in zip(families, values, strict=True)]
    x = np.array(list(values.values()))
    mean = float(x.mean())
    sums: dict[str | None, float] = {}
    for group, deviation in zip(groups, x - mean, strict=True):
        sums[group] = sums.get(group, 0.0) + float(deviation)
    count = len(sums)
    if count < 2:
        return LanguageMean(mean, (-np.inf, np.inf), len(x), count)
    error = np.sqrt(count / (count - 1) * sum(part**2 for part in sums.values())) / len(x)
    half = quantile(count - 1) * float(error)
    return LanguageMean(mean, (mean - half, mean + half), len(x), count)


def transfer_matrices(setting: Setting) -> tuple[TransferMatrix, ...]:
    """The matrices of a setting: of every method that was trained in single source languages, two and more.

    Only seeds that most sources have count, and only sources that have them all.

    Raises:
        OutputError: as `Setting.common`.
    """
    groups: dict[str, dict[str, str]] = {}
    for system, trained in setting.training.items():
        if trained.trains and len(trained.sources) == 1 and not trained.targets:
            settings = setting.runs.at[setting.systems[system][0], "settings"]
            kept = {key: value for key, value in settings.items() if not key.startswith(OF_TRAINED_SYSTEMS)}
            groups.setdefault(json.dumps(kept, sort_keys=True), {})[trained.sources[0]] = system
    several = {settings: systems for settings, systems in groups.items() if len(systems) > 1}
    names = _names(setting, several)
    found = (_matrix(setting, names[settings], systems) for settings, systems in several.items())
    return tuple(one for one in found if one is not None)


def _matrix(setting: Setting, method: str, systems: Mapping[str, str]) -> TransferMatrix | None:
    counts = Counter(setting.seeds[system] for system in systems.values())
    most, _ = max(counts.items(), key=lambda item: (item[1], len(item[0]), sorted(item[0])))
    order = sorted(systems, key=lambda code: (code != ENGLISH, languages.get(code).name))
    complete = [code for code in order if setting.seeds[systems[code]] >= most]
    if len(complete) < 2:
        return None
    lacking = [languages.get(code).name for code in order if code not in complete]
    note = f"{method}: no transfer from {', '.join(lacking)}, which lack seeds that most sources have"
    answers = setting.answers(sorted(most), [systems[code] for code in complete])
    codes = sorted(range(len(answers.languages)), key=lambda i: _place(answers.languages[i], complete))
    ordered = Answers(
        tuple(complete), answers.seeds, tuple(answers.languages[i] for i in codes), answers.values[:, :, codes],
        answers.present[codes], answers.ids,
    )  # fmt: skip
    return TransferMatrix(
        setting.task, setting.model, setting.shots, setting.metric, method, ordered,
        setting.runs.at[setting.systems[systems[complete[0]]][0], "config"], _base(setting), (note,) if lacking else (),
    )  # fmt: skip


def _place(code: str, sources: Sequence[str]) -> tuple[bool, int, str, str]:
    """Sources in their order, then other languages by family and name."""
    one = languages.get(code)
    return code not in sources, sources.index(code) if code in sources else 0, one.family or "~", one.name


def _base(setting: Setting) -> dict[str, float]:
    if setting.base is None:
        return {}
    runs = setting.systems[setting.base]
    (values,) = setting.answers([int(setting.runs.at[runs[0], "seed"])], [setting.base]).scores
    return dict(zip(setting.common.languages, map(float, values), strict=True))


def _names(setting: Setting, groups: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Settings, as JSON -> the method's name, with what differs between its matrices."""
    methods = {told: setting.methods[next(iter(systems.values()))] for told, systems in groups.items()}
    found = {}
    for told, method in methods.items():
        mine = json.loads(told)
        alike = [json.loads(other) for other, name in methods.items() if name == method]
        keys = sorted({key for one in alike for key in one if any(one.get(key) != x.get(key) for x in alike)})
        differing = ", ".join(f"{key.split('.')[-1]}={mine.get(key, 'not set')}" for key in keys)
        found[told] = f"{method} ({differing})" if differing else method
    return found


def cross_fitted(answers: Answers, candidates: Bools) -> tuple[Floats, Floats]:
    """What a source scores that was chosen without the answers that score it, and what all sources score on those.

    Items are parted into `FOLDS` at random, `REPEATS` times, and each fold is scored by what the others choose. With several seeds, the
    other seeds choose. Of sources that are equally good by the items that choose, the mean counts.

    Args:
        candidates: which sources may be chosen for which targets, `[N, T]`.

    Returns:
        The chosen source's score `[T]` and that of every source `[N, T]`; NaN for a target with one item or one candidate.
    """
    N, S, T, _ = answers.values.shape
    chosen, scores = np.full(T, np.nan), np.full((N, T), np.nan)
    for t in range(T):
        values_NSI, rows = answers.values[:, :, t, answers.present[t]], np.flatnonzero(candidates[:, t])
        n = values_NSI.shape[-1]
        if n < 2 or len(rows) < 2:
            continue
        order_RI = np.random.default_rng(n).permuted(np.tile(np.arange(n), (REPEATS, 1)), axis=1)
        folds_FI = np.concatenate([order_RI % min(FOLDS, n) == k for k in range(min(FOLDS, n))])
        on_FNS, by_FNS = (_means(values_NSI, part_FI) for part_FI in (folds_FI, ~folds_FI))
        if S > 1:
            by_FNS = (by_FNS.sum(axis=2, keepdims=True) - by_FNS) / (S - 1)
        top_FNS = by_FNS[:, rows] >= by_FNS[:, rows].max(axis=1, keepdims=True) - 1e-9
        shares_FNS = top_FNS / top_FNS.sum(axis=1, keepdims=True)
        chosen[t] = float((shares_FNS * on_FNS[:, rows]).sum(axis=1).mean())
        scores[:, t] = on_FNS.mean(axis=(0, 2))
    return chosen, scores


def _means(values_NSI: Floats, chosen_FI: Bools) -> Floats:
    """Mean of each source and seed over the chosen items, `[F, N, S]`."""
    sums: Floats = np.einsum("nsi,fi->fns", values_NSI, chosen_FI.astype(np.float64))
    found: Floats = sums / chosen_FI.sum(axis=1)[:, None, None]
    return found
