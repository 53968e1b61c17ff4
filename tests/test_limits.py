"""Law: every number of every setting has a range, and a number outside of it is one line before anything begins."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given, settings
from hypothesis import strategies as st

from polyprefix.adapters import registry as methods
from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError, OutputError, UserError
from polyprefix.names import slug
from polyprefix.results.folder import RunFolder
from polyprefix.safe_files import MOST_DEPTH, parse_json, read_bytes, read_json
from polyprefix.settings import Settings, override, validate
from polyprefix.tasks._custom_types import DEFINITIONS

KINDS_OF_SETTINGS: list[type[Settings]] = [RunConfig, *map(methods.kind, methods.names()), *DEFINITIONS.values()]
BASE = {"model": "gemma-3-270m", "task": "terms"}


def numbers(kind: type[Settings], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field that holds a number, in sections too."""
    for name, field in kind.model_fields.items():
        annotations = [field.annotation]
        for annotation in annotations:
            annotations.extend(get_args(annotation))
        for annotation in annotations:
            if isinstance(annotation, type) and issubclass(annotation, Settings):
                yield from numbers(annotation, f"{path}{name}.")
        if {int, float} & {a for a in annotations if isinstance(a, type)}:
            yield path + name, field


@pytest.mark.parametrize("kind", KINDS_OF_SETTINGS, ids=lambda kind: kind.__name__)
def test_every_number_has_a_lower_and_an_upper_bound(kind: type[Settings]) -> None:
    for path, field in numbers(kind):
        inner = [field.annotation, *get_args(field.annotation)]
        bounds = {
            type(item)
            for item in (
                *field.metadata,
                *(m for a in inner for info in getattr(a, "__metadata__", ()) for m in info.metadata),
            )
        }
        assert bounds & {Ge, Gt} and bounds & {Le, Lt}, f"{kind.__name__}.{path}"
    assert kind.model_config["allow_inf_nan"] is False


NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([1e308, -1e308, 10**9, 10**400, 2**63, -1, math.inf, math.nan, 5e-324])
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([path for path, _ in numbers(RunConfig)]), NUMBERS)
def test_odd_numbers_are_settings_or_one_line(path: str, number: float) -> None:
    targets = {"target_languages": "sw", "target_size": 100}
    try:
        config = validate(RunConfig, override(BASE, ()) | targets | _nested(path, number), "run")
    except ConfigError as error:
        assert path in str(error) and "\n" not in str(error)
        return
    assert config.train.total_steps(1000) <= 10_000_000_000 and config.run_id()


def _nested(path: str, number: float) -> dict[str, Any]:
    *sections, key = path.split(".")
    nested: dict[str, Any] = {key: number}
    for section in reversed(sections):
        nested = {section: nested}
    return nested


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 + 1, 2**63 - 1])
def test_every_seed_in_the_range_is_a_seed_everywhere(seed: int) -> None:
    import torch

    from polyprefix.adapters.attach import attach
    from polyprefix.testing.tiny import tiny_base

    base = tiny_base("llama-gqa-tied")
    for name in (
        {"name": "prefix", "init": "random", "length": 2},
        {"name": "soft-prompt", "init": "random", "length": 2},
    ):
        attach(base, methods.build(name), seed=seed)
    torch.manual_seed(seed)
    assert validate(RunConfig, {**BASE, "seed": seed}, "run").seed == seed
    with pytest.raises(ConfigError, match="seed"):
        validate(RunConfig, {**BASE, "seed": 2**63}, "run")


def test_steps_that_are_given_are_exact_and_the_default_is_bounded() -> None:
    def steps(examples: int, **train: Any) -> int:
        values = {**BASE, "train_size": examples, "train": {"batch_size": 4, **train}}
        return methods.resolve(validate(RunConfig, values, "run")).train.total_steps(examples)

    assert steps(400, steps=2) == 2 and steps(4, steps=2) == 2 and steps(400, steps=60) == 60
    assert steps(400) == 4 * 400 and steps(40) == 4 * 64 and steps(400, max_steps=50) == 50 and steps(40_000) == 10_000
    assert steps(400, epochs=0.5) == 50 and steps(400, epochs=2) == 200
    resolved = methods.resolve(validate(RunConfig, {**BASE, "train": {"batch_size": 4}}, "run"))
    again = methods.resolve(validate(RunConfig, resolved.model_dump(mode="json"), "run"))
    assert again == resolved and again.run_id() == resolved.run_id()


def test_ids_keep_versions_and_letters_and_those_of_plain_names_stay() -> None:
    assert slug("meta-llama/Llama-3.1-8B".rpartition("/")[2]) == "llama-3.1-8b" and slug("новости") == "новости"
    assert slug("gemma-3-270m") == "gemma-3-270m" and slug("My Task_2") == "my-task-2" and slug("हिन्दी") == "हिन्दी"
    name = validate(RunConfig, {"model": "org/Qwen2.5-0.5B", "task": "mine/новости.yaml"}, "run").run_id()
    assert name.startswith("новости-prefix-qwen2.5-0.5b-s0-")
    assert "/" not in slug("../../x") and len(slug("я" * 500).encode()) <= 80


@settings(max_examples=300, deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_any_name_makes_a_folder_or_one_line(name: str) -> None:
    try:
        run_id = validate(RunConfig, {"model": name, "task": name}, "run").run_id()
    except UserError:
        return
    assert "/" not in run_id and "\0" not in run_id and len(run_id.encode()) < 250 and run_id.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MOST_DEPTH + 2) + "]" * (MOST_DEPTH + 2),
        "[" * 200_000,
        "1" * 5000,
        "NaN",
        "-Infinity",
        "1e999",
        '"\\ud800"',
    ],
)
def test_json_of_others_has_limits(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "large").write_bytes(b"x" * 100)
    start = time.perf_counter()
    for name in ("pipe", "loop", "missing", ".", "/dev/zero", "/dev/null"):
        with pytest.raises(OSError):
            read_json(tmp_path / name)
    with pytest.raises(OSError, match="more than 99"):
        read_bytes(tmp_path / "large", 99)
    assert time.perf_counter() - start < 1


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    import subprocess

    folder = RunFolder(tmp_path, "run")
    code = f"from pathlib import Path\nfrom polyprefix.results.folder import RunFolder\nRunFolder(Path({str(tmp_path)!r}), 'run')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode and "OutputError" in done.stderr and "another process is writing this run" in done.stderr
    again = RunFolder(tmp_path, "run")  # in one process a run that failed is begun again
    for one in (folder, again):
        one._release()
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(OutputError, match="cannot be written"):
        RunFolder(tmp_path / "run.txt" if (tmp_path / "run.txt").write_text("x") else tmp_path, "run")
