"""The mixed-effects model, the tests of interactions, and what changed when intervals and p-values were computed anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from math import exp
from pathlib import Path
from typing import Any

from tools.results_page.differences import contrasts, written
from tools.results_page.kept import Part

from polyprefix.report.format import ABSENT, interval, percent, signed
from polyprefix.report.view import View
from polyprefix.statistics.comparisons import ALPHA, PairedComparison, adjust
from polyprefix.statistics.groups import group, other_places
from polyprefix.statistics.interactions import Interaction, interactions
from polyprefix.statistics.mixed import OddsRatio
from polyprefix.statistics.regression import Regression

BEFORE = Path(__file__).with_name("before.json")
"""Figures of the same runs as the code at the commit that it names computed them."""


def row(*fields: str) -> str:
    """A line of a table."""
    return "| " + " | ".join(fields) + " |"


def rule(figures: int) -> str:
    """The line under a table's head: one column of words, then figures."""
    return "| --- |" + " ---: |" * figures


def _effects(
    part: Part, view: View, baselines: tuple[str, ...], systems: tuple[str, ...]
) -> dict[tuple[str, str], tuple[OddsRatio, float]] | str:
    """(system, baseline) -> its odds ratio and corrected p-value: all to the first baseline, `systems` to the others."""
    found: dict[tuple[str, str], OddsRatio] = {}
    for i, baseline in enumerate(baselines):
        fit = part.mixed(view, baseline)
        if isinstance(fit, str):
            return fit
        found |= {
            (one.system, baseline): one
            for one in fit.effects
            if one.system != baselines[0] and (i == 0 or one.system in systems)
        }
    p_values = adjust([one.p_value for one in found.values()], "holm")
    return {key: (one, p) for (key, one), p in zip(found.items(), p_values, strict=True)}


def agreement_of_models(part: Part, base: str, systems: tuple[str, ...], rivals: tuple[str, ...]) -> str:
    """Where the mixed-effects model and the test of averages come to different conclusions."""
    total, odd = 0, []
    for view in part.views:
        effects = _effects(part, view, (base, *rivals), systems)
        if isinstance(effects, str):
            continue
        averages = dict(_contrasts(part, view, base, systems, (*rivals, "lora-small")))
        for (system, baseline), (_, p) in effects.items():
            pair = averages[system, baseline]
            total += 1
            if (p < ALPHA) != (pair.p < ALPHA):
                which = "the mixed-effects model" if p < ALPHA else "the test of averages"
                odd.append(f"{view.model}, {system} to {baseline}: significant by {which} alone")
    text = f"The two come to the same conclusion in {total - len(odd)} of {total} contrasts."
    if odd:
        text += (
            f" In the others this page claims nothing ({'; '.join(odd)}): the mixed-effects model takes seeds of all methods to be equally "
            "variable, the test of averages does not."
        )
    return text


def mixed(part: Part, view: View, baselines: tuple[str, ...], systems: tuple[str, ...]) -> str:
    """Odds ratios of the base model's and the rivals' contrasts; corrected over the table."""
    effects = _effects(part, view, baselines, systems)
    if isinstance(effects, str):
        return f"**{view.model}**: not fitted, {effects}."
    names = [name for name in view.summaries if any(system == name for system, _ in effects)]
    rows = [row("odds ratio", *(f"to {baseline}" for baseline in baselines)), rule(len(baselines))]
    for name in names:
        cells = []
        for baseline in baselines:
            if (found := effects.get((name, baseline))) is None:
                cells.append("")
                continue
            effect, p = found
            low, high = (f"{exp(end):.2f}" for end in effect.ci95)
            text = f"{exp(effect.log_odds):.2f} [{low}, {high}], p {written(p)}"
            cells.append(f"**{text}**" if p < ALPHA else text)
        rows.append(row(name, *cells))
    fit = part.mixed(view, baselines[0])
    assert not isinstance(fit, str)
    sds = ", ".join(f"{name} {sd:.2f}" for name, sd in fit.sds.items())
    head = f"**{view.model}**: {fit.answers:,} answers in {len(view.compared)} languages."
    return "\n".join([head, "", *rows, "", f"Standard deviations of the random effects, in log-odds: {sds}."])


def interaction_tests(part: Part, view: View, pair: tuple[str, str]) -> str:
    """Whether differences depend on properties of languages: of all systems, and of one pair."""
    answers = part.answers(view)
    columns = other_places(answers.languages)
    place = {answers.languages[column]: i for i, column in enumerate(columns)}
    groups = {key: [place[code] for code in codes] for key, codes in group(place).items()}
    scores = answers.scores[:, columns]
    found: dict[str, tuple[Interaction, ...]] = {"all methods": interactions(scores, groups)}
    if all(name in answers.systems for name in pair):
        found[f"{pair[0]} minus {pair[1]}"] = interactions(
            scores[[answers.systems.index(name) for name in pair]], groups
        )
    every = [(what, one) for what, tests in found.items() for one in tests]
    p_values = adjust([one.p_value for _, one in every], "fdr_bh")
    cells = {}
    for (what, one), p in zip(every, p_values, strict=True):
        text = f"F({one.degrees[0]:.1f}, {one.degrees[1]:.1f}) = {one.f:.2f}, p {written(p)}"
        cells[what, one.grouping] = f"**{text}**" if p < ALPHA else text
    rows = [row("grouping", "groups", *found), rule(len(found) + 1)]
    for one in found["all methods"]:
        rows.append(row(one.grouping, str(one.groups), *(cells.get((what, one.grouping), "") for what in found)))
    return "\n".join([f"**{view.model}**", "", *rows])


def families(part: Part, view: View) -> Iterator[tuple[str, Regression]]:
    """(system, regression of its gap), of those that can be fitted."""
    for method, summary in part.regressions(view).items():
        if isinstance(summary, Regression):
            yield method, summary


def before_and_after(part: Part, base: str, prefixes: tuple[str, ...], others: tuple[str, ...]) -> str:
    """Each main contrast as it was computed first and as it is computed now, and which conclusions changed."""
    old: dict[str, Any] = json.loads(BEFORE.read_text(encoding="utf-8"))
    was = {(one["model"], one["system"], one["baseline"]): one for one in old["contrasts"]}
    of_base = [one for one in was.values() if one["baseline"] == base]
    for one, p in zip(of_base, adjust([one["p_seeds"] for one in of_base], "holm"), strict=True):
        one["adjusted_seeds"] = p  # over all models, as they are corrected now
    rows = [
        row("contrast", "difference", "interval before", "p before", "interval now", "p now", "conclusion"),
        rule(6),
    ]
    changed = []
    every = [(view, *found) for view in part.views for found in _contrasts(part, view, base, prefixes, others)]
    for view, (system, baseline), pair in every:
        before = was[view.model, system, baseline]
        outcome = _change(before, pair)
        if outcome != "same":
            changed.append(f"{view.model}, {system} minus {baseline}: {outcome}")
        rows.append(
            row(
                f"{view.model}: {system} minus {baseline}", signed(pair.difference.value),
                interval(tuple(before["ci95"]), with_sign=True), written(before["adjusted_seeds"]).removeprefix("= "),
                interval(pair.difference.ci95, with_sign=True), written(pair.p).removeprefix("= "), outcome,
            )
        )  # fmt: skip
    odd = sum(_disagrees(one["ci95"], one["p_seeds"]) for one in was.values())
    lines = [
        f"Of {len(was)} contrasts, {len(changed)} have another conclusion at p < {ALPHA}, corrected: {'; '.join(changed) or 'none'}. "
        f"Before (commit {old['commit']}), the interval and the uncorrected p of {odd} of them contradicted each other; now of "
        f"{sum(_disagrees(pair.difference.ci95, pair.difference.p) for _, _, pair in every)}.",
        "",
        *rows,
        "",
        *_families(part, old),
    ]
    return "\n".join(lines)


def _contrasts(
    part: Part, view: View, base: str, systems: tuple[str, ...], rivals: tuple[str, ...]
) -> Iterator[tuple[tuple[str, str], PairedComparison]]:
    """(system, baseline) -> pair: every method minus the base model, corrected over all models; and `systems` minus `rivals`."""
    yield from (((system, base), pair) for system, pair in view.mean_differences.items())
    yield from (((a, b), pair) for (a, b, _), pair in contrasts(part, view, product(systems, rivals)).items())


def _disagrees(ci95: tuple[float, float], p: float) -> bool:
    return (ci95[0] > 0 or ci95[1] < 0) != (p < ALPHA)


def _change(before: dict[str, Any], pair: PairedComparison) -> str:
    was, now = before["adjusted_seeds"] < ALPHA, pair.p < ALPHA
    if was == now:
        return "same"
    return "now significant" if now else "no longer significant"


def _families(part: Part, old: dict[str, Any]) -> list[str]:
    was = {(one["model"], one["system"]): one["family_sd"] for one in old["families"]}
    rows = [row("families of languages, gap to English", "standard deviation before", "now", "p"), rule(3)]
    for view in part.views:
        for method, fit in families(part, view):
            before = was.get((view.model, method))
            now = f"{percent(fit.family_sd)} {interval(fit.family_sd_ci95)}"
            name = f"{view.model}: {method}"
            rows.append(
                row(name, ABSENT if before is None else percent(before), now, written(fit.family_p).removeprefix("= "))
            )
    return rows
