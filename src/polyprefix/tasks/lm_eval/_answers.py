"""How the harness reads written answers: its filters and text metrics, as pure functions."""

from __future__ import annotations

import re
import string
from collections import Counter

from polyprefix.scoring.normalise import squad

NO_NUMBER = "[invalid]"
_NUMBER = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def last_number(text: str) -> str:
    """What the filter `flexible-extract` keeps: the last run of digits, dots, commas and dollars.

    >>> last_number("It is 1,234. Or is it 5?"), last_number("৫")
    ('5', '[invalid]')
    """
    found = [match.group() for match in _NUMBER.finditer(text)]
    return found[-1] if found else NO_NUMBER


def same_text(predicted: str, gold: str) -> bool:
    """Equality in lower case and without ASCII punctuation: the metric `exact_match` as MGSM's tasks set it."""
    return predicted.lower().translate(_PUNCTUATION) == gold.lower().translate(_PUNCTUATION)


def word_f1(predicted: str, gold: str) -> float:
    """F1 of the words of two answers after SQuAD's normalisation; 1 if neither has any, unlike SQuAD v1.1's own script."""
    found, expected = squad(predicted).split(), squad(gold).split()
    if not found or not expected:
        return float(found == expected)
    common = (Counter(found) & Counter(expected)).total()
    return 2 * common / (len(found) + len(expected))
