"""Where a model runs, how its prompts become tokens, and what it takes beside questions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from polyprefix.config.common import MOST_TOKENS
from polyprefix.settings import Name, Settings


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
