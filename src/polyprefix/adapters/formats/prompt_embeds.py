"""A soft prompt as prompt embeddings, which vLLM takes in place of token ids (its `--enable-prompt-embeds`).

vLLM has no slot for a learned prompt: each request carries the prompt's embeddings followed by those of its text. The
files hold the prompt's part and say how to join the two. Tried with vLLM 0.32 on the CPU.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.formats.windows import warn_of_window
from polyprefix.atomic import output_errors, write_text, writing
from polyprefix.errors import AdapterError
from polyprefix.methods.soft_prompt.adapter import EncodedPrompt, PromptTable

TENSOR, USAGE = "prompt_embeds.pt", "prompt_embeds.json"


def to_prompt_embeds(model: AdaptedModel, path: str | Path) -> Path:
    """Write `prompt_embeds.pt`, [P, D] in the base's precision, and `prompt_embeds.json`, which says how to use it.

    Raises:
        AdapterError: if the adapter is no soft prompt.
        OutputError: if the folder cannot be written.
    """
    if not isinstance(model.adapter, PromptTable | EncodedPrompt):
        raise AdapterError(
            f"'{model.method.name}' cannot be exported as prompt embeddings: only a soft prompt is embeddings; "
            "train one, or export to peft"
        )
    folder = Path(path)
    prompt = model.adapter.tensors()["table"][0].to(model.hook.dtype).cpu().contiguous().clone()
    warn_of_window(model.hook, prompt.shape[0], "vLLM")
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / USAGE).unlink(missing_ok=True)
    with writing(folder / TENSOR) as temporary:
        torch.save(prompt, temporary)
    write_text(folder / USAGE, json.dumps(_usage(model, prompt), indent=2, ensure_ascii=False) + "\n")
    return folder


def _usage(model: AdaptedModel, prompt: torch.Tensor) -> dict[str, Any]:
    return {
        "tensor": TENSOR,
        "shape": list(prompt.shape),
        "dtype": str(prompt.dtype).removeprefix("torch."),
        "base": asdict(model.base.identity),
        "use": [
            f"prompt = torch.load('{TENSOR}', weights_only=True)",
            "embeds = torch.cat([prompt, embed(text_ids)])  # [P + T, D]; embed: the model's own input embeddings",
            "offline: llm.generate({'prompt_embeds': embeds})  # LLM(..., enable_prompt_embeds=True)",
            "server: 'prompt_embeds' of a completion request is base64 of what torch.save writes for embeds",
        ],
        "note": "Embeddings as they enter the first layer, after the scaling that some models apply (Gemma); "
        "the text with its special tokens, begin-of-text first. Tried with vLLM 0.32, not in one batch with prompts of token ids.",
    }
