"""xquad: find the answer to a question in a paragraph, in 12 languages.

Source    google/xquad on the Hugging Face Hub; M. Artetxe et al., On the Cross-lingual Transferability of Monolingual
          Representations, ACL 2020. Training: rajpurkar/squad, which is SQuAD v1.1 (P. Rajpurkar et al., EMNLP 2016).
Licence   CC BY-SA 4.0, both.
Texts     English is SQuAD's; the other languages translated from it by professional translators.
Splits    test 1,190 rows a language (the source calls it validation). Train and validation: SQuAD's 87,599 English
          training rows; 5% of the articles, by the hash of their titles, are for validation. SQuAD's own validation
          split is where XQuAD comes from, and is not used.
Shots     English validation; the source has no development data of its own.
Cut       the end of a context that is too long for a model; in training, never the answer.
Prompt    one English template in all languages, instruction first; the answer is written, up to a line break.
Metric    F1 and exact match as SQuAD v1.1 computes them; both again with regard to the language (scoring.normalise). Each
          is the best over the accepted answers. In Chinese and Thai, SQuAD's F1 says little more than exact match.
Deviates  from the source, which predicts the span's ends with an encoder; from lm-evaluation-harness, which translates
          the scaffold; and from XTREME only in the second pair of metrics, which it lacks.

Rows are parallel: an id is SQuAD's, the same in all languages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from polyprefix.data.hub import expect_rows, load_rows
from polyprefix.errors import DataError
from polyprefix.tasks._rows import read_columns, require_language, require_text, without_shared
from polyprefix.tasks._task_types import Span, TypedTask
from polyprefix.tasks.base import ENGLISH, Source, TaskInfo
from polyprefix.types import Example, Split

CONFIGS = {
    "eng_Latn": "xquad.en", "arb_Arab": "xquad.ar", "deu_Latn": "xquad.de", "ell_Grek": "xquad.el",
    "hin_Deva": "xquad.hi", "ron_Latn": "xquad.ro", "rus_Cyrl": "xquad.ru", "spa_Latn": "xquad.es",
    "tha_Thai": "xquad.th", "tur_Latn": "xquad.tr", "vie_Latn": "xquad.vi", "zho_Hans": "xquad.zh",
}  # fmt: skip
"""Our code -> configuration in the source."""
XQUAD, SQUAD = "google/xquad", "rajpurkar/squad"
ROWS, TRAIN_ROWS = 1_190, 87_599
VALIDATION_SHARE = 0.05
"""Share of SQuAD's training articles that are held out."""
TEMPLATE = """Answer the question with words of the context.
Context: {context}
Question: {question}
Answer:"""


class Xquad(TypedTask):
    """Extractive question answering; the answer is generated."""

    task_type = Span()
    template = TEMPLATE
    cuttable = "context"

    info = TaskInfo(
        name="xquad",
        title="Which words of the context answer the question?",
        source=XQUAD,
        licence="CC BY-SA 4.0",
        metrics=task_type.metrics,
        chance=task_type.chance,
        parallel=True,
        answer_language="question",
        origin="translated by people",
        origins={ENGLISH: "original"},
        inputs=("context", "question"),
        splits={
            "train": f"English train of {SQUAD}, 87,599 rows, without the articles held out",
            "validation": "5% of the articles of the same, by the hash of their titles",
            "test": "validation, 1,190 rows in each of 12 languages",
        },
        deviations=(
            "XQuAD: an English prompt in all languages, and a written answer; the source predicts a span",
            "XQuAD: 5% of SQuAD's training articles are held out for validation",
        ),
    )

    def languages(self) -> tuple[str, ...]:
        """The twelve codes, English first."""
        return tuple(CONFIGS)

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """All rows of a split; ids are SQuAD's and so the same in all languages.

        Raises:
            LanguageError: if the task has no such language, or only a test split in it.
            DataError: if rows are missing, too many, or malformed; a shorter training set is allowed, and noted.
        """
        require_language("xquad", split, language, tuple(CONFIGS))
        if split != "test":
            return self._squad(split, source)
        rows = load_rows(XQUAD, CONFIGS[language], "validation", source.hub)
        where = f"{XQUAD} {CONFIGS[language]} validation"
        expect_rows(len(rows), ROWS, where)
        return _read(rows, language, where)

    def _squad(self, split: Split, source: Source) -> Sequence[Example]:
        rows = load_rows(SQUAD, None, "train", source.hub)
        where = f"{SQUAD} train"
        expect_rows(len(rows), TRAIN_ROWS, where, subset_ok=True)
        held_out = [
            _is_held_out(title) == (split == "validation") for (title,) in read_columns(rows, ("title",), where)
        ]
        chosen = [e for e, wanted in zip(_read(rows, ENGLISH, where), held_out, strict=True) if wanted]
        test = self.examples("test", ENGLISH, source)
        kept, note = without_shared(f"XQuAD {split}", chosen, test, ["context", "question"])
        if split == "train":
            short = f", a subset of the published {TRAIN_ROWS:,}" if len(rows) < TRAIN_ROWS else ""
            size = (
                f"XQuAD train: {len(rows):,} rows of {SQUAD} here{short}, {len(rows) - len(chosen):,} of them held out."
            )
            source.note(size)
        source.note(note)
        return kept


def _is_held_out(title: str) -> bool:
    return int(hashlib.sha256(title.encode()).hexdigest()[:8], 16) / 2**32 < VALIDATION_SHARE


def _read(rows: Mapping[str, Any], language: str, where: str) -> list[Example]:
    cells = read_columns(rows, ("id", "context", "question", "answers"), where)
    return [_example(f"{where}, row {row}", language, *values) for row, values in enumerate(cells)]


def _example(where: str, language: str, id: str, context: object, question: object, answers: Any) -> Example:
    texts = tuple(dict.fromkeys(text.strip() for text in answers["text"] if text.strip()))
    if not texts:
        raise DataError(f"{where}: no answer; fetch the data again")
    inputs = {
        "context": require_text(context, where, "context"),
        "question": require_text(question, where, "question"),
    }
    return Example(id, language, inputs, choices=(), references=texts)


TASK = Xquad()
