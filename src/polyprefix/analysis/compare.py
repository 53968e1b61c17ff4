"""The comparison of all runs in a folder with a baseline: `polyprefix compare` and `pp.compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from polyprefix.analysis.answers import Answers
from polyprefix.analysis.claims import Claim, Comparison, GroupScore, SettingComparison, SystemSummary, corrected
from polyprefix.analysis.contrasts import (
    RESAMPLES,
    Contrast,
    contrasts,
    language_contrasts,
    ratio,
    resampled_scores,
    weights,
)
from polyprefix.analysis.effects import cohens_h
from polyprefix.analysis.groups import ENGLISH, beyond_english, group
from polyprefix.analysis.ranks import rank_stability
from polyprefix.analysis.regression import Regression, gap_regression
from polyprefix.analysis.runs import UNADAPTED
from polyprefix.analysis.settings import Setting, read_settings
from polyprefix.errors import ConfigError, nearest
from polyprefix.scoring.bootstrap import Reals


def compare(folder: Path | str, baseline: str, metric: str | None = None, resamples: int = RESAMPLES) -> Comparison:
    """Compare every system in a folder of runs with a baseline, on the same task and model.

    Args:
        folder: holds the folders of runs.
        baseline: a method, or a system where a method has several (`prefix (length=10)`).
        metric: one that has a value for each answer; None is each task's main metric.
        resamples: of the bootstrap.

    Raises:
        OutputError: if there is nothing to compare, or a file is damaged.
        ConfigError: if the baseline or the metric is not there.
    """
    settings = read_settings(Path(folder), metric)
    bases = {id(setting): _baseline(setting, baseline) for setting in settings}
    if not any(bases.values()):
        known = {name for setting in settings for name in (*setting.answers.systems, *setting.methods().values())}
        raise ConfigError(f"baseline '{baseline}': not among the runs in {folder}, {nearest(baseline, known)}")
    compared = [
        compare_setting(setting, base, resamples, regressions=True)
        for setting in settings
        if (base := bases[id(setting)]) is not None
    ]
    skipped = tuple(f"{s.name}: left out, no run of {baseline}" for s in settings if bases[id(s)] is None)
    return corrected(compared, resamples, skipped)


def compare_setting(
    setting: Setting, baseline: str | None, resamples: int = RESAMPLES, *, regressions: bool = False
) -> SettingComparison:
    """Compare the systems of one setting; p-values are not yet corrected.

    Args:
        setting: with at least one system.
        baseline: one of its systems; None compares nothing.
        resamples: of the bootstrap.
        regressions: whether to fit those of the gap, which takes longer than all else.
    """
    answers, context = setting.answers, setting.context
    scores = resampled_scores(answers, resamples)
    main = beyond_english(answers.languages)
    groups = {
        key: [answers.languages.index(code) for code in codes]
        for key, codes in group([answers.languages[column] for column in main]).items()
    }
    averages, by_language, by_group = _claims(answers, scores, baseline, main, groups) if baseline else ([], [], [])
    return SettingComparison(
        task=context.task,
        model=context.model,
        shots=context.shots,
        metric=setting.metric,
        baseline=baseline,
        seeds=answers.seeds,
        languages=answers.languages,
        n=int(answers.counts.sum()),
        systems=tuple(_summary(setting, scores, m, main, groups, regressions) for m in range(len(answers.systems))),
        ranking=rank_stability(answers, scores, main) if len(answers.systems) > 1 else None,
        averages=tuple(averages),
        by_language=tuple(by_language),
        by_group=tuple(by_group),
        notes=setting.notes,
    )


Columns = Sequence[int]
"""Places of languages in `Answers.languages`."""
Groups = Mapping[tuple[str, str], Columns]
"""(grouping, name) -> languages."""


def _claims(
    answers: Answers, scores: Reals, baseline: str, main: Columns, groups: Groups
) -> tuple[list[Claim], list[Claim], list[Claim]]:
    """Of every system but the baseline: on average, in each language, in each group."""
    base = answers.systems.index(baseline)
    others = [m for m in range(len(answers.systems)) if m != base]
    wanted = [
        (m, grouping, name, columns)
        for m in others
        for (grouping, name), columns in {("average", "all but English"): main, **groups}.items()
    ]
    found = contrasts(answers, scores, [weights(answers, m, columns, minus=base) for m, _, _, columns in wanted])
    claims = [_claim(answers, base, *one, difference) for one, difference in zip(wanted, found, strict=True)]
    by_language = [
        _claim(answers, base, m, "language", answers.languages[column], [column], difference)
        for (m, column), difference in language_contrasts(answers, scores, base).items()
    ]
    averages = [claim for claim in claims if claim.grouping == "average"]
    return averages, by_language, [claim for claim in claims if claim.grouping != "average"]


def _baseline(setting: Setting, wanted: str) -> str | None:
    """The system that a name means.

    Raises:
        ConfigError: if several systems have this method.
    """
    if wanted in setting.answers.systems:
        return wanted
    found = [system for system, method in setting.methods().items() if method == wanted]
    if len(found) > 1:
        listed = ", ".join(f"'{system}'" for system in found)
        raise ConfigError(f"baseline '{wanted}': {setting.name} has several of them; name one: {listed}")
    return found[0] if found else None


def _claim(
    answers: Answers, base: int, m: int, grouping: str, name: str, columns: Columns, difference: Contrast
) -> Claim:
    score, reference = (float(answers.scores[row, columns].mean()) for row in (m, base))
    h = cohens_h(score, reference)
    return Claim(answers.systems[m], grouping, name, _codes(answers, columns), score, reference, difference, h)


def _codes(answers: Answers, columns: Columns) -> tuple[str, ...]:
    return tuple(answers.languages[column] for column in columns)


def _summary(
    setting: Setting, scores: Reals, m: int, main: Columns, groups: Groups, regressions: bool
) -> SystemSummary:
    answers, system = setting.answers, setting.answers.systems[m]
    runs = setting.runs[system]
    english = answers.index(ENGLISH)
    paired = english is not None and english not in main
    wanted = [weights(answers, m, columns) for columns in (main, *groups.values())]
    if paired:
        wanted.append(weights(answers, m, [english]) - weights(answers, m, main))
    score, *members = contrasts(answers, scores, wanted)
    gap = members.pop() if paired else None
    return SystemSummary(
        system=system,
        method=runs[0].method,
        trainable=int(runs[0].result.parameters.get("trainable", 0)),
        score=score,
        english=None if english is None else float(answers.scores[m, english]),
        gap=gap,
        carried=_carried(setting, scores, m, english, main) if gap else None,
        groups=tuple(
            GroupScore(*key, _codes(answers, columns), member)
            for (key, columns), member in zip(groups.items(), members, strict=True)
        ),
        wins=0,
        ties=0,
        losses=0,
        higher=0,
        regression=_regression(setting, m, main) if regressions and gap else None,
    )


def _regression(setting: Setting, m: int, main: Columns) -> Regression | str:
    answers = setting.answers
    lost = float(answers.scores[m, answers.languages.index(ENGLISH)]) - answers.scores[m]
    gaps = {answers.languages[column]: float(lost[column]) for column in main}
    return gap_regression(gaps, setting.runs[answers.systems[m]][0].result.fertility)


def _carried(setting: Setting, scores: Reals, m: int, english: int | None, main: Columns) -> Contrast | None:
    unadapted = [i for i, method in enumerate(setting.methods().values()) if method == UNADAPTED]
    if english is None or len(unadapted) != 1 or m in unadapted:
        return None
    answers, base = setting.answers, unadapted[0]
    over, under = weights(answers, m, main, minus=base), weights(answers, m, [english], minus=base)
    return ratio(answers, scores, over, under)
