"""What stands between the marks of each page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tools.results_page import budgets, findings, lengths, quickstart, rates
from tools.results_page.ablations import ablation, shots
from tools.results_page.comparison import (
    BASE,
    FULL,
    LORA,
    PREFIX,
    agreement,
    averages,
    calibrated,
    charts,
    duels,
    finding,
    groups,
    sides,
)
from tools.results_page.kept import Kept
from tools.results_page.models import agreement_of_models, interaction_tests, mixed
from tools.results_page.record import again, counts, not_run

from polyprefix.study.grid import MAIN

METHODS, EMOJI, TRANSFER, BEYOND_ENGLISH, BUDGETS = "methods", "emoji", "transfer", "beyond-english", "budgets"
RATES, DEFAULTS, SETTINGS, SMALL, BENCHMARKS = "rates", "defaults", "settings", "small", "benchmarks"
STUDIES = (METHODS, EMOJI, TRANSFER, BEYOND_ENGLISH, BUDGETS, BENCHMARKS, RATES, DEFAULTS, SETTINGS, SMALL)
COMPARISON = (MAIN, "others", "all-linear")
"""The parts of the study of methods that compare them; the others are about lengths, rates and averages."""
BENCHMARK_TASKS = ("xnli", "xquad", "belebele")
"""Parts of the study of benchmarks; `full-NAME` has full fine-tuning."""
ABLATIONS = {"prefix-length": "prefix (length=16)", "layers": "prefix (layers=all)", "raw-or-projected": PREFIX}
"""Part of the study of short budgets -> the variant that others are compared with."""


def results() -> dict[str, str]:
    """Sections of docs/results.md.

    Raises:
        SystemExit: if no cell of the comparison is finished.
    """
    kept = {name: Kept.of(name) for name in STUDIES}
    part = kept[METHODS].part(*COMPARISON)
    emoji, small = kept[EMOJI].part(MAIN, "full"), kept[SMALL].part(MAIN)
    if part is None or small is None or emoji is None:
        raise SystemExit("no finished cell of a comparison; run the study, then polyprefix study keep")
    (view,) = part.views
    prefixes, _ = sides(view)
    short = {f"short budgets, {one.model}": (small, one) for one in small.views}
    found = {
        "named": findings.named(kept[METHODS], view, COMPARISON),
        "finding": finding(part, view),
        "averages": averages(view),
        "pictures": "\n\n".join(f"![{chart.description}](results/{chart.name}.svg)" for chart in charts(part)),
        "duels": duels(part, view),
        "mixed-agreement": agreement_of_models(part, BASE, tuple(prefixes), (LORA, FULL)),
        "mixed": mixed(part, view, (BASE, LORA, FULL), tuple(prefixes)),
        "interactions": interaction_tests(part, view, (PREFIX, LORA)),
        "groups": groups(part, view),
        "calibrated": calibrated(view),
        "rates": findings.rates_and_transfer(kept[METHODS]),
        "transfer": findings.sources(kept[TRANSFER], view),
        "few-shot": findings.few_shot(kept[TRANSFER]),
        "more-than-english": findings.more_than_english(kept[BEYOND_ENGLISH], kept[EMOJI]),
        "budgets": budgets.table(kept[BUDGETS]),
        **benchmarks(kept[BENCHMARKS]),
        "emoji": "\n\n".join(f"{averages(one)}\n\n{findings.baselines(one)}" for one in emoji.views),
        "emoji-duels": "\n\n".join(duels(emoji, one) for one in emoji.views),
        "averaged": findings.averaged(kept[EMOJI]),
        "short": "\n\n".join(map(averages, small.views)),
        "short-duels": "\n\n".join(duels(small, one) for one in small.views),
        "shots": shots(kept[SMALL].part("shots", across_shots=True)),
        "paper": agreement({"four passes, gemma-3-270m": (part, view), **short}),
        "cells": counts(kept.values()),
        "again": again(kept.values()),
        "not-run": not_run(),
    }
    return found | {name: ablation(kept[SMALL].part(name), usual) for name, usual in ABLATIONS.items()}


def benchmarks(kept: Kept) -> dict[str, str]:
    """Each benchmark of the source study: averages, and what is different."""
    found = {}
    for task in BENCHMARK_TASKS:
        part = kept.part(task, f"full-{task}")
        if part is None:
            raise SystemExit(f"{kept.name}: nothing of {task} is kept")
        (view,) = part.views
        unlearned = "\n".join(f"- {note}" for note in view.setting.unlearned)
        found[task] = averages(view)
        found[f"{task}-duels"] = unlearned or duels(part, view)  # nothing is compared that has not learned English
    return found


def readme() -> dict[str, str]:
    """Sections of README.md."""
    part = Kept.of(METHODS).part(*COMPARISON)
    return {"finding": findings.in_short(part.views[0]) if part else "", "quickstart": quickstart.printed()}


def training() -> dict[str, str]:
    """Sections of docs/training.md."""
    swept = tuple(rates.swept(Kept.of(name) for name in (METHODS, EMOJI, RATES, BENCHMARKS)))
    kept = Kept.of(DEFAULTS)
    return {
        "rates": rates.curves(swept, rates.GEMMA),
        "rates-smollm2": rates.curves(swept, rates.SMOLLM2),
        "lengths": lengths.table(Kept.of(SETTINGS)),
        "defaults": rates.beside_the_best(
            rates.defaults(kept), rates.defaults(kept, before=True), swept, rates.compared(Kept.of(METHODS))
        ),
    }


PAGES: Mapping[str, Callable[[], dict[str, str]]] = {
    "README.md": readme,
    "docs/results.md": results,
    "docs/training.md": training,
}
"""Page -> what makes its sections."""
