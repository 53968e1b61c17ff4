"""A run: a model, a task, a method, and everything that decides the outcome."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from polyprefix.config.common import ENGLISH, MOST_EXAMPLES, MOST_SEED
from polyprefix.config.identity import TESTED, digest, identity
from polyprefix.config.runtime import EvalConfig, RuntimeConfig, TextConfig
from polyprefix.config.train import TrainConfig
from polyprefix.names import DEFAULT_PROTOCOL, slug, task_name, without_suffix
from polyprefix.settings import Name, Settings, listed_names, written_out

SOURCE_TIMES = 10
"""Times as many test examples in a source language as in another language, where each language has its own."""
Languages = Annotated[tuple[Name, ...], BeforeValidator(listed_names)]
"""Languages as people write them."""


def _points(value: Any) -> Any:
    """A number of points, as people write it."""
    if value is None:
        return None
    try:
        points = float(value.removeprefix("±") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        points = math.nan
    if isinstance(value, bool) or not 0 < points <= 50:
        raise ValueError("expected points above 0 and up to 50, such as 2 or ±2")
    return points


class RunConfig(Settings):
    """One run: a model, a task, a method, and everything that decides the outcome."""

    model: Name
    """A hub id, a folder, a GGUF file, or an embedded name (`polyprefix list models`)."""
    model_digest: str | None = None
    """Of the files of a folder or a GGUF file; filled in when a run reads them, so that other weights are never taken for the same model."""
    task: Name
    """A name from `polyprefix list tasks`, or the path of a task file (docs/custom-tasks.md)."""
    task_digest: str | None = None
    """Of a task file and its data; filled in when a run reads them, so that edited data is never taken for the same run."""
    protocol: Name = DEFAULT_PROTOCOL
    """Whose prompts and scoring: `default`, or `lm-eval` for those of lm-evaluation-harness (docs/tasks.md)."""
    method: Mapping[str, Any] = Field(default_factory=lambda: {"name": "prefix"})
    """`name` and the method's own settings (`polyprefix list methods`); a bare name is accepted."""
    adapter: Name | None = None
    """A saved adapter to evaluate; nothing is trained then."""
    adapter_digest: str | None = None
    """Of its files; filled in when a run reads them."""
    languages: tuple[str, ...] | Literal["all"] = "all"
    """Test languages; the source languages are always among them."""
    source_languages: Languages = (ENGLISH,)
    """Languages of training and validation. Where the task has no test data in one, it is not tested."""
    source_sampling: Literal["size", "equal", "temperature"] = "size"
    """Shares of several source languages in training: `size` as in the data, `equal`, or between them by `temperature`."""
    source_temperature: float = Field(default=5.0, ge=1, le=1e6)
    """Shares are proportional to rows ** (1 / temperature): 1 is `size`, a large one `equal`."""
    train_size: int | None = Field(default=None, ge=1, le=MOST_EXAMPLES)
    """Training examples, over all source languages together; None means all, or as many as give the shares of the sampling."""
    target_languages: Languages = ()
    """Languages with a few training examples beside the source languages: they are few-shot, not zero-shot."""
    target_size: int | None = Field(default=None, ge=1, le=MOST_EXAMPLES)
    """Training examples of each target language, on top of `train_size`."""
    eval_size: int | None = Field(default=None, ge=1, le=MOST_EXAMPLES)
    """Test examples per language; None means all."""
    eval_ids: Literal["same", "disjoint"] = "same"
    """Which examples those are: the `same` ids in every language, or `disjoint` subsets. Disjoint subsets cover more examples and reduce
    the variance of averages over languages (docs/statistics.md). Source languages have ten times as many: transfer gaps are measured
    from them."""
    eval_until: Annotated[Annotated[float, Field(gt=0, le=50)] | None, BeforeValidator(_points)] = None
    """Points, such as 2 or ±2: a language is asked, by smallest hash, until the 95% interval of its main metric is no wider than this on
    each side, and keeps that interval, which is valid at any stopping time (docs/statistics.md). None asks every example."""
    shots: int = Field(default=0, ge=0, le=1000)
    """Few-shot examples in front of each question."""
    shot_language: Name = "english"
    """The language of the few-shot examples: one of the task's, or `target` for that of each question. Training keeps to the
    first source language."""
    seed: int = Field(default=0, ge=0, le=MOST_SEED)
    """Seeds the choice of examples, their order and random initial values."""
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    text: TextConfig = TextConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @field_validator("method", mode="before")
    @classmethod
    def _method_may_be_a_name(cls, value: Any) -> Any:
        value = written_out("method", value)
        if isinstance(value, Mapping):
            return {"name": "prefix", **value}
        raise ValueError("expected a method's name, or its settings with a 'name'")

    @field_validator("eval_ids", mode="before")
    @classmethod
    def _eval_ids_may_have_their_old_name(cls, value: Any) -> Any:
        return "disjoint" if value == "spread" else value

    @field_validator("languages", mode="before")
    @classmethod
    def _languages_may_be_a_list(cls, value: Any) -> Any:
        return value if value == "all" else listed_names(value)

    @model_validator(mode="after")
    def _targets_have_a_size(self) -> RunConfig:
        if bool(self.target_languages) != (self.target_size is not None):
            raise ValueError("target_languages and target_size: expected both or neither, such as sw,th and 50")
        if (meta := self.train.meta) is None:
            return self
        if self.target_size is None:
            raise ValueError("train.meta: learns over target languages; give target_languages and target_size")
        if meta.support_size + meta.query_size > self.target_size:
            raise ValueError(
                f"train.meta.support_size {meta.support_size} and train.meta.query_size {meta.query_size}: more than the target_size "
                f"{self.target_size} of each language; ask for fewer, or for more rows"
            )
        if meta.order == "reptile" and meta.inner_steps == 1:
            raise ValueError("train.meta.inner_steps is 1: with Reptile that is ordinary training; ask for 2 or more")
        return self

    @property
    def trains(self) -> bool:
        """Whether anything is trained; asked after the method's defaults are filled in."""
        steps = self.train.epochs if self.train.epochs is not None else self.train.steps
        return self.adapter is None and steps != 0

    def test_size(self, *, source: bool) -> int | None:
        """Test examples of a language at most; None means all."""
        times = SOURCE_TIMES if source and self.eval_ids == "disjoint" else 1
        return None if self.eval_size is None else times * self.eval_size

    def run_id(self) -> str:
        """A readable, stable name: equal settings give equal ids, on every machine and in every later version."""
        model = slug(without_suffix(self.model.replace("\\", "/").rstrip("/").rpartition("/")[2]))
        task = slug(task_name(self.task))
        if self.protocol != DEFAULT_PROTOCOL:
            task += f"-{self.protocol}"
        return f"{task}-{self.method['name']}-{model}-s{self.seed}-{digest(self._identity(), 8)}"

    def training_id(self) -> str:
        """Equal for runs that train the same adapter and differ at most in what they test it on."""
        return digest({key: value for key, value in self._identity().items() if key not in TESTED}, 16)

    def _identity(self) -> dict[str, Any]:
        return identity(self.model_dump(mode="json"))
