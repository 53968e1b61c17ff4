"""Runs of lm-evaluation-harness as run folders: `results_*.json` and the `samples_*.jsonl` that `--log_samples` writes beside it.

    samples_xnli_sw_DATE.jsonl, samples_xnli_th_DATE.jsonl, ...  ->  one run of `xnli (lm-eval)`, its languages inside

Comparisons, groups and reports then work on harness runs of any model. Every value of a sample is kept as it is, and the mean over samples
must be the figure that the harness reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.config import ENGLISH
from polyprefix.errors import OutputError, nearest
from polyprefix.integrations.imported import (
    About,
    Chosen,
    Sample,
    digest_of,
    known_language,
    require_reported,
    usable_metrics,
    write_run,
)
from polyprefix.safe_files import parse_json, read_json, read_text
from polyprefix.types import Prediction

MOST_BYTES = 4 << 30
"""Of a file of samples."""
IDS = ("id", "uid", "pairID", "question_id", "qID", "idx", "story_id")
"""Columns of a document that may identify it."""


@dataclass(frozen=True, slots=True)
class _File:
    """The samples of one task."""

    path: Path
    task: str
    """As the harness calls it."""
    family: str
    """The same without its language."""
    language: str


def import_runs(place: Path, out: Path, chosen: Chosen) -> list[Path]:
    """Make run folders of everything that the harness wrote in a folder.

    Args:
        place: the folder that `--output_path` named, one of a model in it, or one `results_*.json`.
        out: the folder of all runs.

    Returns:
        The folders, one for each task and results file.

    Raises:
        OutputError: if files are missing, damaged or contradict each other, or a task has no metric that runs can be compared by.
    """
    found = [place] if place.is_file() else sorted(place.rglob("results_*.json"))
    if not found:
        raise OutputError(f"{place}: found no results_*.json, expected some; give the folder that --output_path named")
    return [folder for path in found for folder in _import(path, out, chosen)]


def _import(path: Path, out: Path, chosen: Chosen) -> Iterator[Path]:
    results = _object(path)
    date = path.stem.removeprefix("results_")
    files = [_file(one, date, results) for one in sorted(path.parent.glob(f"samples_*_{date}.jsonl"))]
    if not files:
        raise OutputError(
            f"{path}: found no samples_*_{date}.jsonl beside it, expected one for each task; run with --log_samples"
        )
    families: dict[str, dict[str, _File]] = {}
    for file in files:
        languages = families.setdefault(file.family, {})
        if file.language in languages:
            other = languages[file.language].path.name
            raise OutputError(
                f"{file.path}: found {file.family} in {file.language} twice (also {other}); import them one by one"
            )
        languages[file.language] = file
    for family, languages in families.items():
        yield _run(family, languages, results, out, chosen)


def _file(path: Path, date: str, results: Mapping[str, Any]) -> _File:
    task = path.name.removeprefix("samples_").removesuffix(f"_{date}.jsonl")
    config = results.get("configs", {}).get(task)
    named = config.get("dataset_name") if isinstance(config, dict) else None
    family, language = language_of(task, named if isinstance(named, str) else "")
    return _File(path, task, family, language)


def language_of(task: str, dataset: str = "") -> tuple[str, str]:
    """A task of the harness without its language, and the language; English where neither name says one.

    Args:
        dataset: the name of its configuration.

    >>> language_of("belebele_swh_Latn"), language_of("mgsm_direct_sw"), language_of("arc_easy"), language_of("xquad", "xquad.el")
    (('belebele', 'swh_Latn'), ('mgsm_direct', 'swh_Latn'), ('arc_easy', 'eng_Latn'), ('xquad', 'ell_Grek'))
    """
    for family, written in (
        (match[1], match[2])
        for match in (re.fullmatch(p, task) for p in (r"(.+)_(\w{3}_[A-Z]\w{3})", r"(.+)_([^_]+)"))
        if match
    ):
        if code := known_language(written):
            return family, code
    return task, known_language(re.split(r"[._]", dataset)[-1]) or known_language(dataset) or ENGLISH


def _run(family: str, files: Mapping[str, _File], results: Mapping[str, Any], out: Path, chosen: Chosen) -> Path:
    """One run folder: a task in all its languages."""
    rows = {code: _samples(file, chosen) for code, file in files.items()}
    samples = {
        code: [
            Sample(_prediction(files[code], row, id, code), {name: row.get(name) for name in row.get("metrics", ())})
            for row, id in zip(found, _ids(found, code, chosen.parallel), strict=True)
        ]
        for code, found in rows.items()
    }
    metrics = usable_metrics(family, [sample for found in samples.values() for sample in found], chosen.metric)
    for code, found in samples.items():
        filter = str(rows[code][0].get("filter", "none"))
        of_task = results.get("results", {}).get(files[code].task, {})
        require_reported(
            files[code].path, found, metrics, {metric: of_task.get(f"{metric},{filter}") for metric in metrics}
        )
    return write_run(out, _about(family, files, results, chosen, rows), samples, metrics)


def _samples(file: _File, chosen: Chosen) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(read_text(file.path, MOST_BYTES).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise OutputError(
                f"{file.path}:{number}: found no JSON ({error}), expected a sample; run the harness again"
            ) from None
        if not isinstance(row, dict) or not {"doc_id", "target", "filtered_resps"} <= set(row):
            raise OutputError(
                f"{file.path}:{number}: found no sample, expected doc_id, target and filtered_resps; run the harness again"
            )
        rows.append(row)
    filters = list(dict.fromkeys(str(row.get("filter", "none")) for row in rows))
    if chosen.filter is not None and chosen.filter not in filters:
        raise OutputError(f"{file.path}: no filter '{chosen.filter}', {nearest(chosen.filter, filters)}")
    kept = [row for row in rows if str(row.get("filter", "none")) == (chosen.filter or filters[0])]
    if not kept:
        raise OutputError(f"{file.path}: found no samples, expected some; run the harness again")
    return kept


def _ids(rows: Sequence[Mapping[str, Any]], code: str, parallel: bool) -> list[str]:
    """An id for each document: its number where languages are parallel; else its own, or its number, and its hash, so that runs are only
    paired on the same documents."""
    if parallel:
        return [str(row["doc_id"]) for row in rows]
    for name in IDS:
        own = [row["doc"].get(name) if isinstance(row.get("doc"), dict) else None for row in rows]
        if all(isinstance(one, str | int) for one in own) and len(set(map(str, own))) == len(rows):
            return [f"{code}/{one}" for one in own]
    return [f"{code}/{row['doc_id']}/{str(row.get('doc_hash', ''))[:8]}" for row in rows]


def _prediction(file: _File, row: Mapping[str, Any], id: str, code: str) -> Prediction:
    """What a sample says: of choices the likeliest with all log-likelihoods, of an answer its text."""
    responses, target = row["filtered_resps"], str(row["target"])
    texts = [one.get("arg_1") for one in (row.get("arguments") or {}).values() if isinstance(one, dict)]
    asked = next(
        (str(one.get("arg_0", "")) for one in (row.get("arguments") or {}).values() if isinstance(one, dict)), ""
    )
    try:
        if not responses or not isinstance(responses[0], list):
            return Prediction(id, code, (target,), str(responses[0] if responses else ""), (), asked)
        values = tuple(float(value) for value, *_ in responses)
        choices = [str(text).strip() for text in texts[: len(values)]]
        if len(values) == 1:  # greedy or not is all that is known
            said = choices[0] if str(responses[0][1]) == "True" else ""
            return Prediction(id, code, (choices[0],), said, (), asked)
        right = choices[int(target)] if target.isdigit() and int(target) < len(choices) else target.strip()
        return Prediction(id, code, (right,), choices[values.index(max(values))], values, asked)
    except (IndexError, TypeError, ValueError) as error:
        raise OutputError(
            f"{file.path}: the sample {row['doc_id']} has other responses than the harness writes ({error})"
        ) from None


def _about(
    family: str,
    files: Mapping[str, _File],
    results: Mapping[str, Any],
    chosen: Chosen,
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
) -> About:
    found = results.get("config")
    made: dict[str, Any] = found if isinstance(found, dict) else {}
    given = _model_args(made.get("model_args"))
    adapter = given.get("adapter") or given.get("peft") or given.get("delta")
    shots = results.get("n-shot", {}).get(next(iter(files.values())).task, 0)
    total = made.get("model_num_parameters")
    return About(
        tool="lm-eval",
        title="lm-evaluation-harness",
        task=family,
        tasks=tuple(file.task for file in files.values()),
        model=chosen.model or str(given.get("pretrained") or results.get("model_name") or made.get("model") or "model"),
        method=chosen.method or str(made.get("method") or (Path(str(adapter)).name if adapter else "none")),
        digest=digest_of(
            [code, row["doc_id"], row.get("doc_hash"), row.get("target_hash")]
            for code, found in rows.items()
            for row in found
        ),
        shots=int(shots) if isinstance(shots, int) else 0,
        limit=int(made["limit"]) if isinstance(made.get("limit"), int | float) and made["limit"] >= 1 else None,
        total=total if isinstance(total, int) and total > 0 else None,
        provenance={
            "packages": {"lm_eval": results.get("lm_eval_version")},
            "code": {"commit": results.get("git_hash")},
            "imported": {
                "model": made.get("model"),
                "model_args": made.get("model_args"),
                "date": results.get("date"),
            },
        },
    )


def _model_args(written: object) -> dict[str, Any]:
    """`pretrained=gpt2,dtype=float32`, or the same as an object."""
    if isinstance(written, dict):
        return written
    pairs = (part.partition("=") for part in str(written or "").split(","))
    return {key: value for key, equals, value in pairs if equals}


def _object(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: damaged or unreadable ({error}); run the harness again") from None
    if not isinstance(values, dict) or not isinstance(values.get("results"), dict):
        raise OutputError(f"{path}: found no 'results', expected a results file of lm-evaluation-harness")
    return values
