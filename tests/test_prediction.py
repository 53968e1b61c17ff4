"""Law: one task file works for run, evaluate and predict; an adapter answers what it was trained to, wherever its folder is."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import polyprefix as pp
from polyprefix.calibration.record import read_record
from polyprefix.config import RunConfig
from polyprefix.errors import AdapterError, DataError
from polyprefix.results.files import read_predictions, read_result
from polyprefix.settings import validate

ROOT = Path(__file__).parents[1]
HEADLINES = ROOT / "examples" / "headlines"
TRAIN = {"epochs": 1, "batch_size": 8, "validation_size": 4, "validations": 1}
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def trained(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the example."""
    settings = {"model": str(tiny_folder), "task": str(HEADLINES), "train": TRAIN}
    return pp.run(validate(RunConfig, settings, "run"), out=tmp_path_factory.mktemp("runs")).folder


def complains(answer: tuple[int, str, str], *words: str) -> None:
    status, out, err = answer
    lines = [line for line in err.splitlines() if line.startswith("polyprefix: ")]
    assert status == 2 and len(lines) == 1 and not out, err
    for word in words:
        assert word in lines[0], lines[0]


def test_the_page_shows_the_example() -> None:
    page = (ROOT / "docs" / "custom-tasks.md").read_text(encoding="utf-8")
    shown = re.findall(r"```yaml[^\n]*\n(.*?)```", page, re.DOTALL)
    assert (HEADLINES / "task.yaml").read_text(encoding="utf-8") in shown


def test_run_evaluate_and_predict(polyprefix: Command, tiny_folder: Path, tmp_path: Path) -> None:
    more = [word for key, value in TRAIN.items() for word in ("--set", f"train.{key}={value}")]
    words = ("run", "--model", tiny_folder, "--task", HEADLINES, *more, "--out", tmp_path)
    status, out, err = polyprefix(*words)
    assert status == 0, err
    assert "Swahili" in out and "most frequent label" in out
    [run] = tmp_path.glob("headlines-prefix-*-s0-*")
    result = read_result(run)
    assert set(result.scores) == {"eng_Latn", "deu_Latn", "swh_Latn"}
    assert {score["accuracy"].n for score in result.scores.values()} == {9}
    assert any("held out" in note for note in result.notes)
    status, out, err = polyprefix(
        "run", "--model", tiny_folder, "--task", HEADLINES / "task.yaml", *more, "--seed", 1, "--out", tmp_path
    )
    assert status == 0, err
    assert len(list(tmp_path.glob("headlines-none-*"))) == 1, "the base model's run is found again under another path"
    status, out, err = polyprefix(
        "evaluate", run, "--task", HEADLINES, "--languages", "sw", "--out", tmp_path, "--json"
    )
    assert status == 0, err
    assert {row["language"]["name"] for row in json.loads(out)["rows"]} == {"English", "Swahili"}
    status, out, err = polyprefix("predict", run, "--file", HEADLINES / "test.sw.csv", "--out", tmp_path / "a.jsonl")
    assert status == 0, err
    answers = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    recorded = {p.example_id: p for p in read_predictions(run / "predictions.parquet")[0] if p.language == "swh_Latn"}
    assert {a["id"]: a["prediction"] for a in answers} == {id: p.prediction for id, p in recorded.items()}
    for answer in answers:
        assert set(answer) == {"id", "headline", "section", "prediction", "probabilities"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert max(answer["probabilities"], key=answer["probabilities"].__getitem__) == answer["prediction"]


def test_calibrated_probabilities_come_only_when_asked_for(polyprefix: Command, trained: Path, tmp_path: Path) -> None:
    ask, texts = pp.Predictor(trained), ["Rais alihutubia bunge", "Timu ilishinda mechi", "Benki ilipandisha riba"]
    raw = ask(texts, language="sw")
    assert raw == ask(texts, language="sw", calibration="none") and all("calibration" not in one for one in raw)
    prior = ask(texts, language="sw", calibration="prior")
    assert {one["calibration"] for one in prior} == {"prior of swh_Latn"}
    assert all(sum(one["probabilities"].values()) == pytest.approx(1) for one in prior)
    assert prior != raw
    assert ask(texts, language="th", calibration="prior")[0]["calibration"] == "prior of 3 tested languages"
    record = read_record(trained)
    assert record is not None
    kept = dict(zip(record.labels, record.priors["swh_Latn"].mean, strict=True))
    first = {name: math.log(p / kept[name]) for name, p in raw[0]["probabilities"].items()}
    assert prior[0]["prediction"] == max(first, key=first.__getitem__)
    status, out, err = polyprefix("predict", trained, "--text", texts[0], "--language", "sw", "--calibration", "prior")
    assert status == 0, err
    assert json.loads(out)["probabilities"] == pytest.approx(prior[0]["probabilities"], abs=0.01)
    old = tmp_path / trained.name
    shutil.copytree(trained, old)
    (old / "calibration.json").unlink()
    assert ask(texts[:1], language="sw", calibration="batch")[0]["calibration"].startswith("batch")
    of_old = pp.Predictor(old)(texts, language="sw", calibration="prior")
    assert [one["prediction"] for one in of_old] == [one["prediction"] for one in prior], (
        "an earlier run has predictions"
    )


def test_edited_data_is_another_run(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "headlines"
    shutil.copytree(HEADLINES, folder)
    settings = {"model": str(tiny_folder), "task": str(folder), "method": "none", "languages": ["sw"]}
    config = validate(RunConfig, settings, "run")
    first = pp.run(config, out=tmp_path / "runs").folder
    (folder / "test.sw.csv").write_text((HEADLINES / "test.sw.csv").read_text().replace("Kesho", "Leo"))
    second = pp.run(config, out=tmp_path / "runs").folder
    assert first != second and read_result(first).config["task_digest"] != read_result(second).config["task_digest"]


def test_a_copied_adapter_knows_its_task(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "adapter", tmp_path / "copied")
    texts = ["Timu yashinda", "Bei yapanda"]
    answers = pp.Predictor(tmp_path / "copied")(texts)
    assert [a["headline"] for a in answers] == texts
    assert answers == pp.Predictor(trained, task=str(HEADLINES))([{"headline": text} for text in texts])
    assert {a["prediction"] for a in answers} <= {"sport", "money", "weather"}


def test_solved_examples_stand_in_front_again(tiny_folder: Path, tmp_path: Path) -> None:
    """An adapter that learned with them is asked with them."""
    task = tmp_path / "short"
    shutil.copytree(HEADLINES, task)
    (task / "task.yaml").write_text(
        (HEADLINES / "task.yaml").read_text().replace("Is the headline about sport, money or weather?\n  ", "")
    )
    settings = {"model": str(tiny_folder), "task": str(task), "train": TRAIN, "shots": 1}
    run = pp.run(validate(RunConfig, settings, "run"), out=tmp_path / "runs").folder
    predicted = {p.example_id: p for p in read_predictions(run / "predictions.parquet")[0] if p.language == "eng_Latn"}
    answers = {a["id"]: a for a in pp.Predictor(run)(task / "test.en.csv")}
    assert json.loads((run / "adapter" / "adapter.json").read_text())["task"]["shots"].startswith("Headline: ")
    for id, prediction in predicted.items():
        top = max(prediction.log_likelihoods)
        assert answers[id]["probabilities"][prediction.prediction] == pytest.approx(
            1 / sum(2.718281828459045 ** (v - top) for v in prediction.log_likelihoods), rel=1e-4
        )


def test_a_written_answer(trained: Path) -> None:
    [answer] = pp.Predictor(trained, task="mgsm")([{"question": "1 + 1?"}])
    assert set(answer) == {"question", "prediction"} and isinstance(answer["prediction"], str)


def test_a_context_that_is_too_long_is_cut_and_said_to_be(trained: Path) -> None:
    short, long = ({"context": "Rome. " * n, "question": "Where?"} for n in (1, 90))
    answers = pp.Predictor(trained, task="xquad")([short, long])
    assert "context_cut" not in answers[0] and answers[1]["context_cut"] is True


def test_questions_that_cannot_be_asked(polyprefix: Command, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"

    def asked(content: str, *words: str) -> tuple[int, str, str]:
        file.write_text(content, encoding="utf-8")
        return polyprefix("predict", trained, "--file", file, *words)

    complains(
        asked('{"headlin": "x"}\n'), "in.jsonl:1, column 'headline': found no such column", "did you mean 'headlin'"
    )
    complains(
        asked('{"headline": "x"}\n{"headline": " "}\n{"headline": [1]}\n'),
        "in.jsonl:2, column 'headline': found nothing",
        "in.jsonl:3",
        "expected text",
    )
    complains(asked('{"headline": "x"}\n{"headline"\n'), "in.jsonl:2, character", "found no JSON")
    complains(asked('{"headline": "x", "prediction": 1}\n'), "in.jsonl:1, column 'prediction'", "another name")
    complains(asked(json.dumps({"headline": "x" * 500})), "in.jsonl:1", "tokens")
    complains(asked('{"headline": "x"}\n', "--task", "xnli"), "column 'premise'", "column 'hypothesis'")
    complains(polyprefix("predict", trained, "--text", "x", "--task", "xnli"), "2 inputs (premise, hypothesis)")
    complains(polyprefix("predict", trained, "--text", ""), "text 1, column 'headline': found nothing")
    complains(polyprefix("predict", trained), "--text")
    complains(polyprefix("predict", trained, "--text", "x", "--file", file), "one of --text")
    complains(polyprefix("predict", trained, "--input", "premise"), "NAME=TEXT")
    complains(polyprefix("predict", trained, "--text", "x", "--language", "swahilli"), "Swahili")
    complains(polyprefix("predict", tmp_path, "--text", "x"), "adapter.json")
    assert not list(tmp_path.glob("*.out"))


def test_several_inputs_by_name(polyprefix: Command, trained: Path) -> None:
    words = ("--task", "xnli", "--input", "premise=It rains = wet", "--input", "hypothesis=It is wet.")
    status, out, err = polyprefix("predict", trained, *words)
    assert status == 0, err
    answer = json.loads(out)
    assert answer["premise"] == "It rains = wet" and set(answer["probabilities"]) == {"yes", "maybe", "no"}


def test_an_adapter_without_a_task_asks_for_one(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "adapter", tmp_path / "old")
    path = tmp_path / "old" / "adapter.json"
    settings = json.loads(path.read_text())
    del settings["task"]
    path.write_text(json.dumps(settings))
    with pytest.raises(AdapterError, match="--task"):
        pp.Predictor(tmp_path / "old")(["x"])
    assert pp.Predictor(tmp_path / "old", task=str(HEADLINES))(["x"])
    with pytest.raises(DataError, match="text 1"):
        pp.Predictor(tmp_path / "old", task=str(HEADLINES))([""])
