"""The settings of a run, with a stable id, and those of predictions and the service."""

from polyprefix.config.common import ENGLISH
from polyprefix.config.identity import ADDED_LATER, TESTED
from polyprefix.config.run import SOURCE_TIMES, RunConfig
from polyprefix.config.runtime import EvalConfig, PredictConfig, RuntimeConfig, TextConfig
from polyprefix.config.serve import RaySettings, ServeConfig, ServeLimits
from polyprefix.config.train import MetaConfig, TrainConfig

__all__ = [
    "ADDED_LATER",
    "ENGLISH",
    "SOURCE_TIMES",
    "TESTED",
    "EvalConfig",
    "MetaConfig",
    "PredictConfig",
    "RaySettings",
    "RunConfig",
    "RuntimeConfig",
    "ServeConfig",
    "ServeLimits",
    "TextConfig",
    "TrainConfig",
]
