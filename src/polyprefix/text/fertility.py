"""Fertility: how many tokens a tokenizer spends on a word (P. Rust et al., *How Good is Your Tokenizer?*, ACL 2021).

Words are ICU's (Unicode Standard Annex 29), so that Thai, Chinese, Japanese, Khmer, Lao and Burmese have words too;
what holds no letter and no digit is no word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyprefix.scoring.segment import count_words
from polyprefix.types import Example

TEXTS = 200
"""Examples per language that are counted: enough for two digits."""


def fertility(tokenizer: Any, texts: Sequence[str], language: str) -> float | None:
    """Tokens per word over some texts; None where they hold no word.

    Args:
        tokenizer: a transformers tokenizer.
        texts: in one language.
        language: our code, such as `tha_Thai`.

    Raises:
        ConfigError: if icu4py is missing.
    """
    words = sum(count_words(text, language) for text in texts)
    if not words:
        return None
    return sum(map(len, tokenizer(list(texts), add_special_tokens=False)["input_ids"])) / words


def fertilities(tokenizer: Any, test: Mapping[str, Sequence[Example]]) -> dict[str, float]:
    """Language -> tokens per word over the inputs of its first test examples, the same in every parallel language.

    Raises:
        ConfigError: if icu4py is missing.
    """
    found = {}
    for language, examples in test.items():
        value = fertility(tokenizer, [" ".join(e.inputs.values()) for e in examples[:TEXTS]], language)
        if value is not None:
            found[language] = value
    return found
