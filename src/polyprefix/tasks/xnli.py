"""XNLI: does the premise entail the hypothesis, in 15 languages.

Source    facebook/xnli on the Hugging Face Hub; A. Conneau et al., XNLI: Evaluating Cross-lingual Sentence
          Representations, EMNLP 2018. Training: its English part, which is MultiNLI (A. Williams et al., NAACL 2018;
          nyu-mll/multi_nli), or that data set itself where the former is missing.
Licence   CC BY-NC 4.0 (XNLI); MultiNLI's sources have terms of their own.
Texts     English written by people; the other languages translated from it by professional translators.
Splits    test 5,010 rows a language (1,670 a label), validation 2,490 a language, train 392,702 (English). Other languages
          than English have no training split (the source's is translated by machine); they train on nine tenths of the
          premises of validation, the same ones in all languages.
Shots     validation, in all languages.
Prompt    one English template in all languages, instruction first, so that its keys and values are computed once.
Metric    accuracy; macro F1 over the three labels beside it.
Deviates  from the source, which fine-tunes a classifier on sentence pairs; from lm-evaluation-harness, whose xnli scores the
          validation split with whole translated sentences as choices; and from lighteval, which leaves the neutral class out.
          Their figures are not comparable with these, nor with published results on XNLI's test split.

Rows are parallel: row i is the same pair in every language, so `test-17` is one item with fifteen translations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from polyprefix.data.hub import MissingDataError, expect_rows, load_rows
from polyprefix.errors import DataError
from polyprefix.tasks._rows import read_columns, require_language, require_text, without_shared
from polyprefix.tasks._task_types import Classification, TypedTask
from polyprefix.tasks.base import ENGLISH, Source, TaskInfo
from polyprefix.types import Example, Split

CONFIGS = {
    "eng_Latn": "en", "arb_Arab": "ar", "bul_Cyrl": "bg", "deu_Latn": "de", "ell_Grek": "el",
    "fra_Latn": "fr", "hin_Deva": "hi", "rus_Cyrl": "ru", "spa_Latn": "es", "swh_Latn": "sw",
    "tha_Thai": "th", "tur_Latn": "tr", "urd_Arab": "ur", "vie_Latn": "vi", "zho_Hans": "zh",
}  # fmt: skip
"""Our code -> configuration in the source."""
ROWS: Mapping[Split, int] = {"train": 392_702, "validation": 2_490, "test": 5_010}
LABELS = ("yes", "maybe", "no")
"""In the order of the source's labels: entailment, neutral, contradiction."""
TRAINED_SHARE = 0.9
"""Share of the premises of validation that languages other than English train on."""
XNLI, MULTI_NLI = "facebook/xnli", "nyu-mll/multi_nli"
TEMPLATE = """Does the premise entail the hypothesis? Answer yes, maybe or no.
Premise: {premise}
Hypothesis: {hypothesis}
Answer:"""


class Xnli(TypedTask):
    """Natural language inference with three classes."""

    task_type = Classification(LABELS)
    template = TEMPLATE
    source_splits: ClassVar[Mapping[Split, Split]] = {"validation": "validation", "test": "test"}
    """Our split -> the source's; training data is another matter."""

    info = TaskInfo(
        name="xnli",
        title="Does the premise entail the hypothesis?",
        source=XNLI,
        licence="CC BY-NC 4.0",
        metrics=task_type.metrics,
        chance=task_type.chance,
        parallel=True,
        origin="translated by people",
        origins={ENGLISH: "original"},
        inputs=("premise", "hypothesis"),
        labels=LABELS,
        splits={
            "train": f"English train ({MULTI_NLI}), 392,702 rows; elsewhere nine tenths of the premises of validation",
            "validation": "validation, 2,490 rows in each of 15 languages",
            "test": "test, 5,010 rows in each of 15 languages",
        },
        deviations=(
            "XNLI: an English prompt in all languages, answered yes, maybe or no; the source fine-tunes a classifier",
        ),
    )

    def languages(self) -> tuple[str, ...]:
        """The fifteen codes, English first."""
        return tuple(CONFIGS)

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """All rows of a split; ids are row numbers and so the same in all languages.

        Raises:
            LanguageError: if the task has no such language.
            DataError: if rows are missing, too many, or malformed; a shorter training set is allowed, and noted.
        """
        require_language("xnli", split, language, tuple(CONFIGS), elsewhere=("train", "validation"))
        if split == "train":
            return self._train(source) if language == ENGLISH else self._development(language, source)
        original = self.source_splits[split]
        rows = load_rows(XNLI, CONFIGS[language], original, source.hub)
        where = f"{XNLI} {CONFIGS[language]} {original}"
        expect_rows(len(rows), ROWS[original], where)
        return _read(rows, original, language, where)

    def train_languages(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(CONFIGS)

    def shot_languages(self) -> tuple[str, ...]:
        """All of them: the source has 2,490 validation rows in each."""
        return tuple(CONFIGS)

    def _development(self, language: str, source: Source) -> Sequence[Example]:
        """Rows of validation as training data; three rows have one premise, and stay together."""
        rows = self.examples("validation", language, source)
        chosen = [example for example in rows if _is_trained(example.id)]
        test = self.examples("test", language, source)
        kept, note = without_shared(f"XNLI train, {language}", chosen, test, ["premise"])
        source.note(
            f"XNLI train, {language}: {len(kept):,} of the {len(rows):,} rows of validation; the source has no training split in it "
            "but a machine's translation.",
            note,
        )
        return kept

    def _train(self, source: Source) -> Sequence[Example]:
        dataset, where = XNLI, f"{XNLI} {CONFIGS[ENGLISH]} train"
        try:
            rows = load_rows(XNLI, CONFIGS[ENGLISH], "train", source.hub)
        except MissingDataError as missing:
            try:
                rows = load_rows(MULTI_NLI, None, "train", source.hub)
            except MissingDataError:
                raise missing from None  # the first is what the user has to fix
            dataset, where = MULTI_NLI, f"{MULTI_NLI} train"
        expect_rows(len(rows), ROWS["train"], where, subset_ok=True)
        if dataset != XNLI:
            source.note(f"XNLI: trained on {MULTI_NLI}, for {XNLI} has no English training split here.")
        if len(rows) < ROWS["train"]:
            source.note(f"XNLI: {where} is a subset here, {len(rows):,} of the {ROWS['train']:,} published rows.")
        test = self.examples("test", ENGLISH, source)
        kept, note = without_shared("XNLI train", _read(rows, "train", ENGLISH, where), test, ["premise"])
        source.note(note)
        return kept


def _is_trained(id: str) -> bool:
    split, _, row = id.rpartition("-")
    digest = hashlib.sha256(f"{split} premise {int(row) // 3}".encode()).hexdigest()
    return int(digest[:8], 16) / 2**32 < TRAINED_SHARE


def _read(rows: Mapping[str, Any], split: Split, language: str, where: str) -> list[Example]:
    cells = read_columns(rows, ("premise", "hypothesis", "label"), where)
    return [_example(f"{where}, row {row}", f"{split}-{row}", language, *values) for row, values in enumerate(cells)]


def _example(where: str, id: str, language: str, premise: object, hypothesis: object, label: object) -> Example:
    if not isinstance(label, int) or label not in range(3):
        raise DataError(f"{where}: label {label!r}, expected 0, 1 or 2; fetch the data again")
    inputs = {
        "premise": require_text(premise, where, "premise"),
        "hypothesis": require_text(hypothesis, where, "hypothesis"),
    }
    return Example(id, language, inputs, choices=LABELS, references=(LABELS[label],))


TASK = Xnli()
