"""Law: on the harness's own tasks, of five shapes and in four languages, base and adapted models have the log-likelihoods, answers and
scores of the harness's own backend. Task files are the harness's, documents are handed over.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.test_lm_eval_model import PASSAGES, adapted_of, ours, theirs
from tests.tasks.lm_eval import harness

from benchmarks.harness import on_rows

lm_eval = pytest.importorskip("lm_eval", reason=harness.REASON)
SW, TH, AR, EN = (PASSAGES[code] for code in ("swh_Latn", "tha_Thai", "arb_Arab", "eng_Latn"))


def chosen(passage: tuple[str, str, tuple[str, ...]], n: int) -> dict[str, Any]:
    """A document with the columns of all five tasks."""
    text, question, answers = passage
    first, second = f"{answers[0]} {n}", f"{answers[1]} {n + 1}"
    return {
        "flores_passage": text, "question": f"{question} {n}",
        "mc_answer1": first, "mc_answer2": second, "mc_answer3": "C", "mc_answer4": "D",
        "correct_answer_num": str(n % 4 + 1), "premise": f"{text} {n}.", "hypothesis": f"{question}.", "label": n % 2,
        "choice1": first, "choice2": second, "choices": {"text": [first, second], "label": ["A", "B"]}, "answerKey": "AB"[n % 2],
        "answer": None, "answer_number": n,
    }  # fmt: skip


LANGUAGES = (SW, TH, AR, EN)
FILES = {
    "belebele": [f"belebele/belebele_{code}" for code in ("swh_Latn", "tha_Thai", "arb_Arab", "eng_Latn")],
    "xnli": [f"xnli/xnli_{code}" for code in ("sw", "th", "ar", "en")],
    "xcopa": [f"xcopa/default_{code}" for code in ("sw", "th", "it", "et")],
    "arc_easy": ["arc/arc_easy"],
    "mgsm_direct": [f"mgsm/direct/mgsm_direct_{code}" for code in ("sw", "th", "bn", "en")],
}
TASKS = {shape: dict(zip(files, LANGUAGES, strict=False)) for shape, files in FILES.items()}
"""Shape -> task file of the harness -> the text of its documents."""


@cache
def task_of(file: str) -> Any:
    from datasets import Dataset
    from lm_eval.tasks._yaml_loader import load_yaml

    passage = next(files[file] for files in TASKS.values() if file in files)
    rows = Dataset.from_list(
        [{**chosen(passage, n), "question": "cause"} if "xcopa" in file else chosen(passage, n) for n in range(3)]
    )
    config = load_yaml(Path(lm_eval.__file__).parent / "tasks" / f"{file}.yaml", resolve_func=True)
    if config["output_type"] == "generate_until":
        config["generation_kwargs"]["max_gen_toks"] = 8
    return on_rows(config, rows)


@pytest.mark.parametrize("method", ["base", "prefix"])
@pytest.mark.parametrize("shape", TASKS)
def test_tasks_of_the_harness(shape: str, method: str) -> None:
    from lm_eval.evaluator import evaluate

    adapted = adapted_of("llama-gqa-tied", method)
    tasks = {Path(file).name: task_of(file) for file in TASKS[shape]}
    both = [
        evaluate(model, tasks, bootstrap_iters=0, log_samples=True)
        for model in (ours(adapted, max_length=1024), theirs(adapted, 1024))
    ]
    assert both[0]["results"] == both[1]["results"]
    for name in tasks:
        pairs = zip(*(one["samples"][name] for one in both), strict=True)
        for found, expected in pairs:
            assert found["arguments"] == expected["arguments"] and len(found["resps"]) == len(expected["resps"]) > 0
            for a, b in zip(found["resps"], expected["resps"], strict=True):
                if shape == "mgsm_direct":
                    assert a == b
                else:
                    assert float(a[0][0]) == pytest.approx(float(b[0][0]), abs=1e-4, rel=1e-6) and str(a[0][1]) == str(
                        b[0][1]
                    )
