"""Settings are strict, all mistakes are told at once, and equal settings have equal ids."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError
from polyprefix.settings import override, read_yaml, validate


def config(**more: object) -> RunConfig:
    return validate(RunConfig, {"model": "m", "task": "terms", **more}, "run")


def test_all_mistakes_are_told_at_once_with_the_nearest_key() -> None:
    with pytest.raises(ConfigError) as error:
        config(eval_sise=3, train={"epoch": 2, "learning_rate": -1}, seed="x")
    message = str(error.value)
    assert "'eval_sise', did you mean 'eval_size'" in message
    assert "'train.epoch', did you mean 'train.epochs'" in message
    assert "'train.learning_rate' is -1" in message and "'seed' is 'x'" in message
    assert "\n" not in message


def test_a_method_may_be_a_bare_name_and_languages_a_list() -> None:
    assert config(method="lora").method == {"name": "lora"}
    assert config(languages="sw, th").languages == ("sw", "th")
    assert config(languages=["sw"]).languages == ("sw",)
    assert config().languages == "all"
    with pytest.raises(ConfigError, match="method"):
        config(method=3)


def test_equal_settings_have_equal_ids_and_others_do_not() -> None:
    assert config().run_id() == config(method={"name": "prefix"}).run_id()
    assert config().run_id() != config(seed=1).run_id()
    assert config().run_id().startswith("terms-prefix-m-s0-")
    assert "/" not in config(model="org/some-Model_7B", task="/a/b/own.py").run_id()


LATER: dict[str, tuple[str, ...]] = {
    "": (
        "source_languages", "source_sampling", "source_temperature", "target_languages", "target_size", "protocol", "eval_ids", "eval_until",
        "model_digest", "adapter_digest",
    ),
    "train": ("cache_lower_layers", "whole_pass", "keep", "max_steps", "watch", "meta", "betas"),
    "runtime": ("allow_pickle", "deterministic"),
}  # fmt: skip
"""Section -> settings that the first version did not have."""


def of_the_first_version() -> dict[str, Any]:
    """The settings of a run as they were at first."""
    values = config().model_dump(mode="json")
    for section, names in LATER.items():
        for name in names:
            del (values[section] if section else values)[name]
    return values


@pytest.mark.parametrize(
    "more",
    [
        {"source_languages": "en,hi"}, {"source_sampling": "equal"}, {"target_languages": ["sw"], "target_size": 5},
        {"source_sampling": "temperature", "source_temperature": 2},
        {"target_languages": ["sw"], "target_size": 16, "train": {"meta": "first"}},
    ],
)  # fmt: skip
def test_other_languages_of_training_make_another_run(more: dict[str, Any]) -> None:
    assert config(**more).run_id() != config().run_id()


@pytest.mark.parametrize("more", [{"target_size": 5}, {"target_languages": "sw"}])
def test_target_languages_and_their_size_belong_together(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="target_languages and target_size: expected both or neither"):
        config(**more)


def test_the_default_protocol_leaves_ids_as_they_were_and_another_is_part_of_them() -> None:
    without = of_the_first_version()
    digest = hashlib.sha256(json.dumps(without, sort_keys=True).encode()).hexdigest()[:8]
    assert config().run_id() == config(protocol="default").run_id() == f"terms-prefix-m-s0-{digest}"
    assert config(protocol="lm-eval").run_id().startswith("terms-lm-eval-prefix-m-s0-")


def test_how_lower_layers_are_computed_leaves_ids_as_they_were_unless_somebody_says_it() -> None:
    values = of_the_first_version()
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
    assert config().run_id() == f"terms-prefix-m-s0-{digest}"
    assert config(train={"cache_lower_layers": False}).run_id() != config().run_id()


def test_settings_that_came_later_leave_the_ids_of_what_they_mean_alone() -> None:
    """What the first version filled in for steps, and the weights of a single validation, are the same as not saying them."""
    assert config(train={"epochs": 4}).run_id() == config(train={"epochs": 4, "steps": 60}).run_id()
    assert config(train={"steps": 8, "keep": "best"}).run_id() == config(train={"steps": 8}).run_id()
    once = {"steps": 8, "validations": 1}
    assert config(train={**once, "keep": "last"}).run_id() == config(train={**once, "keep": "best"}).run_id()
    assert config(train={"steps": 8, "keep": "last"}).run_id() != config(train={"steps": 8, "keep": "best"}).run_id()
    assert config(train={"max_steps": 8}).run_id() != config().run_id()


def test_assignments_reach_sections_and_read_numbers() -> None:
    values = override({"method": "prefix"}, ("train.learning_rate=1e-2", "method.length=4", "languages=[sw, th]"))
    assert values == {
        "method": {"name": "prefix", "length": 4},
        "train": {"learning_rate": 0.01},
        "languages": ["sw", "th"],
    }


@pytest.mark.parametrize("assignment", ["train.epochs", "=3", "model.x=3"])
def test_assignments_that_cannot_be_read(assignment: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        override({"model": "m"}, (assignment,))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a: [1", "not YAML"), (b"- 1\n", "holds list"), (b"", "holds NoneType"), (b"\xff\xfe\x00x", "cannot be read")],
)
def test_files_that_are_no_settings(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "run.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_yaml(tmp_path / "run.yaml")
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
