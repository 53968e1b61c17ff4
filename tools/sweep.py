"""Run a sweep of learning rates, print what English validation says of each, and what the best of each method reach on test data.

python tools/sweep.py studies/defaults.yaml --model gemma-3-270m --out runs/defaults [--table] [--test sw,th|all]

Finished cells are not run again. Only English validation chooses; `--test` evaluates what was chosen, beside the base model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polyprefix.config import RunConfig, read_yaml, validate
from polyprefix.methods.registry import settle
from polyprefix.report.summary import Summary, summarise
from polyprefix.results.files import TRAIN_LOG, read_result
from polyprefix.results.folder import finished_folder
from polyprefix.results.log import read_jsonl
from polyprefix.scoring.comparison import Difference

TEST_SIZE = 60
"""Test examples per language."""
Best = dict[str, tuple[tuple[float, float], RunConfig, Path]]
"""Name of the method's row -> what validation says, settings, folder."""


def cells(study: dict[str, Any], model: str) -> Iterator[tuple[str, RunConfig]]:
    """(name of the method's row, settings) for each cell."""
    for name, axes in study["methods"].items():
        for rate in axes["learning_rate"]:
            values = {**study["base"], "model": model, "method": axes.get("settings", {"name": name})}
            values["train"] = {**values["train"], "learning_rate": rate}
            yield name, settle(validate(RunConfig, values, f"{name} at {rate}"))


def best_validation(folder: Path) -> tuple[float, float]:
    """Accuracy and mean log-likelihood of the kept weights on English validation examples."""
    records = [r for r in read_jsonl(folder / TRAIN_LOG) if "validation_accuracy" in r]
    return max((r["validation_accuracy"], r["validation_log_likelihood"]) for r in records)


def sweep(study: dict[str, Any], model: str, out: Path, only_table: bool) -> Best:
    """Run what is missing, print all, and give the best cell of each method."""
    best: Best = {}
    print(
        "| method | learning rate | validation accuracy | log-likelihood | training, s |\n| --- | --- | --- | --- | --- |"
    )
    for name, config in cells(study, model):
        folder = finished_folder(out, config.run_id())
        if folder is None and not only_table:
            from polyprefix.recipe import run

            [folder] = run(config, out=out)
        if folder is None:
            continue
        found, seconds = best_validation(folder), read_result(folder).cost["train_seconds"]
        print(
            f"| {name} | {config.train.learning_rate:g} | {found[0]:.3f} | {found[1]:.3f} | {seconds:.0f} |", flush=True
        )
        if name not in best or found > best[name][0]:
            best[name] = found, config, folder
    return best


def test(best: Best, languages: str, out: Path) -> None:
    """Evaluate the chosen adapters and the base model on the same test examples."""
    from polyprefix.recipe import run

    print(
        "\n| method | trained | English | difference | other languages | difference |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name, (_, config, folder) in best.items():
        values = {**config.model_dump(mode="json"), "adapter": str(folder / "adapter"), "eval_size": TEST_SIZE}
        wanted = validate(RunConfig, {**values, "languages": languages}, name)
        adapted = finished_folder(out, settle(wanted).run_id())
        if adapted is None:
            adapted = run(wanted, out=out, beside_base=True)[0]
        base = settle(wanted.model_copy(update={"method": {"name": "none"}, "adapter": None}))
        print(row(name, summarise(adapted, finished_folder(out, base.run_id()))), flush=True)


def row(name: str, summary: Summary) -> str:
    """One line of the table."""
    english = next(row for row in summary.rows if row.language.code == "eng_Latn")
    others = [average for average in summary.averages if average.name == "all but English"]
    figures = [f"{100 * english.adapted.value:.1f} | {_difference(english.difference)}"]
    figures += [f"{100 * average.adapted.value:.1f} | {_difference(average.difference)}" for average in others]
    return f"| {name} | {summary.parameters['trainable']:,} | {' | '.join(figures)} |"


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return ""
    low, high = difference.ci95
    return f"{100 * difference.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument(
        "--test", metavar="A,B|all", help="evaluate the best of each method in these languages, and English"
    )
    given = parser.parse_args()
    best = sweep(read_yaml(given.study), given.model, given.out, given.table)
    if given.test:
        test(best, given.test, given.out)


if __name__ == "__main__":
    main()
