"""Our model class of lm-evaluation-harness beside the harness's own, on the harness's own tasks. python -m benchmarks.harness

Both answer the same requests in turn, in one process, with one dtype: the base model, and a prefix that PEFT serves to the harness's class.
Time is that of the processor, so that what else a machine does counts for neither; with OMP_NUM_THREADS=1 it is what a quiet machine would
take. Requests are those of `--limit`: the first documents of each language. Needs the tasks' data (POLYPREFIX_HUB or the Hub).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.rounds import machine
from benchmarks.workload import prepare

TASKS = {"xnli": "xnli/xnli_{}", "belebele": "belebele/belebele_{}"}
"""Task -> its files in the harness."""
LANGUAGES = {"xnli": ("en", "sw", "th", "ar"), "belebele": ("eng_Latn", "swh_Latn", "tha_Thai", "arb_Arab")}
PREFIX = {"length": 16}


def on_rows(config: dict[str, Any], rows: Any) -> Any:
    """A task of the harness with these rows as its documents.

    Args:
        config: of its file.
    """
    from lm_eval.api.task import ConfigurableTask

    config["custom_dataset"] = lambda **_: defaultdict(lambda: rows)
    if isinstance(config.get("process_results"), str):  # of xquad: needs a module that transformers 5 lacks
        del config["process_results"]
    for metric in config["metric_list"]:
        metric.pop("hf_evaluate", None)  # would be fetched; the same name without it is the harness's own
    return ConfigurableTask(config=config)


def requests_of(task: str, language: str, count: int) -> list[Any]:
    """The requests of a task's first documents, as the harness makes them."""
    import lm_eval
    from lm_eval.tasks._yaml_loader import load_yaml

    from polyprefix.data.hub import hub_from_environment, load_rows

    file = Path(lm_eval.__file__).parent / "tasks" / f"{TASKS[task].format(language)}.yaml"
    config = load_yaml(file, resolve_func=False)
    split = config.get("test_split") or config["validation_split"]
    rows = load_rows(config["dataset_path"], config["dataset_name"], split, hub_from_environment(None))
    made = on_rows(config, rows.select(range(count)))
    made.build_all_requests(rank=0, world_size=1)
    found: list[Any] = made.instances
    return found


def contestants(model: str, dtype: str, batch_size: int, folder: Path) -> dict[tuple[str, str], Any]:
    """(who, with what) -> model class."""
    from lm_eval.models.huggingface import HFLM

    from polyprefix.integrations.lm_eval_model import PolyprefixLM
    from polyprefix.models.load import load_model

    there = prepare(load_model(model, dtype="float32"), folder, "prefix", PREFIX)
    given: dict[str, Any] = {"pretrained": there["model"], "dtype": dtype}
    theirs = {**given, "device": "cpu", "batch_size": batch_size}
    return {
        ("polyprefix", "base"): PolyprefixLM(**given),
        ("HFLM", "base"): HFLM(**theirs),
        ("polyprefix", "prefix"): PolyprefixLM(**given, adapter=there["adapter"]),
        ("HFLM", "prefix"): HFLM(**theirs, peft=there["peft"]),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Processor seconds of every round, and how far the log-likelihoods are apart."""
    asked = {
        (task, language): requests_of(task, language, options.documents)
        for task in options.tasks
        for language in LANGUAGES[task]
    }
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = contestants(options.model, options.dtype, options.batch, Path(folder))
        for task, language in asked:
            for what in options.kinds:
                seconds: dict[str, list[float]] = {"polyprefix": [], "HFLM": []}
                values: dict[str, list[float]] = {}
                for _ in range(options.rounds):
                    for who in seconds:
                        begun = time.process_time()
                        answers = models[who, what].loglikelihood(asked[task, language], disable_tqdm=True)
                        seconds[who].append(time.process_time() - begun)
                        values[who] = [float(value) for value, _ in answers]
                apart = max(abs(a - b) for a, b in zip(*values.values(), strict=True))
                times = statistics.median(map(lambda ours, theirs: theirs / ours, *seconds.values()))
                found[f"{task}, {language}, {what}"] = {**seconds, "times": times, "largest_difference": apart}
                print(f"{task}, {language}, {what}: {times:.2f} times, {apart:.1e} nat apart", flush=True)
    return found


def main() -> None:
    """Measure, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--kinds", nargs="+", choices=("base", "prefix"), default=["base", "prefix"])
    parser.add_argument("--documents", type=int, default=12, help="of each language")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16, help="rows of HFLM's batch")
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args()
    found = {"machine": machine(), "dtype": options.dtype, "documents": options.documents, **measure(options)}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
