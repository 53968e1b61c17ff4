"""A task's template filled with an example's inputs, and where in the text the part lies that may be cut."""

from __future__ import annotations

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
    """
    inputs = stripped(inputs)
    text = template.format(**inputs)
    if cuttable is None:
        return text, None
    start = len(template.partition(f"{{{cuttable}}}")[0].format(**inputs))
    return text, (start, start + len(inputs[cuttable]))
