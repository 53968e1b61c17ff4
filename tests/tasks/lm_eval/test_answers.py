"""Law: written answers are read as lm-evaluation-harness reads them; what it gets wrong is wrong here too."""

from __future__ import annotations

import pytest

from polyprefix.tasks import registry
from polyprefix.tasks.lm_eval._answers import last_number, same_text, word_f1
from polyprefix.types import Prediction


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "[invalid]"),
        (" 5 and 18 apples", "18"),
        ("It costs $1,234.", "$1,234."),
        ("7 and then ...", "..."),
        ("-3", "-3"),
        ("৫ ٣", "[invalid]"),
    ],
)
def test_the_last_number(text: str, found: str) -> None:
    assert last_number(text) == found


@pytest.mark.parametrize(
    ("predicted", "gold", "same"),
    [("$1,234.", "1234", True), ("-7", "7", True), ("1.5", "15", True), ("18.00", "18", False), ("١٨", "18", False)],
)
def test_text_is_compared_without_punctuation(predicted: str, gold: str, same: bool) -> None:
    assert same_text(predicted, gold) is same


@pytest.mark.parametrize(
    ("predicted", "gold", "f1"),
    [
        (" the Broncos", "Denver Broncos", 2 / 3),
        ("the", "a", 1.0),
        ("", "x", 0.0),
        ("x", "the", 0.0),
        ("北京。", "北京", 0.0),
    ],
)
def test_f1_of_words(predicted: str, gold: str, f1: float) -> None:
    assert word_f1(predicted, gold) == pytest.approx(f1)


def test_only_the_first_answer_counts_in_xquad() -> None:
    task = registry.get("xquad", "lm-eval")
    both = [Prediction("1", "eng_Latn", ("one", "two"), answer) for answer in (" one", " two")]
    assert {name: score.value for name, score in task.score(both).items()} == {"f1": 0.5, "exact_match": 0.5}


def test_mgsm_reads_past_line_breaks() -> None:
    task = registry.get("mgsm", "lm-eval")
    scores = task.score(
        [Prediction("1", "eng_Latn", ("18",), answer) for answer in (" 18\n", " 18\nor 3", " so 18", "")]
    )
    assert [score.value for score in scores.values()] == [0.5, 0.25]
    assert list(scores) == list(task.info.metrics)
