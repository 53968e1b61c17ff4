"""xnli as lm-evaluation-harness has it: tasks `xnli_en`, `xnli_ar`, ... version 1.0.

Split     the source's *validation* split, 2,490 rows a language: not the test split that XNLI's results are reported on.
          Validation during training is therefore the English test split, so that nothing is chosen on what is scored.
Prompt    none. A choice is the whole text `{premise}, right? Yes, {hypothesis}`, `Also` for neutral, `No` for
          contradiction, and each word of the label and premise counts in its likelihood.
Words     translated word by word by a machine, as the harness's README says. The Arabic contradiction is a word for
          *number*; `?` is ASCII in Arabic, Urdu and Chinese too; Spanish `Asi` lacks its accent; labels differ in length.
Metric    `acc`: the likeliest of the three, by the sum over all tokens, without regard to length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from polyprefix.scoring.metrics import accuracy
from polyprefix.tasks.base import ENGLISH
from polyprefix.tasks.xnli import Xnli
from polyprefix.types import Example, Prediction, Prompt, Score, Split

WORDS = {
    "eng_Latn": ("right", "Yes", "Also", "No"),
    "arb_Arab": ("صحيح", "نعم", "لذا", "رقم"),
    "bul_Cyrl": ("правилно", "да", "така", "не"),
    "deu_Latn": ("richtig", "Ja", "Auch", "Nein"),
    "ell_Grek": ("σωστός", "Ναί", "Έτσι", "όχι"),
    "fra_Latn": ("correct", "Oui", "Aussi", "Non"),
    "hin_Deva": ("सही", "हाँ", "इसलिए", "नहीं"),
    "rus_Cyrl": ("правильно", "Да", "Так", "Нет"),
    "spa_Latn": ("correcto", "Sí", "Asi que", "No"),
    "swh_Latn": ("sahihi", "Ndiyo", "Hivyo", "Hapana"),
    "tha_Thai": ("ถูกต้อง", "ใช่", "ดังนั้น", "ไม่"),
    "tur_Latn": ("doğru", "Evet", "Böylece", "Hayır"),
    "urd_Arab": ("صحیح", "جی ہاں", "اس لئے", "نہیں"),
    "vie_Latn": ("đúng", "Vâng", "Vì vậy", "Không"),
    "zho_Hans": ("正确", "是的", "所以", "不是的"),
}
"""Language -> the word of the question, then those for entailment, neutral and contradiction."""


class LmEvalXnli(Xnli):
    """Natural language inference by the likelihood of three sentences."""

    info = replace(
        Xnli.info,
        metrics=("acc",),
        splits={
            **Xnli.info.splits,
            "validation": "English test, 5,010 rows",
            "test": "validation, 2,490 rows in each of 15 languages",
        },
        deviations=(
            "Protocol lm-eval: XNLI's validation split (2,490 rows) is scored, not its test split; "
            "three whole sentences with translated words are compared by likelihood",
            "Protocol lm-eval: the words are the harness's own, such as an Arabic word for 'number' in place of 'no'",
        ),
    )
    source_splits: ClassVar[Mapping[Split, Split]] = {"validation": "test", "test": "validation"}

    def train_languages(self) -> tuple[str, ...]:
        """English: what other languages would train on is scored here."""
        return (ENGLISH,)

    def prompt(self, example: Example) -> Prompt:
        """An empty text, and three sentences to rank."""
        word, *labels = WORDS[example.language]
        premise, hypothesis = example.inputs["premise"], example.inputs["hypothesis"]
        choices = tuple(f" {premise}, {word}? {label}, {hypothesis}" for label in labels)
        return Prompt(
            example_id=example.id,
            language=example.language,
            text="",
            target=choices[example.choices.index(example.references[0])],
            choices=choices,
            verbatim=True,
        )

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Accuracy."""
        return {"acc": accuracy([self.correctness(p) for p in predictions])}


TASK = LmEvalXnli()
