"""What the studies were made to find out: the contrasts named beforehand, rates and transfer, sources, averages of weights."""

from __future__ import annotations

from tools.results_page.ablations import variants
from tools.results_page.comparison import FULL, LORA, PREFIX
from tools.results_page.differences import change, contrasts, figures, tested, uncorrected, verdict, written
from tools.results_page.kept import Kept
from tools.results_page.record import GPU
from tools.results_page.words import NOT_FINISHED, heading, row, rule, with_interval

from polyprefix import languages
from polyprefix.report.findings import points
from polyprefix.report.format import percent
from polyprefix.report.transfer import sentence
from polyprefix.report.view import View
from polyprefix.statistics.comparisons import ALPHA, adjusted
from polyprefix.study.devices import device
from polyprefix.study.grid import MAIN
from polyprefix.study.plan_power import power_plan
from polyprefix.study.variances import source


def named(kept: Kept, view: View, parts: tuple[str, ...]) -> str:
    """The contrasts that a study named beforehand: what it could see by its plan, and what it saw."""
    plan = power_plan(
        kept.cells(*parts), kept.definition.contrasts, device(GPU), source(None, (), {})
    )  # times alone depend on the device
    sees = {one.contrast: one.points for setting in plan.settings for one in setting.contrasts}
    rows = [row("contrast", "seeds", "plan sees, points", "difference", "half of the interval", "p"), rule(5)]
    for one in view.comparison.named if view.comparison else ():
        low, high = one.difference.ci95
        name = f"{one.system} - {one.baseline}"
        seeds = min(len(view.setting.systems[method]) for method in (one.system, one.baseline))
        value = f"**{change(one.difference)}**" if one.p < ALPHA else change(one.difference)
        rows.append(
            row(name, str(seeds), f"{sees[name]:.1f}", value, f"{50 * (high - low):.1f}", written(one.p).removeprefix("= "))
        )  # fmt: skip
    return "\n".join([heading(view), "", *rows])


def in_short(view: View) -> str:
    """The contrasts in two sentences, for a reader who has no time."""
    found = {(one.system, one.baseline): one for one in (view.comparison.named if view.comparison else ())}
    prefix, lora = found[PREFIX, LORA], found[LORA, FULL]
    seeds = min(len(view.setting.systems[name]) for name in (PREFIX, LORA, FULL))
    return (
        f"In {len(view.compared)} languages other than English, prefix tuning minus LoRA is {points(prefix.difference)} "
        f"(p {written(prefix.p)}), and LoRA minus full fine-tuning {points(lora.difference)} (p {written(lora.p)}). Brackets are 95% "
        f"intervals over examples and {seeds} seeds or more; p-values are corrected for all contrasts named beforehand."
    )


def rates_and_transfer(kept: Kept) -> str:
    """The rate that English validation chooses against a lower one: in English and elsewhere."""
    part = kept.part(MAIN, "transfer-by-rate")
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    usual = {name: name.partition("-0")[0] for name in view.summaries if name.partition("-0")[2]}
    table = variants(part, view, {name: method for name, method in usual.items() if method in view.summaries})
    rival = contrasts(part, view, [(name, LORA) for name in usual if usual[name] != LORA])
    return "\n".join(
        [table, "", *(f"- {a} minus {b}: {verdict(pair)}, {figures(pair)}." for (a, b, _), pair in rival.items())]
    )


def averaged(kept: Kept) -> str:
    """The mean of the weights at several points of training against the last ones."""
    part = kept.part(MAIN, "averages")
    if part is None or not (pairs := _averages(part.views[0])):
        return NOT_FINISHED
    return variants(part, part.views[0], pairs)


def _averages(view: View) -> dict[str, str]:
    """System of averaged weights -> the same method's last weights."""
    kept = {name: view.cells[name].settings.get("train.keep") == "average" for name in view.summaries}
    of_method = {name: str(view.cells[name].runs["method"].iloc[0]) for name in view.summaries}
    last = {of_method[name]: name for name, average in kept.items() if not average}
    return {name: last[of_method[name]] for name, average in kept.items() if average and of_method[name] in last}


def sources(kept: Kept, methods: View) -> str:
    """What each source language gives the others, and where the seed of the matrix stands among those of the comparison of methods.

    Args:
        methods: the comparison with English as the source and several seeds.
    """
    part = kept.part(MAIN, LORA)
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    lines = [f"- {sentence(one)}" for one in view.transfer]
    if LORA in methods.cells:
        means = {
            int(run.seed): sum(run.scores[code]["accuracy"].value for code in methods.compared) / len(methods.compared)
            for run in methods.cells[LORA].runs.itertuples()
        }
        lines.append(
            f"- From English, LoRA gives {percent(means[0])} with this seed, and with those of the comparison of methods "
            f"{percent(min(means.values()))} to {percent(max(means.values()))}, mean {percent(sum(means.values()) / len(means))}."
        )
    return "\n".join(lines)


def few_shot(kept: Kept) -> str:
    """A few examples of target languages beside the source; averages are over the languages that none was trained in."""
    part = kept.part("few-shot")
    if part is None or len(part.views[0].summaries) < 2:
        return NOT_FINISHED
    (view,) = part.views
    rows = [row("method", "other languages", "difference"), rule(2)]
    pairs = {"few-shot": "zero-shot"}
    found = {system: pair for (system, _, _), pair in contrasts(part, view, pairs.items()).items()}
    for name, summary in view.summaries.items():
        difference = f"{tested(found[name])} to {pairs[name]}" if name in found else ""
        rows.append(row(name, with_interval(summary.score), difference))
    trained = sorted(set(view.languages) - set(view.compared))
    table = [row("in languages with examples", *(languages.get(code).name for code in trained)), rule(len(trained))]
    for name, cell in view.cells.items():
        table.append(row(name, *(percent(cell.scores[code].value) for code in trained)))
    return "\n".join([heading(view), "", *rows, "", *table])


LEARNED_FROM = {
    "two-sources": {"english-hindi": "english", "english-swahili": "english"},
    "few-labels": {"x-maml": "few-shot"},
}
"""Part of the study of more than English -> its systems, and what each is compared with."""


def more_than_english(kept: Kept, emoji: Kept) -> str:
    """Two sources against one, X-MAML against few-shot training, averages of weights against the last ones: one family of tests."""
    parts = [(kept.part(name), pairs) for name, pairs in LEARNED_FROM.items()]
    averages = emoji.part(MAIN, "averages")
    parts.append((averages, _averages(averages.views[0]) if averages else {}))
    rows, pairs = [], []
    for part, wanted in parts:
        if part is None:
            continue
        view = part.views[0]
        for (system, baseline, _), pair in uncorrected(part, view, wanted.items()).items():
            seeds = set(view.cells[system].seeds) & set(view.cells[baseline].seeds)
            scores = percent(pair.score), percent(pair.baseline_score)
            rows.append((f"{view.task}: {system} - {baseline}", str(len(view.compared)), str(len(seeds)), *scores))
            pairs.append(pair)
    if not pairs:
        return NOT_FINISHED
    table = [row("", "languages", "seeds", "average", "compared with", "difference"), rule(5)]
    return "\n".join(
        table + [row(*cells, tested(pair)) for cells, pair in zip(rows, adjusted(pairs, "holm"), strict=True)]
    )


def baselines(view: View) -> str:
    """What is reached without a language model, in the languages that are compared."""
    lines = []
    for name, scores in view.baselines.items():
        values = [scores[code].value for code in view.compared if code in scores]
        if values:
            lines.append(f"- {name}: {percent(sum(values) / len(values))} over {len(values)} languages")
    return "\n".join(["Without a language model:", "", *lines])
