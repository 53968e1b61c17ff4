"""Law: prompts without content are the task's own prompts with nothing to ask about; the premise is what all of them end with."""

from __future__ import annotations

import pytest

from polyprefix.tasks import registry
from polyprefix.tasks.base import Source
from polyprefix.tasks.terms import TASK
from polyprefix.text.content_free import CONTENT_FREE, content_free_prompts, premise_prompts
from polyprefix.types import Example

CODES = ("eng_Latn", "swh_Latn")
TEST = {code: TASK.examples("test", code, Source())[:20] for code in CODES}


def test_inputs_are_replaced_and_nothing_else() -> None:
    found = content_free_prompts(TASK, TEST, {})
    assert set(found) == set(CODES) and found["eng_Latn"][0].text == found["swh_Latn"][0].text
    for prompt, text in zip(found["eng_Latn"], CONTENT_FREE, strict=True):
        example = TEST["eng_Latn"][0]
        asked = TASK.prompt(example)
        assert (
            prompt.text == asked.text.replace(example.inputs["name"], text).rstrip() and prompt.choices == asked.choices
        )


def test_shots_stand_in_front() -> None:
    shots = {"swh_Latn": TEST["eng_Latn"][:2]}
    found = content_free_prompts(TASK, TEST, shots)
    assert found["swh_Latn"][0].text.endswith(found["eng_Latn"][0].text) and len(found["swh_Latn"][0].text) > len(
        found["eng_Latn"][0].text
    )


def test_the_premise_ends_every_prompt() -> None:
    found = premise_prompts(TASK, TEST)
    for code in CODES:
        words = found[code].text
        assert words and all(TASK.prompt(example).text.endswith(words) for example in TEST[code])
        assert not any(name in words for name in (example.inputs["name"] for example in TEST[code]))


def test_one_prompt_alone_has_no_premise() -> None:
    assert premise_prompts(TASK, {"eng_Latn": TEST["eng_Latn"][:1]}) == {}


@pytest.mark.parametrize("name", ["xnli", "belebele"])
def test_continuations_that_hold_the_question_are_left_out(name: str) -> None:
    task = registry.get(name, "lm-eval")
    inputs = [{field: f"{field} {i}" for field in task.info.inputs} for i in range(2)]
    rows = [Example(str(i), "eng_Latn", one, task.info.labels, task.info.labels[:1]) for i, one in enumerate(inputs)]
    same = task.prompt(rows[0]).choices == task.prompt(rows[1]).choices
    assert bool(content_free_prompts(task, {"eng_Latn": rows}, {})) == same
