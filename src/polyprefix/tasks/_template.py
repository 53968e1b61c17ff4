"""A task's template filled with an example's inputs, and where in the text the part lies that may be cut."""

from __future__ import annotations

import string
from collections.abc import Mapping

from polyprefix.tasks._rows import stripped


def fill(template: str, inputs: Mapping[str, str], cuttable: str | None) -> tuple[str, tuple[int, int] | None]:
    """The text, and the span of the input `cuttable` in it, in characters.

    Args:
        template: with the names of inputs in braces.
        inputs: white space around them is left out.
        cuttable: the input that may be cut where the text is too long for a model; None if all of it is needed.

    >>> fill("Passage: {passage}\\nQuestion: {question}", {"passage": "It rained.", "question": "Did it?"}, "passage")
    ('Passage: It rained.\\nQuestion: Did it?', (9, 19))
    >>> fill("{{x}} {x}", {"x": "it"}, "x")
    ('{x} it', (4, 6))
    """
    inputs = stripped(inputs)
    text, span = "", None
    for literal, name, _, _ in string.Formatter().parse(
        template
    ):  # parsed, not searched: a doubled brace is a brace itself
        text += literal
        if name is None:
            continue
        if name == cuttable and span is None:
            span = (len(text), len(text) + len(inputs[name]))
        text += inputs[name]
    return text, span
