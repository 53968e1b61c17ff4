"""Averages over languages: all of them, and by script, family and resource level.

English is what adapters are trained on: it counts in the first average only, so that every other one is about transfer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from polyprefix import languages
from polyprefix.languages import Language
from polyprefix.records import Score
from polyprefix.scoring.comparison import ByLanguage, Difference, average, average_difference

UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class BaselineAverage:
    """The mean of a baseline over the languages that it has a score for."""

    value: float
    languages: int


@dataclass(frozen=True, slots=True)
class Average:
    """The unweighted mean over some languages."""

    grouping: str
    """What the languages have in common: `languages`, `writing`, `family`, `script` or `resources`."""
    name: str
    languages: tuple[str, ...]
    adapted: Score
    base: Score | None
    """None unless the base run has the same examples in every one of the languages."""
    difference: Difference | None
    baselines: Mapping[str, BaselineAverage]


GROUPINGS: Mapping[str, Callable[[Language], str]] = {
    "writing": lambda language: "Latin script" if language.latin else "other scripts",
    "family": lambda language: language.family or UNKNOWN,
    "script": lambda language: language.script_name,
    "resources": lambda language: language.resource_level or UNKNOWN,
}


def all_averages(
    adapted: ByLanguage, base: ByLanguage, baselines: Mapping[str, Mapping[str, Score]], english: str
) -> tuple[Average, ...]:
    """The averages over all languages, over all but English, and over each group of `GROUPINGS` without English.

    Args:
        adapted: the adapted model's correctness.
        base: that of the unadapted model, in the languages where it has the same examples.
        baselines: name -> language -> score.
        english: the code of English.
    """
    others = [code for code in adapted if code != english]
    groups = {("languages", "all languages"): list(adapted)}
    if others and len(others) < len(adapted):
        groups["languages", "all but English"] = others
    for grouping, name_of in GROUPINGS.items():
        named = [(name_of(languages.get(code)), code) for code in others]
        for name in sorted({name for name, _ in named}, key=lambda name: (name in (UNKNOWN, "other scripts"), name)):
            groups[grouping, name] = [code for group, code in named if group == name]
    return tuple(
        _average(grouping, name, codes, adapted, base, baselines) for (grouping, name), codes in groups.items()
    )


def _average(
    grouping: str,
    name: str,
    codes: list[str],
    adapted: ByLanguage,
    base: ByLanguage,
    baselines: Mapping[str, Mapping[str, Score]],
) -> Average:
    ours = {code: adapted[code] for code in codes}
    theirs = {code: base[code] for code in codes if code in base}
    paired = len(theirs) == len(ours)
    means = {}
    for baseline, scores in baselines.items():
        values = [scores[code].value for code in codes if code in scores]
        if values:
            means[baseline] = BaselineAverage(sum(values) / len(values), len(values))
    return Average(
        grouping=grouping,
        name=name,
        languages=tuple(codes),
        adapted=average(ours),
        base=average(theirs) if paired else None,
        difference=average_difference(ours, theirs) if paired else None,
        baselines=means,
    )
