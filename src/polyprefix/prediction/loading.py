"""What a predictor reads of a run or an adapter: its settings, its calibration, and its model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix.adapters.saved import SETTINGS
from polyprefix.calibration.questions import record_from_predictions
from polyprefix.calibration.record import CalibrationRecord, read_record
from polyprefix.config import PredictConfig
from polyprefix.errors import AdapterError
from polyprefix.results.files import RESULT, read_result

if TYPE_CHECKING:
    from polyprefix.adapters.adapted import AdaptedModel
    from polyprefix.models.load import BaseModel


def record_beside(folder: Path) -> CalibrationRecord | None:
    """The record of the run that an adapter belongs to: in its own folder, or in the one around it. Of a run of an earlier version it is
    made from the predictions, which have no content-free scores and no validation.

    Raises:
        OutputError: if it is damaged.
    """
    for place in (folder, folder.parent):
        if (place / RESULT).is_file():
            return read_record(place) or record_from_predictions(place)
    return read_record(folder)


def load_adapted(
    folder: Path, saved: Mapping[str, Any], base_run: bool, model: str | BaseModel | None, settings: PredictConfig
) -> AdaptedModel:
    """The adapter of a folder on its base model.

    Args:
        saved: what `adapter.json` says, or `base_run_of`.
        base_run: whether it is the run of a base model, which has no adapter.
        model: the base model, loaded or by name; None means the name that the adapter was trained with.
    """
    from polyprefix.adapters.attach import attach
    from polyprefix.adapters.files import load_adapter
    from polyprefix.adapters.registry import build
    from polyprefix.models.load import load_model

    if isinstance(model, str | None):
        model = load_model(model or saved["base"]["name"], **settings.runtime.model_dump())
    return attach(model, build(saved["method"])) if base_run else load_adapter(model, folder, restorable=False)


def base_run_of(folder: Path) -> dict[str, Any] | None:
    """What `adapter.json` would say of the run of a base model, which has no adapter; None for other folders.

    Raises:
        OutputError: if the result in the folder is damaged.
        AdapterError: if its prompts had shots, which only adapters keep.
    """
    if (folder / SETTINGS).exists() or not (folder / RESULT).is_file():
        return None
    config = read_result(folder).config
    method = config.get("method")
    if not isinstance(method, Mapping) or method.get("name") != "none" or config.get("adapter"):
        return None
    if config.get("shots"):
        raise AdapterError(
            f"{folder}: a base model with {config['shots']} shots, which are not kept; ask an adapter's run"
        )
    task = {"name": str(config.get("task")), "protocol": str(config.get("protocol", "default"))}
    return {"base": {"name": str(config.get("model"))}, "method": {"name": "none"}, "task": task}
