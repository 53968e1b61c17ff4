"""The model card of a run: metadata that the Hub reads, with a score a language, and a text with every interval and every limit.

Every figure comes from the run's folder and, where it lies beside it, from that of the base model's run on the same examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.errors import ConfigError, UserError
from polyprefix.languages import get
from polyprefix.models.embedded import EMBEDDED
from polyprefix.models.locate import HUB_ID
from polyprefix.names import DEFAULT_PROTOCOL, task_title
from polyprefix.report.format import costs, interval, percent, signed, trained_share
from polyprefix.report.grid import read_grid
from polyprefix.report.run import RunView, view_of
from polyprefix.results.files import PREDICTIONS, find_results, read_result
from polyprefix.results.origins import origins_told
from polyprefix.results.table import BASE_METHOD
from polyprefix.results.trained_in import TrainedIn
from polyprefix.tasks import registry
from polyprefix.types import RunResult

LICENCES = {
    "apache-2.0": "apache-2.0", "mit": "mit", "bsd-3-clause": "bsd-3-clause", "gemma terms of use": "gemma", "gemma": "gemma",
    "cc0-1.0": "cc0-1.0",
    "cc-by-4.0": "cc-by-4.0", "cc-by-sa-4.0": "cc-by-sa-4.0", "cc-by-nc-4.0": "cc-by-nc-4.0", "llama3.1": "llama3.1", "llama3.2": "llama3.2",
    "llama3.3": "llama3.3", "other": "other",
}  # fmt: skip
"""What a licence is called -> what the Hub calls it."""
COSTS = ("peak_memory_bytes", "train_seconds", "eval_seconds")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run was made of, as far as it is known to whoever reads its folder."""

    base: str | None
    """An id of the Hub; None where the base model is a folder or a file of somebody's own."""
    base_licence: str | None
    data: str
    data_licence: str | None
    dataset: str | None
    """An id of the Hub."""
    chance: float | None
    metrics: tuple[str, ...]


def origin_of(result: RunResult, base: str | None = None, licence: str | None = None) -> Origin:
    """What a run was made of.

    Args:
        base: the base model's id on the Hub, where the run does not say it.
        licence: of the base model, likewise.
    """
    name = str(result.config["model"])
    embedded = EMBEDDED.get(name)
    known = embedded.hub_id if embedded else name if is_hub_id(name) else None
    data = str(result.provenance.get("data") or "not stated")
    found: dict[str, Any] = {"data": data, "data_licence": None, "chance": None, "metrics": ()}
    try:
        info = registry.get(str(result.config["task"]), str(result.config.get("protocol", DEFAULT_PROTOCOL))).info
        found = {"data": info.source, "data_licence": info.licence, "chance": info.chance, "metrics": info.metrics}
    except (UserError, OSError):  # a task file that is not here
        pass
    dataset = next((word for word in re.split(r"[\s,;()]+", str(found["data"])) if is_hub_id(word)), None)
    return Origin(base or known, licence or (embedded.licence if embedded else None), dataset=dataset, **found)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form `organisation/name`, and is no path here.

    >>> is_hub_id("facebook/xnli"), is_hub_id("gemma-3-270m"), is_hub_id("./models/mine")
    (True, False, False)
    """
    return "/" in name and HUB_ID.fullmatch(name) is not None and not Path(name).exists()


def card_of(folder: Path, *, repository: str | None = None, base: str | None = None, licence: str | None = None) -> str:
    """The text of README.md, metadata first.

    Args:
        folder: of a finished run; the base model's run is looked for in the folder around it.
        repository: `organisation/name`, for the lines that show how to load the adapter.
        base: the base model's id on the Hub.
        licence: of the adapter and its base model, as the Hub calls it.

    Raises:
        OutputError: if there is no finished run, or it cannot be read.
        ConfigError: for a licence that the Hub does not know, or a run without scores.
    """
    result = read_result(folder)
    if not result.scores:
        raise ConfigError(f"{folder}: the run was tested in no language, so there is nothing to put on a card")
    if licence is not None and licence.lower() not in LICENCES:
        raise ConfigError(
            f"--licence {licence}: expected one of {', '.join(sorted(set(LICENCES.values())))}; for others say other"
        )
    origin = origin_of(result, base, licence)
    shown = view_of(
        read_grid([folder, *_base_runs(folder, result)], BASE_METHOD if _base_runs(folder, result) else None),
        result.run_id,
    )
    return f"---\n{_metadata(result, origin, repository).to_yaml()}\n---\n\n" + "\n".join(
        _body(result, origin, shown, repository, folder)
    )


def _base_runs(folder: Path, result: RunResult) -> list[Path]:
    """The base model's run on the same examples, in the folder around the run's."""
    wanted = ("task", "task_digest", "protocol", "model", "shots", "eval_size", "eval_ids", "eval_until")
    for path in find_results(folder.absolute().parent):
        if path.resolve() == folder.resolve() or not (path / PREDICTIONS).is_file():
            continue
        other = read_result(path).config
        if _method(other) == BASE_METHOD != _method(result.config) and all(
            other.get(k) == result.config.get(k) for k in wanted
        ):
            return [path]
    return []


def _method(config: Mapping[str, Any]) -> str:
    return str(config["method"]["name"])


def _metadata(result: RunResult, origin: Origin, repository: str | None) -> Any:
    from huggingface_hub import EvalResult, ModelCardData

    metric = next(iter(next(iter(result.scores.values()))))
    title = task_title(result.config)
    chosen = metric in ("accuracy", "macro_f1")
    results = [
        EvalResult(
            task_type="text-classification" if chosen else "text-generation", task_name=title,
            dataset_type=origin.dataset or title, dataset_name=f"{title}, {get(code).name}", dataset_config=code, dataset_split="test",
            metric_type=name, metric_value=round(score.value, 6), metric_name=f"{name}, 95% interval {interval(score.ci95)}, n={score.n}",
        )
        for code, found in result.scores.items() for name, score in found.items() if name == metric
    ]  # fmt: skip
    licence = LICENCES.get((origin.base_licence or "").lower())
    return ModelCardData(
        model_name=(repository or result.run_id).rpartition("/")[2], base_model=origin.base, library_name="polyprefix", license=licence,
        language=sorted({_tag(code) for code in result.scores} - {""}), datasets=[origin.dataset] if origin.dataset else None,
        metrics=[metric], pipeline_tag="text-classification" if chosen else "text-generation",
        tags=["polyprefix", _method(result.config), "cross-lingual-transfer", "parameter-efficient-fine-tuning"], eval_results=results,
    )  # fmt: skip


def _tag(code: str) -> str:
    """The shortest ISO 639 code, as the Hub lists languages; empty for private use.

    >>> _tag("swh_Latn"), _tag("yor_Latn"), _tag("quy_Latn")
    ('sw', 'yo', 'quy')
    """
    from babel.core import get_global

    iso = get(code).iso639_3 or ""
    return str(get_global("language_aliases").get(iso, iso))


def _body(result: RunResult, origin: Origin, shown: RunView, repository: str | None, folder: Path) -> Iterator[str]:
    config, trained = result.config, TrainedIn.of(result.config)
    base, title = origin.base or Path(str(config["model"])).name, task_title(config)
    sources = ", ".join(get(code).name for code in trained.sources)
    yield f"# {(repository or result.run_id).rpartition('/')[2]}\n"
    if trained.trains:
        yield f"A `{_method(config)}` adapter for {base}, trained on {title} in {sources} and tested in {len(result.scores)} languages.\n"
    else:
        yield f"Scores of {base} on {title} in {len(result.scores)} languages; nothing was trained.\n"
    if (folder / "adapter").is_dir() or repository:
        yield from _use(config, origin, repository)
    yield from _scores(shown, trained)
    yield from _training(result, trained, origin, base)
    yield from _limits(result, origin, trained)


def _use(config: Mapping[str, Any], origin: Origin, repository: str | None) -> Iterator[str]:
    place, model = (
        repository or "PATH",
        str(config["model"]) if config["model"] in EMBEDDED else origin.base or "BASE_MODEL",
    )
    yield "## Use\n"
    yield "```python"
    yield "import polyprefix as pp\n"
    yield f'adapted = pp.load_adapter(pp.load_model("{model}"), "{place}")'
    yield "ask = pp.Predictor(adapted)\n```\n"
    yield f"Or `polyprefix predict {place} --file QUESTIONS.csv`. The adapter is safetensors and runs no code.\n"


def _scores(shown: RunView, trained: TrainedIn) -> Iterator[str]:
    paired = shown.base is not None
    yield "## Scores\n"
    yield f"{shown.cell.metric.replace('_', ' ').capitalize()}, in percent, with 95% intervals; n is the number of test examples. " + (
        "Differences from the base model are paired on the same examples; p is corrected over languages "
        "(Benjamini and Hochberg).\n" if paired else "\n"
    )  # fmt: skip
    head = ["language", "training", "n", "score", *(["base model", "difference", "p"] if paired else [])]
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for code, score, base, pair in sorted(shown.rows, key=lambda row: get(row[0]).name):
        cells = [
            get(code).name,
            trained.described(code),
            f"{score.n:,}",
            f"{percent(score.value)} {interval(score.ci95)}",
        ]
        if paired:
            cells += [f"{percent(base.value)} {interval(base.ci95)}" if base else "not tested"]
            cells += (
                [f"{signed(pair.difference.value)} {interval(pair.difference.ci95, True)}", f"{pair.p:.3f}"]
                if pair
                else ["", ""]
            )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""
    for one, mean, base_mean, pair in shown.averages():
        if one.grouping == "average":
            versus = f"; base model {percent(base_mean.value)}" if base_mean else ""
            gain = (
                f", difference {signed(pair.difference.value)} {interval(pair.difference.ci95, True)}, p = {pair.p:.3f}"
                if pair
                else ""
            )
            yield f"- {one.name} ({len(one.languages)} languages): {percent(mean.value)} {interval(mean.ci95)}{versus}{gain}"
    yield ""


def _training(result: RunResult, trained: TrainedIn, origin: Origin, base: str) -> Iterator[str]:
    config = result.config
    yield "## Data and training\n"
    yield f"- Base model: {base}; licence: {origin.base_licence or 'see its own card'}."
    yield f"- Data: {origin.data}; licence: {origin.data_licence or 'see its source'}."
    if result.origins:
        yield f"- Test texts: {origins_told(result.origins)}."
    if trained.trains:
        size = config.get("train_size")
        yield f"- Trained in {', '.join(get(code).name for code in trained.sources)}" + (
            f", {size:,} examples." if size else "."
        )
        if trained.targets:
            yield f"- Few-shot languages: {', '.join(get(code).name for code in trained.targets)}, {trained.target_size} examples each."
        yield (
            f"- Trained parameters: {trained_share(result.parameters)}."
            if result.parameters
            else "- Trained parameters: not known."
        )
        settings = {key: value for key, value in config["method"].items() if key != "name" and value is not None}
        train = config.get("train") or {}
        settings |= {
            key: train[key] for key in ("learning_rate", "batch_size", "schedule", "keep") if train.get(key) is not None
        }
        settings |= {key: result.training[key] for key in ("steps", "kept_step", "stopped") if key in result.training}
        yield f"- Settings: {', '.join(f'{key} {value}' for key, value in {**settings, 'seed': config.get('seed', 0)}.items())}."
    measured = costs({key: result.cost[key] for key in COSTS if key in result.cost})
    machine = result.provenance.get("machine")
    on = machine.get("gpu") or machine.get("processor") if isinstance(machine, Mapping) else None
    if measured:
        yield f"- Cost: {', '.join(f'{name} {figure}' for name, figure in measured.items())}{f', on {on}' if on else ''}."
    packages = result.provenance.get("packages")
    if isinstance(packages, Mapping):
        yield f"- Versions: {', '.join(f'{name} {version}' for name, version in packages.items() if version)}."
    yield ""


def _limits(result: RunResult, origin: Origin, trained: TrainedIn) -> Iterator[str]:
    yield "## Limits\n"
    tested = f"{task_title(result.config)} alone, and of these {len(result.scores)} languages"
    yield f"- Scores are of {tested}; other tasks and languages were not tested."
    yield "- One seed was run: intervals are over test examples, and another seed gives other scores."
    metric = next(iter(next(iter(result.scores.values()))))
    if origin.chance and origin.metrics[:1] == (metric,):
        low = [get(code).name for code, found in result.scores.items() if found[metric].ci95[0] <= origin.chance]
        if low:
            yield f"- Not above chance ({percent(origin.chance)}) by its interval in {len(low)} languages: {', '.join(sorted(low))}."
    if trained.trains and not trained.targets:
        yield "- In languages that are called zero-shot no training example was seen; scores there rest on what the base model knew."
    for note in result.notes:
        yield f"- {note}"
    yield ""
