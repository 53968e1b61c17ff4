"""What is known of a source and a target before anything is trained; whatever is not known is NaN, never a guess.

N candidates, T targets, P features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from polyprefix import languages
from polyprefix.errors import DataError, LanguageError
from polyprefix.languages.distances import Pair, between
from polyprefix.scoring.bootstrap import Floats
from polyprefix.tasks.base import Source, Task
from polyprefix.text.fertility import fertility

TEXTS = 100
"""Texts of a language that its tokens are counted in."""


@dataclass(frozen=True, slots=True)
class TextFacts:
    """A tokenizer on some texts of one language."""

    fertility: float | None
    """Tokens per word."""
    tokens: Mapping[int, int]
    """Token -> how often it occurs."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of languages for one task and model."""

    rows: Mapping[str, int] = field(default_factory=dict)
    """Language -> training examples of the task."""
    texts: Mapping[str, TextFacts] = field(default_factory=dict)
    base: Mapping[str, float] = field(default_factory=dict)
    """Language -> zero-shot score of the base model."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source beside a target, with all that features are made of."""

    source: languages.Language
    target: languages.Language
    pair: Pair
    facts: Facts

    @property
    def texts(self) -> tuple[TextFacts | None, TextFacts | None]:
        """Of the source and of the target."""
        return self.facts.texts.get(self.source.code), self.facts.texts.get(self.target.code)

    @property
    def overlap(self) -> float | None:
        """The share of the target's tokens that the source's texts hold too."""
        source, target = self.texts
        if source is None or target is None or not target.tokens:
            return None
        return sum(n for token, n in target.tokens.items() if token in source.tokens) / sum(target.tokens.values())

    @property
    def fertility(self) -> float | None:
        """Tokens per word of the source."""
        source = self.texts[0]
        return None if source is None else source.fertility

    @property
    def fertility_ratio(self) -> float | None:
        """How many times as many tokens a word takes in one of the two as in the other, 1 and more."""
        source, target = self.texts
        if source is None or target is None or not source.fertility or not target.fertility:
            return None
        return max(source.fertility / target.fertility, target.fertility / source.fertility)


Of = Callable[[Candidate], float | bool | None]


def _log(of: Callable[[Candidate], float | None]) -> Of:
    def found(one: Candidate) -> float | None:
        value = of(one)
        return log(value) if value else None

    return found


LANGUAGE, TOKENIZER, BASE = "languages", "tokenizer", "base model"
FEATURES: Mapping[str, tuple[str, Of]] = {
    "genetic distance": (LANGUAGE, lambda one: one.pair.genetic),
    "syntactic distance": (LANGUAGE, lambda one: one.pair.syntactic),
    "inventory distance": (LANGUAGE, lambda one: one.pair.inventory),
    "geographic distance": (LANGUAGE, lambda one: one.pair.geographic),
    "same script": (LANGUAGE, lambda one: one.pair.same_script),
    "same family": (LANGUAGE, lambda one: one.pair.same_family),
    "same branch": (LANGUAGE, lambda one: one.pair.same_branch),
    "resource class": (LANGUAGE, lambda one: one.source.resource_class),
    "training examples": (LANGUAGE, _log(lambda one: one.facts.rows.get(one.source.code))),
    "token overlap": (TOKENIZER, lambda one: one.overlap),
    "fertility": (TOKENIZER, _log(lambda one: one.fertility)),
    "fertility ratio": (TOKENIZER, _log(lambda one: one.fertility_ratio)),
    "base score": (BASE, lambda one: one.facts.base.get(one.source.code)),
}
"""Feature -> what it needs, and how it is found."""
NAMES = tuple(FEATURES)


def candidate(source: str, target: str, facts: Facts) -> Candidate:
    """A source beside a target.

    Raises:
        LanguageError: if one of them is no code.
    """
    one, other = languages.get(source), languages.get(target)
    return Candidate(one, other, between(one, other), facts)


def features(one: Candidate) -> Floats:
    """The features of a candidate, `[P]`."""
    values = (of(one) for _, of in FEATURES.values())
    return np.array([np.nan if value is None else float(value) for value in values])


def feature_table(sources: Sequence[str], targets: Sequence[str], facts: Facts) -> Floats:
    """The features of every source and target, `[N, T, P]`."""
    return np.array([[features(candidate(source, target, facts)) for target in targets] for source in sources])


def read_facts(
    task: Task, sources: Iterable[str], targets: Iterable[str], *, hub: Path | None = None, tokenizer: Any = None,
    base: Mapping[str, float] | None = None,
) -> Facts:  # fmt: skip
    """What a task's data says of languages: training examples, and a tokenizer on its texts, without their answers.

    A language's texts are those of its training data, of a target without training data those of its test data. Data that is not on this
    machine is passed over and named.

    Args:
        hub: a local mirror of the Hub.
        tokenizer: of the model at hand; None counts no tokens.
        base: language -> zero-shot score of the base model.
    """
    source = Source(hub)
    rows: dict[str, int] = {}
    texts: dict[str, TextFacts] = {}
    missing: dict[str, str] = {}
    trained, tested = set(task.train_languages()), set(task.languages())
    candidates = list(dict.fromkeys(sources))
    for code in dict.fromkeys((*candidates, *targets)):
        split = "train" if code in trained and code in candidates else "validation" if code in trained else "test"
        if code not in trained and code not in tested:
            continue
        try:
            found = task.examples(split, code, source)  # type: ignore[arg-type]
        except (DataError, LanguageError) as error:
            missing.setdefault(str(error), code)
            continue
        if split == "train":
            rows[code] = len(found)
        if tokenizer is not None:
            texts[code] = text_facts(tokenizer, [" ".join(x.inputs.values()) for x in found[:TEXTS]], code)
    notes = [f"no data of {len(missing)} languages was read; the first says: {next(iter(missing))}"] if missing else []
    return Facts(rows, texts, dict(base or {}), tuple(notes))


def text_facts(tokenizer: Any, texts: Sequence[str], code: str) -> TextFacts:
    """A tokenizer on some texts of a language."""
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return TextFacts(fertility(tokenizer, texts, code), Counter(token for row in ids for token in row))
