"""What is fuzzed: each target makes a damaged input of a random number, and reads it as the commands do."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from polyprefix.adapters import registry as methods
from polyprefix.commands.run import checked
from polyprefix.config import PredictConfig
from polyprefix.languages import find
from polyprefix.settings import override, read_yaml, validate
from polyprefix.tasks import registry as tasks
from polyprefix.tasks.base import Source
from tests.fuzz.mutate import ODD, YAML, changed, damaged, flipped, places

CONFIG: dict[str, Any] = {
    "model": "gemma-3-270m", "task": "terms", "method": {"name": "prefix", "length": 4, "layers": "top:2", "init": "text"},
    "languages": ["sw", "th"], "train_size": 16, "eval_size": 3, "shots": 1, "shot_language": "english", "seed": 1,
    "train": {"learning_rate": 0.001, "steps": 2, "batch_size": 4, "schedule": "linear", "validations": 1},
    "runtime": {"device": "cpu", "dtype": "float32"}, "text": {"max_length": 200}, "eval": {"token_budget": 500},
}  # fmt: skip
STUDY: dict[str, Any] = {
    "name": "s", "base": {"model": "gemma-3-270m", "task": "terms", "eval_size": 3, "train": {"steps": 2}},
    "axes": {"method": ["none", "prefix", "lora"], "train_size": [8, 16]},
    "seeds": [0, 1], "overrides": [{"when": {"method": "prefix"}, "set": {"train.learning_rate": 0.01}}],
    "exclude": [{"method": "lora", "train_size": 16}], "parts": {"more": {"base": {"task": "terms", "model": "smollm2-135m"},
    "axes": {"shots": [0, 2]}}},
    "tune": {"base": {"task": "terms"}, "values": {"prefix": {"train.learning_rate": [0.1, 0.01]}}},
    "resources": [{"when": {"method": "lora"}, "cpus": 1, "gpus": 0.5, "memory_gb": 4, "retries": 1}],
}  # fmt: skip
TASKS: list[dict[str, Any]] = [
    {"task_type": "classification", "template": "{text}\nAnswer:", "labels": ["yes", "no"], "files": {"test": "test.{language}.jsonl",
    "train": "train.csv"},
     "columns": {"answer": "answer", "id": "id"}, "context": "text", "parallel": True, "title": "t"},
    {"task_type": "multiple-choice", "template": "{text} {a} {b}:", "choices": {"1": "a", "2": "b"}, "labels": ["A", "B"],
    "files": {"test": "all.jsonl"},
     "columns": {"language": "language"}},
    {"task_type": "span", "template": "{context} {text}", "files": {"test": "span.jsonl"},
     "stop": ["\n"], "max_new_tokens": 9, "metric": "f1"},
    {"task_type": "generation", "template": "{text}", "files": {"test": {"en": "all.jsonl"}}, "metric": "number", "answer_format": "list"},
]  # fmt: skip
ROW = {
    "id": "1",
    "text": "a question",
    "answer": "yes",
    "a": "x",
    "b": "y",
    "context": "yes it is 5",
    "language": "en",
    "n": 1.50,
}


def _values(text: str, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    return path


def _yaml(values: Any, rng: random.Random, folder: Path, name: str) -> Path:
    """A YAML file that is damaged in its values, in its text, or in both."""
    kind = rng.random()
    values = changed(values, rng) if kind < 0.6 else values
    if rng.random() < 0.5:
        text = json.dumps(values, ensure_ascii=False)
    else:
        text = yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False)
    return _values(damaged(text, rng) if kind > 0.4 else text, folder, name)


def config(rng: random.Random, folder: Path) -> None:
    """A configuration of `run`."""
    checked(override(read_yaml(_yaml(CONFIG, rng, folder, "run.yaml")), ()), None)


def assignment(rng: random.Random, folder: Path) -> None:
    """Values of `--set`."""
    names = [
        *map(".".join, (p for p in places(CONFIG) if p and all(isinstance(k, str) for k in p))),
        "a",
        "",
        ".",
        "train",
        "method.name",
        "x.y.z",
    ]
    pairs = tuple(
        f"{rng.choice(names)}{rng.choice(['=', '=', '=', '==', ''])}{_text(rng)}" for _ in range(rng.choice([1, 1, 2]))
    )
    if rng.random() < 0.2:
        validate(PredictConfig, override({}, pairs), "predict")
    else:
        checked(override(CONFIG, pairs), None)


def _text(rng: random.Random) -> str:
    piece = rng.choice(YAML) if rng.random() < 0.5 else rng.choice(ODD)
    return piece if isinstance(piece, str) else json.dumps(piece)


def study(rng: random.Random, folder: Path) -> None:
    """A study file."""
    from polyprefix.study.file import read_study
    from polyprefix.study.grid import cells

    path = _yaml(STUDY, rng, folder, "study.yaml")
    cells(read_study(path), str(path))


def task(rng: random.Random, folder: Path) -> None:
    """A task file, and its data."""
    rows = "".join(json.dumps({**ROW, "id": str(n), "text": f"question {n}"}) + "\n" for n in range(4))
    spoilt = rng.choice(["test.en.jsonl", "test.sw.jsonl", "all.jsonl", "span.jsonl", "train.csv", "", "", ""])
    for name in ("test.en.jsonl", "test.sw.jsonl", "all.jsonl", "span.jsonl"):
        text = rows
        if name == spoilt:
            text = damaged(rows, rng, [json.dumps(changed(ROW, rng)) for _ in range(3)])
        _values(text, folder, name)
    table = "id,text,answer\n" + "".join(f"t{n},other {n},no\n" for n in range(3))
    _values(damaged(table, rng) if spoilt == "train.csv" else table, folder, "train.csv")
    values = rng.choice(TASKS)
    path = _yaml(values, rng, folder, "task.yaml") if not spoilt else _values(json.dumps(values), folder, "task.yaml")
    found = tasks.get(str(path))
    for code in found.languages()[:2]:
        for example in found.examples("test", code, Source()):
            found.prompt(example)
    if "train" in found.info.splits:
        found.examples("train", "eng_Latn", Source())


def data(rng: random.Random, folder: Path) -> None:
    """A data file, byte by byte."""
    from polyprefix.data.files import read_table
    from polyprefix.data.validation_errors import ValidationErrors

    kind = rng.choice(["jsonl", "csv", "parquet", "CSV"])
    path = folder / f"a.{kind}"
    path.write_bytes(flipped(_table(kind), rng))
    errors = ValidationErrors()
    read_table(path, errors)
    errors.check()


@cache
def _table(kind: str) -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{**ROW, "id": str(n)} for n in range(20)]
    if kind == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        return buffer.getvalue()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    return ("id;text;answer\n" + "".join(f'{n};"a ""b"" {n}";yes\n' for n in range(20))).encode()


@cache
def _base() -> Any:
    from polyprefix.testing.tiny import tiny_base

    return tiny_base("llama-gqa-tied")


@cache
def _saved(root: Path) -> tuple[Path, Path]:
    from polyprefix.adapters.attach import attach
    from polyprefix.adapters.files import save_adapter
    from polyprefix.adapters.formats import to_peft

    task = {"name": "terms", "protocol": "default", "shots": ""}
    for name, settings in ADAPTERS.items():
        model = attach(_base(), methods.build(settings))
        save_adapter(model, root / "ours" / name, task=task)
        to_peft(model, root / "peft" / name)
    return root / "ours", root / "peft"


ADAPTERS: dict[str, dict[str, Any]] = {
    "prefix": {"name": "prefix", "length": 3, "parametrization": "raw"}, "soft-prompt": {"name": "soft-prompt", "length": 3},
    "llama-adapter": {"name": "llama-adapter", "length": 3, "layers": "all"},
}  # fmt: skip


def adapter(rng: random.Random, folder: Path) -> None:
    """A saved adapter: what `evaluate`, `predict` and `export` read of it, and what `import` reads of PEFT's."""
    from polyprefix.adapters.files import load_adapter
    from polyprefix.adapters.formats import from_peft
    from polyprefix.adapters.saved import find_adapter, read_settings

    ours, theirs = _saved(folder.parent / "saved")
    is_ours = rng.random() < 0.6
    place = folder / "adapter"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree((ours if is_ours else theirs) / rng.choice(list(ADAPTERS)), place)
    file = place / ("adapter.json" if is_ours else "adapter_config.json")
    kind = rng.random()
    if kind < 0.55:
        file.write_bytes(
            json.dumps(changed(json.loads(file.read_text()), rng), ensure_ascii=False).encode(errors="surrogatepass")
        )
    elif kind < 0.8:
        file.write_bytes(
            damaged(file.read_text(), rng, ["[" * 100_000, "1" * 6000, "NaN", "{" * 3000]).encode(
                errors="surrogatepass"
            )
        )
    else:
        tensors = next(place.glob("*.safetensors"))
        tensors.write_bytes(flipped(tensors.read_bytes(), rng))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not is_ours:
            from_peft(_base(), place)
            return
        saved = read_settings(find_adapter(folder))
        if rng.random() < 0.5:
            settings = {
                "model": saved["base"]["name"],
                "task": "terms",
                "method": saved["method"],
                "adapter": str(place),
            }
            checked(override(settings, ()), None)
        if saved.get("task") and "name" in saved["task"]:
            tasks.restore(saved["task"])
        load_adapter(_base(), place, force=True)


def run_folder(rng: random.Random, folder: Path) -> None:
    """Finished runs: what `report` and `compare` read."""
    from polyprefix.report.grid import read_grid
    from polyprefix.statistics.compare import compare
    from tests.report.studies import write_cell

    kept = folder.parent / "runs"
    if not kept.exists():
        for method in ("none", "prefix"):
            write_cell(kept, ["eng_Latn", "swh_Latn"], method=method, n=4)
    place = folder / "runs"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(kept, place)
    result = rng.choice(sorted(place.glob("*/result.json")))
    kind = rng.random()
    if kind < 0.6:
        values = changed(json.loads(result.read_text()), rng)
        result.write_bytes(json.dumps(values, ensure_ascii=False).encode(errors="surrogatepass"))
    elif kind < 0.8:
        result.write_bytes(
            damaged(result.read_text(), rng, ["[" * 100_000, "1" * 6000, "NaN"]).encode(errors="surrogatepass")
        )
    else:
        answers = result.with_name("predictions.parquet")
        answers.write_bytes(flipped(answers.read_bytes(), rng))
    if rng.random() < 0.5:
        read_grid([place])
    else:
        compare(place, resamples=100)


def model_folder(rng: random.Random, folder: Path) -> None:
    """The folder of a model, with its configuration, its index or its tokenizer damaged."""
    from polyprefix.models.load import load_model
    from polyprefix.testing.tiny import tiny_base

    kept = folder.parent / "model"
    if not kept.exists():
        base = tiny_base("llama-gqa-tied")
        base.model.save_pretrained(kept)
        base.tokenizer.save_pretrained(kept)
        index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": "model.safetensors"}}
        (kept / "model.safetensors.index.json").write_text(json.dumps(index))
    place = folder / "model"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(kept, place)
    name = rng.choice(
        ["config.json"] * 5
        + ["model.safetensors.index.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"]
    )
    file = place / name
    if name != "model.safetensors.index.json":
        (place / "model.safetensors.index.json").unlink()
    if name.endswith(".safetensors"):
        file.write_bytes(flipped(file.read_bytes(), rng))
    elif rng.random() < 0.8:
        file.write_bytes(
            json.dumps(changed(json.loads(file.read_text()), rng), ensure_ascii=False).encode(errors="surrogatepass")
        )
    else:
        file.write_bytes(
            damaged(file.read_text(), rng, ["[" * 100_000, "1" * 6000, "NaN"]).encode(errors="surrogatepass")
        )
    load_model(str(place), device="cpu", dtype="float32")


def language(rng: random.Random, folder: Path) -> None:
    """A language as somebody writes it."""
    find(damaged(rng.choice(["sw", "swh_Latn", "Swahili", "zh-Hant", ""]), rng, ODD[25:45]))


Target = Callable[[random.Random, Path], None]
TARGETS: dict[str, Target] = {
    t.__name__: t for t in (config, assignment, study, task, data, adapter, run_folder, model_folder, language)
}
