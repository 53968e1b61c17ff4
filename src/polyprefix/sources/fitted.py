"""A ranker with its validation, as `ranker.json` ships it and as it is fitted on anybody's transfer matrices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from polyprefix.config import ENGLISH
from polyprefix.errors import ConfigError, UserError
from polyprefix.names import DEFAULT_PROTOCOL
from polyprefix.results.table import ResultsTable
from polyprefix.sources.features import Facts, feature_table, read_facts
from polyprefix.sources.ranker import ALL_NAMES, Observed, Penalty, Ranker, Sums, fit
from polyprefix.sources.validation import Figures, Learner, Validation, validate, variants
from polyprefix.statistics.settings import read_settings
from polyprefix.statistics.transfer import LanguageMean, TransferMatrix, transfer_matrices
from polyprefix.tasks import registry

SHIPPED = "ranker.json"
"""In this folder; made by tools/make_source_ranker.py."""


@dataclass(frozen=True, slots=True)
class FittedOn:
    """What is said of a matrix that a ranker was fitted on."""

    task: str
    model: str
    method: str
    metric: str
    sources: tuple[str, ...]
    targets: int
    seeds: int
    items: int
    """Test examples of a target, the median."""


@dataclass(frozen=True, slots=True)
class FittedRanker:
    """A ranker, what it was fitted on, and how good its choices are."""

    ranker: Ranker
    matrices: tuple[FittedOn, ...]
    validation: Validation | None
    """None where no matrix has English among its sources, so that there is nothing to compare with."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The source languages that were measured."""
        return tuple(dict.fromkeys(code for one in self.matrices for code in one.sources))


def fitted(
    observed: Sequence[Observed], more: Mapping[str, Learner] | None = None, *, new: bool = True
) -> FittedRanker:
    """Fit a ranker on matrices, and validate it.

    Args:
        observed: at least one.
        more, new: as `validate`.
    """
    matrices = tuple(
        FittedOn(
            one.matrix.task, one.matrix.model, one.matrix.method, one.matrix.metric, one.matrix.sources,
            len(one.matrix.targets), len(one.matrix.answers.seeds), int(np.median(one.matrix.answers.counts)),
        )
        for one in observed
    )  # fmt: skip
    with_english = any(ENGLISH in one.matrix.sources for one in observed)
    validation = validate(observed, more, new=new) if with_english else None
    return FittedRanker(fit(observed, variants(observed)), matrices, validation)


def observe(table: ResultsTable, hub: Path | None = None) -> tuple[list[Observed], list[str]]:
    """The transfer matrices of a table of results, with the features of their cells, and notes on what was not read.

    Args:
        hub: a local mirror of the Hub; None means the Hub itself.
    """
    observed, notes = list[Observed](), list[str]()
    for setting in read_settings(table):
        for matrix in transfer_matrices(setting):
            found, said = _observed(matrix, hub)
            observed.append(found)
            notes += [*matrix.notes, *said]
    return observed, list(dict.fromkeys(notes))


def _observed(matrix: TransferMatrix, hub: Path | None) -> tuple[Observed, list[str]]:
    facts, notes = Facts(base=matrix.base), list[str]()
    try:
        task = registry.get(str(matrix.config["task"]), str(matrix.config.get("protocol", DEFAULT_PROTOCOL)))
        tokenizer = tokenizer_of(str(matrix.config["model"]))
        facts = read_facts(task, matrix.sources, matrix.targets, hub=hub, tokenizer=tokenizer, base=matrix.base)
    except UserError as error:  # the task or the model of somebody else's runs
        notes.append(f"{matrix.task}, {matrix.model}: no texts were read, {error}")
    return Observed(matrix, feature_table(matrix.sources, matrix.targets, facts)), [*notes, *facts.notes]


def tokenizer_of(model: str) -> Any:
    """The tokenizer of a model, whose weights are not read.

    Raises:
        ModelError: if the model cannot be found, or its tokenizer cannot be read.
    """
    from polyprefix.models.load import load_tokenizer

    return load_tokenizer(model)


def shipped() -> FittedRanker | None:
    """The ranker of the package; None where it ships none.

    Raises:
        ConfigError: if it was made by another version of the features.
    """
    file = files("polyprefix.sources") / SHIPPED
    return from_dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def as_dict(found: FittedRanker) -> dict[str, Any]:
    """For JSON."""
    ranker = found.ranker
    sums = ranker.sums
    return {
        "matrices": [asdict(one) for one in found.matrices],
        "ranker": {
            "features": list(ALL_NAMES), "means": _rounded(ranker.means), "scales": _rounded(ranker.scales),
            "gram": [_rounded(row) for row in sums.gram], "moment": _rounded(sums.moment), "square": round(sums.square, 6),
            "cells": sums.cells, "penalties": {name: asdict(one) for name, one in ranker.penalties.items()},
            "measured": {code: round(value, 6) for code, value in ranker.measured.items()},
        },
        "validation": asdict(found.validation) if found.validation else None,
    }  # fmt: skip


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 6) for value in values]


def from_dict(read: Mapping[str, Any]) -> FittedRanker:
    """The inverse.

    Raises:
        ConfigError: if it was made by another version of the features.
    """
    told = read["ranker"]
    if tuple(told["features"]) != ALL_NAMES:
        raise ConfigError(
            f"{SHIPPED}: its features are not those of this version; make it again (tools/make_source_ranker.py)"
        )
    sums = Sums(np.array(told["gram"]), np.array(told["moment"]), float(told["square"]), int(told["cells"]))
    penalties = {name: Penalty(**one) for name, one in told["penalties"].items()}
    ranker = Ranker(np.array(told["means"]), np.array(told["scales"]), sums, penalties, told["measured"])
    matrices = tuple(FittedOn(**{**one, "sources": tuple(one["sources"])}) for one in read["matrices"])
    return FittedRanker(ranker, matrices, _validation(read["validation"]))


def _validation(read: Mapping[str, Any] | None) -> Validation | None:
    if read is None:
        return None
    return Validation(
        read["targets"], *({name: _figures(one) for name, one in read[part].items()} for part in ("known", "new"))
    )


def _figures(read: Mapping[str, Any]) -> Figures:
    means = {key: _mean(read[key]) if read[key] else None for key in ("gain", "regret", "cross_fitted", "ndcg")}
    return Figures(**means, minus={name: _mean(one) for name, one in read["minus"].items()})  # type: ignore[arg-type]


def _mean(read: Mapping[str, Any]) -> LanguageMean:
    low, high = read["ci95"]
    return LanguageMean(read["value"], (low, high), read["languages"], read["families"])
