"""The values that flow from data to report, and the glossary of the project.

    Example -> Prompt -> Prediction -> RunResult

Plain and frozen; none of them knows a model, a file or a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Split = Literal["train", "validation", "test"]
Origin = Literal["original", "written by people", "translated by people", "translated by machine", "not stated"]
"""Where the test text of a language comes from; `original` is what the other languages were translated from."""
DESCRIBED: Mapping[str, Any] = {"use_attribute_docstrings": True}
"""Makes a class's JSON schema say of each field what is said here."""


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a task in one language.

    `id` is the same for the same item in every language of a parallel data set: paired statistics rest on it.
    """

    id: str
    language: str
    """Our code: ISO 639-3 and ISO 15924, such as `swh_Latn`."""
    inputs: Mapping[str, str]
    """The named pieces of text that a template puts together, as the source has them; prompts strip them."""
    choices: tuple[str, ...]
    """The answers to choose from, in the order of the labels; empty where the answer is written freely."""
    references: tuple[str, ...]
    """The correct answers, never empty; the first is the training target. With choices, exactly one of them."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads, and the continuations it is asked about.

    `text` ends where the answer begins, without trailing white space; continuations carry their leading space.
    """

    example_id: str
    language: str
    text: str
    target: str
    """The continuation that training teaches, such as ` country`."""
    choices: tuple[str, ...] = ()
    """The continuations to rank by log-likelihood; empty where the answer is generated."""
    stop: tuple[str, ...] = ()
    """A generated answer ends before the first of these strings."""
    max_new_tokens: int = 64
    """And after at most so many tokens."""
    context: tuple[int, int] | None = None
    """The part of `text`, in characters, that may be cut where the whole is too long for a model; None if nothing may be."""
    verbatim: bool = False
    """Read and written as lm-evaluation-harness does: a stop string ends an answer even where it begins it, white space
    around an answer stays, and a continuation is what follows after as many tokens as the text has by itself."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one example."""

    example_id: str
    language: str
    references: tuple[str, ...]
    """The correct answers, as in the example."""
    prediction: str
    """The chosen or generated answer."""
    log_likelihoods: tuple[float, ...] = ()
    """Of each choice, in nats; empty where the answer was generated."""
    text: str = ""
    """The example as a person would read it, for reports; may be left out of published results."""


@dataclass(frozen=True, slots=True)
class Score:
    """A figure with the number of examples behind it and its 95% interval."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = DESCRIBED
    value: float
    """As a share; 0.5 is 50%."""
    n: int
    """Examples."""
    ci95: tuple[float, float]
    """The ends of the interval."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """One finished run, as `result.json` holds it (docs/results-format.md)."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = DESCRIBED
    run_id: str
    """Task, method, model, seed and a hash of the settings; also the name of the folder."""
    config: Mapping[str, Any]
    """All settings, as `config.yaml` has them."""
    provenance: Mapping[str, Any]
    """Versions, code, machine and time, and what identifies model and data."""
    parameters: Mapping[str, int]
    """`trainable` and `total`."""
    scores: Mapping[str, Mapping[str, Score]]
    """language -> metric -> score. A language without a score is absent, never zero."""
    cost: Mapping[str, float]
    """Seconds, examples per second, bytes."""
    notes: tuple[str, ...] = ()
    """Every deviation from the source protocol, and everything that was left out."""
    baselines: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    """Baseline -> language -> accuracy, for tasks that bring baselines without a language model."""
    fertility: Mapping[str, float] = field(default_factory=dict)
    """Language -> tokens per word of the model's tokenizer on the test examples; absent in results of earlier versions."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What training did: `steps`, `epochs`, `stopped`, `kept_step`, `learned`, `chance`, with meta-learning `meta_episodes`, and
    `validation`, a list of what was measured after which step; empty where nothing was trained, and in results of earlier versions."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Language -> where its test text comes from (`Origin`); absent in results of earlier versions and where a task does not state it."""
    answers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Language -> checks of its generated answers (`scoring.answer_checks`); empty where answers are chosen, and in earlier versions."""
    available: Mapping[str, int] = field(default_factory=dict)
    """Language -> the test examples that there were, where asking stopped as soon as the interval was narrow enough (`eval_until`); empty
    elsewhere, and in earlier versions."""
    status: Literal["finished"] = "finished"
    """Nothing else is written."""
    schema_version: int = 2
    """Of this file."""

    @property
    def seconds(self) -> float:
        """Of training, validation and evaluation together."""
        return sum(self.cost.get(f"{part}_seconds", 0.0) for part in ("train", "validation", "eval"))
