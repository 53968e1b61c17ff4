"""The settings of a run, with a stable id."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from polyprefix.names import DEFAULT_PROTOCOL, slug, task_name, without_suffix
from polyprefix.settings import Name, Settings, listed_names, written_out

ENGLISH = "eng_Latn"
"""The source language where nothing else is said."""
SOURCE_TIMES = 10
"""Times as many test examples in a source language as in another language, where each language has its own."""
ADDED_LATER: Mapping[str, tuple[Any, ...]] = {
    "protocol": (DEFAULT_PROTOCOL,), "eval_ids": ("same",), "model_digest": (None,), "adapter_digest": (None,),
    "train.cache_lower_layers": (None,), "train.whole_pass": (None, True), "train.keep": (None, "best"), "train.max_steps": (None,),
    "train.meta": (None,), "train.betas": ([0.9, 0.999],), "method.encoded": (0.0,), "method.encoder_hidden": (512,),
    "source_languages": ([ENGLISH],), "source_sampling": ("size",), "source_temperature": (5.0,), "target_languages": ([],),
    "target_size": (None,), "runtime.deterministic": (False,), "eval_until": (None,),
}  # fmt: skip
"""Setting that the first version did not have -> the values that mean what it did."""


Languages = Annotated[tuple[Name, ...], BeforeValidator(listed_names)]
"""Languages as people write them."""
MOST_STEPS = 10_000_000
"""Of an optimiser: a year at three a second."""
MOST_EXAMPLES = 1_000_000_000
FIRST_PASSES, FIRST_CYCLE = 4, (64, 512)
"""Passes of the first cycle of a training without a length, and its steps at least and at most."""
MOST_CYCLES = 4
"""Times the first cycle, which bound such a training, if one pass is not longer."""
EARLIER_STEPS = 60
"""What the first version filled in for `steps` where `epochs` decide."""
MOST_TOKENS = 1 << 31
MOST_SEED = (1 << 63) - 1
"""What torch, numpy and Python accept alike."""


def _rate(value: Any) -> Any:
    """One message for a value that is neither a number nor a word, where pydantic has one for each of the two."""
    if value is None or value == "auto":
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1000:
        return float(value)
    raise ValueError("expected a number from 0 to 1000, or auto")


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


class MetaConfig(Settings):
    """Meta-learning after training in the source languages: X-MAML (arXiv 2003.02739) over the weights of the adapter.

    The target languages are the auxiliary languages: each of their rows trains in this phase alone (docs/meta-learning.md).
    """

    order: Literal["second", "first", "reptile"] = "second"
    """What the outer gradient is: that through the inner steps (`second`, MAML), that at the adapted weights (`first`, arXiv 1703.03400,
    section 5.2), or the difference of the weights before and after the inner steps (`reptile`, arXiv 1803.02999)."""
    episodes: int = Field(default=100, ge=1, le=MOST_STEPS)
    """Outer steps; each of them adapts to every target language, from the same weights."""
    inner_steps: int = Field(default=2, ge=1, le=1000)
    """Steps of gradient descent on the support examples of a language. Reptile takes support and query examples in turn."""
    inner_rate: float | None = Field(default=None, gt=0, le=1000)
    """Their learning rate; None means the method's own."""
    support_size: int = Field(default=8, ge=1, le=1_000_000)
    """Examples of a language that the weights adapt to, drawn anew in each episode."""
    query_size: int = Field(default=8, ge=1, le=1_000_000)
    """Other examples of the language, whose loss after adaptation is what the outer steps lower."""
    learning_rate: float | None = Field(default=None, gt=0, le=1000)
    """Peak learning rate of the outer steps of AdamW; None means that of the training before."""


class TrainConfig(Settings):
    """How an adapter is trained. `None` means the method's own default, tuned on English validation data (docs/training.md)."""

    learning_rate: Annotated[
        Annotated[float, Field(ge=0, le=1000)] | Literal["auto"] | None, BeforeValidator(_rate)
    ] = None
    """Peak learning rate of AdamW. `auto` finds one by a short range test, for models that the method's default was not chosen on."""
    epochs: float | None = Field(default=None, ge=0, le=10_000)
    """Passes over the training examples. With neither `epochs` nor `steps`, training lasts until the log-likelihood of validation examples
    no longer improves (docs/training.md)."""
    steps: int | None = Field(default=None, ge=0, le=MOST_STEPS)
    """Optimiser steps, exactly, where `epochs` is not given; 0 trains nothing."""
    max_steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """The most optimiser steps where neither `epochs` nor `steps` is given; None means four times those of the first cycle, or one pass over
    the training examples where that is more."""
    whole_pass: bool | None = None
    """Whether at least one pass over the training examples is made, however few the `steps`; filled in: true where the steps are those of a
    method that brings its own."""
    batch_size: int = Field(default=16, ge=1, le=1_000_000)
    """Training examples per optimiser step, whatever the token budget."""
    token_budget: int | None = Field(default=None, ge=16, le=MOST_TOKENS)
    """Tokens in one forward pass; None means as many as memory holds. Results do not depend on it."""
    weight_decay: float | None = Field(default=None, ge=0, le=1000)
    """AdamW weight decay."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """AdamW's decay rates of the mean gradient and of its square."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps in which the learning rate rises from 0."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    max_grad_norm: float = Field(default=1.0, gt=0, le=1e9)
    """Gradients are scaled down to this norm."""
    validation_size: int = Field(default=200, ge=0, le=MOST_EXAMPLES)
    """Validation examples, the same share in each source language; with 0 a run without `epochs` and `steps` is one cycle."""
    validations: int = Field(default=4, ge=1, le=10_000)
    """How often validation is measured in a run of `epochs` or `steps`, besides before the first step; a run without measures it at the end
    of each cycle."""
    keep: Literal["last", "best", "average"] | None = None
    """Which weights are kept: the `last`, of the cycle with the best validation where there are several; the `best` of those validated, by
    accuracy; or the `average` of those validated (arXiv 2305.16834), without cycles that did not help. None means `last`."""
    watch: tuple[str, ...] | None = None
    """Languages whose validation examples are measured too and decide nothing: they show transfer while the adapter is
    trained. None means a few of the test languages that have some; `[]` none. Results do not depend on it."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    cache_lower_layers: bool | None = None
    """Keep what the frozen layers below the lowest adapted one give for each text, for later passes over the data; None means where it
    pays: a quarter of the layers or more, in a quarter of the free memory. Results do not depend on it."""
    meta: Annotated[MetaConfig | None, BeforeValidator(lambda value: written_out("meta", value))] = None
    """Meta-learning over the target languages in a phase of its own, in place of training on their rows with the others; its `order` alone
    is accepted. None means no such phase."""

    @property
    def has_length(self) -> bool:
        """Whether the number of steps is known beforehand; asked after the method's defaults are filled in."""
        return self.epochs is not None or self.steps is not None

    def steps_of_pass(self, examples: int) -> int:
        """Optimiser steps of one pass over so many training examples."""
        return math.ceil(examples / min(self.batch_size, examples))

    def first_cycle(self, examples: int) -> int:
        """Optimiser steps of the first cycle of a run without a length: a few passes, in bounds."""
        least, most = FIRST_CYCLE
        steps = min(max(FIRST_PASSES * self.steps_of_pass(examples), least), most)
        return min(steps, self.max_steps) if self.max_steps else steps

    def total_steps(self, examples: int) -> int:
        """Optimiser steps over so many training examples, at most; asked after the method's defaults are filled in."""
        once = self.steps_of_pass(examples)
        if self.epochs is not None:
            return math.ceil(once * self.epochs)
        if self.steps is not None:
            return max(1, self.steps, once if self.whole_pass else 0)
        return self.max_steps or max(MOST_CYCLES * self.first_cycle(examples), once)


class EvalConfig(Settings):
    """How predictions are made."""

    token_budget: int | None = Field(default=None, ge=16, le=MOST_TOKENS)
    """Tokens in one forward pass; None means as many as memory holds. Results do not depend on it."""


class TextConfig(Settings):
    """How prompts become tokens."""

    max_length: int | None = Field(default=None, ge=16, le=MOST_TOKENS)
    """The most tokens of a prompt with its answer; longer contexts are cut where the task allows it. None means what the model reads."""


class RuntimeConfig(Settings):
    """Where and in which precision the model runs. Not part of what is compared, but part of the record."""

    device: Name = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, ..."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of frozen weights; `auto` is bfloat16 where the processor computes in it. Adapters are always float32."""
    attention: Literal["auto", "sdpa", "eager", "flex_attention"] = "auto"
    """transformers' attention implementation underneath the prefix; `auto` takes sdpa where the model allows it."""
    quantize: Literal["none", "4bit", "8bit"] = "none"
    """Round frozen weights to 4 bits (NF4) or 8 bits (LLM.int8()) while loading; needs bitsandbytes."""
    deterministic: bool = False
    """Have CUDA give the same bits at every run, at some cost in speed; processors do so anyway."""
    allow_pickle: bool = False
    """Also read weights that are pickled (`.bin`), a form that can run code; safetensors cannot."""


class PredictConfig(Settings):
    """What `predict` takes besides the questions: nothing here changes what is asked."""

    eval: EvalConfig = EvalConfig()
    runtime: RuntimeConfig = RuntimeConfig()


class ServeLimits(Settings):
    """What the service takes, and for how long."""

    body_bytes: int = Field(default=1 << 20, ge=1 << 10, le=1 << 30)
    """Of a request; a larger one is answered with 413."""
    text_characters: int = Field(default=20_000, ge=1, le=10_000_000)
    """Of one input; a longer one is answered with 422."""
    inputs: int = Field(default=256, ge=1, le=100_000)
    """Of one request; more are answered with 422."""
    queue: int = Field(default=2048, ge=1, le=1_000_000)
    """Inputs that wait; a request for which there is no room is answered with 429 and `Retry-After`."""
    request_seconds: float = Field(default=120, gt=0, le=86_400)
    """A request that is not answered by then is answered with 504, and is not computed if it has not begun."""
    drain_seconds: int = Field(default=30, ge=0, le=86_400)
    """After SIGTERM no request is accepted, and those that were have this long."""
    connections: int = Field(default=1024, ge=1, le=1_000_000)
    """Open at a time; a request on another one is answered with 503."""
    pass_tokens: int | None = Field(default=None, ge=16, le=MOST_TOKENS)
    """Tokens of requests that are answered together; None means as many as one forward pass holds, and on a CPU 1,280 of questions with
    choices."""
    new_tokens: int = Field(default=512, ge=1, le=100_000)
    """Of a generated answer at most, where a request asks for a number."""


class RaySettings(Settings):
    """Replicas of the service on Ray Serve."""

    min_replicas: int = Field(default=1, ge=1, le=10_000)
    """That always run."""
    max_replicas: int = Field(default=1, ge=1, le=10_000)
    """That run where requests need them."""
    target_requests: float = Field(default=32, gt=0, le=1_000_000)
    """Requests under way for each replica; with more, another is started."""
    cpus: float = Field(default=1, ge=0, le=10_000)
    """Of each replica."""
    gpus: float = Field(default=0, ge=0, le=64)
    """Of each replica; 1 on machines with GPUs."""


class ServeConfig(PredictConfig):
    """What `serve` takes besides the runs."""

    serve: ServeLimits = ServeLimits()
    ray: RaySettings = RaySettings()


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
        digest = hashlib.sha256(json.dumps(self._identity(), sort_keys=True).encode()).hexdigest()[:8]
        model = slug(without_suffix(self.model.replace("\\", "/").rstrip("/").rpartition("/")[2]))
        task = slug(task_name(self.task))
        if self.protocol != DEFAULT_PROTOCOL:
            task += f"-{self.protocol}"
        return f"{task}-{self.method['name']}-{model}-s{self.seed}-{digest}"

    def training_id(self) -> str:
        """Equal for runs that train the same adapter and differ at most in what they test it on."""
        settings = {key: value for key, value in self._identity().items() if key not in TESTED}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def _identity(self) -> dict[str, Any]:
        """What decides the outcome of the run.

        A setting that came after the first version is part of it only where it differs from what was done before, so that adding one
        changes no id. Content identifies a model and a task where it is known, not their place.
        """
        settings = self.model_dump(mode="json")
        for path, before in ADDED_LATER.items():
            *sections, key = path.split(".")
            place = settings[sections[0]] if sections else settings
            if key in place and place[key] in before:  # a setting of one method is not there in another
                del place[key]
        train = settings["train"]
        del train["watch"]  # it decides nothing
        if train["epochs"] is not None and train["steps"] is None:
            train["steps"] = EARLIER_STEPS
        if train["validations"] == 1 or not train["validation_size"]:
            train.pop("keep", None)  # all of them are the last weights
        if "eval_ids" in settings:
            settings["eval_ids"] = "spread"  # its name in the first version
        del settings["runtime"]["allow_pickle"]  # the same weights, whatever holds them
        if self.model_digest:
            settings["model"] = Path(self.model).name
        if self.task_digest:
            del settings["task"]
        return settings


TESTED = ("languages", "eval_size", "eval_ids", "eval_until")
"""Settings of a run that say what is tested, and nothing of what is trained."""
