"""sib200: which of seven topics is a sentence about, in 205 languages.

Source    Davlan/sib200 on the Hugging Face Hub; D. I. Adelani et al., SIB-200: A Simple, Inclusive, and Big Evaluation
          Dataset for Topic Classification in 200+ Languages and Dialects, EACL 2024. The sentences are FLORES-200's.
Licence   Apache 2.0 for the labels as their repository states it, CC BY-SA 4.0 for FLORES-200's text.
Texts     English from Wikimedia projects; the other languages translated from it by people, for FLORES-200.
Splits    test 204 rows, validation 99, train 701, each in all languages. No sentence is in two of them in any language.
Shots     validation, in all languages.
Prompt    one English template in all languages, instruction first, so that its keys and values are computed once.
Labels    science (the source's science/technology), travel, politics, sports, health, entertainment, geography: each a
          single token for the embedded models, with its leading space.
Metric    accuracy; macro F1 beside it, for the classes are of unequal size (science 25%, geography 8%).
Deviates  from the source, which fine-tunes encoders with a classifier or prompts a chat model in another wording.

Rows are parallel: index_id is the sentence's number in FLORES-200, the same in all languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polyprefix.data.hub import expect_rows, load_rows
from polyprefix.errors import DataError
from polyprefix.tasks._codes import SIB200 as LANGUAGES
from polyprefix.tasks._rows import read_columns, require_language, require_text, without_shared
from polyprefix.tasks._task_types import Classification, TypedTask, most_frequent_label
from polyprefix.tasks.base import ENGLISH, Source, TaskInfo
from polyprefix.types import Example, Score, Split

SIB200 = "Davlan/sib200"
ROWS: Mapping[Split, int] = {"train": 701, "validation": 99, "test": 204}
TOPICS = {
    "science/technology": "science",
    "travel": "travel",
    "politics": "politics",
    "sports": "sports",
    "health": "health",
    "entertainment": "entertainment",
    "geography": "geography",
}
"""The source's category -> our label, the most frequent first."""
LABELS = tuple(TOPICS.values())
TEMPLATE = """Is the topic of the text science, travel, politics, sports, health, entertainment or geography?
Text: {text}
Topic:"""


class Sib200(TypedTask):
    """Topic classification with seven classes."""

    task_type = Classification(LABELS)
    template = TEMPLATE

    info = TaskInfo(
        name="sib200",
        title="Which of seven topics is the sentence about?",
        source=SIB200,
        licence="Apache 2.0 (labels), CC BY-SA 4.0 (text)",
        metrics=task_type.metrics,
        chance=task_type.chance,
        parallel=True,
        origin="translated by people",
        origins={ENGLISH: "original"},
        inputs=("text",),
        labels=LABELS,
        splits={
            "train": "train, 701 rows in each of 205 languages",
            "validation": "validation, 99 rows in each of 205 languages",
            "test": "test, 204 rows in each of 205 languages",
        },
        deviations=(
            "SIB-200: an English prompt in all languages, answered with a topic; the source fine-tunes a classifier",
            "SIB-200: the label science/technology is worded science",
        ),
    )

    def languages(self) -> tuple[str, ...]:
        """The 205 codes, English first."""
        return LANGUAGES

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """All rows of a split; ids are FLORES-200's sentence numbers and so the same in all languages.

        Raises:
            LanguageError: if the task has no such language.
            DataError: if rows are missing, too many, or malformed.
        """
        require_language("sib200", split, language, LANGUAGES, elsewhere=("train", "validation"))
        examples = _read(split, language, source)
        if split != "train":
            return examples
        kept, note = without_shared("SIB-200 train", examples, _read("test", language, source), ["text"])
        source.note(note)
        return kept

    def train_languages(self) -> tuple[str, ...]:
        """All of them."""
        return LANGUAGES

    def shot_languages(self) -> tuple[str, ...]:
        """All of them: the source has 99 validation rows in each."""
        return LANGUAGES

    def baselines(self, source: Source, test: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Score]]:
        """What the topic that is most frequent in training scores: the classes are of unequal size."""
        scores = most_frequent_label(LABELS[0], test)
        return {"most frequent topic": scores} if scores else {}


def _read(split: Split, language: str, source: Source) -> list[Example]:
    rows = load_rows(SIB200, language, split, source.hub)
    where = f"{SIB200} {language} {split}"
    expect_rows(len(rows), ROWS[split], where)
    cells = read_columns(rows, ("index_id", "category", "text"), where)
    return [_example(f"{where}, row {row}", language, *values) for row, values in enumerate(cells)]


def _example(where: str, language: str, index: object, category: object, text: object) -> Example:
    if category not in TOPICS:
        raise DataError(f"{where}: category {category!r}, expected one of {', '.join(TOPICS)}; fetch the data again")
    return Example(
        id=f"flores-{index}",
        language=language,
        inputs={"text": require_text(text, where, "text")},
        choices=LABELS,
        references=(TOPICS[str(category)],),
    )


TASK = Sib200()
