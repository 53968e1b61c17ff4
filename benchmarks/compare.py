"""polyprefix against PEFT, TRL, AdapterHub, LlamaFactory, Unsloth, litgpt and lm-evaluation-harness: `make bench`.

python -m benchmarks.compare [--model gemma-3-270m] [--rounds 3] [--seconds 20] [--out benchmarks/results]

For each method: a check that everybody has the same loss on the same batch, then rounds of training; for each evaluation: rounds, and
a check that the predictions are the same. What was interrupted goes on where it was. Needs the model, the task's data (POLYPREFIX_HUB or
the Hub), the extra `bench` and the environments of `make peers`. `--name` keeps one method's results apart from the others'.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import rounds
from benchmarks.rounds import Entry
from benchmarks.workload import Document, Row, Workload, prepare, task_rows

MODELS = ("gemma-3-270m", "smollm2-135m")
LITGPT = {"smollm2-135m": "SmolLM2-135M"}
LLAMA = ("smollm2-135m",)
"""Models of Llama's architecture: AdapterHub's adapters do not know Gemma 3."""
METHODS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "prefix": ("prefix", {"length": 16}, ("peft-trainer", "peft-trainer-grouped", "trl", "adapterhub")),
    "soft-prompt": ("soft-prompt", {"length": 16}, ("peft-trainer", "peft-trainer-grouped", "trl")),
    "llama-adapter": (
        "llama-adapter",
        {"length": 10, "variant": "peft", "layers": "2-"},
        ("peft-trainer", "peft-trainer-grouped", "trl"),
    ),
    "closed-adapter": ("llama-adapter", {"length": 10, "variant": "litgpt"}, ("litgpt",)),
    "lora": (
        "lora",
        {},
        ("peft-trainer", "peft-trainer-grouped", "trl", "trl-packed", "adapterhub", "llamafactory", "unsloth"),
    ),
}
"""Name -> method, its settings, and who else has it. litgpt can only begin with closed gates; PEFT is compared with gates ajar."""
CHECKED: dict[str, tuple[str, ...]] = {"prefix": ("trl-packed", "adapterhub-sdpa")}
"""Method -> who offers it, and computes something else: it is checked and not timed."""
TOOLS = tuple(dict.fromkeys(tool for _, _, rivals in METHODS.values() for tool in rivals))
EVALUATIONS: dict[str, tuple[str, ...]] = {
    "xnli": ("ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
    "belebele": ("de", "id", "th", "vi"),
    "sib200": ("th",),
    "xquad": ("de", "th"),
}
"""Task -> languages beside English. XQuAD's answers are generated, the others' are ranked."""
WHOLE = {"sib200"}
"""Of these the whole test set is asked, of the others a part."""


def training(
    base: Any, folder: Path, model: str, rows: tuple[Row, ...], options: argparse.Namespace
) -> Iterator[tuple[str, Workload, tuple[str, ...], tuple[str, ...]]]:
    """(method, workload, rivals, who is checked alone), one a method; a base model that a method changes is loaded again by everybody."""
    for name, (method, settings, rivals) in METHODS.items():
        if name not in options.methods:
            continue
        fields = prepare(base(), folder, method, settings, ajar=name == "llama-adapter")
        here = tuple(r for r in rivals if r in options.tools and _takes(r, model, fields))
        if not here:
            continue
        extra = {"litgpt": {"adapter_prompt_length": 10, "adapter_start_layer": 2}}
        work = Workload(
            name=f"{model}, XNLI, {name}", **fields, litgpt=LITGPT.get(model, ""), rows=rows, batch_size=options.batch,
            seconds=options.seconds, max_steps=options.max_steps, extra=extra,
        )  # fmt: skip
        checked = tuple(c for c in CHECKED.get(name, ()) if _takes(c, model, fields))
        yield name, work, here, checked


def _takes(rival: str, model: str, fields: dict[str, Any]) -> bool:
    """Whether a tool has the model, and the adapter in its format."""
    if rival == "litgpt":
        return model in LITGPT
    return "peft" in fields and (not rival.startswith("adapterhub") or model in LLAMA)


def run(
    base: Any, rows: tuple[Row, ...], documents: dict[str, tuple[Document, ...]], options: argparse.Namespace
) -> dict[str, Any]:
    """All of it for one model.

    Args:
        base: gives a fresh base model.
        documents: task -> test documents.

    Returns:
        What is written: machine, medians, agreement, every round.
    """
    entries: list[Entry] = []
    checks: list[Entry] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for _, work, rivals, checked in training(base, folder, options.model, rows, options):
            names = ("polyprefix", *rivals, *checked)
            checks += [Entry(name, "check", work) for name in names if not name.endswith("grouped")]
            entries += [
                Entry(name, "train", w) for w in in_settings(work, options.settings) for name in ("polyprefix", *rivals)
                if w.setting == "same" or name != "litgpt"
            ]  # fmt: skip
        plain = prepare(base(), folder, "none", {})
        for task, docs in documents.items():
            languages, kind = len({doc.language for doc in docs}), "" if docs[0].choices else " (generated)"
            work = Workload(
                name=f"{options.model}, {'all of ' if task in WHOLE else ''}{task} in {languages} languages{kind}",
                **plain,
                documents=docs,
                batch_size=options.batch,
            )
            entries += [
                Entry(name, "evaluate", w)
                for w in in_settings(work, options.settings)
                for name in ("polyprefix", "lm-eval")
            ]
        options.out.mkdir(parents=True, exist_ok=True)
        kept = options.out / f"compare-{_name(options)}.unfinished.jsonl"
        found = rounds.alternate(checks, 1, kept=kept, limit=options.limit)
        found += rounds.alternate(entries, options.rounds, kept=kept, limit=options.limit)
        kept.unlink(missing_ok=True)
    agreement = rounds.same_losses(found) + rounds.same_predictions(found)
    for line in agreement:
        print(line)
    return {
        "model": options.model,
        "name": _name(options),
        "machine": rounds.machine() | {"environments": rounds.packages(found)},
        "medians": rounds.medians([r for r in found if r["part"] != "check"]),
        "agreement": agreement,
        "rounds": rounds.without_answers(found),
    }


def _name(options: argparse.Namespace) -> str:
    return options.model + (f"-{options.name}" if options.name else "")


def in_settings(work: Workload, settings: Sequence[str]) -> list[Workload]:
    """The work in each of the settings that are asked for."""
    return [w for w in (work, work.at_own_defaults()) if w.setting in settings]


def options_from(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default=MODELS[0])
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--tools", nargs="*", choices=TOOLS, default=list(TOOLS), help="that train, beside polyprefix")
    parser.add_argument("--tasks", nargs="*", choices=EVALUATIONS, default=list(EVALUATIONS))
    parser.add_argument("--settings", nargs="+", choices=("same", "own"), default=["same", "own"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="measured at least, after the first step")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-steps", type=rounds.step_count, default=1000)
    parser.add_argument("--documents", type=int, default=40, help="test documents of each language")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds after which a contestant is ended")
    parser.add_argument("--name", default="", help="of this part of the comparison; by default it is the whole one")
    parser.add_argument("--out", type=Path, default=rounds.ROOT / "benchmarks" / "results")
    return parser.parse_args(words)


def main() -> None:
    """Load the data once, measure, write."""
    options = options_from()
    loaded, rows, _ = task_rows(options.model, "xnli", (), 512, 1)
    documents = {
        task: task_rows(options.model, task, EVALUATIONS[task], 16, None if task in WHOLE else options.documents)[2]
        for task in options.tasks
    }

    def base() -> Any:
        from polyprefix.models.load import load_model

        return load_model(options.model, dtype="float32")

    del loaded
    result = run(base, rows, documents, options)
    path = options.out / f"compare-{_name(options)}.json"
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"wrote {path}; now: python -m benchmarks.page")


if __name__ == "__main__":
    main()
