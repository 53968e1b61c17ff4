"""A prefix or a soft prompt as keys and values for transformers' KV cache, and a few lines that give them to `generate`.

transformers counts what is in the cache from position 0, and text after it; here the prefix is at -P..-1 and text from 0. Keys carry a
rotary phase, so they are moved by P, as for PEFT.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.formats.windows import warn_of_window
from polyprefix.atomic import output_errors, write_text, writing
from polyprefix.errors import AdapterError
from polyprefix.prefix.rotary import rotate

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


@torch.no_grad()
def to_kv_cache(model: AdaptedModel, path: str | Path) -> Path:
    """Write `kv_cache.safetensors` (`keys.0`, `values.0`, ..., [1, G, P, K] each), `kv_cache.json` and `generate.py`.

    Raises:
        AdapterError: if the adapter is no keys and values in one softmax with the text, some layers have none, the keys depend on the
            length of the text, or a sliding window leaves no room for text.
        OutputError: if the folder cannot be written.
    """
    hook, folder, name = model.hook, Path(path), model.method.name
    prefix = model.adapter.prefix(hook)
    if prefix is None or prefix.gated:
        raise AdapterError(
            f"'{name}' is no keys and values in one softmax with the text; export {'peft' if prefix else 'transformers'}"
        )
    if len(prefix.joined) != hook.layers:
        raise AdapterError(
            f"a prefix in {len(prefix.joined)} of {hook.layers} layers cannot stand in a KV cache, which has one length for all; "
            "train with layers=all"
        )
    if hook.lengths.rope.switches:
        raise AdapterError(
            f"{model.base.name}: keys depend on the length of the text (scaled rotary phases); export peft"
        )
    P = prefix.joined[0].length
    warn_of_window(hook, P, "transformers")
    tensors = {}
    for layer, kv in prefix.joined.items():
        tensors[f"keys.{layer}"] = rotate(kv.keys.float(), P, hook, layer).contiguous().cpu()
        tensors[f"values.{layer}"] = kv.values.float().contiguous().cpu()
    settings = {"length": P, "layers": hook.layers, "positions": [0, P - 1], "base": asdict(model.base.identity)}
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).unlink(missing_ok=True)
    with writing(folder / TENSORS) as temporary:
        save_file(tensors, temporary)
    write_text(folder / USAGE, LINES)
    write_text(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")
    return folder
