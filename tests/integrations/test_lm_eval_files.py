"""Law: what the harness measured is what our comparison says of it: means, paired differences and p-values are scipy's on the samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.integrations.test_lm_eval_model import METHODS, PASSAGES, adapted_of, ours
from tests.tasks.lm_eval import harness

from polyprefix.errors import OutputError
from polyprefix.integrations.imported import Chosen
from polyprefix.integrations.lm_eval_files import import_runs, language_of
from polyprefix.results.files import read_predictions, read_result
from polyprefix.statistics.compare import compare

Command = Callable[..., tuple[int, str, str]]
DATE = "2026-01-02T03-04-05.678901"


def write_samples(place: Path, model: str, scores: Mapping[str, Mapping[str, Sequence[float]]], **changed: Any) -> Path:
    """What the harness writes: task -> metric -> a value for each sample."""
    place.mkdir(parents=True)
    for task, metrics in scores.items():
        count = len(next(iter(metrics.values())))
        rows = [
            {
                "doc_id": n, "doc": {"text": f"{n}"}, "target": "0",
                "arguments": {"gen_args_0": {"arg_0": f"{n}?", "arg_1": {"until": []}}},
                "resps": [["a"]], "filtered_resps": ["a"], "filter": "none", "metrics": list(metrics),
                "doc_hash": f"h{n}", "target_hash": "t",
                **{name: values[n] for name, values in metrics.items()},
            }
            for n in range(count)
        ]  # fmt: skip
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (place / f"samples_{task}_{DATE}.jsonl").write_text(lines)
    results = {
        task: {f"{name},none": float(np.mean(values)) for name, values in metrics.items()}
        for task, metrics in scores.items()
    }
    content = {
        "results": results,
        "configs": {},
        "n-shot": dict.fromkeys(scores, 2),
        "config": {"model": "hf", "model_args": f"pretrained={model}"},
    }
    (place / f"results_{DATE}.json").write_text(json.dumps({**content, **changed}))
    return place


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["right or wrong", "fractions"])
def test_paired_differences_are_scipys(kind: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    vectors = {
        model: {
            f"qa_{code}": rng.random(40) if kind == "fractions" else rng.integers(0, 2, 40).astype(float)
            for code in ("en", "sw", "th")
        }
        for model in ("one", "two")
    }
    for model, tasks in vectors.items():
        where = write_samples(
            tmp_path / "harness" / model, model, {task: {"f1": values.tolist()} for task, values in tasks.items()}
        )
        import_runs(where, tmp_path / "runs", Chosen(model="models", method=model))
    rows = compare(tmp_path / "runs", "one", mixed=False).to_pandas()
    rows = rows[rows["grouping"] == "language"].set_index("name")
    assert len(rows) == 3
    for name, task in {"eng_Latn": "qa_en", "swh_Latn": "qa_sw", "tha_Thai": "qa_th"}.items():
        a, b = vectors["two"][task], vectors["one"][task]
        higher, lower = np.sum(a > b), np.sum(a < b)
        expected = (
            stats.ttest_rel(a, b).pvalue
            if kind == "fractions"
            else stats.chi2.sf(max(0, abs(higher - lower) - 1) ** 2 / (higher + lower), 1)
        )
        assert rows.loc[name, "difference"] == pytest.approx((a - b).mean(), abs=1e-12)
        assert rows.loc[name, "p_runs"] == pytest.approx(expected, rel=1e-6)


def test_runs_of_the_harness_are_compared_and_reported(polyprefix: Command, tmp_path: Path) -> None:
    """Files that the harness itself wrote, of a base model and an adapter, in four languages."""
    pytest.importorskip("lm_eval", reason=harness.REASON)
    for method in ("base", "prefix"):
        run_harness(method, tmp_path / "harness" / method)
        status, _, err = polyprefix(
            "import", tmp_path / "harness" / method, "--format", "lm-eval", "--out", tmp_path / "runs", "--parallel",
            "--model", "tiny", "--method", METHODS[method]["name"],
        )  # fmt: skip
        assert status == 0, err
    [base] = (tmp_path / "runs").glob("places-lm-eval-none-*")
    result = read_result(base)
    assert list(result.scores) == sorted(PASSAGES) and list(result.scores["swh_Latn"]) == ["acc", "acc_norm"]
    predictions, _ = read_predictions(base / "predictions.parquet")
    assert all(len(one.log_likelihoods) >= 2 and one.references[0] in PASSAGES[one.language][2] for one in predictions)
    assert {one.example_id for one in predictions} == {"0", "1", "2", "3", "4", "5"}
    for words in (("compare", tmp_path / "runs", "--baseline", "none"), ("report", tmp_path / "runs", "--out", tmp_path / "r.html"),
                  ("compare", tmp_path / "runs", "--baseline", "none", "--metric", "acc_norm")):  # fmt: skip
        status, _, err = polyprefix(*words)
        assert status == 0, err
    page = (tmp_path / "r.html").read_text()
    assert "Swahili" in page and "places (lm-eval)" in page


def run_harness(method: str, out: Path) -> None:
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.loggers import EvaluationTracker

    tasks = {}
    for code, (passage, question, choices) in PASSAGES.items():
        rows = [
            {"passage": passage, "question": f"{question} {n}", "choices": list(choices), "label": n % 2}
            for n in range(6)
        ]
        name = f"places_{code}"
        tasks[name] = ConfigurableTask(config={
            "task": name, "output_type": "multiple_choice", "custom_dataset": lambda rows=rows, **_: {"test": Dataset.from_list(rows)},
            "test_split": "test", "doc_to_text": "{{passage}} {{question}}", "doc_to_choice": "{{choices}}", "doc_to_target": "{{label}}",
            "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")],
        })  # fmt: skip
    found = evaluate(ours(adapted_of("llama-gqa-tied", method)), tasks, bootstrap_iters=0, log_samples=True)
    samples = found.pop("samples")
    tracker = EvaluationTracker(output_path=str(out))
    tracker.general_config_tracker.model_name_sanitized = "tiny"
    found["config"] = {"model": "polyprefix", "model_args": "pretrained=tiny"}
    tracker.save_results_aggregated(found, samples)
    for name, rows in samples.items():
        tracker.save_results_samples(name, rows)


@pytest.mark.parametrize(
    ("task", "dataset", "expected"),
    [
        ("belebele_swh_Latn", "swh_Latn", ("belebele", "swh_Latn")),
        ("xnli_sw", "sw", ("xnli", "swh_Latn")),
        ("mgsm_direct_te", "te", ("mgsm_direct", "tel_Telu")),
        ("arc_easy", "ARC-Easy", ("arc_easy", "eng_Latn")),
        ("mmlu_pro", "default", ("mmlu_pro", "eng_Latn")),
        ("truthfulqa_gen", "generation", ("truthfulqa_gen", "eng_Latn")),
        ("xquad", "xquad.el", ("xquad", "ell_Grek")),
        ("crows_pairs_french", "french", ("crows_pairs", "fra_Latn")),
        ("hellaswag", "", ("hellaswag", "eng_Latn")),
    ],
)
def test_the_language_of_a_task(task: str, dataset: str, expected: tuple[str, str]) -> None:
    assert language_of(task, dataset) == expected


def test_documents_are_paired_by_content_unless_numbers_are_parallel(tmp_path: Path) -> None:
    where = write_samples(tmp_path / "in", "m", {"qa_en": {"f1": [0.0, 1.0]}, "qa_sw": {"f1": [1.0, 1.0]}})
    [folder] = import_runs(where, tmp_path / "a", Chosen())
    ids = [one.example_id for one in read_predictions(folder / "predictions.parquet")[0]]
    assert ids == ["eng_Latn/0/h0", "eng_Latn/1/h1", "swh_Latn/0/h0", "swh_Latn/1/h1"]
    assert read_predictions(folder / "predictions.parquet")[1] == [0.0, 1.0, 1.0, 1.0]  # each value with its own sample
    [other] = import_runs(where, tmp_path / "b", Chosen(parallel=True))
    assert [one.example_id for one in read_predictions(other / "predictions.parquet")[0]] == ["0", "1"] * 2
    assert read_result(folder).config["shots"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda place: next(place.glob("samples_qa_sw*")).write_text("{\n"), "found no JSON"),
        (lambda place: next(place.glob("samples_qa_sw*")).write_text(""), "found no samples"),
        (lambda place: next(place.glob("samples_qa_sw*")).write_text("[1]\n"), "doc_id, target"),
        (lambda place: [path.unlink() for path in place.glob("samples_*")], "--log_samples"),
        (lambda place: next(place.glob("results_*")).unlink(), "found no results_"),
        (lambda place: next(place.glob("results_*")).write_text("{}"), "found no 'results'"),
        (lambda place: drop_last(next(place.glob("samples_qa_en*"))), "expected 0.500000 as in the results file"),
    ],
)
def test_what_is_missing_or_damaged_is_said(change: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    where = write_samples(tmp_path / "in", "m", {"qa_en": {"f1": [0.0, 1.0]}, "qa_sw": {"f1": [1.0, 1.0]}})
    change(where)
    with pytest.raises(OutputError, match=message.replace("(", r"\(")):
        import_runs(where, tmp_path / "out", Chosen())
    assert not [path for path in tmp_path.glob("out/*") if not path.name.startswith(".")]


def drop_last(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def test_a_metric_without_a_value_for_each_sample(tmp_path: Path, polyprefix: Command) -> None:
    where = write_samples(tmp_path / "in", "m", {"lm_en": {"perplexity": [12.0, 30.0]}})
    status, _, err = polyprefix("import", where, "--format", "lm-eval", "--out", tmp_path / "out")
    assert status == 2 and "perplexity" in err and "paired" in err
    status, _, err = polyprefix("import", where, "--format", "peft", "--out", tmp_path / "out")
    assert status == 2 and "--model: missing" in err
