"""xquad as lm-evaluation-harness has it: tasks `xquad_en`, `xquad_ar`, ... version 1.0.

Prompt    context, question and `Answer:` with empty lines between them, the words translated. Romanian has an English
          `Context`; the Arabic word for it is cut short.
Answer    at most 256 tokens, up to a line break: one at its very beginning makes the answer empty.
Metric    `exact_match` and `f1` against the first answer, with SQuAD's English normalisation in all languages. Two
          answers without any word left have F1 1, where SQuAD v1.1's own script gives 0.
          The harness's own task fails to load with transformers 5, which lacks the metric; prompt and rules are its.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polyprefix.scoring.answers import exact_match
from polyprefix.scoring.metrics import accuracy
from polyprefix.tasks.lm_eval._answers import word_f1
from polyprefix.tasks.xquad import Xquad
from polyprefix.types import Example, Prediction, Prompt, Score

WORDS = {
    "eng_Latn": ("Context:", "Question:", "Answer:"),
    "arb_Arab": ("سيا:", "سؤال:", "إجابة:"),
    "deu_Latn": ("Kontext:", "Frage:", "Antwort:"),
    "ell_Grek": ("Συμφραζόμενα:", "Ερώτηση:", "Απάντηση:"),
    "hin_Deva": ("प्रसंग:", "सवाल:", "उत्तर:"),
    "ron_Latn": ("Context:", "Întrebare:", "Răspuns:"),
    "rus_Cyrl": ("Контекст:", "Вопрос:", "Ответ:"),
    "spa_Latn": ("Contexto:", "Pregunta:", "Respuesta:"),
    "tha_Thai": ("บริบท:", "คำถาม:", "คำตอบ:"),
    "tur_Latn": ("Bağlam:", "Soru:", "Cevap:"),
    "vie_Latn": ("Bối cảnh:", "Câu hỏi:", "Trả lời:"),
    "zho_Hans": ("语境:", "问题:", "回答:"),
}
"""Language -> what stands before context, question and answer."""


class LmEvalXquad(Xquad):
    """Extractive question answering in the language of the context."""

    info = replace(
        Xquad.info,
        metrics=("f1", "exact_match"),
        deviations=(
            "Protocol lm-eval: a scaffold in each language, a written answer up to a line break, compared with the first "
            "answer after English normalisation",
            *Xquad.info.deviations[1:],
        ),
    )

    def prompt(self, example: Example) -> Prompt:
        """Context, question and answer by name; the answer ends with its line."""
        context, question, answer = WORDS[example.language]
        return Prompt(
            example_id=example.id,
            language=example.language,
            text=f"{context} {example.inputs['context']}\n\n{question} {example.inputs['question']}\n\n{answer}",
            target=f" {example.references[0]}",
            stop=("\n",),
            max_new_tokens=256,
            verbatim=True,
        )

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """F1 and exact match with the first answer."""
        return {
            "f1": accuracy([self.correctness(p) for p in predictions]),
            "exact_match": accuracy([exact_match(p.prediction, p.references[:1]) for p in predictions]),
        }

    def correctness(self, prediction: Prediction) -> float:
        """F1 with the first answer."""
        return word_f1(prediction.prediction, prediction.references[0])


TASK = LmEvalXquad()
