"""mgsm as lm-evaluation-harness has it: tasks `mgsm_direct_en`, ... version 4.0, the variant that asks for the number.

Prompt    `Question: {question}`, a line break, `Answer:`. The first word is in the language of the problem; the second
          only in German, Spanish and French, and English elsewhere. French has a space before the colon, Chinese and
          Japanese a full-width colon with a space after it.
Answer    at most 256 tokens, up to the word for the question, `</s>` or `<|im_end|>`. A line break does not end it, so a
          model that goes on with another text is read to its last number.
Metric    exact match of text, in lower case and without ASCII punctuation, minus signs among it:
          `exact_match,flexible-extract`, the last number in ASCII digits (a run of `$0-9.,` of two characters or more
          counts as one, so a lone `..` can be it), and `exact_match,remove_whitespace`, the whole answer.
Deviates  from the benchmark in having no few-shot examples and no chain of thought: the variants `mgsm_en_cot` and
          `mgsm_native_cot`, which ask for steps, are not here. Digits of other scripts are never found; -7 is 7 and 1.5 is 15.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polyprefix.scoring.metrics import accuracy
from polyprefix.tasks.lm_eval._answers import last_number, same_text
from polyprefix.tasks.mgsm import Mgsm
from polyprefix.types import Example, Prediction, Prompt, Score

WORDS = {
    "eng_Latn": ("Question:", "Answer:"),
    "ben_Beng": ("প্রশ্ন:", "Answer:"),
    "deu_Latn": ("Frage:", "Antwort:"),
    "fra_Latn": ("Question :", "Réponse :"),
    "jpn_Jpan": ("問題：", "Answer:"),
    "rus_Cyrl": ("Задача:", "Answer:"),
    "spa_Latn": ("Pregunta:", "Respuesta:"),
    "swh_Latn": ("Swali:", "Answer:"),
    "tel_Telu": ("ప్రశ్న:", "Answer:"),
    "tha_Thai": ("โจทย์:", "Answer:"),
    "zho_Hans": ("问题：", "Answer:"),
}
"""Language -> what stands before the question, and after it."""


class LmEvalMgsm(Mgsm):
    """Word problems answered with the number alone."""

    info = replace(
        Mgsm.info,
        metrics=("exact_match,flexible-extract", "exact_match,remove_whitespace"),
        deviations=(
            "Protocol lm-eval: the direct variant, without few-shot examples or steps; translated word for the question, "
            "English word for the answer except in German, Spanish and French",
            "Protocol lm-eval: answers are compared as text with ASCII digits, without signs and punctuation",
        ),
    )

    def prompt(self, example: Example) -> Prompt:
        """Question and answer by name; the target is the number, right after the colon."""
        question, answer = WORDS[example.language]
        return Prompt(
            example_id=example.id,
            language=example.language,
            text=f"{question} {example.inputs['question']}\n{answer}",
            target=example.references[-1],
            stop=(question, "</s>", "<|im_end|>"),
            max_new_tokens=256,
            verbatim=True,
        )

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Exact match of the last number, and of the whole answer."""
        whole = [float(same_text(p.prediction.strip(), p.references[-1])) for p in predictions]
        return {
            "exact_match,flexible-extract": accuracy([self.correctness(p) for p in predictions]),
            "exact_match,remove_whitespace": accuracy(whole),
        }

    def correctness(self, prediction: Prediction) -> float:
        """1 if the last number in ASCII digits is the answer, else 0."""
        return float(same_text(last_number(prediction.prediction), prediction.references[-1]))


TASK = LmEvalMgsm()
