"""Evenness: is a number even or odd? The question is asked in three languages."""

from __future__ import annotations

import pandas as pd

import polyprefix as pp

QUESTIONS = {"en": "Is {} even or odd?", "sw": "Je, {} ni shufwa au witiri?", "de": "Ist {} gerade oder ungerade?"}


def rows() -> pd.DataFrame:
    """Forty numbers to learn from in English, and twenty others to test in each language."""
    train = [("train", "en", n) for n in range(40)]
    test = [("test", code, n) for code in QUESTIONS for n in range(40, 60)]
    frame = pd.DataFrame(train + test, columns=["split", "language", "number"])
    frame["text"] = [QUESTIONS[code].format(n) for code, n in zip(frame["language"], frame["number"], strict=True)]
    frame["label"] = ["odd" if n % 2 else "even" for n in frame["number"]]
    return frame


TASK = pp.Task.from_pandas(
    rows(), task_type="classification", name="evenness", id="number", title="Is a number even or odd?",
    source="made by this example", licence="Apache-2.0",
)  # fmt: skip
