"""The mixed-effects model of single answers, and the tests of interactions."""

from __future__ import annotations

from itertools import product
from math import exp

from tools.results_page.differences import contrasts, written
from tools.results_page.kept import Part
from tools.results_page.words import row, rule

from polyprefix.report.view import View
from polyprefix.statistics.comparisons import ALPHA, PairedComparison, adjust
from polyprefix.statistics.groups import group, other_places
from polyprefix.statistics.interactions import Interaction, interactions
from polyprefix.statistics.mixed import OddsRatio


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
        averages: dict[tuple[str, str], PairedComparison] = {
            (m, base): pair for m, pair in view.mean_differences.items()
        }
        averages |= {(a, b): pair for (a, b, _), pair in contrasts(part, view, product(systems, rivals)).items()}
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
