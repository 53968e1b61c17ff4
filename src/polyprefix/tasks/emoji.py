"""emoji: to which of eight groups does the thing belong that an emoji shows?

An embedded task: it needs no network. Unicode CLDR 48 names each emoji in over a hundred languages, and Unicode's list of emoji sorts them
into groups (`cldr/emoji.zip`, licence Unicode-3.0). The names are written and vetted by people, language by language. The prompt has the name
alone, without the emoji itself.

An item is one emoji in every language. Its hash decides its split, so no item is in training and in test, in any language. Names that a
reader of English alone could recognise are left out, as in `terms`. So are flags, whose names are those of countries, and what would give a
test item a near copy in training: men and women beside a person, skin tones, clock faces and keycaps. A name that two emoji
of a language share is left out where their groups differ, and else kept once. `tools/emoji_data.py` makes the data from two packages of npm.

Languages   all with at least 200 test items and ten in each group, but Greenlandic, where four names in five are Danish
Metric      accuracy; macro F1 beside it, because groups differ in size
Baselines   the most frequent group, and logistic regressions on the character n-grams and on the words of the English training names
Prompt      chosen on validation items of four languages with the base model: with `Group:` in place of `is a kind of`, Gemma 3 270M stayed
            at the most frequent group; CLDR's keywords beside the name helped no language clearly and are not shown
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from polyprefix.errors import LanguageError, nearest
from polyprefix.tasks._baselines import character_ngrams, classifier_scores, words
from polyprefix.tasks._names import class_of, split_of
from polyprefix.tasks._task_types import Classification, TypedTask, most_frequent_label
from polyprefix.tasks.base import ENGLISH, Source, TaskInfo
from polyprefix.types import Example, Score, Split

DATA = Path(__file__).with_name("cldr") / "emoji.zip"
CLDR = "48"
LABELS = ("emotion", "person", "nature", "food", "place", "activity", "object", "symbol")
"""Unicode's groups, each by one word that is a single token for both embedded models; `place` is Travel & Places, weather included."""
TEMPLATE = """Is the thing an emotion, a person, nature, a food, a place, an activity, an object or a symbol?
{name} is a kind of"""


class Emoji(TypedTask):
    """Names of emoji, eight groups of unequal size."""

    task_type = Classification(LABELS)
    template = TEMPLATE

    info = TaskInfo(
        name="emoji",
        title="To which of eight groups does the emoji of that name belong?",
        source=f"Unicode CLDR {CLDR} annotations, in polyprefix",
        licence="Unicode-3.0",
        metrics=task_type.metrics,
        chance=task_type.chance,
        parallel=True,
        origin="written by people",
        inputs=("name",),
        labels=LABELS,
        splits={
            "train": "emoji whose hash lies in 0.5..0.9, 582 in English",
            "validation": "emoji whose hash lies in 0.9..1.0, 151 in English",
            "test": "emoji whose hash lies in 0..0.5, 671 in English",
        },
        deviations=(
            "names that contain, equal or resemble the English one are left out, so languages differ in their items",
            "flags, keycaps, clock faces and separate names of men and women are left out",
        ),
    )

    def languages(self) -> tuple[str, ...]:
        """The codes that the task has data for, English first."""
        return _languages()

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """Emoji in hash order; those of a language are a part of the English ones.

        Raises:
            LanguageError: if the task has no such language.
        """
        if language not in _languages():
            raise LanguageError(f"emoji: no data in '{language}'; {nearest(language, _languages())}")
        source.note(f"names from Unicode CLDR {CLDR}")
        return _examples(split, language)

    def train_languages(self) -> tuple[str, ...]:
        """All of them; a language other than English has fewer names."""
        return _languages()

    def baselines(self, source: Source, test: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Score]]:
        """The most frequent group, and classifiers trained on the English names: character n-grams, and words."""
        train = self.examples("train", ENGLISH, source)
        models = {"character n-grams": character_ngrams(), "English words": words()}
        right = [example.references[0] for example in train]
        frequent = most_frequent_label(max(LABELS, key=right.count), test)
        return {"most frequent label": frequent, **classifier_scores(models, train, test, "name")} if frequent else {}


@cache
def _languages() -> tuple[str, ...]:
    with zipfile.ZipFile(DATA) as archive:
        return tuple(name.removesuffix(".tsv") for name in archive.namelist())


@cache
def _names(language: str) -> Mapping[str, str]:
    """Id -> name, in hash order."""
    with zipfile.ZipFile(DATA) as archive:
        lines = archive.read(f"{language}.tsv").decode().splitlines()
    return dict(line.split("\t") for line in lines)


@cache
def _examples(split: Split, language: str) -> tuple[Example, ...]:
    return tuple(
        Example(item, language, {"name": name}, choices=LABELS, references=(class_of(item),))
        for item, name in _names(language).items()
        if split_of(item) == split
    )


TASK = Emoji()
