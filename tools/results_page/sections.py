"""What stands between the marks of docs/results.md, section by section."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

from tools.results_page.differences import (
    BETTER,
    EVEN,
    VERDICTS,
    WORSE,
    change,
    contrasts,
    figures,
    is_even,
    tested,
    verdict,
    with_figures,
)
from tools.results_page.kept import Kept, Part
from tools.results_page.models import agreement_of_models, before_and_after, interaction_tests, mixed, row, rule

from benchmarks.rounds import ROOT
from polyprefix import languages
from polyprefix.progress import duration
from polyprefix.report.charts.averages import costs
from polyprefix.report.format import ABSENT, interval, percent, size
from polyprefix.report.vega import Chart
from polyprefix.report.view import Cell, View
from polyprefix.statistics.contrasts import Contrast
from polyprefix.statistics.groups import ENGLISH
from polyprefix.study import table
from polyprefix.study.devices import device
from polyprefix.study.file import read_study
from polyprefix.study.grid import MAIN, TUNE, cells
from polyprefix.study.plan import plan
from polyprefix.study.tuning import kept_validation
from polyprefix.types import Score

PAPER = ROOT / "studies" / "paper.yaml"
AGAIN = ROOT / "studies" / "results" / "small-again.json"
"""What `tools/run_again.py` found when it ran cells a second time."""

COMPARISON = (MAIN, "terms", "xnli", "passages", "mgsm")
"""The parts that compare methods; the others are ablations of one."""
ABLATIONS = {"prefix-length": "prefix (length=16)", "layers": "prefix (layers=all)", "raw-or-projected": "prefix"}
"""Part -> the variant that others are compared with: what the comparison has."""
BASE, PREFIX, LORA, SMALL, FULL = "none", "prefix", "lora", "lora-small", "full"
PREFIXES = ("soft-prompt", PREFIX, "prefix-projected", "llama-adapter")
OTHERS = (LORA, SMALL, FULL)
WHOLE = "whole-test"
"""The part with every test sentence, in few languages."""
LEAST = 3
"""Languages of a group that is shown."""
GPU = "h100"
NOT_FINISHED = "Not finished."


def sections(kept: Kept) -> dict[str, str]:
    """Section -> its text.

    Raises:
        SystemExit: if no cell of the comparison is finished.
    """
    main = kept.part(MAIN)
    if main is None:
        raise SystemExit(
            f"{kept.folder}: no finished cell of the comparison; run the study, then polyprefix study keep"
        )
    found = {
        "state": state(kept),
        "finding": "\n\n".join(finding(main, view) for view in main.views),
        "lookup": lookup(kept.part(WHOLE)),
        "averages": "\n\n".join(map(averages, main.views)),
        "pictures": "\n\n".join(f"![{chart.description}](results/{chart.name}.svg)" for chart in charts(main)),
        "duels": "\n\n".join(duels(main, view) for view in main.views),
        "mixed-agreement": agreement_of_models(main, BASE, PREFIXES, (LORA, FULL)),
        "mixed": "\n\n".join(mixed(main, view, (BASE, LORA, FULL), PREFIXES) for view in main.views),
        "interactions": "\n\n".join(interaction_tests(main, view, (PREFIX, LORA)) for view in main.views),
        "groups": "\n\n".join(groups(main, view) for view in main.views),
        "recomputed": before_and_after(main, BASE, PREFIXES, OTHERS),
        "tasks": tasks(kept.part(*COMPARISON[1:])),
        "shots": shots(kept.part("shots", across_shots=True)),
        "paper": agreement(main),
        "tuning": tuning(kept),
        "cells": counts(kept),
        "again": again(),
        "not-run": not_run(),
    }
    return found | {name: ablation(kept.part(name), usual) for name, usual in ABLATIONS.items()}


def state(kept: Kept) -> str:
    """Whether the study is finished."""
    every = [cell for cell in kept.cells() if cell.part != TUNE]
    done = sum(cell.part != TUNE for cell, _ in table.finished(kept.cells(), kept.books))
    if done == len(every):
        return f"All {done} cells are finished."
    return (
        f"**The study is not finished: {done} of {len(every)} cells are.** Figures are those of the finished ones; what is missing is "
        "said where it belongs."
    )


def finding(part: Part, view: View) -> str:
    """Which method is best, how sure that is, and how often a prefix method beats the others."""
    trained = [method for method in view.summaries if method != BASE]
    gains = view.mean_differences  # of all models together, as every other table of these figures
    if not gains:
        return f"**{view.model}.** {NOT_FINISHED}"
    best, light = (
        max(methods, key=lambda method: view.summaries[method].score.value)
        for methods in (trained, [method for method in trained if method != FULL])
    )
    means = {method: with_interval(one.score, unit="%") for method, one in view.summaries.items()}
    verdicts = Counter(verdict(pair) for pair in contrasts(part, view, product(PREFIXES, OTHERS)).values())
    return "\n".join(
        [
            f"**{view.model}**, {len(view.compared)} languages other than English:",
            "",
            f"- {best} has the highest average, {means[best]}; among the methods that leave the model's weights as "
            f"they are, {light}, {means[light]}. The base model has {means[BASE]}.",
            *(
                f"- {word.capitalize()} {'from' if word == EVEN else 'than'} the base model: {'; '.join(those)}."
                for word in VERDICTS
                if (those := [f"{c.system} ({figures(c)})" for c in gains.values() if verdict(c) == word])
            ),
            f"- Of {verdicts.total()} comparisons of a prefix method with LoRA or full fine-tuning, the prefix is significantly better "
            f"in {verdicts[BETTER]}, significantly worse in {verdicts[WORSE]}, and not significantly different in {verdicts[EVEN]}.",
        ]
    )


def lookup(part: Part | None) -> str:
    """What to take for a language, which others may be as good, and what each costs."""
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    codes = view.compared
    trained = [method for method in view.summaries if method != BASE]
    best = {code: max(trained, key=lambda method: view.cells[method].scores[code].value) for code in codes}
    rivals = [(one, other) for one in dict.fromkeys(best.values()) for other in trained if other != one]
    found = contrasts(part, view, [*product(trained, [BASE]), *rivals], "by_language", codes)
    if not found:
        return NOT_FINISHED
    lines = []
    for code in codes:
        cell, base = view.cells[best[code]], view.cells[BASE]
        equal = [other for other in trained if (pair := found.get((best[code], other, code))) and is_even(pair)]
        lines.append(
            f"- **{languages.get(code).name}**, {view.model}: {best[code]}, {with_interval(cell.scores[code], unit='%')}; the base model "
            f"has {percent(base.scores[code].value)}%: {with_figures(found[best[code], BASE, code])}. Trained in {seconds(cell)} on "
            f"one core, with {memory(cell)}. Not significantly different from it: {', '.join(equal) or 'no other'}."
        )
    names = [languages.get(code).name for code in (ENGLISH, *codes)]
    rows = [row("method", *names, "trained parameters", "training", "memory"), rule(len(names) + 3)]
    for method in view.summaries:
        cell = view.cells[method]
        scores = (with_interval(cell.scores[code]) for code in (ENGLISH, *codes))
        rows.append(row(method, *scores, f"{cell.trained:,}", seconds(cell), memory(cell)))
    return "\n".join([heading(view), "", *lines, "", *rows])


def averages(view: View) -> str:
    """A row for each method."""
    columns = (
        "trained parameters",
        "English",
        "other languages",
        "minus the base model",
        "transfer gap",
        "transfer ratio",
    )
    rows = [row("method", *columns, "training", "memory"), rule(len(columns) + 2)]
    for method, summary in view.summaries.items():
        cell, pair = view.cells[method], view.mean_differences.get(method)
        gain = f"{change(pair.difference)}{pair.significance}" if pair else ""
        rows.append(
            row(
                method, f"{cell.trained:,}", english(summary.english), with_interval(summary.score), gain,
                with_interval(summary.transfer_gap), with_interval(summary.transfer_ratio), seconds(cell), memory(cell),
            )
        )  # fmt: skip
    return "\n".join([heading(view), "", *rows])


def charts(part: Part) -> list[Chart]:
    """Of each model: the averages against the number of trained parameters."""
    return [chart for view in part.views for chart in costs(part.grid, view) if "parameters" in chart.name]


def duels(part: Part, view: View) -> str:
    """Each prefix method minus each of the others."""
    found = contrasts(part, view, product(PREFIXES, OTHERS))
    if not found:
        return f"**{view.model}.** {NOT_FINISHED}"
    by_pair = {(system, baseline): pair for (system, baseline, _), pair in found.items()}
    rows = [row("", *(f"minus {name}" for name in OTHERS)), rule(len(OTHERS))]
    rows += [row(system, *(tested(by_pair.get((system, name))) for name in OTHERS)) for system in PREFIXES]
    return "\n".join([f"**{view.model}**", "", *rows])


def groups(part: Part, view: View) -> str:
    """By script, family, resources and distance: the average of each method, and the prefix minus LoRA, which is not tested here."""
    found = [c for c in contrasts(part, view, [(PREFIX, LORA)], "by_group").values() if len(c.languages) >= LEAST]
    if not found:
        return f"**{view.model}.** {NOT_FINISHED}"
    rows = [row("group", "languages", *view.summaries, f"{PREFIX} minus {LORA}"), rule(len(view.summaries) + 2)]
    for pair in found:
        scores = [one.groups.get((pair.grouping, pair.name)) for one in view.summaries.values()]
        figures = (percent(score.value) if score else ABSENT for score in scores)
        rows.append(row(f"{pair.grouping}: {pair.name}", str(len(pair.languages)), *figures, change(pair.difference)))
    return "\n".join([f"**{view.model}**", "", *rows])


def tasks(part: Part | None) -> str:
    """The other tasks, a column each."""
    if part is None:
        return NOT_FINISHED
    columns = (f"{v.task}, {v.model} ({len(v.compared)} languages, {v.metric})" for v in part.views)
    rows = [row("method", *columns), rule(len(part.views))]
    for method in part.grid.methods:
        figures = []
        for view in part.views:
            pair = view.mean_differences.get(method)
            one = view.summaries.get(method)
            figures.append(with_interval(one.score if one else None) + (pair.significance if pair else ""))
        rows.append(row(method, *figures))
    return "\n".join(rows)


def ablation(part: Part | None, usual: str) -> str:
    """Each variant, and its difference to the one that the comparison has."""
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    return _variants(part, view, {name: usual for name in view.summaries if name != usual})


def shots(part: Part | None) -> str:
    """With few-shot examples minus without, for each method."""
    if part is None:
        return NOT_FINISHED
    (view,) = part.views
    without = {name.partition(" (")[0]: name for name in view.summaries if "shots=0" in name}
    pairs = {name: without[method] for name in view.summaries if (method := name.partition(" (")[0]) in without}
    found = _variants(part, view, {name: usual for name, usual in pairs.items() if name != usual})
    return "\n".join([found, "", *_label_bias(view)])


def _label_bias(view: View) -> Iterator[str]:
    """How often each variant gives its most frequent answer, where nobody's answers are so uneven."""
    for name, cell in view.cells.items():
        examples = view.setting.table.examples
        asked = examples[(examples["run_id"] == cell.runs.index[0]) & examples["language"].isin(view.compared)]
        given, n = Counter(asked["prediction"]).most_common(1)[0]
        (_, most), *_ = Counter(references[0] for references in asked["references"]).most_common(1)
        yield (
            f'- {name}: {percent(n / len(asked))}% of its answers in other languages are "{given}" (the most frequent right answer: '
            f"{percent(most / len(asked))}%)"
        )


def _variants(part: Part, view: View, usual: dict[str, str]) -> str:
    found = {system: pair for (system, _, _), pair in contrasts(part, view, usual.items()).items()}
    rows = [row("variant", "trained parameters", "English", "other languages", "difference"), rule(4)]
    for name, summary in view.summaries.items():
        difference = f"{tested(found[name])} to {usual[name]}" if name in found else ""
        figures = f"{view.cells[name].trained:,}", english(summary.english), with_interval(summary.score)
        rows.append(row(name, *figures, difference))
    return "\n".join([heading(view), "", *rows])


def agreement(part: Part) -> str:
    """The source study's claims, and what is seen here."""
    seen = {view.model: dict(_agreement(part, view)) for view in part.views}
    said = list(dict.fromkeys(pair for found in seen.values() for pair in found))
    rows = [row("arXiv 2510.24619 finds", *seen), "| --- |" + " --- |" * len(seen)]
    rows += [row(pair, *(found.get(pair, ABSENT) for found in seen.values())) for pair in said]
    return "\n".join(rows) if said else NOT_FINISHED


def _agreement(part: Part, view: View) -> Iterator[tuple[str, str]]:
    words = dict(zip(VERDICTS, ("agrees", "the opposite", "not seen"), strict=True))
    duel = {(s, b): pair for (s, b, _), pair in contrasts(part, view, product(PREFIXES, OTHERS)).items()}
    for method, (said, rival) in product(
        PREFIXES, (("scores higher than LoRA in other languages", LORA), ("does so with as few parameters", SMALL))
    ):
        if pair := duel.get((method, rival)):
            count = f"{view.cells[method].trained:,} against {view.cells[rival].trained:,} parameters"
            yield f"{method} {said}", f"{words[verdict(pair)]}: {figures(pair)}; {count}"
    for pair in contrasts(part, view, [(PREFIX, LORA)], "by_group", ["low"]).values():
        number = f"{len(pair.languages)} languages"
        yield f"{PREFIX} helps where resources are low", f"{words[verdict(pair)]}: {figures(pair)}; {number}"


def tuning(kept: Kept) -> str:
    """What each candidate reached on English validation examples; the chosen one in bold."""
    study, books = kept.cells(), kept.books
    chosen = {
        (config.model, cell.labels["method"]): config.train.learning_rate
        for cell, config in table.finished(study, books)
        if cell.candidates
    }
    tried: dict[tuple[str, str], list[str]] = {}
    for cell in (cell for cell in study if cell.part == TUNE):
        key, rate = (cell.labels["model"], cell.labels["method"]), cell.config.train.learning_rate
        text = f"{rate:g}: {_reached(kept, cell.config.run_id())}"
        tried.setdefault(key, []).append(f"**{text}**" if chosen.get(key) == rate else text)
    rows = [row("model", "method", "learning rate: accuracy (%), log-likelihood"), "| --- | --- | --- |"]
    return "\n".join([*rows, *(row(*key, "; ".join(texts)) for key, texts in tried.items())])


def _reached(kept: Kept, run_id: str) -> str:
    if (kept.folder / run_id).is_dir():
        accuracy, likelihood = kept_validation(kept.folder / run_id)
        return f"{percent(accuracy)}, {likelihood:.2f}"
    return "diverged" if kept.books.diverged(run_id) else "not run"


def counts(kept: Kept) -> str:
    """How many cells are finished, and what they took."""
    study = kept.cells()
    every, done, time = (
        Counter(cell.part for cell in study),
        Counter[str](),
        dict.fromkeys((c.part for c in study), 0.0),
    )
    for one in table.validation_table(study, kept.books).itertuples():
        done[one.part] += 1
        time[one.part] += one.seconds
    rows = [row("part", "cells", "finished", "training and evaluation"), rule(3)]
    rows += [row(part, str(every[part]), str(done[part]), duration(time[part])) for part in every]
    rows.append(row("together", str(every.total()), str(done.total()), duration(sum(time.values()))))
    return "\n".join(rows)


def again() -> str:
    """What a second run of some cells gave."""
    if not AGAIN.exists():
        return "Not run."
    found = json.loads(AGAIN.read_text(encoding="utf-8"))
    rows = [row("cell", "answers", "the same", "scores"), rule(3)]
    for one in found["cells"]:
        rows.append(
            row(one["run_id"], str(one["answers"]), str(one["same"]), "equal" if one["scores_equal"] else "not equal")
        )
    return "\n".join([f"{len(found['cells'])} cells, drawn with seed {found['seed']}:", "", *rows])


def not_run() -> str:
    """What the whole comparison would need, by model."""
    found = plan(cells(read_study(PAPER), PAPER.name), device(GPU))
    rows = [row("model", "cells", f"hours on one {GPU.upper()}", "memory at most"), rule(3)]
    for model in dict.fromkeys(planned.config.model for planned in found.rows):
        mine = [planned for planned in found.rows if planned.config.model == model]
        costs = [(planned.count, planned.cost) for planned in mine if planned.cost]
        hours, most = sum(n * cost.seconds for n, cost in costs) / 3600, max(cost.memory for _, cost in costs)
        rows.append(row(model, str(sum(planned.count for planned in mine)), f"{hours:,.0f}", size(most)))
    rows.append(row("together", str(sum(planned.count for planned in found.rows)), f"{found.seconds / 3600:,.0f}", ""))
    return "\n".join(rows)


# --- lines and figures


def heading(view: View) -> str:
    """What the figures of a view are over."""
    seeds = view.setting.main_seeds if view.comparison else ()
    sizes = {(code == ENGLISH, score.n) for cell in view.cells.values() for code, score in cell.scores.items()}
    of_english, each = (_range(n for english, n in sizes if english == which) for which in (True, False))
    return (
        f"**{view.task}, {view.model}**: {len(view.compared)} languages other than English with {each} examples each, {of_english} in "
        f"English, {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}; {view.metric}, %."
    )


def _range(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    return " to ".join(map(str, dict.fromkeys((found[0], found[-1])))) if found else "no"


def with_interval(found: Score | Contrast | None, unit: str = "") -> str:
    """A value with its interval."""
    return f"{percent(found.value)}{unit} {interval(found.ci95)}" if found else ABSENT


def english(score: float | None) -> str:
    """The score in English."""
    return ABSENT if score is None else percent(score)


def seconds(cell: Cell) -> str:
    """What training took."""
    found = cell.cost("train_seconds")
    return duration(found) if found else ABSENT


def memory(cell: Cell) -> str:
    """The peak of the process."""
    return size(cell.cost("peak_memory_bytes") or 0.0)
