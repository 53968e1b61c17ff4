"""A comparison in the terminal and as JSON. Narrow terminals lose columns, then split tables; never digits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from polyprefix import languages
from polyprefix.config import ENGLISH
from polyprefix.report import transfer
from polyprefix.report.format import ABSENT, interval, p_value, percent, signed
from polyprefix.report.view import marked
from polyprefix.results.origins import origins_told
from polyprefix.statistics.comparisons import ALPHA, Comparison, PairedComparison, SettingComparison, SystemSummary
from polyprefix.statistics.contrasts import Contrast
from polyprefix.statistics.mixed import MixedModel
from polyprefix.statistics.ranks import Rank
from polyprefix.statistics.regression import Regression
from polyprefix.statistics.transfer_summary import Transfer, transfers

WIDE = 104
NAME, CELL = 24, 10
"""Terminal columns: for the name of a language with its count, and for a difference with its stars."""


def render(comparison: Comparison, console: Console) -> None:
    """Print a comparison, fitted to the width of the console."""
    for setting in comparison.settings:
        _heading(setting, console)
        console.print(_system_table(setting, console.width))
        for title, pairs in (("languages", setting.by_language), ("groups", setting.by_group)):
            for table in _pair_tables(setting, title, pairs, console.width):
                console.print(table)
        for table in (*_model_tables(setting), *_regression_tables(setting, console.width)):
            console.print(table)
        told = origins_told(
            {code: setting.setting.origins[code] for code in setting.languages if code in setting.setting.origins}
        )
        lines = [f"Test texts: {told}"] if told else []
        _print_lines(console, [*lines, *(f"Note: {note}" for note in setting.notes)])
    transfer.render(_transfers(comparison), console)
    _print_lines(console, ["", *_legend(comparison)])


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """All of a comparison in dictionaries, lists, strings and numbers."""
    values: dict[str, Any] = _plain(comparison)
    return {**values, "transfer": transfer.as_dicts(_transfers(comparison))}


def _transfers(comparison: Comparison) -> list[Transfer]:
    return [one for setting in comparison.settings for one in transfers(setting.setting)]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        shown = [field.name for field in dataclasses.fields(value) if field.compare]
        found = {name: _plain(getattr(value, name)) for name in shown}
        return {**found, "significance": value.significance} if isinstance(value, PairedComparison) else found
    if isinstance(value, Mapping):
        return {": ".join(key) if isinstance(key, tuple) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _print_lines(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(Text(line, style="dim"))


def _heading(setting: SettingComparison, console: Console) -> None:
    shots = f" · {setting.shots} shots" if setting.shots else ""
    console.print(f"\n[bold]{escape(setting.task)} · {escape(setting.model)}{shots}[/bold]")
    seeds = f"{len(setting.seeds)} seeds" if len(setting.seeds) > 1 else "1 seed"
    facts = f"{setting.metric}, %; {len(setting.languages)} languages, {setting.n:,} examples each run, {seeds}; "
    console.print(Text(facts + f"differences from {setting.baseline}", style="dim"))


def _table(title: str) -> Table:
    return Table(
        title=escape(title), box=None, padding=(0, 1, 0, 0), title_justify="left", title_style="bold", expand=False
    )


def _system_table(setting: SettingComparison, width: int) -> Table:
    wide = width >= WIDE
    table = _table(f"\nsystems, on average over {_others(setting)}")
    table.add_column("system", overflow="fold")
    headings = ["score", "difference", "", "p", "+ = −"]
    headings += ["h", setting.setting.sources_called, "gap", "ratio", "rank", "best"] if wide else ["gap"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    pairs = {pair.system: pair for pair in setting.averages}
    ranking = setting.ranking
    ranks = dict(zip(ranking.systems, ranking.ranks, strict=True)) if ranking else {}
    for system in setting.systems:
        cells = [Text(system.system), percent(system.score.value), *_pair_cells(pairs.get(system.system), system)]
        gap = signed(system.transfer_gap.value) if system.transfer_gap else ABSENT
        if wide:
            pair = pairs.get(system.system)
            cells += [
                f"{pair.cohens_h:+.2f}" if pair else ABSENT,
                _source(system, setting),
                gap,
                _share(system.transfer_ratio),
                *_rank_cells(ranks.get(system.system)),
            ]
        else:
            cells.append(gap)
        table.add_row(*cells)
    return table


def _others(setting: SettingComparison) -> str:
    trained = setting.setting.trained_languages
    if trained == {ENGLISH}:
        return "all languages but English"
    return f"the {len(setting.setting.others(setting.languages))} {setting.setting.others_called}"


def _source(system: SystemSummary, setting: SettingComparison) -> str:
    """The score that the gap is measured from; of English alone also where it is all that was tested."""
    value = system.english if setting.setting.sources_called == "English" else system.source
    return ABSENT if value is None else percent(value)


def _pair_cells(pair: PairedComparison | None, system: SystemSummary) -> list[Text | str]:
    """Difference with its interval, stars, corrected p-value, languages won, tied and lost."""
    if pair is None:
        return [Text("baseline", style="dim"), "", "", ""]
    figure = _figure(pair)
    figure.append(f" {interval(pair.difference.ci95, with_sign=True)}", style="dim")
    return [figure, pair.significance, p_value(pair.p), f"{system.wins} {system.ties} {system.losses}"]


def _figure(pair: PairedComparison) -> Text:
    style = ("green" if pair.difference.value > 0 else "red") if pair.significance else ""
    return Text(signed(pair.difference.value), style=style)


def _rank_cells(rank: Rank | None) -> list[str]:
    return [f"{rank.rank:g} {rank.ci95[0]:g}–{rank.ci95[1]:g}", percent(rank.best)] if rank else [ABSENT, ABSENT]


def _share(ratio: Contrast | None) -> str:
    return f"{percent(ratio.value)}%" if ratio else ABSENT


def _pair_tables(
    setting: SettingComparison, title: str, pairs: Sequence[PairedComparison], width: int
) -> Iterator[Table]:
    """One column a system; as many tables as the width asks for."""
    systems = list(dict.fromkeys(pair.system for pair in pairs))
    room = max(1, (width - NAME - 8) // CELL)
    rows: dict[tuple[str, str], dict[str, PairedComparison]] = {}
    for pair in pairs:
        rows.setdefault((pair.grouping, pair.name), {})[pair.system] = pair
    for start in range(0, len(systems), room):
        shown = systems[start : start + room]
        table = _table(f"\n{title}: {setting.metric} of {setting.baseline}, and differences from it")
        table.add_column("language" if title == "languages" else "group", max_width=NAME, overflow="fold")
        table.add_column("n" if title == "languages" else "count", justify="right", style="dim")
        table.add_column("base", justify="right", no_wrap=True)
        for system in shown:
            table.add_column(Text(system), justify="right", max_width=max(CELL, 8), overflow="fold")
        for grouping, members in groupby(rows.items(), key=lambda item: item[0][0]):
            if grouping != "language":
                table.add_row(Text(f"by {grouping}", style="bold cyan"))
            for (_, name), found in members:
                table.add_row(*_pair_row(setting, name, found, shown))
        yield table


def _pair_row(
    setting: SettingComparison, name: str, pairs: Mapping[str, PairedComparison], systems: Sequence[str]
) -> list[Text | str]:
    any_pair = next(iter(pairs.values()))
    single = any_pair.grouping == "language"
    label = languages.get(name).name + marked(setting.setting, name) if single else f"  {name}"
    count = any_pair.difference.n if single else len(any_pair.languages)
    cells: list[Text | str] = [Text(label), str(count), percent(any_pair.baseline_score)]
    for system in systems:
        cell = _figure(pairs[system])
        cell.append(f"{pairs[system].significance:<2}")
        cells.append(cell)
    return cells


def _model_tables(setting: SettingComparison) -> Iterator[Table]:
    """The mixed-effects model, and whether differences depend on properties of languages."""
    if isinstance(model := setting.mixed, MixedModel):
        table = _table(
            f"\nmixed-effects logistic regression of {model.answers:,} answers: odds ratios to {model.baseline}"
        )
        for heading in ("system", "odds ratio", "", "p"):
            table.add_column(heading, justify="left" if heading == "system" else "right", no_wrap=heading != "system")
        for effect in model.effects:
            low, high = (f"{np.exp(end):.2f}" for end in effect.ci95)
            table.add_row(
                Text(effect.system), f"{np.exp(effect.log_odds):.2f}", f"[{low}, {high}]", p_value(effect.adjusted)
            )
        yield table
    if setting.interactions:
        table = _table("\ndo differences between systems depend on the language? (system by group, split-plot F)")
        for heading in ("grouping", "groups", "F", "df", "p"):
            table.add_column(heading, justify="left" if heading == "grouping" else "right", no_wrap=True)
        for one in setting.interactions:
            degrees = ", ".join(f"{value:.1f}" for value in one.degrees)
            table.add_row(Text(one.grouping), str(one.groups), f"{one.f:.2f}", degrees, p_value(one.adjusted))
        yield table


def _regression_tables(setting: SettingComparison, width: int) -> Iterator[Table]:
    """Coefficients of the gap's regression: one column a system."""
    fits = {s.system: s.regression for s in setting.systems if isinstance(s.regression, Regression)}
    if not fits:
        return
    systems = list(fits)
    cell = 15
    room = max(1, (width - NAME) // cell)
    for start in range(0, len(systems), room):
        shown = systems[start : start + room]
        table = _table("\ngap to English in points, by properties of the language (mixed-effects regression)")
        table.add_column("property", max_width=NAME)
        for system in shown:
            table.add_column(Text(system), justify="right", max_width=cell, overflow="fold")
        names = list(dict.fromkeys(effect.name for system in shown for effect in fits[system].effects))
        for name in names:
            effects = [next((e for e in fits[system].effects if e.name == name), None) for system in shown]
            unit = next(effect.unit for effect in effects if effect)
            figures = [f"{signed(e.value)} ±{percent(e.ci95[1] - e.value)}" if e else ABSENT for e in effects]
            table.add_row(Text(f"{name}, {unit}"), *figures)
        families = (f"{percent(fits[s].family_sd)} [{', '.join(map(percent, fits[s].family_sd_ci95))}]" for s in shown)
        table.add_row(Text("families, standard deviation"), *families)
        table.add_row(Text("families differ, p"), *(p_value(fits[s].family_p) for s in shown))
        yield table


def _legend(comparison: Comparison) -> list[str]:
    sizes = comparison.corrected_over
    called = {setting.setting.sources_called for setting in comparison.settings}
    sources = "English" if called == {"English"} else "the source languages"
    several = any(len(setting.seeds) > 1 for setting in comparison.settings)
    lines = [
        f"{'** significant incl. seed variance' if several else '* significant (fixed seeds)'}: p < {ALPHA}, corrected by Holm's "
        f"method over {sizes['averages']} averages, by Benjamini and Hochberg's over {sizes['by_language']} languages and "
        f"{sizes['by_group']} groups",
        *(() if several else ("One seed: nothing here says what another seed would give",)),
        f"[ ] 95% intervals over examples{' and seeds' if several else ''}, clustered by example id over languages",
        f"+ = − languages significantly higher, not significant, significantly lower; gap: transfer gap, {sources} minus the others;",
        f"ratio: transfer ratio, the gain in other languages over the gain in {sources}, each over the base model; h: Cohen's h;",
        f"rank with its 95% interval and best: share of {comparison.resamples:,} resamples of languages, examples and seeds in which "
        "it is first",
    ]
    for setting in comparison.settings:
        if ranking := setting.ranking:
            lines.append(
                f"{setting.task}, {setting.model}: Kendall's W {ranking.kendalls_w:.2f} between languages, "
                f"tau {ranking.tau:.2f} between resampled rankings"
            )
        if isinstance(setting.mixed, str):
            lines.append(f"{setting.task}, {setting.model}: no mixed-effects model, {setting.mixed}")
        reasons = {s.regression for s in setting.systems if isinstance(s.regression, str)}
        lines += [f"{setting.task}, {setting.model}: no regression, {reason}" for reason in sorted(reasons)]
    return [*lines, *(f"Note: {note}" for note in comparison.notes)]
