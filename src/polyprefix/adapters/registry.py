"""The methods by name: each file or folder of `methods` that defines `METHOD`, and those of plugins (docs/plugins.md). Without torch."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from polyprefix import methods, plugins
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.errors import ConfigError, nearest
from polyprefix.methods.base import Method
from polyprefix.settings import validate

FILES = {"prefix_tuning": "prefix"}
"""Files whose name is not their method's."""
SUPPORT = ("base", "adapter", "encoder")
"""Files that are no method."""


def modules() -> dict[str, str]:
    """Method name -> module name, without importing any."""
    found = [m.name for m in pkgutil.iter_modules(methods.__path__)]
    return {FILES.get(m, m.replace("_", "-")): m for m in found if m not in SUPPORT}


def names() -> tuple[str, ...]:
    """All method names, those of plugins last; none is imported."""
    own = modules()
    return (*own, *(name for name in plugins.found(plugins.METHODS) if name not in own))


def check(name: str) -> str:
    """The module of a method of this folder, without importing it.

    Raises:
        ConfigError: if there is no such method; names the nearest.
    """
    known = modules()
    if name not in known:
        raise ConfigError(f"method '{name}': no such method, {nearest(name, names())}")
    return f"{methods.__name__}.{known[name]}"


def _plugin(name: str) -> type[Method] | None:
    """The settings class of a plugin's method; None for other names.

    Raises:
        ConfigError: if the plugin is broken; names its package.
    """
    entry = plugins.found(plugins.METHODS).get(name)
    if entry is None or name in modules():
        return None
    method = plugins.load(entry)
    if not (isinstance(method, type) and issubclass(method, Method) and getattr(method, "name", None) == name):
        raise ConfigError(
            f"plugin '{name}' of the package '{plugins.package(entry)}': {entry.value} is no Method whose name is '{name}'; "
            "correct its entry point"
        )
    return method


def kind(name: str) -> type[Method]:
    """The settings class of a method.

    Raises:
        ConfigError: if there is no such method, which names the nearest, or a plugin is broken.
    """
    if (of_plugin := _plugin(name)) is not None:
        return of_plugin
    method: type[Method] = importlib.import_module(check(name)).METHOD
    return method


def build(settings: Mapping[str, Any]) -> Method:
    """A method from plain settings with a `name`, as in a run's configuration.

    Raises:
        ConfigError: if the name or a setting is unknown or impossible.
    """
    values = {key: value for key, value in settings.items() if key != "name"}
    if not isinstance(settings.get("name"), str):
        raise ConfigError(
            f"'method.name' is {settings.get('name')!r}: expected a method's name, {nearest('', names())}"
        )
    return validate(kind(settings["name"]), values, f"method '{settings['name']}'")


def resolve(config: RunConfig) -> RunConfig:
    """The configuration with all of the method's settings and defaults written out, so that equal runs have equal ids.

    What decides nothing is set aside: training settings where nothing is trained, without shots the seed there, and their language.

    Raises:
        ConfigError: see `build`.
    """
    method = build(config.method)
    if not config.shots:
        config = config.model_copy(update={"shot_language": RunConfig.model_fields["shot_language"].default})
    settings = {"name": method.name, **method.model_dump(mode="json")}
    if config.adapter or method.tuned().steps == 0:
        idle = TrainConfig(learning_rate=0, epochs=0, steps=0, weight_decay=0)
        return config.model_copy(
            update={"method": settings, "train": idle, "train_size": None, "seed": config.seed if config.shots else 0}
        )
    given = {key: value for key, value in config.train if value is not None}
    tuned = method.tuned()
    filled = {key: value for key, value in asdict(tuned).items() if value is not None and key != "inner_rate"}
    if config.train.has_length:
        filled.pop("steps", None)
    elif "steps" in filled:
        filled["whole_pass"] = True
    if config.train.meta and config.train.meta.inner_rate is None:
        rate = tuned.inner_rate or tuned.learning_rate
        given["meta"] = config.train.meta.model_copy(update={"inner_rate": rate})
    return config.model_copy(update={"method": settings, "train": TrainConfig(**{"keep": "last", **filled, **given})})
