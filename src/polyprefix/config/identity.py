"""What makes two runs the same: the settings that decide the outcome, as they were first written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyprefix.config.common import ENGLISH
from polyprefix.names import DEFAULT_PROTOCOL

ADDED_LATER: Mapping[str, tuple[Any, ...]] = {
    "protocol": (DEFAULT_PROTOCOL,), "eval_ids": ("same",), "model_digest": (None,), "adapter_digest": (None,),
    "train.cache_lower_layers": (None,), "train.whole_pass": (None, True), "train.keep": (None, "best"), "train.max_steps": (None,),
    "train.meta": (None,), "train.betas": ([0.9, 0.999],), "method.encoded": (0.0,), "method.encoder_hidden": (512,),
    "source_languages": ([ENGLISH],), "source_sampling": ("size",), "source_temperature": (5.0,), "target_languages": ([],),
    "target_size": (None,), "runtime.deterministic": (False,), "eval_until": (None,),
}  # fmt: skip
"""Setting that the first version did not have -> the values that mean what it did."""
TESTED = ("languages", "eval_size", "eval_ids", "eval_until")
"""Settings of a run that say what is tested, and nothing of what is trained."""
EARLIER_STEPS = 60
"""What the first version filled in for `steps` where `epochs` decide."""


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the outcome of a run.

    A setting that came after the first version is part of it only where it differs from what was done before, so that adding one
    changes no id. Content identifies a model and a task where it is known, not their place.

    Args:
        config: all settings of the run as plain values.
    """
    settings = {key: dict(value) if isinstance(value, Mapping) else value for key, value in config.items()}
    for path, before in ADDED_LATER.items():
        *sections, key = path.split(".")
        place = settings[sections[0]] if sections else settings
        if key in place and place[key] in before:  # a setting of one method is not there in another
            del place[key]
    train = settings["train"]
    del train["watch"]  # it decides nothing
    if train["epochs"] is not None and train["steps"] is None:
        train["steps"] = EARLIER_STEPS
    if train["validations"] == 1 or not train["validation_size"]:
        train.pop("keep", None)  # all of them are the last weights
    if "eval_ids" in settings:
        settings["eval_ids"] = "spread"  # its name in the first version
    del settings["runtime"]["allow_pickle"]  # the same weights, whatever holds them
    if config["model_digest"]:
        settings["model"] = Path(config["model"]).name
    if config["task_digest"]:
        del settings["task"]
    return settings


def digest(settings: Mapping[str, Any], length: int) -> str:
    """Equal for equal settings, on every machine."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:length]
