"""The answers of a finished run as arrays, and the prior that each way of calibrating divides out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from polyprefix.calibration import probabilities
from polyprefix.calibration.record import CalibrationRecord
from polyprefix.calibration.temperature import Places, fit_temperature
from polyprefix.config import ENGLISH
from polyprefix.errors import ConfigError, UserError, nearest
from polyprefix.names import DEFAULT_PROTOCOL
from polyprefix.results.trained_in import TrainedIn
from polyprefix.scoring.bootstrap import Floats

if TYPE_CHECKING:
    import pandas as pd

Calibration = Literal["batch", "batch-unshrunken", "prior", "content-free", "pmi"]
CALIBRATIONS: tuple[Calibration, ...] = get_args(Calibration)
DESCRIPTIONS: Mapping[Calibration, str] = {
    "batch": "mean probabilities of the language's own texts, shrunken to those of the other languages",
    "batch-unshrunken": "mean probabilities of the language's own texts, as Zhou et al. (2023) have it",
    "prior": "mean probabilities of the other languages",
    "content-free": "probabilities after content-free inputs (Zhao et al. 2021)",
    "pmi": "probabilities after the words that every prompt ends with (Holtzman et al. 2021)",
}
"""What each divides out. None of them sees an answer."""


def check_calibration(name: str) -> Calibration:
    """The name, if it is one.

    Raises:
        ConfigError: if it is not.
    """
    if name not in CALIBRATIONS:
        raise ConfigError(f"calibration '{name}': no such one, {nearest(name, CALIBRATIONS)}")
    return name


@dataclass(frozen=True)
class LabelAnswers:
    """The answers of one run to questions with the same labels everywhere."""

    labels: tuple[str, ...]
    """In the order of the log-likelihoods."""
    log_likelihoods: Mapping[str, Floats]
    """Language -> `[N, K]`, in nats."""
    targets: Mapping[str, Places]
    """Language -> places of the right labels, `[N]`."""
    rows: Mapping[str, Places]
    """Language -> places in the table of examples, `[N]`."""
    record: CalibrationRecord | None
    """What the run kept."""
    source: str = ENGLISH
    """The language of validation where the record does not say it."""
    ids: Mapping[str, Any] = field(default_factory=dict)
    """Language -> ids of the examples, `[N]`."""
    _priors: dict[Calibration, dict[str, Floats]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _temperatures: dict[Calibration | None, float | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def means(self) -> Mapping[str, Floats]:
        """Language -> mean probability of each label, `[K]`."""
        return {code: probabilities.mean_probability(ll) for code, ll in self.log_likelihoods.items()}

    def priors(self, calibration: Calibration) -> dict[str, Floats]:
        """Language -> the prior that is divided out, `[K]`; a language for which it is not known is absent."""
        if calibration not in self._priors:
            self._priors[calibration] = self._computed(calibration)
        return self._priors[calibration]

    def _computed(self, calibration: Calibration) -> dict[str, Floats]:
        K, codes = len(self.labels), tuple(self.log_likelihoods)
        if calibration == "batch-unshrunken":
            return dict(self.means)
        others = probabilities.of_other_languages(self.means)
        free = self._content_free()
        if calibration == "batch":
            reference = {code: others.get(code, free.get(code, probabilities.uniform(K))) for code in codes}
            return {code: probabilities.shrunken(self.log_likelihoods[code], reference[code]) for code in codes}
        if calibration == "prior":
            return others
        if calibration == "content-free":
            return free
        kept = self.record.premise if self.record else {}
        return {code: probabilities.domain_premise(np.array(kept[code])) for code in codes if code in kept}

    def calibrated(self, calibration: Calibration, *, temperature: bool = False) -> dict[str, Floats]:
        """Language -> calibrated log-probabilities, `[N, K]`; a language without a prior is absent.

        Args:
            temperature: also scale by the temperature of validation, where that was kept.
        """
        T = (self.temperature(calibration) if temperature else None) or 1.0
        priors = self.priors(calibration)
        return {code: probabilities.calibrated(self.log_likelihoods[code], prior, T) for code, prior in priors.items()}

    @property
    def validated(self) -> tuple[str, ...]:
        """The languages of validation; none where the run kept none."""
        return tuple(self.record.validation.places(self.source)) if self.record else ()

    def temperature(self, calibration: Calibration | None) -> float | None:
        """The temperature of validation after the same calibration, or of raw answers; None where validation was not kept."""
        if calibration not in self._temperatures:
            kept = self._validation(calibration)
            self._temperatures[calibration] = fit_temperature(*kept) if kept else None
        return self._temperatures[calibration]

    def validation(self, calibration: Calibration | None) -> tuple[Floats, Places] | None:
        """Log-probabilities `[N, K]` of validation as those of `calibrated` with temperature, or raw, and the right labels; None
        where the run kept none."""
        kept = self._validation(calibration)
        if kept is None:
            return None
        scores, targets = kept
        T = (self.temperature(calibration) if calibration else None) or 1.0
        return probabilities.log_softmax(scores / T), targets

    def _validation(self, calibration: Calibration | None) -> tuple[Floats, Places] | None:
        """Before any temperature. The prior of a source language is that of the same calibration, of its own validation texts for `batch`."""
        kept = self.record.validation if self.record else None
        if kept is None or not kept.targets:
            return None
        scores, targets = np.array(kept.log_likelihoods), np.array(kept.targets)
        if calibration is None:
            return scores, targets
        places = kept.places(self.source)
        own = {code: scores[rows] for code, rows in places.items()}
        priors = replace(self, log_likelihoods={**self.log_likelihoods, **own}).priors(calibration)
        divided = np.empty_like(scores)
        for code, rows in places.items():
            divided[rows] = probabilities.calibrated(
                own[code], priors.get(code, probabilities.uniform(len(self.labels)))
            )
        return divided, targets

    def _content_free(self) -> dict[str, Floats]:
        kept = self.record.content_free if self.record else {}
        return {c: probabilities.content_free(np.array(kept[c])) for c in self.log_likelihoods if c in kept}


def label_answers(run: Mapping[str, Any], examples: pd.DataFrame) -> LabelAnswers | str:
    """The answers of a run, or why it has none that can be calibrated.

    Args:
        run: a row of the table of runs.
        examples: its rows of the table of examples.
    """
    lists = examples["log_likelihoods"].array.__arrow_array__().combine_chunks()
    sizes = np.diff(lists.offsets.to_numpy())
    if not len(sizes) or sizes.min() < 1:
        return "its answers are generated, not chosen"
    if sizes.min() != sizes.max():
        return "its examples differ in the number of choices"
    ll = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(sizes), sizes[0])
    record: CalibrationRecord | None = run["calibration"]
    right = [references[0] for references in examples["references"]]
    labels = record.labels if record else _labels(run["config"], ll, list(examples["prediction"]), right)
    if labels is None or len(labels) != ll.shape[1] or not set(right) <= set(labels):
        return "its choices differ from example to example, so they have no prior"
    place = {label: k for k, label in enumerate(labels)}
    targets = np.array([place[label] for label in right])
    codes, ids = examples["language"].to_numpy(), examples["example_id"].to_numpy(dtype=object)
    rows = {str(code): np.flatnonzero(codes == code) for code in dict.fromkeys(codes)}
    return LabelAnswers(
        labels,
        {code: ll[found] for code, found in rows.items()},
        {code: targets[found] for code, found in rows.items()},
        rows,
        record,
        next(iter(TrainedIn.of(run["config"]).sources), ENGLISH),
        {code: ids[found] for code, found in rows.items()},
    )


def _labels(
    config: Mapping[str, Any], ll_NK: Floats, predictions: Sequence[str], right: Sequence[str]
) -> tuple[str, ...] | None:
    """The labels of a run that does not say them: those of its task where that is built in, else by what was predicted."""
    from polyprefix.tasks import registry

    if (name := str(config["task"])) in registry.names():
        try:
            return registry.get(name, str(config.get("protocol", DEFAULT_PROTOCOL))).info.labels or None
        except UserError:  # a plugin that is broken now
            pass
    found: dict[int, str] = {}
    for k, label in zip(ll_NK.argmax(axis=1).tolist(), predictions, strict=True):
        if found.setdefault(k, label) != label:
            return None
    if len(set(found.values())) < len(found):
        return None
    open_places = sorted(set(range(ll_NK.shape[1])) - found.keys())
    never = sorted(set(right) - set(found.values()))
    if len(open_places) > 1 and never:  # which of them is which, nobody can say
        return None
    named = found | {k: never[0] if never else f"label {k + 1}" for k in open_places}
    return tuple(named[k] for k in sorted(named))
