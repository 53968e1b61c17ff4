"""Law: a run under the protocol works from command to result, says so, and its predictions give its scores again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from polyprefix.results.files import PREDICTIONS, read_predictions, read_result
from polyprefix.tasks import registry
from polyprefix.testing.tiny import tiny_model, tiny_tokenizer
from polyprefix.types import Prediction

LANGUAGE = {"sib200": "sw"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny, but it reads long texts in bytes."""
    folder = tmp_path_factory.mktemp("models") / "tiny-long"
    network = tiny_model("llama-gqa-tied")
    network.config.max_position_embeddings = 1 << 16
    network.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.hub
@pytest.mark.parametrize("name", registry.with_protocol("lm-eval"))
def test_a_run(
    name: str, model: Path, hub: Path, tmp_path: Path, polyprefix: Callable[..., tuple[int, str, str]]
) -> None:
    words = ["--method", "none", "--languages", LANGUAGE.get(name, "th"), "--eval-size", 2, "--hub", hub]
    asked = ["--model", model, "--task", name, "--protocol", "lm-eval", *words, "--out", tmp_path]
    status, _, err = polyprefix("run", *asked, "--json")
    assert status == 0, err
    [folder] = tmp_path.iterdir()
    result = read_result(folder)
    task = registry.get(name, "lm-eval")
    assert folder.name == result.run_id and result.run_id.startswith(f"{name}-lm-eval-none-")
    assert result.config["protocol"] == "lm-eval" and set(task.info.deviations) <= set(result.notes)
    by_language: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in read_predictions(folder / PREDICTIONS)[0]:
        by_language[prediction.language].append(prediction)
    assert {code: dict(task.score(items)) for code, items in by_language.items()} == result.scores
    assert len(result.scores) == 2
