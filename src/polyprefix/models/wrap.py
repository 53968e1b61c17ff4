"""A model that the caller loaded, as a base model; nothing of the caller's is changed until an adapter is attached."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from polyprefix.errors import ModelError
from polyprefix.models.decoders import refuse_other_than_decoders
from polyprefix.models.identity import identify
from polyprefix.models.load import BaseModel, resolve_padding_token

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def wrap_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, name: str | None = None) -> BaseModel:
    """A base model from a transformers model and its tokenizer.

    The model is used where and as it is, in its precision and on its device. The tokenizer is copied, so that padding on the left and a
    padding token are not the caller's business.

    Args:
        model: any causal decoder, such as `AutoModelForCausalLM.from_pretrained` returns.
        tokenizer: the model's own.
        name: what results call it; by default the name that it was loaded by.

    Raises:
        ModelError: if it is no causal decoder of transformers, or PEFT has already wrapped it.
    """
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        inner = "; give its base model (get_base_model())" if hasattr(model, "get_base_model") else ""
        raise ModelError(f"wrap_model: found {type(model).__name__}, expected a transformers model{inner}")
    config: Any = model.config
    name = name or str(getattr(config, "_name_or_path", "") or "") or type(model).__name__
    refuse_other_than_decoders(config, name)
    if model.get_output_embeddings() is None:
        raise ModelError(
            f"model '{name}': {type(model).__name__} has no language head; load it with AutoModelForCausalLM"
        )
    if config.get_text_config().return_dict is False:
        raise ModelError(f"model '{name}': its config has return_dict=False; set it to True, logits are read by name")
    tokenizer = copy.deepcopy(tokenizer)
    resolve_padding_token(name, model, tokenizer)
    return BaseModel(name, model, tokenizer, identify(name, getattr(config, "_commit_hash", None), model), True)
