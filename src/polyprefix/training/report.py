"""What training did, as a result says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from polyprefix.calibration.record import Validation as ValidationAnswers
from polyprefix.engine.flop_counter import Work
from polyprefix.training.length import Stopped
from polyprefix.training.validation import Validated


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What training did."""

    steps: int = 0
    examples: int = 0
    """Training examples seen, repetitions counted."""
    epochs: float = 0.0
    """Passes over the training examples, before meta-learning."""
    seconds: float = 0.0
    """Without validation."""
    work: Work = field(default_factory=Work)
    """Counted, without validation."""
    memory: int = 0
    """Bytes at the peak, before an interruption too."""
    first_step: float | None = None
    """`time.perf_counter()` when the first step was done."""
    learning_rate: float = 0.0
    """The peak rate."""
    stopped: Stopped = "length"
    """Why it ended."""
    kept_step: int = 0
    """The step whose weights were kept; of an average the last of them."""
    validation: tuple[Validated, ...] = ()
    """What was measured, from before the first step on; empty without validation examples."""
    validation_size: int = 0
    """Examples behind each of these."""
    watched_size: int = 0
    """Examples of other languages that are measured with them."""
    validation_seconds: float = 0.0
    answers: ValidationAnswers = field(default_factory=ValidationAnswers)
    """Of the kept weights to validation examples; empty where they were not measured."""
    chance: float | None = None
    """Accuracy on them without having learned anything; None without choices."""
    learned: bool | None = None
    """Whether the kept weights are better than that; None without validation examples."""
    resumed_at: int | None = None
    """The step after which an interrupted training went on; None where it was not interrupted."""
    episodes: int = 0
    """Steps of meta-learning among `steps`, the last ones."""
    order: str = ""
    """Of meta-learning (`MetaConfig.order`)."""

    def figures(self) -> dict[str, Any]:
        """As the `training` of a result (docs/results-format.md); empty where nothing was trained."""
        if not self.steps:
            return {}
        return {
            "steps": self.steps, "epochs": self.epochs, "learning_rate": self.learning_rate,
            "stopped": self.stopped, "kept_step": self.kept_step,
            "learned": self.learned, "still_improving": self.stopped == "bound", "chance": self.chance,
            "validation_size": self.validation_size, "watched_size": self.watched_size,
            "validation": [asdict(point) for point in self.validation],
            **({"meta_episodes": self.episodes} if self.episodes else {}),
        }  # fmt: skip

    def notes(self) -> tuple[str, ...]:
        """What a reader of its scores must know: that nothing was learned, or that more would have been."""
        found: list[str] = []
        if self.episodes:
            count = f"{self.episodes} episode{'s' * (self.episodes != 1)}"
            found.append(
                f"Meta-learning ({self.order}): after training in the source languages alone, {count} "
                "over the target languages, whose rows train nothing else."
            )
        if self.learned is False and self.kept:
            figures = f"log-likelihood {self.kept.log_likelihood:.3f}"
            if self.kept.accuracy is not None and self.chance is not None:
                figures = f"accuracy {100 * self.kept.accuracy:.1f}, {100 * self.chance:.1f} by chance"
            found.append(
                f"the adapter has not learned the task: {figures} on {self.validation_size} validation examples; "
                "try another learning rate, more training examples or a larger model"
            )
        if self.stopped == "bound":
            found.append(
                f"validation was still improving after {self.steps} steps, the most that were allowed; "
                "raise train.max_steps"
            )
        return tuple(found)

    @property
    def kept(self) -> Validated | None:
        """What was measured of the kept weights."""
        return next((point for point in self.validation if point.step == self.kept_step), None)
