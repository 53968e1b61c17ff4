"""The methods by name: each file of this folder that defines `METHOD`, and those of plugins (docs/plugins.md)."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from polyprefix import methods, plugins
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.errors import ConfigError, nearest
from polyprefix.settings import Settings, validate

if TYPE_CHECKING:  # torch is not needed to know the names
    from polyprefix.methods.base import Method

FILES = {"prefix_tuning": "prefix"}
"""Files whose name is not their method's."""
SUPPORT = ("base",)


def modules() -> dict[str, str]:
    """Method name -> module name, without importing any."""
    found = [m.name for m in pkgutil.iter_modules(methods.__path__)]
    return {FILES.get(m, m.replace("_", "-")): m for m in found if m not in SUPPORT and not m.startswith("_")}


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
    from polyprefix.methods.base import Method

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


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the settings of a method without loading torch: its fields are read from its file, and nothing else of it is run.

    What two settings mean together is left to `build`.

    Raises:
        ConfigError: as `build`.
    """
    name = settings.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"'method.name' is {name!r}: expected a method's name, {nearest(str(name), names())}")
    if _plugin(name) is not None:
        build(settings)
        return
    module = check(name)
    spec = importlib.util.find_spec(module)
    tree = ast.parse(Path(str(spec and spec.origin)).read_text(encoding="utf-8"))
    named = next(n.value.id for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Name)
                 and any(isinstance(t, ast.Name) and t.id == "METHOD" for t in n.targets))  # fmt: skip
    fields = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == named)
    fields.bases, fields.decorator_list = [ast.Name("Settings", ast.Load())], []
    fields.body = [
        n for n in fields.body if isinstance(n, ast.AnnAssign) and "ClassVar" not in ast.unparse(n.annotation)
    ]
    fields.body = fields.body or [ast.Pass()]
    known: dict[str, Any] = {"Settings": Settings, "Field": Field, "Literal": Literal, "Any": Any, "__name__": module}
    source = ast.fix_missing_locations(ast.Module([fields], []))
    exec(compile(source, module, "exec", dont_inherit=True), known)  # with annotations that are types
    kind: type[Settings] = known[named]
    validate(kind, {key: value for key, value in settings.items() if key != "name"}, f"method '{name}'")


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
