"""Answers of a saved adapter to questions of one's own: one at a time, a data frame, or a file of any size."""

from polyprefix.prediction.predictor import Predictor

__all__ = ["Predictor"]
