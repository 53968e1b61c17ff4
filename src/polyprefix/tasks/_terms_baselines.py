"""What can be had without a language model: classifiers trained on the same English terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyprefix.scoring.metrics import accuracy
from polyprefix.types import Example, Score


def baseline_scores(train: Sequence[Example], test: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, Score]]:
    """Baseline -> language -> accuracy; languages without examples are absent.

    Both are logistic regressions with scikit-learn's default strength: one reads character n-grams (1 to 4, within
    words), the other only how long a name is and how many spaces it has. What they reach in other languages is shared
    spelling and shape: the floor that knowledge of those languages has to beat.
    """
    flat = [example for examples in test.values() for example in examples]
    if not flat:
        return {}
    scores: dict[str, dict[str, Score]] = {}
    for name, model in _models().items():
        model.fit([_name(example) for example in train], [example.references[0] for example in train])
        predicted = iter(model.predict([_name(example) for example in flat]))
        scores[name] = {
            language: accuracy([float(example.references[0] == next(predicted)) for example in examples])
            for language, examples in test.items()
            if examples
        }
    return scores


def shape(names: Sequence[str]) -> list[list[int]]:
    """Length in characters and number of spaces of each name.

    Not capitals: English writes currencies with them and few other languages do, so they would lead below chance.
    """
    return [[len(name), name.count(" ")] for name in names]


def _models() -> dict[str, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return {
        "character n-grams": make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4)), LogisticRegression(max_iter=1000)
        ),
        "length and spaces": make_pipeline(
            FunctionTransformer(shape), StandardScaler(), LogisticRegression(max_iter=1000)
        ),
    }


def _name(example: Example) -> str:
    return example.inputs["name"]
