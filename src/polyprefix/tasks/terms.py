"""terms: is this the name of a country, a language or a currency?

The embedded task: it needs no network, because Babel's wheel carries the names (Unicode CLDR, licence Unicode-3.0) in
over a hundred languages. Training is on names in English, or in any other of them; names that a reader of English alone
could recognise are left out (see `_terms_names`). No term is in training and in test, in any language.

A demonstration, not a benchmark: a name tells little about a language, and languages with few resources have little
CLDR data or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version

from polyprefix.errors import DataError, LanguageError, nearest
from polyprefix.tasks._baselines import character_ngrams, classifier_scores, length_and_spaces
from polyprefix.tasks._names import class_of
from polyprefix.tasks._task_types import Classification, TypedTask
from polyprefix.tasks._terms_names import (
    CLASSES,
    ENGLISH,
    LOCALES,
    english_items,
    english_terms,
    foreign_terms,
    interleave,
)
from polyprefix.tasks.base import Source, TaskInfo
from polyprefix.types import Example, Score, Split

TEMPLATE = """Is the name a country, a language or a currency?
Name: {name}
Answer:"""
MIN_PER_CLASS = 20
"""A language with fewer test items in a class is not part of the task."""


class Terms(TypedTask):
    """Names of countries, languages and currencies, three classes of equal size."""

    task_type = Classification(CLASSES)
    template = TEMPLATE

    info = TaskInfo(
        name="terms",
        title="Is the name a country, a language or a currency?",
        source="Unicode CLDR names in Babel",
        licence="Unicode-3.0",
        metrics=task_type.metrics,
        chance=task_type.chance,
        parallel=True,
        origin="written by people",
        inputs=("name",),
        labels=CLASSES,
        splits={
            "train": "terms whose hash lies in 0.5..0.9, 82 of each class in English with CLDR 47",
            "validation": "terms whose hash lies in 0.9..1.0, 24 of each class in English",
            "test": "terms whose hash lies in 0..0.5, 20 to 112 of each class",
        },
        deviations=(
            "a demonstration, not a benchmark: it leans to languages that CLDR covers well",
            "names that contain, equal or resemble the English one are left out, so languages differ in their items",
            "a country is an ISO 3166 code, dependent territories included",
        ),
    )

    def languages(self) -> tuple[str, ...]:
        """The codes that the task has test data for, English first."""
        return tuple(LOCALES)

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """Terms in hash order, classes taking turns: a prefix is balanced, and holds the same ids wherever they exist.

        The test ids of a language are a part of the English ones.

        Raises:
            LanguageError: if the task has no such language.
            DataError: if this version of Babel has too few names in it.
        """
        if language not in LOCALES:
            raise LanguageError(f"terms: no data in '{language}'; {nearest(language, LOCALES)}")
        source.note(f"names from Babel {version('babel')}")  # items come and go with its release
        return _examples(split, language)

    def train_languages(self) -> tuple[str, ...]:
        """All of them; a language other than English has fewer names."""
        return tuple(LOCALES)

    def baselines(self, source: Source, test: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Score]]:
        """Two classifiers trained on the English terms: character n-grams, and length and spaces. What they reach in other languages is
        shared spelling and shape: the floor that knowledge of those languages has to beat."""
        models = {"character n-grams": character_ngrams(), "length and spaces": length_and_spaces()}
        return classifier_scores(models, self.examples("train", ENGLISH, source), test, "name")


def languages_with(items: int) -> tuple[str, ...]:
    """English and the languages that have at least so many test items."""
    return tuple(code for code in LOCALES if len(_examples("test", code)) >= items)


@cache
def _examples(split: Split, language: str) -> tuple[Example, ...]:
    items = english_items(split)
    names = english_terms()
    if language != ENGLISH:
        names = foreign_terms(language, split)
        items = interleave(item for item in items if item in names)
    least = MIN_PER_CLASS if split == "test" or language == ENGLISH else 1
    if len(items) < least * len(CLASSES):
        raise DataError(
            f"terms: this version of Babel gives {len(items) // len(CLASSES)} {split} items per class in {language}, "
            f"fewer than {least}; leave the language out, or install another Babel (2.18 has them)"
        )
    return tuple(
        Example(item, language, {"name": names[item]}, choices=CLASSES, references=(class_of(item),)) for item in items
    )


TASK = Terms()
