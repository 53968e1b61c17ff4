"""Compare systems with a baseline: `polyprefix compare` and `pp.compare`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from polyprefix.errors import ConfigError, OutputError, nearest
from polyprefix.results.table import BASE_METHOD, ResultsTable, read_table
from polyprefix.scoring.bootstrap import RESAMPLES
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.comparisons import (
    Comparison,
    Group,
    PairedComparison,
    SettingComparison,
    SystemSummary,
    corrected,
    uncorrected,
)
from polyprefix.statistics.contrasts import Contrast, contrasts, language_contrasts, ratio, resampled_scores, weights
from polyprefix.statistics.effects import cohens_h
from polyprefix.statistics.groups import ENGLISH, group
from polyprefix.statistics.interactions import interactions
from polyprefix.statistics.mixed import MOST, MixedModel, mixed_model
from polyprefix.statistics.ranks import rank_stability
from polyprefix.statistics.regression import Regression, gap_regression
from polyprefix.statistics.settings import Setting, read_settings
from polyprefix.statistics.variance import Variances

Source = ResultsTable | Sequence[Path] | Path | str
"""A table of results, or folders of runs."""
Pairs = Sequence[tuple[str, str]]
"""Contrasts that somebody named: a system and what it is compared with."""


def compare(
    source: Source,
    baseline: str = BASE_METHOD,
    metric: str | None = None,
    resamples: int = RESAMPLES,
    mixed: bool | None = None,
    calibration: str | None = None,
) -> Comparison:
    """Compare every system in a table of results with a baseline, on the same task and model.

    Args:
        source: a table of results, or folders of runs.
        baseline: a method, or a system where a method has several (`prefix (length=10)`).
        metric: one that has a value for each example; None is each task's main metric.
        resamples: of the ranking's bootstrap.
        mixed: whether to fit mixed-effects models; None fits those that take few seconds.
        calibration: of answers; None compares raw ones.

    Raises:
        OutputError: if there is nothing to compare, or a file is damaged.
        ConfigError: if the baseline or the metric is not there.
    """
    table, where = _table(source, metric)
    table = table if calibration is None else table.with_calibration(calibration)
    settings = _comparable(table, where)
    bases = [_baseline(setting, baseline) for setting in settings]
    if not any(bases):
        known = {name for setting in settings for name in (*setting.systems, *setting.methods.values())}
        raise ConfigError(f"baseline '{baseline}': not among the runs in {where}, {nearest(baseline, known)}")
    found = [
        compare_setting(setting, base, resamples, regressions=True, mixed=mixed)
        for setting, base in zip(settings, bases, strict=True)
        if base is not None
    ]
    found[0] = replace(found[0], notes=(*found[0].notes, *table.notes))
    skipped = (
        f"{s.name}: left out, no run of {baseline}" for s, base in zip(settings, bases, strict=True) if base is None
    )
    return corrected(found, resamples, tuple(skipped))


def _table(source: Source, metric: str | None) -> tuple[ResultsTable, str]:
    """The table, and where it comes from."""
    if isinstance(source, ResultsTable):
        return (source if metric is None else source.with_metric(metric)), "this table"
    folders = [Path(source)] if isinstance(source, str | Path) else list(source)
    return read_table(folders, metric), ", ".join(map(str, folders))


def _comparable(table: ResultsTable, where: str) -> list[Setting]:
    """The settings with at least two systems.

    Raises:
        OutputError: if there is none, with the reason.
    """
    if len(table.runs) < 2 and table.notes:
        raise OutputError(f"{where}: {len(table.runs)} finished runs that can be compared; {table.notes[0]}")
    if table.runs.empty:
        raise OutputError(f"{where}: no finished runs; give a folder that holds some (polyprefix run --out {where})")
    if len(table.runs) == 1:
        name = table.runs.index[0]
        raise OutputError(f"{where}: one finished run ({name}); a comparison needs two, run another method")
    settings = read_settings(table)
    if comparable := [setting for setting in settings if len(setting.systems) > 1]:
        return comparable
    found = "; ".join(f"{setting.name}: {', '.join(setting.systems)}" for setting in settings)
    raise OutputError(f"{where}: no two systems on the same task and model ({found}); run another method there")


def compare_setting(
    setting: Setting,
    baseline: str | None,
    resamples: int | None = RESAMPLES,
    *,
    regressions: bool = False,
    mixed: bool | None = False,
    named: Pairs = (),
) -> SettingComparison:
    """Compare the systems of one setting; p-values are not yet corrected.

    Args:
        setting: with at least one system.
        baseline: one of its systems; None compares nothing.
        resamples: of the ranking's bootstrap; None ranks nothing.
        regressions: whether to fit those of the gap.
        mixed: whether to fit the mixed-effects model; None means if it takes few seconds.
        named: contrasts that were named beforehand; those of systems that are not here are passed over.

    Raises:
        OutputError: if the systems have no example in common, or different main metrics.
    """
    blocks = _Blocks(setting)
    main = blocks.of(setting.main_seeds)
    pairs, notes = _pairs(blocks, baseline) if baseline else ([], [])
    ranking = None
    if resamples is not None and len(main.answers.systems) > 1:
        ranking = rank_stability(main.answers, resampled_scores(main.answers, resamples), main.columns)
    return SettingComparison(
        setting=setting,
        task=setting.task,
        model=setting.model,
        shots=setting.shots,
        metric=setting.metric,
        baseline=baseline,
        seeds=main.answers.seeds,
        languages=setting.languages,
        groups={key: _codes(main.answers, columns) for key, columns in main.groups.items()},
        n=int(main.answers.counts.sum()),
        systems=tuple(_summary(blocks, system, regressions) for system in setting.systems),
        ranking=ranking,
        averages=tuple(pair for pair in pairs if pair.grouping == "average"),
        by_language=tuple(pair for pair in pairs if pair.grouping == "language"),
        by_group=tuple(pair for pair in pairs if pair.grouping not in ("average", "language", "languages")),
        with_english=tuple(uncorrected(pair) for pair in pairs if pair.grouping == "languages"),
        notes=(*setting.notes, *notes),
        named=tuple(_named(blocks, named)),
        interactions=interactions(main.answers.scores, main.groups),
        mixed=_mixed(main, baseline, mixed),
    )


Columns = Sequence[int]
"""Places of languages in `Answers.languages`."""


@dataclass(frozen=True)
class _Block:
    """The systems of a setting that have some seeds."""

    answers: Answers
    variances: Variances
    columns: Columns
    """Those that no system was trained in."""
    groups: Mapping[Group, Columns]
    """Of two languages and more: one alone has its own score and interval already."""


class _Blocks:
    """One block for each set of seeds that somebody asks for: mostly one."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._found: dict[tuple[int, ...], _Block] = {}

    def of(self, seeds: Iterable[int]) -> _Block:
        """The systems with all of these seeds."""
        key = tuple(sorted(seeds))
        if key not in self._found:
            answers = self.setting.answers(key)
            columns = self.setting.others(answers.languages)
            place = {code: column for column, code in enumerate(answers.languages)}
            groups = {
                name: [place[code] for code in codes]
                for name, codes in group([answers.languages[column] for column in columns]).items()
                if len(codes) > 1
            }
            self._found[key] = _Block(answers, Variances(answers), columns, groups)
        return self._found[key]


def _pairs(blocks: _Blocks, baseline: str) -> tuple[list[PairedComparison], list[str]]:
    """Of every system but the baseline, with the seeds that both have: on average, in each language and group; notes."""
    setting = blocks.setting
    by_seeds: dict[frozenset[int], list[str]] = {}
    notes = []
    for system in setting.systems:
        if system != baseline:
            shared = setting.seeds[system] & setting.seeds[baseline]
            by_seeds.setdefault(shared, []).append(system)
            if shared and (dropped := sorted((setting.seeds[system] | setting.seeds[baseline]) - shared)):
                listed = ", ".join(map(str, dropped))
                notes.append(f"{system}: seeds {listed} left out of its differences, which {baseline} or it lacks")
    if alone := by_seeds.pop(frozenset(), []):
        notes.append(f"{', '.join(alone)}: no seed in common with {baseline}, so no differences; run the same seeds")
    return [pair for seeds, systems in by_seeds.items() for pair in _of(blocks, seeds, systems, baseline)], notes


def _named(blocks: _Blocks, pairs: Pairs) -> Iterator[PairedComparison]:
    setting = blocks.setting
    for system, other in pairs:
        if (
            system in setting.systems
            and other in setting.systems
            and (shared := setting.seeds[system] & setting.seeds[other])
        ):
            block = blocks.of(shared)
            m, base = (block.answers.systems.index(name) for name in (system, other))
            (found,) = contrasts(block.answers, [weights(block.answers, m, block.columns, base)], block.variances)
            yield _pair(block.answers, base, m, "average", f"{system} - {other}", block.columns, found)


def _mixed(block: _Block, baseline: str | None, wanted: bool | None) -> MixedModel | str | None:
    if wanted is False or baseline is None:
        return None
    if baseline not in block.answers.systems:
        return f"{baseline} lacks seeds that most systems have"
    place = block.answers.systems.index(baseline)
    return mixed_model(block.answers, place, list(block.columns), None if wanted else MOST)


def _of(blocks: _Blocks, seeds: Iterable[int], systems: Sequence[str], baseline: str) -> Iterator[PairedComparison]:
    block, trained = blocks.of(seeds), blocks.setting.trained_languages
    answers = block.answers
    no_other = trained.issuperset(answers.languages)
    name_of_others = "languages of training, for no other was tested" if no_other else blocks.setting.all_but_trained
    base, places = answers.systems.index(baseline), [answers.systems.index(system) for system in systems]
    wanted = [
        (m, grouping, name, columns)
        for m in places
        for (grouping, name), columns in {
            ("average", name_of_others): block.columns,
            ("languages", "all languages"): range(len(answers.languages)),
            **block.groups,
        }.items()
    ]
    wanted_weights = [weights(answers, m, columns, minus=base) for m, _, _, columns in wanted]
    found = contrasts(answers, wanted_weights, block.variances)
    for one, difference in zip(wanted, found, strict=True):
        yield _pair(answers, base, *one, difference)
    for (m, column), difference in language_contrasts(answers, base, places).items():
        yield _pair(answers, base, m, "language", answers.languages[column], [column], difference)


def _baseline(setting: Setting, wanted: str) -> str | None:
    """The system that a name means.

    Raises:
        ConfigError: if several systems have this method.
    """
    if wanted in setting.systems:
        return wanted
    found = [system for system, method in setting.methods.items() if method == wanted]
    if len(found) > 1:
        listed = ", ".join(f"'{system}'" for system in found)
        raise ConfigError(f"baseline '{wanted}': {setting.name} has several of them; name one: {listed}")
    return found[0] if found else None


def _pair(
    answers: Answers, base: int, m: int, grouping: str, name: str, columns: Columns, difference: Contrast
) -> PairedComparison:
    score, reference = (float(answers.scores[row, columns].mean()) for row in (m, base))
    h = cohens_h(score, reference)
    return PairedComparison(
        answers.systems[m], grouping, name, _codes(answers, columns), score, reference, difference, h,
        baseline=answers.systems[base],
    )  # fmt: skip


def _codes(answers: Answers, columns: Columns) -> tuple[str, ...]:
    return tuple(answers.languages[column] for column in columns)


def _summary(blocks: _Blocks, system: str, regressions: bool) -> SystemSummary:
    setting, seeds = blocks.setting, blocks.setting.seeds[system]
    block = blocks.of(seeds)
    answers, main = block.answers, block.columns
    m, english = answers.systems.index(system), answers.index(ENGLISH)
    sources = _sources(setting, block, system)
    every = range(len(answers.languages))
    wanted = [weights(answers, m, columns) for columns in (main, every, *block.groups.values())]
    if sources:
        wanted.append(weights(answers, m, sources) - weights(answers, m, main))
    score, with_english, *members = contrasts(answers, wanted, block.variances)
    gap = members.pop() if sources else None
    run = setting.runs.loc[setting.systems[system][0]]
    return SystemSummary(
        system=system,
        method=run["method"],
        trainable=int(run["trainable_parameters"]),
        seeds=tuple(sorted(seeds)),
        score=score,
        with_english=with_english,
        english=None if english is None else float(answers.scores[m, english]),
        source=float(answers.scores[m, sources].mean()) if sources else None,
        transfer_gap=gap,
        transfer_ratio=_transfer_ratio(setting, block, m, sources) if gap else None,
        groups=dict(zip(block.groups, members, strict=True)),
        regression=_regression(run["fertility"], setting, block, m) if regressions and gap else None,
    )


def _sources(setting: Setting, block: _Block, system: str) -> Columns:
    """Places of the languages that the transfer gap is measured from; none where all tested languages are of training."""
    codes = block.answers.languages
    places = [codes.index(code) for code in setting.sources(system) if code in codes]
    return [] if set(places) & set(block.columns) else places


def _regression(fertility: Mapping[str, float], setting: Setting, block: _Block, m: int) -> Regression | str:
    answers, main = block.answers, block.columns
    if setting.sources(answers.systems[m]) != (ENGLISH,):
        return "distances are known from English, and the gap is not from English alone"
    gaps = float(answers.scores[m, answers.languages.index(ENGLISH)]) - answers.scores[m]
    return gap_regression({answers.languages[column]: float(gaps[column]) for column in main}, fertility)


def _transfer_ratio(setting: Setting, block: _Block, m: int, sources: Columns) -> Contrast | None:
    answers, base = block.answers, setting.base
    if base is None or base not in answers.systems or base == answers.systems[m]:
        return None
    place = answers.systems.index(base)
    over, under = (weights(answers, m, columns, minus=place) for columns in (block.columns, sources))
    return ratio(answers, over, under, block.variances)
