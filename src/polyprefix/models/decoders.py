"""Which architectures are causal decoders."""

from __future__ import annotations

from typing import Any

from polyprefix.errors import ModelError

ADVICE = "give a causal decoder such as Llama, Mistral, Qwen or Gemma"


def refuse_other_than_decoders(config: Any, name: str) -> None:
    """Raises ModelError, in words, if a transformers config is not that of a causal decoder."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{name}: '{kind}' is an encoder-decoder; {ADVICE}")
    # some encoders have a class for causal language models too, to be used with is_decoder only
    if kind in MASKED and not getattr(config, "is_decoder", False):
        raise ModelError(f"{name}: '{kind}' is an encoder; {ADVICE}")
    if kind not in CAUSAL:
        raise ModelError(f"{name}: '{kind}' is no causal language model in this version of transformers; {ADVICE}")
