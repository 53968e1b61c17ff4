"""How an adapter is trained."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from polyprefix.config.common import MOST_EXAMPLES, MOST_STEPS, MOST_TOKENS
from polyprefix.settings import Settings, written_out

FIRST_PASSES, FIRST_CYCLE = 4, (64, 512)
"""Passes of the first cycle of a training without a length, and its steps at least and at most."""
MOST_CYCLES = 4
"""Times the first cycle, which bound such a training, if one pass is not longer."""


def _rate(value: Any) -> Any:
    """One message for a value that is neither a number nor a word, where pydantic has one for each of the two."""
    if value is None or value == "auto":
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1000:
        return float(value)
    raise ValueError("expected a number from 0 to 1000, or auto")


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
