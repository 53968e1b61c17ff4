"""Law: task -> train -> evaluate -> compare with objects gives what a run gives, and writes nothing unless asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import polyprefix as pp
from polyprefix.errors import AdapterError, ConfigError, ModelError, OutputError
from polyprefix.settings import validate

HEADLINES = Path(__file__).parents[2] / "examples" / "headlines"
TRAIN = {"steps": 3, "batch_size": 8, "validation_size": 4, "validations": 2}
METHOD = pp.PrefixTuning(length=3)


@pytest.fixture(scope="module")
def base(tiny_folder: Path) -> pp.BaseModel:
    return pp.load_model(str(tiny_folder), dtype="float32")


@pytest.fixture(scope="module")
def adapted(base: pp.BaseModel) -> pp.AdaptedModel:
    return pp.train(base, pp.load_task(HEADLINES), METHOD, progress=False, **TRAIN)


@pytest.fixture(scope="module")
def result(adapted: pp.AdaptedModel) -> pp.Result:
    return pp.evaluate(adapted, pp.load_task(HEADLINES), ["sw"], progress=False)


def test_the_record_says_what_training_did(adapted: pp.AdaptedModel) -> None:
    record = adapted.training_record
    assert record.steps == 3 and record.examples == 24
    assert list(record.log["step"]) == [0, 1, 2, 3] and list(record.log["loss"].notna()) == [False, True, True, True]
    assert list(record.validation["step"]) == [0, 2, 3] and record.validation["validation_accuracy"].between(0, 1).all()


def test_a_result_has_frames_a_page_and_a_chart(result: pp.Result, tmp_path: Path) -> None:
    main = result.scores[result.scores["metric"] == result.metric]
    assert list(main["language"]) == ["eng_Latn", "swh_Latn"]
    assert set(result.predictions["language"]) == {"eng_Latn", "swh_Latn"}
    means = result.predictions.groupby("language")["correct"].mean()
    for row in main.itertuples():
        assert row.value == pytest.approx(means[row.language]) and row.ci95_low <= row.value <= row.ci95_high
    assert "Swahili" in result._repr_html_() and "Swahili" in str(result)
    assert "Swahili" in result.plot()._repr_svg_()
    assert result.plot().save(tmp_path / "a.png").stat().st_size > 1000
    assert result.folder is None
    with pytest.raises(ConfigError, match=r"\.svg"):
        result.plot().save(tmp_path / "a.gif")


def test_objects_and_a_run_of_the_same_settings_agree(tiny_folder: Path, result: pp.Result, tmp_path: Path) -> None:
    method = {"name": "prefix", **METHOD.model_dump(mode="json")}
    settings: dict[str, Any] = {
        "model": str(tiny_folder),
        "task": str(HEADLINES),
        "method": method,
        "languages": ["sw"],
    }
    config = validate(pp.RunConfig, {**settings, "train": TRAIN}, "run")
    run = pp.run(config, out=tmp_path)
    assert run.folder == tmp_path / run.run_id and run.run_id == result.run_id
    assert run.record.scores == result.record.scores and run.record.parameters == result.record.parameters
    pd.testing.assert_frame_equal(
        run.predictions.drop(columns="log_likelihoods"), result.predictions.drop(columns="log_likelihoods")
    )


def test_more_languages_are_more_of_the_same_run(
    adapted: pp.AdaptedModel, base: pp.BaseModel, result: pp.Result
) -> None:
    task = pp.load_task(HEADLINES)
    more = pp.evaluate(adapted, task, ["de"], progress=False)
    plain = pp.evaluate(base, task, progress=False)
    both = pp.compare([plain, result, more], baseline="none", resamples=200, mixed=False)
    frame = both.to_pandas()
    assert set(frame["system"]) == {"prefix"}
    assert set(frame[frame["grouping"] == "language"]["name"]) >= {"deu_Latn", "swh_Latn"}
    assert "prefix" in both._repr_html_()


def test_a_saved_result_is_a_run_folder(result: pp.Result, tmp_path: Path) -> None:
    saved = result.save(tmp_path)
    assert saved.folder == tmp_path / result.run_id
    again = pp.Result.load(saved.folder)
    assert again.record == result.record and again.calibration == result.calibration is not None
    assert {path.name for path in saved.folder.iterdir()} == {
        "adapter", "calibration.json", "config.yaml", "predictions.parquet", "result.json", "train.jsonl"
    }  # fmt: skip
    table = pp.load_results(tmp_path)
    assert list(table.runs.index) == [result.run_id] and len(table.examples) == len(result.predictions)
    texts = list(result.predictions["text"][:3])
    assert [a["prediction"] for a in pp.Predictor(saved.folder)(texts)] == list(result.predictions["prediction"][:3])


def test_a_frame_in_and_a_frame_out(adapted: pp.AdaptedModel) -> None:
    frame = pd.DataFrame({"headline": [f"Team wins {n}" for n in range(60)], "n": range(60)}, index=range(100, 160))
    ask = pp.Predictor(adapted)
    found = ask(frame)
    assert list(found.index) == list(frame.index) and list(found.columns) == [
        "headline",
        "n",
        "prediction",
        "probabilities",
    ]
    assert list(found["prediction"]) == [answer["prediction"] for answer in ask(list(frame["headline"]))]
    assert len(ask(frame.iloc[:0])) == 0


@pytest.mark.parametrize("inside", ["", "result.json", "adapter", "adapter/adapter.json"])
def test_an_adapter_is_found_from_wherever_somebody_points(
    inside: str, result: pp.Result, tiny_folder: Path, tmp_path: Path
) -> None:
    place = result.save(tmp_path).folder / inside
    loaded = pp.load_adapter(pp.load_model(str(tiny_folder), dtype="float32"), place)
    again = pp.evaluate(loaded, pp.load_task(HEADLINES), ["sw"], progress=False)
    assert again.record.scores == result.record.scores
    loaded.detach()


def test_what_peft_saved_is_loaded_too(tiny_folder: Path, tmp_path: Path) -> None:
    base = pp.load_model(str(tiny_folder), dtype="float32")
    pp.to_peft(pp.attach(base, pp.SoftPrompt(length=3)), tmp_path / "peft")
    loaded = pp.load_adapter(base, tmp_path / "peft").method
    assert isinstance(loaded, pp.SoftPrompt) and loaded.length == 3
    with pytest.raises(AdapterError):
        pp.load_adapter(base, tmp_path)


def test_a_model_of_the_caller_is_used_and_given_back(tiny_folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    ids = torch.tensor([[4, 5, 6, 7]])
    before = model(ids).logits
    side = tokenizer.padding_side
    base = pp.wrap_model(model, tokenizer)
    task = pp.load_task(HEADLINES)
    adapted = pp.train(base, task, "lora", progress=False, **TRAIN)
    result = pp.evaluate(adapted, task, ["sw"], progress=False)
    assert len(pp.Predictor(adapted)(["Team wins"])) == 1
    assert result.record.config["model_digest"]
    assert adapted.detach() is model and torch.equal(model(ids).logits, before) and tokenizer.padding_side == side
    with pytest.raises(ModelError, match="expected a transformers model"):
        pp.wrap_model(torch.nn.Linear(2, 2), tokenizer)  # type: ignore[arg-type]


def test_mistakes_are_one_line(base: pp.BaseModel, result: pp.Result) -> None:
    task = pp.load_task(HEADLINES)
    with pytest.raises(ConfigError, match="trains nothing"):
        pp.train(base, task, "none")
    with pytest.raises(ConfigError, match="learning_rate"):
        pp.train(base, task, METHOD, learning_rat=1)
    with pytest.raises(OutputError, match="beside folders"):
        pp.compare([result, "runs"])  # type: ignore[list-item]


def test_parameters_are_counted_as_peft_does(adapted: pp.AdaptedModel, capsys: pytest.CaptureFixture[str]) -> None:
    adapted.print_trainable_parameters()
    assert capsys.readouterr().out.startswith("trainable params: ")


@pytest.mark.real
def test_the_second_question_needs_no_loading(tmp_path: Path) -> None:
    """Measured on two cores that ran other tests too: 28 to 46 times quicker with one thread, 14 with two."""
    code = (
        "import time; start = time.perf_counter(); import polyprefix as pp\n"
        "ask = pp.Predictor('run'); ask(['Timu yashinda fainali']); first = time.perf_counter() - start\n"
        "again = []\n"
        "for n in range(5):\n    start = time.perf_counter(); ask([f'Bei yapanda {n}']); again.append(time.perf_counter() - start)\n"
        "print(first / min(again))"
    )
    model, task = pp.load_model("gemma-3-270m"), pp.load_task(HEADLINES)
    adapted = pp.train(model, task, METHOD, progress=False, steps=1, train_size=8, validation_size=2)
    adapted.save_pretrained(tmp_path / "run")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert float(done.stdout) > 4, "what is loaded once is loaded again"
