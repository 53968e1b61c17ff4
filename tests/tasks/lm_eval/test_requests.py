"""Law: every request is the harness's own, for every document that is there: the same text, choices, stop strings and
limit, and the same tokens. Answers get the same scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from tests.tasks.lm_eval import harness
from tests.tasks.rows import SOURCE, held

from polyprefix.data.hub import MissingDataError
from polyprefix.models.load import load_model
from polyprefix.tasks import registry
from polyprefix.testing.tiny import tiny_tokenizer
from polyprefix.text.tokens import encode
from polyprefix.types import Example, Prediction, Prompt

PROTOCOL = "lm-eval"
DEFAULT_LIMIT = 256
"""Tokens that the harness's backend writes where a task does not say."""
TASKS = registry.with_protocol(PROTOCOL)
MOST = {"sib200": 4}
"""Of this task only so many languages: its prompt is the same in all, and each takes seconds to load."""
LANGUAGES = {name: registry.get(name, PROTOCOL).languages()[: MOST.get(name)] for name in TASKS}
PAIRS = [(name, code) for name in TASKS for code in LANGUAGES[name] if held(name, code)]
ANSWERS = (
    "",
    " 18",
    "18.",
    "$1,234",
    "-7 or 8",
    " ৫",
    "the",
    "an a",
    "北京。",
    " Denver Broncos",
    "..",
    "x 5\n3",
    "1,000.50",
)

pytestmark = pytest.mark.hub


def examples(name: str, language: str, count: int | None = None) -> Sequence[Example]:
    try:
        return registry.get(name, PROTOCOL).examples("test", language, SOURCE)[:count]
    except MissingDataError:
        pytest.skip(f"the mirror has no {name} in {language}")


def prompts(name: str, language: str, count: int | None = None) -> list[Prompt]:
    return [registry.get(name, PROTOCOL).prompt(example) for example in examples(name, language, count)]


@pytest.mark.parametrize(("name", "language"), PAIRS)
def test_requests_are_the_same(name: str, language: str) -> None:
    harness.require()
    ours = prompts(name, language)
    theirs: dict[int, list[Any]] = {}
    for instance in harness.task(name, language).instances:
        theirs.setdefault(instance.doc_id, []).append(instance.args)
    assert list(theirs) == list(range(len(ours)))
    for prompt, requests in zip(ours, theirs.values(), strict=True):
        assert prompt.verbatim and prompt.target in (prompt.choices or (prompt.target,))
        if prompt.choices:
            same([(prompt.text, choice) for choice in prompt.choices], [moved(*request) for request in requests])
            continue
        [(text, options)] = requests
        same((prompt.text, list(prompt.stop)), (text, options["until"]))
        assert options["do_sample"] is False and "max_gen_toks" not in options
        assert prompt.max_new_tokens == DEFAULT_LIMIT


def same(ours: Any, theirs: Any) -> None:
    """Without pytest's explanation, which takes minutes for long texts."""
    if ours != theirs:
        pytest.fail(f"ours:   {ours!r}\ntheirs: {theirs!r}")


def moved(text: str, continuation: str) -> tuple[str, str]:
    """The harness's backend counts white space at the end of a text to the continuation."""
    kept = text.rstrip()
    return kept, text[len(kept) :] + continuation


def check_tokens(name: str, language: str, tokenizer: Any, count: int) -> None:
    ours = encode(prompts(name, language, count), tokenizer, 1 << 30)
    instances = harness.task(name, language, tuple(range(count))).instances
    reader = harness.Reader(tokenizer)
    if ours[0].choices:
        same([(row.ids, choice) for row in ours for choice in row.choices], reader.pairs(instances))
    else:
        same([row.ids for row in ours], reader.texts(instances))


@pytest.mark.parametrize(("name", "language"), PAIRS)
def test_bytes_are_the_same(name: str, language: str) -> None:
    harness.require()
    examples(name, language, 1)
    check_tokens(name, language, tiny_tokenizer(), 20)


@cache
def real_tokenizer() -> Any:
    return load_model("gemma-3-270m").tokenizer


@pytest.mark.real
@pytest.mark.parametrize(("name", "language"), PAIRS)
def test_tokens_are_the_same_for_the_real_model(name: str, language: str) -> None:
    harness.require()
    count = min(200, len(examples(name, language)))
    check_tokens(name, language, real_tokenizer(), count)


@pytest.mark.parametrize(
    ("name", "language"), [pair for pair in PAIRS if pair[1] in ("eng_Latn", "tha_Thai") and pair[0] != "xquad"]
)
def test_answers_get_the_same_scores(name: str, language: str) -> None:
    """Xquad apart: the harness's own metric is in a module that transformers 5 no longer has (see test_answers)."""
    harness.require()
    theirs, task = harness.task(name, language, tuple(range(13))), registry.get(name, PROTOCOL)
    rows = examples(name, language, 13)
    if rows[0].choices:
        scores = [[-1.0 - (n * 7 + c * 5) % 4 for c in range(len(e.choices))] for n, e in enumerate(rows)]
        found = [
            theirs.process_results(doc, [(value, False) for value in values])
            for doc, values in zip(theirs.eval_docs, scores, strict=True)
        ]
        expected = {key: sum(metrics[key] for metrics in found) / len(found) for key in found[0] if key != "f1"}
        predicted = [e.choices[values.index(max(values))] for e, values in zip(rows, scores, strict=True)]
    else:
        predicted = [
            *ANSWERS[:-2],
            f"{rows[-2].references[-1]}",
            f"It is ${rows[-1].references[-1]}.00, or {rows[-1].references[-1]}.",
        ]
        for instance, answer in zip(theirs.instances, predicted, strict=True):
            instance.resps, instance.filtered_resps = [answer], {}
        theirs.apply_filters()
        expected = {}
        for key in theirs.instances[0].filtered_resps:
            values = [
                theirs.process_results(instance.doc, [instance.filtered_resps[key]])["exact_match"]
                for instance in theirs.instances
            ]
            expected[f"exact_match,{key}"] = sum(map(float, values)) / len(values)
        assert any(expected.values())
    predictions = [Prediction(e.id, e.language, e.references, p) for e, p in zip(rows, predicted, strict=True)]
    ours = {metric: score.value for metric, score in task.score(predictions).items() if metric != "f1"}
    assert ours == pytest.approx(expected)


@pytest.mark.parametrize(("name", "language"), PAIRS)
def test_gold_scores_one_and_no_answer_zero(name: str, language: str) -> None:
    task, rows = registry.get(name, PROTOCOL), examples(name, language)
    gold = [e.references[0] if e.choices else task.prompt(e).target for e in rows]
    for predicted, value in ((gold, 1.0), ([""] * len(rows), 0.0)):
        predictions = [Prediction(e.id, e.language, e.references, p) for e, p in zip(rows, predicted, strict=True)]
        scores = task.score(predictions)
        assert tuple(scores) == task.info.metrics
        assert {(score.value, score.n) for score in scores.values()} == {(value, len(rows))}
        assert {task.correctness(prediction) for prediction in predictions} == {value}
