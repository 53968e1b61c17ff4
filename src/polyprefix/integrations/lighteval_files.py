"""Runs of lighteval as run folders: `results_*.json`, and the details that `--save-details` writes, a Parquet file a task.

details/MODEL/DATE/details_xnli_swa_cf|0_DATE.parquet, ..._tha_cf|0_...  ->  one run of `xnli_cf (lighteval)`, its languages inside
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polyprefix.config import ENGLISH
from polyprefix.errors import OutputError, first_line
from polyprefix.integrations.imported import (
    About,
    Chosen,
    Sample,
    digest_of,
    known_language,
    require_reported,
    short_hash,
    usable_metrics,
    write_run,
)
from polyprefix.safe_files import read_json, require_regular
from polyprefix.types import Prediction

COLUMNS = ["doc", "metric", "model_response"]
FORMS = ("mcf", "cf", "hybrid")
"""How lighteval's multilingual tasks end: letters, whole answers, or both."""


def import_runs(place: Path, out: Path, chosen: Chosen) -> list[Path]:
    """Make run folders of everything that lighteval wrote in a folder.

    Args:
        place: the folder that `--output-dir` named.
        out: the folder of all runs.

    Returns:
        The folders, one for each task and date.

    Raises:
        OutputError: if files are missing, damaged or contradict each other, or a task has no metric that runs can be compared by.
    """
    dates = sorted({path.parent for path in place.rglob("details_*.parquet")})
    if not dates:
        raise OutputError(
            f"{place}: found no details_*.parquet, expected one for each task; run lighteval with --save-details"
        )
    return [folder for details in dates for folder in _import(details, out, chosen)]


def _import(details: Path, out: Path, chosen: Chosen) -> Iterator[Path]:
    date = details.name
    results = _results(details)
    families: dict[str, dict[str, tuple[str, Path]]] = {}
    for path in sorted(details.glob(f"details_*_{date}.parquet")):
        task = path.name.removeprefix("details_").removesuffix(f"_{date}.parquet")
        family, language = language_of(task)
        known = families.setdefault(family, {})
        if language in known:
            raise OutputError(
                f"{path}: found {family} in {language} twice (also {known[language][0]}); import them one by one"
            )
        known[language] = (task, path)
    for family, files in families.items():
        rows = {code: _rows(path) for code, (_, path) in files.items()}
        samples = {
            code: [_sample(files[code][1], row, code, chosen.parallel) for row in found] for code, found in rows.items()
        }
        metrics = usable_metrics(family, [one for found in samples.values() for one in found], chosen.metric)
        for code, found in samples.items():
            task, path = files[code]
            require_reported(path, found, metrics, results.get("results", {}).get(task, {}))
        digest = digest_of(
            [code, row["doc"].get("id"), short_hash(str(row["doc"].get("query")))]
            for code, found in rows.items()
            for row in found
        )
        yield write_run(out, _about(family, files, results, chosen, digest, date), samples, metrics)


def language_of(task: str) -> tuple[str, str]:
    """A task of lighteval without its language and its number of shots, and the language; English where its name says none.

    >>> language_of("lighteval|belebele_swh_Latn_mcf|0"), language_of("xnli_swa_cf|5"), language_of("arc:easy|0")
    (('belebele_mcf', 'swh_Latn'), ('xnli_cf', 'swh_Latn'), ('arc:easy', 'eng_Latn'))
    """
    parts = task.split("|")
    name = parts[0] if len(parts) < 3 else parts[1]
    form = next((f"_{form}" for form in FORMS if name.endswith(f"_{form}")), "")
    bare = name.removesuffix(form)
    for pattern in (r"(.+)_(\w{3}_[A-Z]\w{3})", r"(.+)[_:]([^_:]+)"):
        if (match := re.fullmatch(pattern, bare)) and (code := known_language(match[2])):
            return match[1] + form, code
    return name, ENGLISH


def _results(details: Path) -> dict[str, Any]:
    """The results file of the same model and date; empty where it is gone."""
    name = f"results_{details.name}.json"
    root = next((parent for parent in details.parents if parent.name == "details"), None)
    if root is None:
        return {}
    path = root.parent / "results" / details.parent.relative_to(root) / name
    if not path.is_file():
        return {}
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: damaged or unreadable ({error}); run lighteval again") from None
    return values if isinstance(values, dict) else {}


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        require_regular(path)
        table = pq.read_table(path, columns=COLUMNS)
        rows: list[dict[str, Any]] = table.to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise OutputError(f"{path}: damaged, or no details of lighteval 0.11 or later ({first_line(error)})") from None
    if not rows or not all(isinstance(row.get(key), dict) for row in rows for key in COLUMNS):
        raise OutputError(f"{path}: found no samples, expected some with {', '.join(COLUMNS)}; run lighteval again")
    return rows


def _sample(path: Path, row: Mapping[str, Any], code: str, parallel: bool) -> Sample:
    """What a sample says: of choices the likeliest with all log-likelihoods, of an answer its text."""
    doc, response = row["doc"], row["model_response"]
    try:
        query, number = str(doc["query"]), str(doc["id"])
        choices = [str(choice).strip() for choice in doc["choices"] or ()]
        gold = doc["gold_index"] if isinstance(doc["gold_index"], list) else [doc["gold_index"]]
        references = tuple(choices[place] for place in gold)
        values = tuple(float(value) for value in response.get("logprobs") or ())
        ranked = len(values) == len(choices) > 1
        texts = response.get("text_post_processed") or response.get("text") or ()
        said = choices[values.index(max(values))] if ranked else str(texts[0]) if texts else ""
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"{path}: a sample has another form than lighteval's ({error!r}); run lighteval again"
        ) from None
    id = number if parallel else f"{code}/{number}/{short_hash(query)}"
    return Sample(Prediction(id, code, references, said, values if ranked else (), query), row["metric"])


def _about(
    family: str,
    files: Mapping[str, tuple[str, Path]],
    results: Mapping[str, Any],
    chosen: Chosen,
    digest: str,
    date: str,
) -> About:
    general = results.get("config_general") or {}
    named = str(general.get("model_name") or next(iter(files.values()))[1].parent.parent.name)
    words = dict(pair.partition("=")[::2] for pair in named.split(",")) if "=" in named else {"pretrained": named}
    adapter = words.get("adapter")
    shots = {task.rpartition("|")[2] for task, _ in files.values()}
    count = next(iter(shots)) if len(shots) == 1 else ""
    limit = general.get("max_samples")
    return About(
        tool="lighteval",
        title="lighteval",
        task=family,
        tasks=tuple(task for task, _ in files.values()),
        model=chosen.model or words.get("pretrained") or named,
        method=chosen.method or (Path(adapter).name if adapter else "none"),
        digest=digest,
        shots=int(count) if count.isdigit() else 0,
        limit=limit if isinstance(limit, int) and limit > 0 else None,
        provenance={"code": {"commit": general.get("lighteval_sha")}, "imported": {"model": named, "date": date}},
    )
