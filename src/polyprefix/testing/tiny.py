"""Tiny random models of many architectures, and a byte-level tokenizer: what fast tests run on."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPTNeoXConfig,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from polyprefix.models.load import BaseModel, identify

VOCABULARY = 260
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,  # large enough that every part of the model matters in its logits
}
HYBRID = ["sliding_attention", "full_attention", "sliding_attention"]
CONFIGS: dict[str, Any] = {
    "llama-mha": lambda: LlamaConfig(**{**SHAPE, "num_key_value_heads": 4}),
    "llama-gqa-tied": lambda: LlamaConfig(**SHAPE, tie_word_embeddings=True),
    "mistral-sliding": lambda: MistralConfig(**SHAPE, sliding_window=8),
    "mistral-small-shape": lambda: MistralConfig(**SHAPE, head_dim=16, sliding_window=None),
    "qwen2": lambda: Qwen2Config(**SHAPE),
    "qwen3": lambda: Qwen3Config(**SHAPE, head_dim=16),
    "gemma2": lambda: Gemma2Config(**SHAPE, head_dim=16, sliding_window=8, query_pre_attn_scalar=16),
    "gemma3": lambda: Gemma3TextConfig(
        **SHAPE, head_dim=16, sliding_window=8, layer_types=HYBRID, query_pre_attn_scalar=16
    ),
    "phi3": lambda: Phi3Config(**SHAPE),
    "gpt-neox": lambda: GPTNeoXConfig(**{k: v for k, v in SHAPE.items() if k != "num_key_value_heads"}),
    "cohere": lambda: CohereConfig(**SHAPE),
    "olmo2": lambda: Olmo2Config(**SHAPE),
    "gpt-oss": lambda: GptOssConfig(
        **SHAPE, head_dim=16, sliding_window=8, num_local_experts=4, num_experts_per_tok=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    ),
}  # fmt: skip
EAGER = {"gemma2", "gpt-oss"}
"""Soft caps and attention sinks are not in sdpa."""


def tiny_model(kind: str, attention: str | None = None, seed: int = 0) -> Any:
    """A random model in float32, eval mode, frozen; biases and norms are random too, so that leaving one out shows."""
    torch.manual_seed(seed)
    attention = attention or ("eager" if kind in EAGER else "sdpa")
    model = AutoModelForCausalLM.from_config(CONFIGS[kind](), attn_implementation=attention).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model.requires_grad_(False)


def tiny_base(kind: str, attention: str | None = None, seed: int = 0) -> BaseModel:
    """The same with the byte tokenizer."""
    model = tiny_model(kind, attention, seed)
    return BaseModel(f"tiny-{kind}", model, tiny_tokenizer(), identify(f"tiny-{kind}", None, model))


@cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes as tokens, with BOS in front."""
    special = ["<pad>", "<bos>", "<eos>", "<unk>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE(vocab={t: i for i, t in enumerate(special + alphabet)}, merges=[], unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
    )


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    """Random token ids without special ones, [B, T]."""
    return torch.randint(4, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))
