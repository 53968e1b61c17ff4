"""Checks of generated answers that ask for no right answer: empty, cut, repetitive, and in the wrong language.

The language is checked as the Language Confusion Benchmark does it (K. Marchisio et al., Understanding and Mitigating Language Confusion
in LLMs, EMNLP 2024, arXiv 2406.20052), for answers A with at least one line of `LEAST_WORDS` words:

    line-level pass rate   LPR  = |A without a line in another language| / |A|
    word-level pass rate   WPR  = |those without an English word| / |A without a line in another language|
    LCPR                        = 2 LPR WPR / (LPR + WPR)

WPR is of languages that are not written in Latin script, as in the benchmark. Different here: the recogniser is py3langid in place of
fastText's lid.176, and takes its likeliest label; words count that hold a letter; Chinese counts characters, and Thai, Khmer, Lao, Burmese
and Japanese ICU's words; without a list of English words every word of four lower-case ASCII letters and more is one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from polyprefix.languages import get
from polyprefix.scoring.recognise import label_of, recognised
from polyprefix.scoring.segment import words

LEAST_WORDS = 5
"""A shorter line says too little of its language."""
LONGEST_LOOP, TIMES = 20, 4
"""An answer is repetitive where up to so many words come so many times in a row."""
_ENGLISH_WORD = re.compile("[a-z]{4,}")
RATES = ("line_pass_rate", "word_pass_rate", "language_confusion_pass_rate")


def check_answers(answers: Sequence[str], language: str, expected: str | None, cut: int | None) -> dict[str, float]:
    """Figures of the answers of one language; what is not known of them is absent.

    Args:
        answers: as the model wrote them, up to a stop string.
        language: of the questions, our code.
        expected: the language that answers have to be in; None where the task does not say it.
        cut: how many ended because they were too long; None where that was not counted.

    Returns:
        `answers`, `empty`, `repetitive` and `cut` are counts; `checked`, the answers with a line to recognise, and `RATES`.
    """
    figures: dict[str, float] = {
        "answers": len(answers),
        "empty": sum(not answer.strip() for answer in answers),
        "repetitive": sum(is_repetitive(answer, language) for answer in answers),
    }
    if cut is not None:
        figures["cut"] = cut
    label = label_of(expected) if expected else None
    return figures if label is None or expected is None else figures | _language_figures(answers, expected, label)


def _language_figures(answers: Sequence[str], expected: str, label: str) -> dict[str, float]:
    lines_of = [lines for answer in answers if (lines := telling_lines(answer, expected))]
    right = [lines for lines in lines_of if all(recognised(line) == label for line in lines)]
    figures: dict[str, float] = {"checked": len(lines_of)}
    if not lines_of:
        return figures
    by_line = figures["line_pass_rate"] = len(right) / len(lines_of)
    if right and get(expected).latin is False:
        plain = sum(
            not any(_ENGLISH_WORD.fullmatch(word) for line in lines for word in line.split()) for lines in right
        )
        by_word = figures["word_pass_rate"] = plain / len(right)
        figures["language_confusion_pass_rate"] = 2 * by_line * by_word / (by_line + by_word)
    return figures


def telling_lines(answer: str, language: str) -> list[str]:
    """The lines of an answer, without punctuation, that have enough words to say which language they are in.

    >>> telling_lines("Yes.\\nThe cat sat on the mat, twice.\\n1 2 3 4 5 6", "eng_Latn")
    ['The cat sat on the mat twice']
    """
    lines = (" ".join(_plain(line).split()) for line in answer.splitlines())
    return [line for line in lines if sum(any(map(str.isalpha, word)) for word in words(line, language)) >= LEAST_WORDS]


def is_repetitive(answer: str, language: str) -> bool:
    """Whether the same words, up to `LONGEST_LOOP`, come `TIMES` times in a row.

    >>> is_repetitive("no no no no", "eng_Latn"), is_repetitive("a b a b a b", "eng_Latn"), is_repetitive("a b " * 4, "eng_Latn")
    (True, False, True)
    """
    found = words(answer, language)
    for length in range(1, min(LONGEST_LOOP, len(found) // TIMES) + 1):
        run = 0  # of words that equal the one so many places before
        for before, word in zip(found, found[length:], strict=False):
            run = run + 1 if word == before else 0
            if run == length * (TIMES - 1):
                return True
    return False


def _plain(line: str) -> str:
    return "".join(" " if unicodedata.category(letter)[0] in "PS" else letter for letter in line)
