"""Law: through lighteval's interface a model gives the log-likelihoods of its own forward pass; details become runs with the same values.

Details are written here as lighteval 0.13 writes them; the model class is tried where lighteval is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.integrations.test_lm_eval_model import METHODS, PASSAGES, adapted_of

from polyprefix.adapters.files import save_adapter
from polyprefix.errors import ConfigError, UserError
from polyprefix.integrations.requests import load_named
from polyprefix.results.files import read_predictions, read_result
from polyprefix.serialize import to_json

Command = Callable[..., tuple[int, str, str]]
DATE = "2026-01-02T03-04-05.678901"
MISSING = "lighteval is not installed: pip install 'polyprefix[lighteval]'"


def docs(**more: Any) -> list[Any]:
    from lighteval.tasks.requests import Doc

    return [
        Doc(query=f"{passage}\n{question}\n", choices=[f" {choice}" for choice in choices], gold_index=0, task_name=code, **more)
        for code, (passage, question, choices) in PASSAGES.items()
    ]  # fmt: skip


def model_of(adapted: Any) -> Any:
    from polyprefix.integrations.lighteval_model import PolyprefixModel

    return PolyprefixModel(SimpleNamespace(model_name="tiny", cache_dir="cache", system_prompt=None), adapted)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("method", METHODS)
def test_log_likelihoods_are_those_of_a_forward_pass(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lighteval.models.custom.custom_model", reason=MISSING, exc_type=ImportError)
    import polyprefix.integrations.lighteval_model as module

    monkeypatch.setattr(module, "SampleCache", lambda config: None)
    adapted = adapted_of("gemma3", method)
    model = model_of(adapted)
    found = model.loglikelihood(docs())
    for doc, response in zip(docs(), found, strict=True):
        assert len(response.logprobs) == len(doc.choices)
        contexts, choices = model.tok_encode_pair(doc.query, doc.choices, pairwise=True)
        for context, choice, value in zip(contexts, choices, response.logprobs, strict=True):
            with torch.no_grad():
                logits = adapted(torch.tensor([[*context, *choice]])).logits[0, len(context) - 1 : -1]
            expected = logits.double().log_softmax(-1)[torch.arange(len(choice)), torch.tensor(choice)].sum()
            assert value == pytest.approx(float(expected), abs=1e-4)


def test_answers_and_whole_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lighteval.models.custom.custom_model", reason=MISSING, exc_type=ImportError)
    import polyprefix.integrations.lighteval_model as module

    monkeypatch.setattr(module, "SampleCache", lambda config: None)
    adapted = adapted_of("llama-gqa-tied", "prefix")
    model, tokenizer = model_of(adapted), adapted.base.tokenizer
    asked = docs(generation_size=6, stop_sequences=[])
    for doc, response in zip(asked, model.greedy_until(asked), strict=True):
        ids = torch.tensor([tokenizer.encode(doc.query)])
        written = adapted.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
        assert response.text == [tokenizer.decode(written, skip_special_tokens=True)]
    [text, *_] = docs()
    ids = [tokenizer.bos_token_id, *tokenizer.encode(text.query, add_special_tokens=False)]
    with torch.no_grad():
        logits = adapted(torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)
    whole = float(logits[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum())
    assert sum(model.loglikelihood_rolling([text])[0].logprobs) == pytest.approx(whole, abs=1e-4)
    with pytest.raises(ConfigError, match="3 samples"):
        model.greedy_until(docs(num_samples=3))


def test_a_model_is_named_in_one_word_or_several(tmp_path: Path) -> None:
    adapted = adapted_of("llama-gqa-tied", "prefix")
    adapted.base.model.save_pretrained(tmp_path / "model")
    adapted.base.tokenizer.save_pretrained(tmp_path / "model")
    save_adapter(adapted, tmp_path / "run" / "adapter")
    both = f"pretrained={tmp_path / 'model'},adapter={tmp_path / 'run'},dtype=float32"
    assert load_named(both).method.name == "prefix"
    assert load_named(str(tmp_path / "model"), dtype="float32").method.name == "none"
    with pytest.raises(UserError, match="'dtpe' is none of pretrained, adapter"):
        load_named("pretrained=x,dtpe=float32")


def write_details(place: Path, model: str, values: dict[str, list[float]], reported: float | None = None) -> None:
    """As `--save-details` writes them: task -> accuracy of each sample."""
    folder, results = place / "details" / model / DATE, place / "results" / model
    folder.mkdir(parents=True), results.mkdir(parents=True)
    for task, found in values.items():
        rows = [
            {
                "doc": {"query": f"{n}?", "choices": [" yes", " no"], "gold_index": 0, "id": str(n), "task_name": task},
                "metric": {"acc": value, "ppl": 12.0},
                "model_response": {"text": [], "text_post_processed": None, "logprobs": [value, 0.5]},
            }
            for n, value in enumerate(found)
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"details_{task}_{DATE}.parquet")
    told = {task: {"acc": sum(found) / len(found) if reported is None else reported} for task, found in values.items()}
    general = {"model_name": model, "max_samples": 4, "lighteval_sha": "abc"}
    (results / f"results_{DATE}.json").write_text(to_json({"results": told, "config_general": general}))


def test_details_become_runs_that_are_compared(polyprefix: Command, tmp_path: Path) -> None:
    for method, wrong in (("none", 0.0), ("tuned", 1.0)):
        values = {f"xnli_{code}_cf|2": [1.0, wrong, 0.0, 1.0] for code in ("swa", "tha")}
        write_details(tmp_path / method, "org/m", values)
        words = ("import", tmp_path / method, "--format", "lighteval", "--method", method, "--out", tmp_path / "runs")
        status, _, err = polyprefix(*words)
        assert status == 0, err
    [run] = (tmp_path / "runs").glob("xnli-cf-lighteval-none-m-*")
    result = read_result(run)
    assert {code: found["acc"].value for code, found in result.scores.items()} == {"swh_Latn": 0.5, "tha_Thai": 0.5}
    assert result.config["shots"] == 2 and result.config["eval_size"] == 4 and result.config["model"] == "org/m"
    predictions, _ = read_predictions(run / "predictions.parquet")
    assert predictions[0].references == ("yes",) and predictions[0].log_likelihoods == (1.0, 0.5)
    assert [one.prediction for one in predictions[:4]] == ["yes", "no", "no", "yes"]
    status, out, err = polyprefix("compare", tmp_path / "runs", "--baseline", "none")
    assert status == 0 and "tuned" in out, err


def test_what_contradicts_the_results_is_said(polyprefix: Command, tmp_path: Path) -> None:
    write_details(tmp_path / "in", "m", {"xnli_swa_cf|0": [1.0, 0.0]}, reported=0.75)
    words = ("--format", "lighteval", "--out", tmp_path / "out")
    status, _, err = polyprefix("import", tmp_path / "in", *words)
    assert status == 2 and "mean acc of 0.500000, expected 0.750000" in err
    for path in (tmp_path / "in").rglob("*.parquet"):
        path.write_bytes(b"PAR1")
    status, _, err = polyprefix("import", tmp_path / "in", *words)
    assert status == 2 and "damaged" in err
    status, _, err = polyprefix("import", tmp_path, "--format", "lightevall", "--out", tmp_path / "out")
    assert status == 2 and "lighteval" in err
