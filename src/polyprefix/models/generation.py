"""Settings under which answers are written: ours, whatever a model's own generation_config.json says.

A repetition penalty, suppressed tokens, a forced end, beams or a cache of its own would decide what a comparison calls the greedy answer.
Special tokens are the model's: which ones end an answer, and which one pads.
"""

from __future__ import annotations

from typing import Any

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")
NO_SETTINGS = {"transformers_version", "_from_model_config", *SPECIAL}


def greedy_settings(model: Any, tokenizer: Any, max_new_tokens: int) -> Any:
    """A GenerationConfig that writes the likeliest token each time, with the model's special tokens."""
    from transformers import GenerationConfig

    special = {name: getattr(model.generation_config, name, None) for name in SPECIAL}
    if special["eos_token_id"] is None:
        special["eos_token_id"] = tokenizer.eos_token_id
    special["pad_token_id"] = tokenizer.pad_token_id
    return GenerationConfig(do_sample=False, num_beams=1, use_cache=True, max_new_tokens=max_new_tokens, **special)


def ignored_settings(model: Any) -> dict[str, Any]:
    """What a model's own settings would have changed about its answers, by name."""
    own = getattr(model, "generation_config", None)
    if own is None:
        return {}
    usual = own._get_default_generation_params()
    values = sorted(own.to_dict().items())
    return {
        key: value
        for key, value in values
        if key not in NO_SETTINGS and value not in (None, usual.get(key)) and (value is not False or key in usual)
    }


def ignored_note(model: Any) -> str | None:
    """The same as a note of a result; None where nothing was ignored."""
    ignored = ignored_settings(model)
    listed = ", ".join(f"{key}={value}" for key, value in ignored.items())
    return f"Answers are greedy; not used of the model's own generation settings: {listed}." if ignored else None
