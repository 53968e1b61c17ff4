"""belebele as lm-evaluation-harness has it: tasks `belebele_eng_Latn`, ... version 0.0.

Prompt    `P: ..`, `Q: ..`, four options and `Answer:`, in English letters in all languages. The question is stripped;
          passage and options keep the white space around them that some rows of the source have.
Metric    `acc`, and `acc_norm`, which divides each likelihood by the characters of its choice. A choice is one letter,
          so the two are always equal.
Deviates  from the benchmark in having no instruction; its few-shot examples, where it uses some, are the first rows of
          the test split itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polyprefix.scoring.metrics import accuracy
from polyprefix.tasks.belebele import Belebele
from polyprefix.types import Example, Prediction, Prompt, Score

TEMPLATE = "P: {passage}\nQ: {question}\nA: {A}\nB: {B}\nC: {C}\nD: {D}\nAnswer:"


class LmEvalBelebele(Belebele):
    """Multiple-choice reading comprehension without an instruction."""

    info = replace(
        Belebele.info,
        metrics=("acc", "acc_norm"),
        deviations=(
            "Protocol lm-eval: a scaffold of P:, Q:, A: to D: in all languages, without an instruction",
            *Belebele.info.deviations[1:],
        ),
    )

    def prompt(self, example: Example) -> Prompt:
        """The scaffold, with the letters as continuations."""
        inputs = {**example.inputs, "question": example.inputs["question"].strip()}
        return Prompt(
            example_id=example.id,
            language=example.language,
            text=TEMPLATE.format(**inputs),
            target=f" {example.references[0]}",
            choices=tuple(f" {label}" for label in example.choices),
            verbatim=True,
        )

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Accuracy twice: what is divided by the length of one letter stays the same."""
        acc = accuracy([self.correctness(p) for p in predictions])
        return {"acc": acc, "acc_norm": acc}


TASK = LmEvalBelebele()
