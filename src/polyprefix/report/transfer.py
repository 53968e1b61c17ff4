"""The transfer matrix of a report: its tables, the sentence above them, and a frame of every cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from polyprefix import languages
from polyprefix.report.charts.parts import file_name
from polyprefix.report.format import ABSENT, STARS, interval, percent, signed
from polyprefix.report.tables import Field, Table
from polyprefix.statistics.comparisons import PairedComparison
from polyprefix.statistics.transfer import LanguageMean
from polyprefix.statistics.transfer_summary import MARGIN, LanguagePair, TargetSummary, Transfer

if TYPE_CHECKING:
    import pandas as pd

SHOWN_PAIRS = 20
"""Pairs in a table for people, those with the largest net difference; frames and JSON have them all."""


def name_of(code: str) -> str:
    """The language's name in English."""
    return languages.get(code).name


def sentence(found: Transfer) -> str:
    """What taking the reference for every target costs, and in how many targets another source is better."""
    matrix = found.matrix
    seeds = len(matrix.answers.seeds)
    extent = f"{len(matrix.sources)} sources, {len(matrix.targets)} targets, {seeds} seed{'' if seeds == 1 else 's'}"
    one = found.of_reference
    if one is None or one.regret is None:
        return f"{matrix.method}: {extent}. {name_of('eng_Latn')} is no source, so nothing is compared with it."
    name = name_of(one.source)
    honest = f"between {_mean(one.cross_fitted)} (cross-fitted) and {_mean(one.regret)} points (on the same items)"
    count = one.regret.languages
    return (
        f"{matrix.method}: {extent}. Of {count} targets, {name} is the best source or one of them in {one.best_in}, and another source is "
        f"significantly better in {found.better}. Taking {name} for every target costs {honest} on average."
        f"{'' if seeds > 1 else ' One seed: nothing here says what another seed would give.'}"
    )


def _mean(mean: LanguageMean | None) -> str:
    return ABSENT if mean is None else f"{signed(mean.value)} {interval(mean.ci95, with_sign=True)}"


def tables(found: Transfer) -> Iterator[Table]:
    """The matrix, its sources, its targets and its pairs, for files."""
    yield matrix_table(found)
    yield from summary_tables(found)


def summary_tables(found: Transfer) -> Iterator[Table]:
    """Sources, targets and pairs."""
    yield _sources(found)
    yield _targets(found)
    if found.pairs:
        yield _pairs(found)


def _named(found: Transfer, kind: str) -> str:
    matrix = found.matrix
    shots = [f"{matrix.shots}-shots"] if matrix.shots else []
    return file_name(f"transfer-{kind}", matrix.task, *shots, matrix.model, matrix.method)


def _about(found: Transfer) -> str:
    return f"{found.matrix.task}, {found.matrix.model}, {found.matrix.method}"


def matrix_table(found: Transfer) -> Table:
    """Targets in rows, sources in columns."""
    matrix = found.matrix
    top = {one.target: one.best for one in found.by_target}
    rows = []
    for target in matrix.targets:
        cells = [found.by_place[source, target] for source in matrix.sources]
        rows.append(
            (
                Field(name_of(target)), Field(target),
                *(Field(percent(c.score.value), c.source in top[target], _stars(c.difference)) for c in cells),
            )
        )  # fmt: skip
    legend = f". Difference to {name_of(found.reference)}: {STARS}" if found.reference else ""
    caption = f"{matrix.metric} in each target after training in each source, %: {_about(found)}. Bold: the best source other than the target"
    header = ("target", "code", *map(name_of, matrix.sources))
    return Table(_named(found, "matrix"), caption + legend, header, tuple(rows), words=2)


def _sources(found: Transfer) -> Table:
    matrix = found.matrix
    reference = name_of(found.reference) if found.reference else "a reference"
    rows = [
        (
            Field(name_of(one.source)),
            Field(f"{percent(one.score.value)} {interval(one.score.ci95)}"),
            _difference(one.difference),
            Field(_mean(one.cross_fitted)),
            Field(_mean(one.regret)),
            Field(str(one.best_in)),
        )
        for one in found.by_source
    ]
    caption = (
        f"Sources: average over the {len(matrix.others)} targets that are no source, %: {_about(found)}. Regret: points below the best "
        "source of each target, on average over all targets but the source itself. On the same items it is too high, cross-fitted too low"
    )
    header = (
        "source",
        "average",
        f"difference to {reference}",
        "regret, cross-fitted",
        "regret, same items",
        "best in",
    )
    return Table(_named(found, "sources"), caption, header, tuple(rows))


def _targets(found: Transfer) -> Table:
    reference = name_of(found.reference) if found.reference else "a reference"
    rows = [
        (
            Field(name_of(one.target)),
            Field(best_sources(one)),
            Field(percent(one.score)),
            Field(_score(one.reference)),
            _difference(one.difference),
            Field(ABSENT if one.cross_fitted is None else signed(one.cross_fitted)),
            Field(_score(one.own)),
        )
        for one in found.by_target
    ]
    caption = (
        f"The best source of each target: {_about(found)}. Its score is chosen as the highest, and so too high; stars are corrected over all "
        f"sources and targets. Cross-fitted: points by which a source that other answers chose is above {reference}"
    )
    header = (
        "target", "best source", "its score", reference, f"difference to {reference}", "cross-fitted", "trained in the target",
    )  # fmt: skip
    return Table(_named(found, "targets"), caption, header, tuple(rows), words=2)


def best_sources(one: TargetSummary) -> str:
    """The best source; of several that are equally good, the first two and their number."""
    names = [name_of(code) for code in one.best]
    return ", ".join(names) if len(names) < 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _pairs(found: Transfer) -> Table:
    shown = found.pairs[:SHOWN_PAIRS]
    rows = [
        (
            Field(f"{name_of(one.a)} → {name_of(one.b)}"),
            Field(one.symmetry),
            Field(percent(one.forth)),
            Field(percent(one.back)),
            Field(f"{signed(one.difference.value)} {interval(one.difference.ci95, with_sign=True)}"),
            _difference(one.net),
        )
        for one in shown
    ]
    counts = {kind: sum(one.symmetry == kind for one in found.pairs) for kind in ("asymmetric", "symmetric")}
    of = f"the {len(shown)} largest of {len(found.pairs)}" if len(shown) < len(found.pairs) else "all"
    caption = (
        f"Pairs of sources, {of}: {_about(found)}. Net: each score less the mean of all other sources in its target, so that a hard target "
        f"is none of the pair’s. Asymmetric: net difference significant ({counts['asymmetric']}); symmetric: its interval within "
        f"{percent(MARGIN)} points of 0 ({counts['symmetric']})"
    )
    header = ("pair", "symmetry", "there", "back", "difference", "net difference")
    return Table(_named(found, "pairs"), caption, header, tuple(rows), words=2)


def _difference(pair: PairedComparison | None) -> Field:
    if pair is None:
        return Field(ABSENT)
    change = pair.difference
    return Field(f"{signed(change.value)} {interval(change.ci95, with_sign=True)}", stars=pair.significance)


def _stars(pair: PairedComparison | None) -> str:
    return pair.significance if pair else ""


def _score(value: float | None) -> str:
    return ABSENT if value is None else percent(value)


def transfer_frame(found: Iterable[Transfer]) -> pd.DataFrame:
    """One row a matrix, source and target, unrounded."""
    import pandas as pd

    rows = []
    for one in found:
        matrix = one.matrix
        place = {code: i for i, code in enumerate(matrix.sources)}, {code: i for i, code in enumerate(matrix.targets)}
        for cell in one.cells:
            m, t = place[0][cell.source], place[1][cell.target]
            pair = cell.difference
            rows.append({
                "task": matrix.task, "model": matrix.model, "shots": matrix.shots, "method": matrix.method,
                "source": cell.source, "target": cell.target, "metric": matrix.metric, "value": cell.score.value,
                "ci95_low": cell.score.ci95[0], "ci95_high": cell.score.ci95[1], "n": cell.score.n,
                "seeds": len(matrix.answers.seeds), "base": matrix.base.get(cell.target),
                "reference": one.reference if pair else None, "difference": pair.difference.value if pair else None,
                "difference_ci95_low": pair.difference.ci95[0] if pair else None,
                "difference_ci95_high": pair.difference.ci95[1] if pair else None,
                "p_adjusted": pair.p if pair else None, "significance": pair.significance if pair else None,
                "regret": matrix.regret[m, t], "regret_cross_fitted": matrix.cross_fitted_regret[m, t],
            })  # fmt: skip
    return pd.DataFrame(rows)


def as_dicts(found: Iterable[Transfer]) -> list[dict[str, Any]]:
    """All of it in dictionaries, lists, strings and numbers."""
    return [_plain(one) for one in found]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        found = {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value) if one.compare}
        return found | ({"symmetry": value.symmetry} if isinstance(value, LanguagePair) else {})
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def render(found: Iterable[Transfer], console: Console) -> None:
    """Print sources, targets and pairs of each matrix."""
    for one in found:
        console.print(Text(f"\n{sentence(one)}"))
        for table in summary_tables(one):
            shown = RichTable(box=None, padding=(0, 1, 0, 0), expand=False)
            for i, heading in enumerate(table.header):
                shown.add_column(Text(heading), justify="left" if i < table.words else "right")
            for row in table.rows:
                shown.add_row(*(Text(cell.text + cell.stars) for cell in row))
            console.print(Text(f"\n{table.caption}.", style="dim"))
            console.print(shown)
