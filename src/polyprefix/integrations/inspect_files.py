"""Logs of inspect_ai as run folders, read by its own reader: `.eval` and `.json`, one log a task.

    2026-01-02T03-04-05_xnli-sw_....eval, ..._xnli-th_....eval  ->  one run of `xnli (inspect)`, its languages inside

The language of a sample is its metadata's `language`, else that of the task's arguments, else the end of the task's name, else English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyprefix.config import ENGLISH
from polyprefix.errors import OutputError, first_line
from polyprefix.extras import require
from polyprefix.integrations.imported import (
    About,
    Chosen,
    Sample,
    digest_of,
    known_language,
    short_hash,
    usable_metrics,
    write_run,
)
from polyprefix.types import Prediction

KEYS = ("language", "lang")
"""Of metadata and of a task's arguments, that say a language."""
LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""What inspect's scorers say: correct, incorrect, partly, no answer."""


def import_runs(place: Path, out: Path, chosen: Chosen) -> list[Path]:
    """Make run folders of the logs in a folder.

    Args:
        place: the folder that `--log-dir` named, or one log.
        out: the folder of all runs.

    Returns:
        The folders, one for each task and model.

    Raises:
        ConfigError: if inspect_ai is not installed.
        OutputError: if logs are missing, damaged, unfinished or of the same task twice, or a task has no score that runs can be compared by.
    """
    require("inspect_ai", "inspect", "import --format inspect")
    paths = [place] if place.is_file() else sorted(p for form in ("*.eval", "*.json") for p in place.rglob(form))
    if not paths:
        raise OutputError(
            f"{place}: found no *.eval and no *.json, expected logs; give the folder that --log-dir named"
        )
    return list(_import([(path, _log(path)) for path in paths], out, chosen))


def _log(path: Path) -> Any:
    from inspect_ai.log import read_eval_log

    try:
        log = read_eval_log(str(path))
    except Exception as error:  # whatever its reader may raise of a damaged file
        raise OutputError(
            f"{path}: no log that inspect reads ({first_line(error)}); give the logs of finished runs"
        ) from None
    if log.status != "success" or not log.samples:
        raise OutputError(
            f"{path}: status is '{log.status}' with {len(log.samples or ())} samples, expected a finished run"
        )
    return log


def _import(logs: Sequence[tuple[Path, Any]], out: Path, chosen: Chosen) -> Iterator[Path]:
    groups: dict[tuple[str, str], dict[str, list[Sample]]] = {}
    sources: dict[tuple[str, str], list[Any]] = {}
    for path, log in logs:
        family, language = language_of(log.eval.task, log.eval.task_args or {})
        key = (family, str(log.eval.model))
        parts: dict[str, list[Sample]] = {}
        for (code, _), epochs in _by_sample(log.samples, language).items():
            parts.setdefault(code, []).append(_sample(epochs, code, chosen.parallel))
        found = groups.setdefault(key, {})
        if twice := sorted(parts.keys() & found.keys()):
            raise OutputError(f"{path}: found {family} in {twice[0]} twice, of {key[1]}; import the logs one by one")
        found.update(parts)
        sources.setdefault(key, []).append(log)
    for (family, model), samples in groups.items():
        metrics = usable_metrics(family, [one for found in samples.values() for one in found], chosen.metric)
        asked = (
            [code, short_hash(one.prediction.text), *one.prediction.references]
            for code, f in samples.items()
            for one in f
        )
        yield write_run(out, _about(family, model, sources[family, model], chosen, digest_of(asked)), samples, metrics)


def language_of(task: str, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """A task without its language, and the language; English where neither its arguments nor its name say one.

    >>> language_of("xnli", {"language": "sw"}), language_of("evals/xnli_th", {}), language_of("gpqa-diamond", {})
    (('xnli', 'swh_Latn'), ('xnli', 'tha_Thai'), ('gpqa-diamond', 'eng_Latn'))
    """
    name = task.rpartition("/")[2]
    if code := next((code for key in KEYS if (code := known_language(str(arguments.get(key) or "")))), None):
        return name, code
    for pattern in (r"(.+)[_-](\w{3}_[A-Z]\w{3})", r"(.+)[_-]([^_-]+)"):
        if (match := re.fullmatch(pattern, name)) and (code := known_language(match[2])):
            return match[1], code
    return name, ENGLISH


def _by_sample(samples: Sequence[Any], language: str) -> dict[tuple[str, str], list[Any]]:
    """(language, id) -> the sample in each epoch."""
    found: dict[tuple[str, str], list[Any]] = {}
    for sample in samples:
        said = (str((sample.metadata or {}).get(key) or "") for key in KEYS)
        code = next((code for text in said if (code := known_language(text))), language)
        found.setdefault((code, str(sample.id)), []).append(sample)
    return found


def _sample(epochs: Sequence[Any], code: str, parallel: bool) -> Sample:
    """The answer of the first epoch, and the mean over epochs of each scorer's value."""
    first = epochs[0]
    text = first.input if isinstance(first.input, str) else "\n\n".join(message.text for message in first.input)
    targets = (first.target,) if isinstance(first.target, str) else tuple(first.target)
    names = list(first.scores or ())
    values = {name: [_value((one.scores or {}).get(name)) for one in epochs] for name in names}
    answers = [str(score.answer) for score in (first.scores or {}).values() if score.answer]
    said = answers[0] if answers else str(first.output.completion)
    id = str(first.id) if parallel else f"{code}/{first.id}/{short_hash(text)}"
    means = {name: None if None in found else sum(filter(None, found)) / len(found) for name, found in values.items()}
    return Sample(Prediction(id, code, targets or ("",), said, (), text), means)


def _value(score: Any) -> float | None:
    """A share, where a score is one."""
    value = None if score is None else score.value
    if isinstance(value, str):
        return LETTERS.get(value)
    return float(value) if isinstance(value, bool | int | float) else None


def _about(family: str, model: str, logs: Sequence[Any], chosen: Chosen, digest: str) -> About:
    first = logs[0].eval
    adapter = (first.model_args or {}).get("adapter")
    return About(
        tool="inspect",
        title="inspect",
        task=family,
        tasks=tuple(log.eval.task for log in logs),
        model=chosen.model or model,
        method=chosen.method or (Path(str(adapter)).name if adapter else "none"),
        digest=digest,
        provenance={"packages": dict(first.packages or {}), "imported": {"model": model, "date": str(first.created)}},
    )
