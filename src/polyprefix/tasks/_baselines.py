"""What can be had without a language model: classifiers of short texts, trained on the same English items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyprefix.scoring.metrics import accuracy
from polyprefix.types import Example, Score


def classifier_scores(
    models: Mapping[str, Any], train: Sequence[Example], test: Mapping[str, Sequence[Example]], field: str
) -> dict[str, dict[str, Score]]:
    """Baseline -> language -> accuracy; languages without examples are absent.

    Args:
        models: name -> a scikit-learn classifier of texts.
        field: the input that is read.
    """
    flat = [example for examples in test.values() for example in examples]
    if not flat:
        return {}
    scores: dict[str, dict[str, Score]] = {}
    for name, model in models.items():
        model.fit([example.inputs[field] for example in train], [example.references[0] for example in train])
        predicted = iter(model.predict([example.inputs[field] for example in flat]))
        scores[name] = {
            language: accuracy([float(example.references[0] == next(predicted)) for example in examples])
            for language, examples in test.items()
            if examples
        }
    return scores


def character_ngrams() -> Any:
    """A logistic regression, of scikit-learn's default strength, on character n-grams: 1 to 4, within words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return _regression(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4)))


def words() -> Any:
    """The same on whole words: in another language it knows those that English items have too, and nothing else."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return _regression(TfidfVectorizer())


def length_and_spaces() -> Any:
    """The same on how long a text is and how many spaces it has."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return _regression(make_pipeline(FunctionTransformer(shape), StandardScaler()))


def shape(texts: Sequence[str]) -> list[list[int]]:
    """Length in characters and number of spaces of each text.

    Not capitals: English writes currencies with them and few other languages do, so they would lead below chance.
    """
    return [[len(text), text.count(" ")] for text in texts]


def _regression(features: Any) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(features, LogisticRegression(max_iter=1000))
