"""A prefix or a soft prompt as keys and values for transformers' KV cache, and a few lines that give them to `generate`.

transformers counts what is in the cache from position 0, and text after it. `kv_cache.json` also has placeholder tokens, by which vLLM knows
the prefix (polyprefix.integrations.vllm_connector).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.formats.cached import placeholders, prefix_from_zero
from polyprefix.atomic import output_errors, write_text, writing

TENSORS, SETTINGS, USAGE = "kv_cache.safetensors", "kv_cache.json", "generate.py"
LINES = '''"""Generate with the prefix of this folder. It needs torch, transformers and safetensors."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import DynamicCache

SAVED = load_file(Path(__file__).with_name("kv_cache.safetensors"))


def generate(model, tokenizer, text, **settings):
    """What the model writes after a text, as its tokens."""
    ids = tokenizer(text, return_tensors="pt").input_ids.to(model.device)
    cache = DynamicCache(config=model.config)
    for layer in range(len(SAVED) // 2):
        keys, values = (SAVED[f"{kind}.{layer}"].to(model.device, model.dtype) for kind in ("keys", "values"))
        cache.update(keys, values, layer)
    past = cache.get_seq_length()
    whole = torch.cat([ids.new_zeros(1, past), ids], 1)  # one placeholder for each token of the cache
    out = model.generate(whole, attention_mask=torch.ones_like(whole), past_key_values=cache, **settings)
    return out[0, whole.shape[1] :]
'''


def to_kv_cache(model: AdaptedModel, path: str | Path) -> Path:
    """Write `kv_cache.safetensors` (`keys.0`, `values.0`, ..., [1, G, P, K] each), `kv_cache.json` and `generate.py`.

    Raises:
        AdapterError: as of `prefix_from_zero`.
        OutputError: if the folder cannot be written.
    """
    folder, prefix = Path(path), prefix_from_zero(model, "transformers")
    P = prefix[0].length
    tensors = {}
    for layer, kv in enumerate(prefix):
        tensors[f"keys.{layer}"], tensors[f"values.{layer}"] = kv.keys, kv.values
    settings = {
        "length": P, "layers": len(prefix), "positions": [0, P - 1], "tokens": placeholders(model.base, prefix),
        "base": asdict(model.base.identity),
    }  # fmt: skip
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).unlink(missing_ok=True)
    with writing(folder / TENSORS) as temporary:
        save_file(tensors, temporary)
    write_text(folder / USAGE, LINES)
    write_text(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")
    return folder
