"""Prompts that ask nothing: what a model says to them is its preference for labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polyprefix.tasks.base import Task
from polyprefix.text.shots import shots_text, with_shots_text
from polyprefix.text.tokens import common_prefix_length
from polyprefix.types import Example, Prompt

CONTENT_FREE = ("N/A", "", "[MASK]")
"""Inputs without content, as Zhao et al. (ICML 2021) average over."""
COMPARED = 50
"""So many prompts are compared to see what all end with."""


def content_free_prompts(
    task: Task, test: Mapping[str, Sequence[Example]], shots: Mapping[str, Sequence[Example]]
) -> dict[str, list[Prompt]]:
    """Language -> a prompt for each content-free input, in the order of `CONTENT_FREE`, with the shots of the language in front.

    Languages whose questions have continuations of their own have none.
    """
    found = {}
    for code, examples in test.items():
        if _same_choices([task.prompt(example) for example in examples[:2]]):
            blank = [replace(examples[0], inputs=dict.fromkeys(examples[0].inputs, text)) for text in CONTENT_FREE]
            text = shots_text(task, shots.get(code, ()))
            found[code] = with_shots_text(text, [replace(task.prompt(one), context=None) for one in blank])
    return found


def premise_prompts(task: Task, test: Mapping[str, Sequence[Example]]) -> dict[str, Prompt]:
    """Language -> a prompt of nothing but the words that all its prompts end with, such as `Topic:`; absent where there are none."""
    found = {}
    for code, examples in test.items():
        prompts = [task.prompt(example) for example in examples[:COMPARED]]
        texts = [prompt.text for prompt in prompts]
        shared = common_prefix_length([tuple(map(ord, reversed(text))) for text in texts])
        end = texts[0][len(texts[0]) - shared :]
        words = end.rpartition("\n")[2].strip()
        if words and len(set(texts)) > 1 and _same_choices(prompts[:2]):
            found[code] = replace(prompts[0], text=words, context=None)
    return found


def _same_choices(prompts: Sequence[Prompt]) -> bool:
    """Whether prompts have one set of continuations, as far as two of them say."""
    return bool(prompts) and bool(prompts[0].choices) and all(one.choices == prompts[0].choices for one in prompts)
