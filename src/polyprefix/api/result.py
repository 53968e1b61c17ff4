"""What `pp.evaluate` and `pp.run` return: scores and predictions as data frames, a chart, and the folder if there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix import languages
from polyprefix.api.plot import Plot, dot_plot
from polyprefix.calibration.record import CalibrationRecord, read_record, write_record
from polyprefix.config import RunConfig
from polyprefix.errors import OutputError
from polyprefix.names import task_title
from polyprefix.results.files import ADAPTER, PREDICTIONS, TRAIN_LOG, read_predictions, read_result, write_predictions
from polyprefix.results.folder import RunFolder
from polyprefix.results.log import JsonlLog
from polyprefix.types import Prediction, RunResult

if TYPE_CHECKING:
    import pandas as pd

    from polyprefix.adapters.adapted import AdaptedModel
    from polyprefix.statistics.verdicts import Verdicts
    from polyprefix.tasks.base import Task

SCORE_COLUMNS = ("language", "name", "metric", "value", "n", "ci95_low", "ci95_high")


@dataclass(frozen=True)
class Result:
    """Scores and predictions of one run."""

    record: RunResult
    """All of it as `result.json` has it: settings, provenance, parameters, scores, cost, notes."""
    predictions: pd.DataFrame
    """One row per example: `example_id`, `language`, `references`, `prediction`, `log_likelihoods` (one per choice, in nats), `text`, and
    `correct`, the main metric of that example."""
    folder: Path | None = None
    """The folder of the run; None until it is saved."""
    calibration: CalibrationRecord | None = None
    """What calibration needs beside the predictions, as `calibration.json` has it; None where a run kept none."""
    adapted: AdaptedModel | None = None
    """The adapted model, where one was evaluated in this process; `save` writes its adapter."""

    @classmethod
    def of(
        cls,
        record: RunResult,
        task: Task,
        predictions: Mapping[str, Sequence[Prediction]],
        adapted: AdaptedModel | None,
    ) -> Result:
        """The result of predictions in memory: language -> predictions."""
        flat = [prediction for found in predictions.values() for prediction in found]
        return cls(record, _frame(flat, [task.correctness(prediction) for prediction in flat]), adapted=adapted)

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """The result in the folder of a finished run.

        Raises:
            OutputError: if the folder holds none, or a file is damaged.
        """
        place = Path(folder)
        return cls(read_result(place), _frame(*read_predictions(place / PREDICTIONS)), place, read_record(place))

    @property
    def run_id(self) -> str:
        """The name of the run: equal settings give equal names."""
        return self.record.run_id

    @property
    def metric(self) -> str:
        """The main metric."""
        return next(iter(next(iter(self.record.scores.values()))))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per language and metric: `language` (code), `name`, `metric`, `value`, `n` examples, and its 95% interval."""
        import pandas as pd

        rows = [
            (code, languages.get(code).name, metric, score.value, score.n, *score.ci95)
            for code, metrics in self.record.scores.items()
            for metric, score in metrics.items()
        ]
        return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))

    def to_pandas(self) -> pd.DataFrame:
        """The scores with the columns `run_id`, `task`, `model`, `method` and `seed` in front, to be joined with those of other results."""
        config, frame = self.record.config, self.scores.copy()
        facts = {
            "run_id": self.run_id, "task": task_title(config), "model": config["model"], "method": config["method"]["name"],
            "seed": config.get("seed", 0),
        }  # fmt: skip
        for place, (name, value) in enumerate(facts.items()):
            frame.insert(place, name, value)
        return frame

    def verdicts(self, base: Result | None = None, **options: Any) -> Verdicts:
        """For each language: clearly above the base model and chance, not clear, or do not use.

        Args:
            base: the base model's result on the same examples; without it verdicts are about chance alone.
            options: as `pp.verdicts`.

        Raises:
            OutputError, ConfigError, LanguageError: as `pp.verdicts`.
        """
        from polyprefix.api.verdicts import verdicts

        return verdicts([self] if base is None else [self, base], **options)

    def plot(self) -> Plot:
        """A dot for each language with its 95% interval, from the highest score to the lowest."""
        shown = self.scores[self.scores["metric"] == self.metric].sort_values("value", ascending=False)
        return dot_plot(shown, self.metric, self._title)

    def save(self, folder: str | Path) -> Result:
        """Write `FOLDER/RUN_ID/` with the files of a run: settings, result, predictions, what calibration needs, adapter, training log.

        The command's `compare`, `report` and `predict` read it, and so do `load_results` and `Predictor`.

        Args:
            folder: of all runs, such as `runs`.

        Returns:
            The same result with its `folder`.

        Raises:
            OutputError: if the folder cannot be written.
        """
        from polyprefix.adapters.files import save_adapter

        config = RunConfig.model_validate(self.record.config)
        out = RunFolder(Path(folder), self.run_id)
        out.write_config(config)
        flat = [Prediction(**row) for row in self.predictions.drop(columns="correct").to_dict("records")]
        write_predictions(out.predictions, flat, list(self.predictions["correct"]))
        if self.calibration is not None:
            write_record(out.path, self.calibration)
        if self.adapted is not None:
            save_adapter(self.adapted, out.path / ADAPTER)
            if record := self.adapted.training_record:
                log = JsonlLog(out.path / TRAIN_LOG)
                for row in record.log.to_dict("records"):
                    log.write(
                        {key: value for key, value in row.items() if value == value}
                    )  # NaN: not measured in this step
        return replace(self, folder=out.finish(self.record))

    @property
    def _title(self) -> str:
        config = self.record.config
        return f"{task_title(config)}, {config['method']['name']}, {config['model']}"

    def __repr__(self) -> str:
        codes = list(self.record.scores)
        first = self.record.scores[codes[0]][self.metric]
        more = f" and {len(codes) - 1} more languages" if len(codes) > 1 else ""
        return f"<Result {self.run_id}: {self.metric} {100 * first.value:.1f}% in {codes[0]}{more}>"

    def __str__(self) -> str:
        shown = self.scores[self.scores["metric"] == self.metric].drop(columns="metric")
        return f"{self._title}: {self.metric}\n{shown.to_string(index=False, float_format='{:.3f}'.format)}"

    def _repr_html_(self) -> str:
        from html import escape

        table = self.scores.to_html(index=False, float_format="{:.3f}".format)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.record.notes)
        return f"<p><b>{escape(self._title)}</b></p>{table}" + (f"<ul>{notes}</ul>" if notes else "")


def _frame(predictions: Sequence[Prediction], correctness: Sequence[float]) -> pd.DataFrame:
    import pandas as pd

    if not predictions:
        raise OutputError("no predictions: the run has no test languages; evaluate it in some")
    return pd.DataFrame([asdict(prediction) for prediction in predictions]).assign(correct=correctness)
