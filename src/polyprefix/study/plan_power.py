"""The power of a study file: each contrast in each task and model, and which design would see more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError, ModelError
from polyprefix.names import task_title
from polyprefix.statistics.groups import ENGLISH, other_places
from polyprefix.study.devices import Device
from polyprefix.study.estimate import estimate
from polyprefix.study.grid import TUNE, Cell
from polyprefix.study.lengths import lengths
from polyprefix.study.power import TARGETS, Cost, Design, Found, cheapest, detectable
from polyprefix.study.table import system_name
from polyprefix.study.variances import Source
from polyprefix.tasks import registry as tasks
from polyprefix.text.prepare import choose_languages


@dataclass(frozen=True, slots=True)
class Detectable:
    """What one contrast can see under the design of the file."""

    contrast: str
    points: float


@dataclass(frozen=True, slots=True)
class SettingPower:
    """One task and model."""

    task: str
    model: str
    design: Design
    variances: str
    """Where they come from."""
    contrasts: tuple[Detectable, ...]
    cheapest: dict[str, tuple[Found, ...]]
    """Kind of contrast -> for each target the cheapest design; empty where the device's times are not known."""
    seconds: float
    """All systems and seeds of the present design."""


@dataclass(frozen=True, slots=True)
class PowerPlan:
    """Of a study."""

    settings: tuple[SettingPower, ...]
    contrasts: int
    """Over which Holm's method corrects."""
    named: bool
    """Whether the study names them."""
    notes: tuple[str, ...]


def power_plan(
    cells: Sequence[Cell],
    contrasts: Sequence[tuple[str, str]],
    device: Device,
    source: Source,
    targets: Sequence[float] = TARGETS,
) -> PowerPlan:
    """The power of every contrast, and the cheapest designs for some differences.

    Args:
        cells: of the parts that are looked at.
        contrasts: pairs of methods that the study names; without any, every trained method is compared with the base model.
        device: whose times are counted.
        source: of variances.

    Raises:
        ConfigError: if no task and model has a contrast.
    """
    groups: dict[tuple[str, str], dict[str, list[Cell]]] = {}
    for cell in cells:
        if cell.part != TUNE:
            key = task_title(cell.config.model_dump()), cell.config.model
            groups.setdefault(key, {}).setdefault(system_name(cell), []).append(cell)
    wanted = {key: _pairs(systems, contrasts) for key, systems in groups.items()}
    count = sum(map(len, wanted.values()))
    if not count:
        raise ConfigError("--power: no task and model has two systems that are compared; name some with contrasts:")
    notes, found = [], []
    for key, pairs in wanted.items():
        if not pairs:
            continue
        one = _setting(key, groups[key], pairs, count, device, source, targets)
        if isinstance(one, str):
            notes.append(one)
        else:
            found.append(one)
    return PowerPlan(tuple(found), count, bool(contrasts), tuple(notes))


def _pairs(systems: dict[str, list[Cell]], contrasts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    if contrasts:
        return [(a, b) for a, b in contrasts if a in systems and b in systems]
    base = [name for name, cells in systems.items() if not cells[0].config.trains]
    return [(name, base[0]) for name in systems if name not in base] if base else []


def _setting(
    key: tuple[str, str],
    systems: dict[str, list[Cell]],
    pairs: Sequence[tuple[str, str]],
    count: int,
    device: Device,
    source: Source,
    targets: Sequence[float],
) -> SettingPower | str:
    task, model = key
    trained = [name for name, cells in systems.items() if cells[0].config.trains]
    design = _design(systems[trained[0] if trained else next(iter(systems))], max(1, len(trained)))
    if isinstance(design, str):
        return f"{task}, {model}: {design}"
    components, whose = source.of(task, model)
    kinds = dict(_kinds(systems, pairs))
    points = {base: detectable(design, components, count, base=base) for base in set(kinds.values())}
    listed = tuple(Detectable(f"{a} - {b}", points[kinds[f"{a} - {b}"]]) for a, b in pairs)
    cost = _cost(systems, device)
    best = {
        "base model" if base else "two trained methods": tuple(
            cheapest(design, components, count, cost, (base,), target) for target in targets
        )
        for base in sorted(points, reverse=True)
        if cost
    }
    return SettingPower(task, model, design, whose, listed, best, cost.of(design, design) if cost else float("nan"))


def _kinds(systems: dict[str, list[Cell]], pairs: Sequence[tuple[str, str]]) -> list[tuple[str, bool]]:
    """(contrast, whether one of the two is not trained)."""
    return [(f"{a} - {b}", not all(systems[name][0].config.trains for name in (a, b))) for a, b in pairs]


def _design(cells: Sequence[Cell], systems: int) -> Design | str:
    config = cells[0].config
    codes = choose_languages(tasks.get(config.task, config.protocol), config)
    trained = {
        code
        for one in cells
        if one.config.trains
        for code in (*one.config.source_languages, *one.config.target_languages)
    }
    columns = [codes[i] for i in other_places(codes, trained or (ENGLISH,))]
    sizes = [one.examples for code in columns if (one := lengths(config.model, config.task, "test", code))]
    size = config.test_size(source=False)
    if not sizes and size is None:
        return "how many test examples there are is not known here; give eval_size"
    pool = min(sizes) if sizes else int(size or 0)
    each = min(pool, size) if size else pool
    seeds = len({cell.config.seed for cell in cells})
    return Design(seeds, len(columns), each, systems, config.eval_ids == "disjoint" and each < pool, pool)


def _cost(systems: dict[str, list[Cell]], device: Device) -> Cost | None:
    training = testing = base = 0.0
    for cells in systems.values():
        found = _estimate(cells[0].config, device)
        if found is None:
            return None
        if cells[0].config.trains:
            training += found[0]
            testing += found[1]
        else:
            base += found[1]
    return Cost(training, testing, base)


def _estimate(config: RunConfig, device: Device) -> tuple[float, float] | None:
    try:
        cost = estimate(config, device)
    except ModelError:
        return None
    return (cost.train_seconds + cost.validation_seconds, cost.eval_seconds) if cost else None
