"""mgsm: grade-school mathematics, solved in writing, in 11 languages.

Source    juletxara/mgsm on the Hugging Face Hub; F. Shi et al., Language Models are Multilingual Chain-of-Thought
          Reasoners, ICLR 2023. Training: openai/gsm8k (K. Cobbe et al., arXiv 2110.14168), of whose test set MGSM's
          English problems are the first 250.
Licence   CC BY 4.0 (MGSM), MIT (GSM8K).
Texts     English is GSM8K's; the other languages translated from it by professional translators.
Splits    test 250 rows a language. Train: GSM8K's 7,473 English problems with worked solutions. Validation: in English
          the 1,069 problems of GSM8K's test set that MGSM does not have; elsewhere MGSM's own 8 solved problems.
Shots     MGSM's 8 solved problems a language, the same in all.
Prompt    one English template in all languages, instruction first; the solution is written.
Target    the worked solution without its calculator annotations (`<<16-3=13>>`) and blank lines, and `The answer is N.`
          in place of the source's `#### N`, N without thousands separators.
Metric    exact match of numbers, whatever their digits and separators (scoring.numbers). Flexible: the last number
          written. Strict: the number after `The answer is`, or after the same words in the language of the problem.
Deviates  from the source, which prompts large models with few-shot examples, and from lm-evaluation-harness, whose
          figures compare numbers as text.

Rows are parallel: row i is the same problem in every language, so `test-17` is one item.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from polyprefix.data.hub import expect_rows, load_rows
from polyprefix.errors import DataError
from polyprefix.scoring.numbers import last_number, number_after
from polyprefix.tasks._rows import read_columns, require_language, require_text, without_shared
from polyprefix.tasks._task_types import Generation, TypedTask
from polyprefix.tasks.base import ENGLISH, Source, TaskInfo
from polyprefix.types import Example, Prediction, Split

CONFIGS = {
    "eng_Latn": "en", "ben_Beng": "bn", "deu_Latn": "de", "fra_Latn": "fr", "jpn_Jpan": "ja", "rus_Cyrl": "ru",
    "spa_Latn": "es", "swh_Latn": "sw", "tel_Telu": "te", "tha_Thai": "th", "zho_Hans": "zh",
}  # fmt: skip
"""Our code -> configuration in the source."""
PHRASES = {
    "eng_Latn": ("The answer is",),
    "ben_Beng": ("উত্তর হল",),
    "deu_Latn": ("Die Antwort ist", "Die Antwort lautet"),
    "fra_Latn": ("La réponse est",),
    "jpn_Jpan": ("答えは",),
    "rus_Cyrl": ("Ответ",),
    "spa_Latn": ("La respuesta es",),
    "swh_Latn": ("Jibu ni",),
    "tel_Telu": ("సమాధానం",),
    "tha_Thai": ("คำตอบคือ",),
    "zho_Hans": ("答案是",),
}
"""What stands before the answer in MGSM's solved problems."""
MGSM, GSM8K = "juletxara/mgsm", "openai/gsm8k"
ROWS: Mapping[Split, int] = {"validation": 8, "test": 250}
GSM8K_ROWS: Mapping[Split, int] = {"train": 7_473, "validation": 1_319}
TEMPLATE = """Solve the problem step by step and end with "The answer is" and the number.
Question: {question}
Answer:"""
_ANNOTATION = re.compile("<<[^<>]*>>")
_LABEL = re.compile("^[^:：]{1,40}[:：]\\s*")


def flexible_match(prediction: Prediction) -> float:
    """1 if the last number of the prediction is the answer, else 0."""
    found = last_number(prediction.prediction)
    return float(found is not None and found == last_number(prediction.references[-1]))


def strict_match(prediction: Prediction) -> float:
    """1 if the number right after `The answer is`, in English or in the problem's language, is the answer, else 0."""
    phrases = (*PHRASES[ENGLISH], *PHRASES.get(prediction.language, ()))
    found = number_after(prediction.prediction, phrases)
    return float(found is not None and found == last_number(prediction.references[-1]))


class Mgsm(TypedTask):
    """Word problems with a number for an answer; the solution is generated."""

    task_type = Generation(
        {"exact_match_flexible": flexible_match, "exact_match_strict": strict_match},
        stop=("\n\n", "\nQuestion:"),
        max_new_tokens=256,
    )
    template = TEMPLATE

    info = TaskInfo(
        name="mgsm",
        title="Which number solves the problem?",
        source=MGSM,
        licence="CC BY 4.0",
        metrics=task_type.metrics,
        chance=task_type.chance,
        parallel=True,
        origin="translated by people",
        origins={ENGLISH: "original"},
        inputs=("question",),
        splits={
            "train": f"English train of {GSM8K}, 7,473 rows with worked solutions",
            "validation": f"English: 1,069 rows of {GSM8K} test that MGSM lacks; elsewhere MGSM's train, 8 rows",
            "test": "test, 250 rows in each of 11 languages",
        },
        deviations=(
            "MGSM: an English prompt in all languages; the source prompts with eight few-shot examples",
            "MGSM: numbers are compared by value, in the digits and separators of every script",
        ),
    )

    def languages(self) -> tuple[str, ...]:
        """The eleven codes, English first."""
        return tuple(CONFIGS)

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """All rows of a split; ids are row numbers and so the same in all languages.

        The first answer is what training teaches: a worked solution where there is one. The last is the number alone.

        Raises:
            LanguageError: if the task has no such language, or no training split in it.
            DataError: if rows are missing, too many, or malformed.
        """
        require_language("mgsm", split, language, tuple(CONFIGS), elsewhere=("validation",))
        if split == "test":
            return _test(language, source)
        return self._gsm8k(split, source) if language == ENGLISH else _solved(language, source)

    def shot_languages(self) -> tuple[str, ...]:
        """All of them: MGSM comes with eight solved problems in each."""
        return tuple(CONFIGS)

    def shot_pool(self, language: str, source: Source) -> Sequence[Example]:
        """MGSM's eight solved problems, in English too, where validation is what MGSM left of GSM8K."""
        require_language("mgsm", "validation", language, tuple(CONFIGS), elsewhere=("validation",))
        return _solved(language, source)

    def _gsm8k(self, split: Split, source: Source) -> Sequence[Example]:
        original = "train" if split == "train" else "test"
        rows = load_rows(GSM8K, "main", original, source.hub)
        where = f"{GSM8K} main {original}"
        expect_rows(len(rows), GSM8K_ROWS[split], where)
        cells = enumerate(read_columns(rows, ("question", "answer"), where))
        examples = [_worked(f"{where}, row {row}", f"{split}-{row}", *texts) for row, texts in cells]
        kept, note = without_shared(f"MGSM {split}", examples, _test(ENGLISH, source), ["question"])
        if split == "train":  # of the validation rows MGSM's own 250 are left out, which is no news
            source.note(note)
        return kept


def worked_solution(answer: str) -> tuple[str, str]:
    """GSM8K's solution as the model should write it, and the number alone.

    >>> worked_solution("She has 3+4 = <<3+4=7>>7.\\n#### 7")
    ('She has 3+4 = 7.\\nThe answer is 7.', '7')
    """
    solution, _, number = answer.rpartition("####")
    number = number.strip().replace(",", "")
    lines = [line.strip() for line in _ANNOTATION.sub("", solution).splitlines()]
    return "\n".join([*filter(None, lines), f"The answer is {number}."]), number


def _worked(where: str, id: str, question: object, answer: object) -> Example:
    solution, number = worked_solution(require_text(answer, where, "answer"))
    if last_number(number) is None:
        raise DataError(f"{where}: no number after ####; fetch the data again")
    return Example(id, ENGLISH, {"question": _text(question, where)}, choices=(), references=(solution, number))


def _test(language: str, source: Source) -> list[Example]:
    rows, where = _mgsm("test", language, source)
    return [
        Example(
            id=f"test-{row}",
            language=language,
            inputs={"question": _text(question, f"{where}, row {row}")},
            choices=(),
            references=(f"The answer is {number}.", str(number)),
        )
        for row, (question, number) in enumerate(read_columns(rows, ("question", "answer_number"), where))
    ]


def _solved(language: str, source: Source) -> list[Example]:
    """MGSM's eight solved problems, without the words for question and answer that they begin with."""
    rows, where = _mgsm("validation", language, source)
    cells = read_columns(rows, ("question", "answer", "answer_number"), where)
    return [
        Example(
            id=f"solved-{row}",
            language=language,
            inputs={"question": _LABEL.sub("", _text(question, f"{where}, row {row}"))},
            choices=(),
            references=(_LABEL.sub("", require_text(solution, f"{where}, row {row}", "answer")).strip(), str(number)),
        )
        for row, (question, solution, number) in enumerate(cells)
    ]


def _mgsm(split: Split, language: str, source: Source) -> tuple[Any, str]:
    original = "train" if split == "validation" else split
    rows = load_rows(MGSM, CONFIGS[language], original, source.hub)
    where = f"{MGSM} {CONFIGS[language]} {original}"
    expect_rows(len(rows), ROWS[split], where)
    return rows, where


def _text(value: object, where: str) -> str:
    return require_text(value, where, "question")


TASK = Mgsm()
