"""`calibration.json`: what a run keeps so that its answers, and those to later questions, can be calibrated without asking the model again.

| key              | holds                                                                                                  |
|------------------|--------------------------------------------------------------------------------------------------------|
| `schema_version` | 2; files of version 1 have every language by itself                                                    |
| `labels`         | the answers to choose from, in the order of all log-likelihoods                                        |
| `priors`         | language -> `n` test texts, and the `mean` probability of each label over them: no answers are used     |
| `content_free`   | language -> log-likelihoods of the labels after each content-free input; `*` stands for every language  |
|                  | of `priors` where all have the same, as they do where a task has one wording                           |
| `premise`        | language or `*` -> log-likelihoods of the labels after the words that every prompt ends with           |
| `validation`     | in the source languages: `log_likelihoods` of each text, `targets`, the places of the right labels, and |
|                  | `languages`; a record without languages is of one, which the run's settings say                        |

Log-likelihoods are in nats. What was not measured is empty, and runs of earlier versions have no such file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polyprefix.atomic import write_text
from polyprefix.calibration.probabilities import mean_probability, pooled
from polyprefix.calibration.temperature import Places
from polyprefix.errors import OutputError
from polyprefix.safe_files import read_json
from polyprefix.scoring.bootstrap import Floats

CALIBRATION = "calibration.json"
SCHEMA_VERSION = 2
EVERY = "*"
"""In place of the languages that all have the same."""

Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LabelPrior:
    """The mean probability of each label over the texts of one language."""

    n: int
    mean: Row


@dataclass(frozen=True, slots=True)
class Validation:
    """Validation texts in the source languages."""

    log_likelihoods: tuple[Row, ...] = ()
    targets: tuple[int, ...] = ()
    languages: tuple[str, ...] = ()
    """Of each text; empty where all are of one language."""

    def places(self, source: str) -> dict[str, Places]:
        """Language -> the places of its texts; `source` where the languages were not kept."""
        codes = np.array(self.languages or (source,) * len(self.targets), dtype=object)
        return {str(code): np.flatnonzero(codes == code) for code in dict.fromkeys(codes.tolist())}


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """The content of `calibration.json`."""

    labels: tuple[str, ...]
    priors: Mapping[str, LabelPrior]
    content_free: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    premise: Mapping[str, Row] = field(default_factory=dict)
    validation: Validation = Validation()
    schema_version: int = SCHEMA_VERSION

    def prior(self, language: str) -> tuple[Floats, str]:
        """The prior for a language, and whose it is: its own where it was tested, else the mean of those that were.

        Raises:
            OutputError: if the run was tested in no language.
        """
        if found := self.priors.get(language):
            return np.array(found.mean), language
        if not self.priors:
            raise OutputError("no language was tested, so there is no prior; evaluate the run in some")
        return pooled([np.array(one.mean) for one in self.priors.values()]), f"{len(self.priors)} tested languages"


def priors_of(log_likelihoods: Mapping[str, Floats]) -> dict[str, LabelPrior]:
    """The priors of languages, from the log-likelihoods `[N, K]` of their texts."""
    return {code: LabelPrior(len(ll), _row(mean_probability(ll))) for code, ll in log_likelihoods.items()}


def write_record(folder: Path, record: CalibrationRecord) -> None:
    """Write the file: whole or not at all.

    Raises:
        OutputError: if the folder cannot be written.
    """
    values = asdict(record)
    for key in ("content_free", "premise"):
        values[key] = _once(values[key], record.priors)
    write_text(folder / CALIBRATION, json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")


def read_record(folder: Path) -> CalibrationRecord | None:
    """The record in the folder of a run; None where there is none.

    Raises:
        OutputError: if it is damaged, or of a later version.
    """
    path = folder / CALIBRATION
    try:
        values = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: damaged or unreadable ({error}); run it again, or delete the file") from None
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version not in (1, SCHEMA_VERSION):
        raise OutputError(
            f"{path}: schema_version is {version}, this version reads 1 and {SCHEMA_VERSION}; use the version that wrote it"
        )
    try:
        return _record(values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise OutputError(f"{path}: malformed ({error}); run it again, or delete the file") from None


def _record(values: Mapping[str, Any]) -> CalibrationRecord:
    """A record of which every row has one finite number for each label."""
    labels = tuple(str(label) for label in values["labels"])
    K = len(labels)
    kept = values["validation"]
    validation = Validation(
        _rows(kept["log_likelihoods"], K),
        tuple(int(t) for t in kept["targets"]),
        tuple(str(code) for code in kept.get("languages", ())),
    )
    if len(validation.log_likelihoods) != len(validation.targets) or not all(0 <= t < K for t in validation.targets):
        raise ValueError("targets do not fit the log-likelihoods of validation")
    if validation.languages and len(validation.languages) != len(validation.targets):
        raise ValueError("languages do not fit the log-likelihoods of validation")
    priors = {str(code): LabelPrior(int(one["n"]), *_rows([one["mean"]], K)) for code, one in values["priors"].items()}
    if any(prior.n < 1 or min(prior.mean) <= 0 for prior in priors.values()):
        raise ValueError("a prior is not positive")
    return CalibrationRecord(
        labels,
        priors,
        {code: _rows(rows, K) for code, rows in _of_each(values["content_free"], priors).items()},
        {code: _rows([row], K)[0] for code, row in _of_each(values["premise"], priors).items()},
        validation,
    )


def _once(by_language: Mapping[str, Any], languages: Iterable[str]) -> Mapping[str, Any]:
    """One value for all these languages, where they and no others have it."""
    first = next(iter(by_language.values()), None)
    same = by_language.keys() == set(languages) and all(value == first for value in by_language.values())
    return {EVERY: first} if same and len(by_language) > 1 else by_language


def _of_each(kept: Mapping[str, Any], languages: Iterable[str]) -> Mapping[str, Any]:
    """The value of each language."""
    return (
        dict.fromkeys(languages, kept[EVERY]) if EVERY in kept else {str(code): value for code, value in kept.items()}
    )


def _rows(rows: Sequence[Sequence[float]], K: int) -> tuple[Row, ...]:
    found = tuple(_row(np.array(row, dtype=np.float64)) for row in rows)
    if any(len(row) != K or not np.isfinite(row).all() for row in found):
        raise ValueError(f"expected {K} finite numbers, one for each label")
    return found


def _row(values: Floats) -> Row:
    return tuple(float(value) for value in values)
