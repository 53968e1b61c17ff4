"""Random weights in the shapes of published models: speed and memory do not depend on what the numbers are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma-3-270m": ("gemma3_text", {
        "vocab_size": 262144, "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 4,
        "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 512, "tie_word_embeddings": True,
    }),
    "llama-3.2-1b": ("llama", {
        "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "tie_word_embeddings": True,
    }),
    "llama-3.1-8b": ("llama", {
        "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }),
    "mistral-small-24b": ("mistral", {
        "vocab_size": 131072, "hidden_size": 5120, "intermediate_size": 32768, "num_hidden_layers": 40, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "sliding_window": None,
    }),
    "tiny": ("llama", {
        "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "initializer_range": 0.2,
    }),
}  # fmt: skip
"""Name -> transformers' model type and the sizes of its config, from the published config.json of each."""
PREFIX = "shape:"
"""How a workload's `model` says that it is one of these."""


def build(name: str, dtype: str, device: str) -> Any:
    """A random model, frozen, in eval mode, made on its device; the same numbers for the same name."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, sizes = SHAPES[name.removeprefix(PREFIX)]
    config = AutoConfig.for_model(
        kind, **sizes, max_position_embeddings=8192, pad_token_id=0, bos_token_id=1, eos_token_id=2
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    return model.eval().requires_grad_(False)


_kept: dict[tuple[str, str, str], Any] | None = None


@contextmanager
def kept_in_memory() -> Iterator[None]:
    """Inside, the last model that was built serves everybody who asks for the same one: who adapts it leaves it as it was."""
    global _kept
    _kept = {}
    try:
        yield
    finally:
        _kept = None


def base(name: str, dtype: str, device: str) -> Any:
    """The same as our base model, with a tokenizer of numbers."""
    from polyprefix.models.load import BaseModel, identify

    key = (name, dtype, device)
    if _kept is not None and key in _kept:
        return _kept[key]
    if _kept:
        _kept.clear()  # before the next one is made: two may not fit
    model = build(name, dtype, device)
    made = BaseModel(name, model, tokenizer(), identify(name, None, model))
    if _kept is not None:
        _kept[key] = made
    return made


def tokenizer() -> Any:
    """Numbers as words: what a tokenizer is needed for here is its padding."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2, **{str(n): n for n in range(3, 300)}}
    made = Tokenizer(models.WordLevel(words, unk_token="<eos>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", padding_side="left"
    )
