"""Law: inspect's samples get the greedy answers of the model, and its logs become runs with the values of its scorers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.integrations.test_lm_eval_model import PASSAGES, adapted_of

from polyprefix.errors import ConfigError, OutputError
from polyprefix.integrations.imported import Chosen
from polyprefix.results.files import read_predictions, read_result

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed: pip install 'polyprefix[inspect]'")
Command = Callable[..., tuple[int, str, str]]
NEW = 5


def model_of(adapted: Any) -> Any:
    from inspect_ai.model import get_model

    import polyprefix.integrations.inspect_model  # noqa: F401  as the entry point does

    return get_model("polyprefix/tiny", adapted=adapted, memoize=False)


def written(adapted: Any, text: str) -> str:
    ids = torch.tensor([adapted.base.tokenizer.encode(text)])
    found = adapted.generate(ids, max_new_tokens=NEW, do_sample=False)[0, ids.shape[1] :]
    return str(adapted.base.tokenizer.decode(found, skip_special_tokens=True))


def evaluate(adapted: Any, logs: Path, epochs: int = 1) -> Any:
    """One task in four languages; every second target is what the model writes."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    samples = []
    for code, (passage, question, _) in PASSAGES.items():
        for n in range(3):
            text = f"{passage} {question} {n}"
            target = written(adapted, text).strip() if n % 2 else "never"
            samples.append(Sample(id=f"{code}-{n}", input=text, target=target or "never", metadata={"language": code}))
    task = Task(dataset=samples, solver=generate(max_tokens=NEW), scorer=match("exact"), name="places")
    [log] = eval(task, model=model_of(adapted), log_dir=str(logs), display="none", epochs=epochs)
    assert log.status == "success", log.error
    return log


@pytest.mark.parametrize("method", ["base", "prefix"])
def test_samples_get_the_greedy_answers(method: str, tmp_path: Path) -> None:
    adapted = adapted_of("llama-gqa-tied", method)
    log = evaluate(adapted, tmp_path)
    assert len(log.samples) == 12
    for sample in log.samples:
        assert sample.output.completion == written(adapted, str(sample.input))


def test_logs_become_runs(polyprefix: Command, tmp_path: Path) -> None:
    for method in ("base", "prefix"):
        log = evaluate(adapted_of("llama-gqa-tied", method), tmp_path / method, epochs=2)
        words = ("--format", "inspect", "--model", "tiny", "--method", method, "--out", tmp_path / "runs")
        status, _, err = polyprefix("import", tmp_path / method, *words)
        assert status == 0, err
    [run] = (tmp_path / "runs").glob("places-inspect-prefix-tiny-*")
    result = read_result(run)
    assert set(result.scores) == set(PASSAGES) and all(score["match"].n == 3 for score in result.scores.values())
    means: dict[str, list[float]] = {}
    for sample in log.samples:
        means.setdefault(sample.metadata["language"], []).append(sample.scores["match"].value == "C")
    assert {code: found["match"].value for code, found in result.scores.items()} == pytest.approx(
        {code: sum(found) / len(found) for code, found in means.items()}
    )
    predictions, _ = read_predictions(run / "predictions.parquet")
    assert len(predictions) == 12 and all(one.text for one in predictions)
    status, out, err = polyprefix("compare", tmp_path / "runs", "--baseline", "base")
    assert status == 0 and "prefix" in out, err


def test_what_cannot_be_answered_is_said(tmp_path: Path) -> None:
    from inspect_ai.model import GenerateConfig

    from polyprefix.integrations.inspect_files import import_runs
    from polyprefix.integrations.inspect_model import _require_greedy

    for config in (GenerateConfig(temperature=0.7), GenerateConfig(logprobs=True), GenerateConfig(num_choices=2)):
        with pytest.raises(ConfigError, match="greedy"):
            _require_greedy([], config)
    with pytest.raises(OutputError, match="found no"):
        import_runs(tmp_path, tmp_path / "out", Chosen())
    (tmp_path / "x.eval").write_bytes(b"PK")
    with pytest.raises(OutputError, match="no log that inspect reads"):
        import_runs(tmp_path, tmp_path / "out", Chosen())
