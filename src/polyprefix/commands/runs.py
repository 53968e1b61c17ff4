"""`polyprefix run --dry-run` and `polyprefix diff`: runs before and beside each other."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyprefix.serialize import to_json

if TYPE_CHECKING:
    from polyprefix.config import RunConfig
    from polyprefix.results.diff import RunDiff
    from polyprefix.study.dry_run import PlannedRun

PATH = click.Path(path_type=Path)
LONGEST = 60
"""Characters of a value in a table."""


def show_plan_of_run(config: RunConfig, *, hub: Path | None, out: Path, as_json: bool, base: bool) -> None:
    """What `run` would do, on this machine."""
    click.echo(f"{config.task}, {config.method['name']}, {config.model}: counting", err=True)
    from polyprefix.data.hub import hub_from_environment
    from polyprefix.study.devices import here
    from polyprefix.study.dry_run import plan_run

    planned = plan_run(config, hub_from_environment(hub), out, here(), beside_base=base)
    if as_json:
        click.echo(to_json([asdict(one) for one in planned], indent=1))
        return
    for one in planned:
        click.echo("\n".join(_lines(one, out)) + "\n")


def _lines(one: PlannedRun, out: Path) -> list[str]:
    from polyprefix.progress import duration
    from polyprefix.report.format import size

    there = "is there already and would not be run again" if one.finished else "would be written"
    lines = [f"{one.method}", f"  result      {out / one.run_id} {there}"]
    if one.steps:
        steps = (
            f"{one.steps:,} steps"
            if one.fixed
            else f"{one.first_cycle:,} to {one.steps:,} steps, until validation no longer improves"
        )
        lines += [
            f"  training    {one.train:,} examples, {steps} ({one.epochs:.1f} passes over them{'' if one.fixed else ' at most'})",
            f"  validation  {one.validation:,} examples, measured {one.validations} times{'' if one.fixed else ' at most'}",
        ]
    lines.append(f"  test        {sum(one.test.values()):,} examples in {len(one.test)} languages")
    if one.cost:
        parts = (
            ("training", one.cost.train_seconds),
            ("validation", one.cost.validation_seconds),
            ("test", one.cost.eval_seconds),
        )
        each = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts if seconds)
        lines.append(f"  time        about {duration(one.cost.seconds)} here ({each}), loading the model not counted")
        lines.append(
            f"  memory      about {size(one.cost.memory)}" + ("" if one.fits else f", which does not fit: {one.remedy}")
        )
        if one.cost.trained:
            lines.append(f"  trained     {one.cost.trained:,} parameters")
    return lines + [f"  note        {note}" for note in one.notes]


@click.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(first: Path, second: Path, as_json: bool) -> None:
    """Show in which settings, data, versions and scores two runs differ.

    Whether scores differ by more than chance is what `polyprefix compare` says.
    """
    from polyprefix.results.diff import diff_runs

    found = diff_runs(first, second)
    if as_json:
        click.echo(
            to_json(
                {**asdict(found), "scores": [{**asdict(s), "difference": s.difference} for s in found.scores]}, indent=1
            )
        )
    else:
        _show(found)


def _short(value: Any) -> str:
    """A value on one line; of long ones the beginning, for JSON has the rest."""
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _show(found: RunDiff) -> None:
    from polyprefix import listing
    from polyprefix.languages import get
    from polyprefix.report.format import ABSENT, percent, signed

    click.echo(f"first   {found.first}\nsecond  {found.second}")
    sections: dict[str, list[dict[str, Any]]] = {}
    for one in found.differences:
        sections.setdefault(one.section, []).append(
            {one.section: one.key, "first": _short(one.first), "second": _short(one.second)}
        )
    for rows in sections.values():
        click.echo()
        listing.show(rows)
    if found.scores:
        click.echo()
        listing.show([
            {
                "language": get(score.language).name, "metric": score.metric,
                "first": percent(score.first.value) if score.first else ABSENT,
                "second": percent(score.second.value) if score.second else ABSENT,
                "difference": ABSENT if score.difference is None else signed(score.difference),
            }
            for score in found.scores
        ])  # fmt: skip
    same = f"{found.equal_scores} scores are equal" if found.equal_scores else "no score is equal"
    click.echo(f"\n{same}{'' if found.differences else '; settings, data, versions and machine are the same'}")
