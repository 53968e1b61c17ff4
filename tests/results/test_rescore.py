"""Law: the predictions of a run give its scores again, exactly, intervals included, for every task; and a changed file is noticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.tasks.rows import MIRROR

from polyprefix.config import RunConfig
from polyprefix.errors import OutputError
from polyprefix.recipe import run
from polyprefix.results.files import PREDICTIONS, RESULT, read_result
from polyprefix.results.rescore import rescore
from polyprefix.settings import validate
from polyprefix.tasks import registry
from polyprefix.testing.tiny import tiny_model, tiny_tokenizer

LANGUAGES = {"terms": ["sw", "th"], "belebele": ["de", "th"], "mgsm": ["bn", "th"], "sib200": ["sw", "nqo"]}
SIZES = {"mgsm": 2, "xquad": 3}
NAMES = [pytest.param(name, marks=[] if name == "terms" else [pytest.mark.hub]) for name in registry.names()]


@pytest.fixture(scope="module")
def long_tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Gemma 3 that reads 8,192 bytes."""
    folder = tmp_path_factory.mktemp("models") / "tiny-long"
    tiny_model("gemma3").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 8_192}))
    return folder


def finished(folder: Path, out: Path, name: str, **more: Any) -> Path:
    settings = {
        "model": str(folder), "task": name, "method": "none", "eval_size": SIZES.get(name, 6),
        "languages": LANGUAGES.get(name, ["de", "th"]), **more,
    }  # fmt: skip
    (done,) = run(validate(RunConfig, settings, "run"), out=out, hub=None if name == "terms" else MIRROR)
    return done


@pytest.mark.parametrize("name", NAMES)
def test_predictions_give_the_scores_exactly(name: str, long_tiny_folder: Path, tmp_path: Path) -> None:
    folder = finished(long_tiny_folder, tmp_path, name)
    result = read_result(folder)
    scores = rescore(folder, registry.get(name))
    assert scores == result.scores and len(scores) == 3
    assert {score.n for metrics in scores.values() for score in metrics.values()} == {SIZES.get(name, 6)}
    main = registry.get(name).info.metrics[0]
    for language, metrics in scores.items():
        table = pq.read_table(folder / PREDICTIONS).filter(pc.field("language") == language)
        assert pc.mean(table["correct"]).as_py() == pytest.approx(metrics[main].value)


@pytest.mark.parametrize("damage", ["row", "answer", "language", "score"])
def test_a_file_of_another_run_is_noticed(damage: str, tiny_folder: Path, tmp_path: Path) -> None:
    folder = finished(tiny_folder, tmp_path, "terms")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    rows = pq.read_table(folder / PREDICTIONS).to_pylist()
    if damage == "row":
        rows = rows[:-1]
    elif damage == "language":
        rows = [row for row in rows if row["language"] != "tha_Thai"]
    elif damage == "answer":
        wrong = next(label for label in ("country", "language") if label not in rows[0]["references"])
        rows[0]["prediction"] = wrong if rows[0]["correct"] else rows[0]["references"][0]
    else:
        text = (copy / RESULT).read_text()
        (copy / RESULT).write_text(text.replace('"n": 6', '"n": 7', 1))
    table = pq.read_table(folder / PREDICTIONS)
    pq.write_table(table.from_pylist(rows, schema=table.schema), copy / PREDICTIONS)
    rescore(folder, registry.get("terms"))
    with pytest.raises(OutputError, match="run it again"):
        rescore(copy, registry.get("terms"))
