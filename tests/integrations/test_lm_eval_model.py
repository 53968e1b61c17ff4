"""Law: through the harness's interface a base model and every adapter give the log-likelihoods and answers of the harness's own backend.

Its backend reads the same weights, one padded batch at a time; ours packs, shares contexts and common prefixes. Tokens are the same list.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tests.tasks.lm_eval import harness

from polyprefix.adapters import registry as methods
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import save_adapter
from polyprefix.errors import ConfigError, UserError
from polyprefix.evaluation import loglikelihood
from polyprefix.models.load import BaseModel, identify
from polyprefix.testing.tiny import tiny_model, tiny_tokenizer

pytest.importorskip("lm_eval", reason=harness.REASON)

KINDS = ("llama-gqa-tied", "gemma3", "gpt-neox")
METHODS: dict[str, dict[str, Any]] = {
    "base": {"name": "none"},
    "prefix": {"name": "prefix", "length": 3},
    "soft-prompt": {"name": "soft-prompt", "length": 3},
    "llama-adapter": {"name": "llama-adapter", "length": 3},
    "lora": {"name": "lora", "rank": 2},
}
PASSAGES = {
    "eng_Latn": ("The river rises in the hills.", "Where does it rise?", ("in the hills", "in town", "in")),
    "swh_Latn": ("Mto unaanzia milimani.", "Unaanzia wapi?", ("milimani", "mjini", "mli")),
    "tha_Thai": ("แม่น้ำ", "ที่ไหน", ("เขา", "เมือง")),
    "arb_Arab": ("ينبع النهر من التلال", "من أين؟", ("من التلال", "من")),
}


def base_of(kind: str) -> BaseModel:
    model = tiny_model(kind)
    return BaseModel(f"tiny-{kind}", model, copy.deepcopy(tiny_tokenizer()), identify(f"tiny-{kind}", None, model))


def adapted_of(kind: str, method: str) -> AdaptedModel:
    adapted = attach(base_of(kind), methods.build(METHODS[method]), seed=3)
    generator = torch.Generator().manual_seed(5)
    for _, parameter in adapted.trainable():  # away from where the method is the base model
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return adapted.eval()


def instances(kind: str, pairs: list[tuple[Any, ...]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(request_type=kind, doc={}, arguments=pair, idx=n) for n, pair in enumerate(pairs)]  # type: ignore[arg-type]


def ours(adapted: AdaptedModel, **options: Any) -> Any:
    from polyprefix.integrations.lm_eval_model import PolyprefixLM

    return PolyprefixLM(adapted, **options)


def theirs(adapted: AdaptedModel, max_length: int = 256) -> Any:
    """The harness's backend, which calls the adapted model as it calls a transformers model."""
    from lm_eval.models.huggingface import HFLM

    made = HFLM(
        pretrained=adapted.base.model, tokenizer=adapted.base.tokenizer, batch_size=2, softmax_dtype="float64", max_length=max_length
    )  # fmt: skip
    made._model = adapted
    return made


def ranked() -> list[tuple[str, str]]:
    """Choices after a passage and its question; one passage has two questions, so that prompts share their beginning."""
    found = []
    for passage, question, choices in PASSAGES.values():
        for asked in (question, f"{question} ?"):
            found += [(f"{passage}\n{asked}\n", f" {choice}") for choice in choices]
    return [*found, ("", "a text without context"), ("trailing space ", "moves"), found[0]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_log_likelihoods_are_those_of_the_harness(kind: str, method: str) -> None:
    adapted = adapted_of(kind, method)
    requests = instances("loglikelihood", ranked())
    found = ours(adapted).loglikelihood(requests, disable_tqdm=True)
    expected = theirs(adapted).loglikelihood(requests, disable_tqdm=True)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert max(abs(a - b) for (a, _), (b, _) in zip(found, expected, strict=True)) <= 1e-4


@pytest.mark.parametrize("method", ["base", "prefix"])
@pytest.mark.parametrize("longest", [16, 40, 256])
def test_whole_texts_and_contexts_that_are_too_long(longest: int, method: str) -> None:
    adapted = adapted_of("llama-gqa-tied", method)
    here, there = ours(adapted, max_length=longest), theirs(adapted, max_length=longest)
    texts = instances("loglikelihood_rolling", [(" ".join(PASSAGES[code][:2]),) for code in PASSAGES])
    assert here.loglikelihood_rolling(texts, True) == pytest.approx(there.loglikelihood_rolling(texts, True), abs=1e-4)
    pairs = instances("loglikelihood", [(a, b) for a, b in ranked() if len(b.encode()) < longest])
    values = [value for value, _ in here.loglikelihood(pairs, True)]
    assert values == pytest.approx([value for value, _ in there.loglikelihood(pairs, True)], abs=1e-4)


@pytest.mark.parametrize("method", ["base", "prefix"])
def test_continuations_without_a_context_share_what_they_begin_with(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As XNLI's sentences: no pass is larger than its budget, however many requests have the one empty context."""
    passes: list[int] = []

    def counted(trees: Any, *args: Any, **kwargs: Any) -> Any:
        passes.append(sum(tree.size for tree in trees))
        return batch(trees, *args, **kwargs)

    batch = loglikelihood.tensors.batch
    monkeypatch.setattr(loglikelihood.tensors, "batch", counted)
    adapted = adapted_of("llama-gqa-tied", method)
    texts = [
        f"{passage} {number} right? {word}, {answer}"
        for passage, _, answers in PASSAGES.values()
        for number in range(3)
        for word in ("Yes", "Also", "No")
        for answer in answers
    ]
    requests = instances("loglikelihood", [("", text) for text in texts])
    found = ours(adapted, token_budget=300).loglikelihood(requests, disable_tqdm=True)
    expected = theirs(adapted).loglikelihood(requests, disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4, rel=1e-6)
    whole = sum(len(adapted.base.tokenizer(text)["input_ids"]) for text in texts)
    assert max(passes) <= 300 and sum(passes) < 0.5 * whole, passes


def test_greedy_is_what_greedy_generation_writes() -> None:
    """The continuation that a model writes is the greedy one, and another is not."""
    adapted = adapted_of("llama-gqa-tied", "prefix")
    here = ours(adapted)
    context = tuple(here.tok_encode("The river"))
    ids = adapted.generate(torch.tensor([context]), max_new_tokens=6, do_sample=False)[0, len(context) :].tolist()
    [(_, greedy), (_, other)] = here._loglikelihood_tokens(
        [(None, context, ids), (None, context, [*ids[:-1], (ids[-1] + 1) % 250])], True
    )
    assert greedy and not other


@pytest.mark.parametrize("method", ["base", "prefix", "lora"])
def test_answers_are_those_of_the_harness(method: str) -> None:
    adapted = adapted_of("gemma3", method)
    settings = (
        {"until": ["\n"], "max_gen_toks": 12},
        {"until": "e", "max_gen_toks": 5, "do_sample": False},
        {"until": []},
    )
    pairs = [(f"{PASSAGES[code][0]} {n}", settings[n % 3]) for n, code in enumerate([*PASSAGES, *PASSAGES])]
    pairs = [(text, {**one, "max_gen_toks": one.get("max_gen_toks", 8)}) for text, one in pairs]
    requests = instances("generate_until", copy.deepcopy(pairs))
    assert ours(adapted).generate_until(requests, True) == theirs(adapted).generate_until(
        instances("generate_until", pairs), True
    )


def test_samples_are_refused() -> None:
    requests = instances("generate_until", [("a", {"do_sample": True, "temperature": 0.7})])
    with pytest.raises(ConfigError, match="sampled"):
        ours(adapted_of("gemma3", "base")).generate_until(requests, True)


def test_a_conversation_is_written_by_the_template_of_the_model() -> None:
    adapted = adapted_of("llama-gqa-tied", "base")
    adapted.base.tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    here, there = ours(adapted), theirs(adapted)
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Habari?"}]
    assert here.apply_chat_template(talk) == there.apply_chat_template(talk) == "[user] Habari?\n[assistant]"
    assert here.chat_template(True) == adapted.base.tokenizer.chat_template


def task_of(rows: list[dict[str, Any]]) -> Any:
    """A multiple-choice task as its YAML would describe it, on documents that are handed over."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    return ConfigurableTask(config={
        "task": "places", "output_type": "multiple_choice", "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)},
        "test_split": "test",
        "doc_to_text": "{{passage}} {{question}}", "doc_to_choice": "{{choices}}", "doc_to_target": "{{label}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    })  # fmt: skip


def test_the_harness_evaluates_an_adapter_by_name(tmp_path: Any) -> None:
    """From a folder, found by the registered name, with the scores of its own backend."""
    from lm_eval.api.registry import get_model
    from lm_eval.evaluator import evaluate

    import polyprefix.integrations.lm_eval_model  # noqa: F401

    adapted = adapted_of("llama-gqa-tied", "prefix")
    folder = tmp_path / "model"
    adapted.base.model.save_pretrained(folder)
    adapted.base.tokenizer.save_pretrained(folder)
    save_adapter(adapted, tmp_path / "adapter")
    rows = [
        {"passage": passage, "question": question, "choices": list(choices), "label": n % 2}
        for n, (passage, question, choices) in enumerate(PASSAGES.values())
    ]
    words = f"pretrained={folder},adapter={tmp_path / 'adapter'},dtype=float32"
    by_name = get_model("polyprefix").create_from_arg_string(words, {"batch_size": 4, "device": None})
    both = [
        evaluate(model, {"places": task_of(rows)}, bootstrap_iters=0, log_samples=True)
        for model in (by_name, theirs(adapted))
    ]
    assert both[0]["results"] == both[1]["results"]
    samples = [[sample["resps"] for sample in one["samples"]["places"]] for one in both]
    for a, b in zip(*samples, strict=True):
        assert [float(x[0][0]) for x in a] == pytest.approx([float(x[0][0]) for x in b], abs=1e-4)
    assert by_name.get_model_info()["method"] == "prefix"


def test_model_args_without_a_model() -> None:
    from polyprefix.integrations.lm_eval_model import PolyprefixLM

    with pytest.raises(UserError, match="pretrained"):
        PolyprefixLM()


def test_the_launcher_hands_all_words_over(polyprefix: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    seen: list[list[str]] = []
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", lambda: seen.append(list(sys.argv)))
    status, _, err = polyprefix("lm-eval", "run", "--model", "polyprefix", "--tasks", "x", "--help")
    assert status == 0, err
    assert seen == [["lm-eval", "run", "--model", "polyprefix", "--tasks", "x", "--help"]]


def test_a_missing_harness_is_named(polyprefix: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lm_eval", None)
    status, _, err = polyprefix("lm-eval", "ls")
    assert status == 2 and "pip install 'polyprefix[lm-eval]'" in err
