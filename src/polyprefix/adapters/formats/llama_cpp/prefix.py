"""A prefix or a soft prompt as a slot file that llama.cpp's server restores.

The user's server saves a template: a few tokens, read by its own copy of the base model. The same tokens, read here, say which block of the
file is which layer and in which order the dimensions of a key stand there (halves that rotate together, or neighbours), and that both
are one model. Then the prefix takes the place of the template's keys and values.

The tokens of the written slot are placeholders. They follow from the prefix, so that no cache of another adapter has the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.formats.cached import placeholders, prefix_from_zero
from polyprefix.adapters.formats.llama_cpp.slot import AGAIN, VERSION, Rows, Section, SlotFile, read_slot
from polyprefix.atomic import output_errors, write_text, writing
from polyprefix.errors import AdapterError
from polyprefix.prefix import AttentionHook, LayerKV

SLOT, SETTINGS, USAGE = "slot.bin", "llama_cpp.json", "ask.py"
FEWEST_TOKENS = 4
"""Of a template, to know layers by."""
ALIKE = 0.25
"""Root mean square difference of keys, or of values, over their root mean square, up to which two layers may be one: quantised activations
make 0.01 to 0.1, other layers 1 and more."""
LINES = '''"""Ask llama.cpp's server with the prefix of this folder. Copy slot.bin into its --slot-save-path first."""

import json
import sys
from pathlib import Path
from urllib.request import Request, urlopen

SAVED = json.loads(Path(__file__).with_name("llama_cpp.json").read_text(encoding="utf-8"))


def call(url, body):
    """The server's answer."""
    with urlopen(Request(url, json.dumps(body).encode(), {"content-type": "application/json"})) as answer:
        return json.load(answer)


def restore(server, slot=0, file="slot.bin"):
    """Put the prefix into a slot; once, until other requests take the slot."""
    return call(f"{server}/slots/{slot}?action=restore", {"filename": file})


def ask(server, text, slot=0, **settings):
    """What the model says after a text: /completion of the server, with its settings (n_predict, temperature, ...)."""
    ids = call(f"{server}/tokenize", {"content": text, "add_special": True, "parse_special": False})["tokens"]
    body = {"prompt": SAVED["tokens"] + ids, "id_slot": slot, "cache_prompt": True, "temperature": 0, **settings}
    answer = call(f"{server}/completion", body)
    if answer["timings"]["cache_n"] < SAVED["length"]:
        raise RuntimeError("the slot does not hold the prefix: restore it; a model with a sliding window needs --swa-full")
    return answer


if __name__ == "__main__":
    restore(sys.argv[1])
    print(ask(sys.argv[1], sys.argv[2], n_predict=32)["content"])
'''


def write_prefix(model: AdaptedModel, folder: Path, template: Path) -> Path:
    """Write `slot.bin`, `llama_cpp.json` and `ask.py`.

    Args:
        template: a slot file that the user's server saved, of any tokens.

    Raises:
        AdapterError: as of `prefix_from_zero`, or if the template is damaged, of another version, or of another model.
        OutputError: if the folder cannot be written.
    """
    prefix = prefix_from_zero(model, "llama.cpp")
    saved = read_slot(template)
    order = _Order.of(model.hook, saved, template)
    P = prefix[0].length
    sections = [order.section(prefix, section, place) for place, section in enumerate(saved.sections)]
    tokens = placeholders(model.base, prefix)
    settings = {
        "length": P, "tokens": tokens, "slot_file": SLOT, "slot_version": VERSION, "base": asdict(model.base.identity),
        "use": "restore slot.bin into a slot; the prompt of /completion is these tokens, then those of the text (ask.py)",
    }  # fmt: skip
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).unlink(missing_ok=True)
    with writing(folder / SLOT) as temporary:
        temporary.write_bytes(SlotFile(tokens, sections).to_bytes())
    write_text(folder / USAGE, LINES)
    write_text(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")
    return folder


class _Order:
    """Which layer each block of a template is, and how its keys are laid out."""

    def __init__(self, layers: Sequence[Sequence[int]], neighbours: bool) -> None:
        self.layers = layers
        """The layers of each section, in its order."""
        self.neighbours = neighbours
        """Whether the two dimensions that rotate together stand side by side in the file; else half a head apart, as here."""

    @classmethod
    def of(cls, hook: AttentionHook, saved: SlotFile, path: Path) -> _Order:
        """Found by what this model makes of the template's tokens.

        Raises:
            AdapterError: if the template is of another model, or too short.
        """
        if len(saved.tokens) < FEWEST_TOKENS:
            raise AdapterError(f"{path}: {len(saved.tokens)} tokens, at least {FEWEST_TOKENS} are needed; {AGAIN}")
        other = AdapterError(
            f"{path}: its keys and values are not those that {type(hook.model).__name__} makes of its tokens; "
            "save it with the base model that the adapter was trained on"
        )
        if not all(0 <= token < hook.model.config.get_text_config().vocab_size for token in saved.tokens):
            raise other
        with torch.no_grad():
            made = hook.compute_kv(input_ids=torch.tensor([saved.tokens], device=hook.device)).joined
        own = [made[layer] for layer in range(hook.layers)]
        layers = [[_nearest(own, values) for values in section.values] for section in saved.sections]
        if sorted(layer for section in layers for layer in section) != list(range(hook.layers)):
            raise other
        for neighbours in (False, True):
            pairs = [
                (_rows(own[layer], keys.dtype, neighbours)[0], keys)
                for places, section in zip(layers, saved.sections, strict=True)
                for layer, keys in zip(places, section.keys, strict=True)
            ]
            if all(_apart(mine, theirs) < ALIKE for mine, theirs in pairs):
                return cls(layers, neighbours)
        raise other

    def section(self, prefix: Sequence[LayerKV], template: Section, place: int) -> Section:
        """The prefix in a section's place.

        Raises:
            AdapterError: if a number is too large for the cache's type.
        """
        both = [
            _rows(prefix[layer], keys.dtype, self.neighbours)
            for layer, keys in zip(self.layers[place], template.keys, strict=True)
        ]
        if not all(np.isfinite(rows).all() for pair in both for rows in pair):
            raise AdapterError(
                "a key or a value of the prefix is too large for float16; save a template with --cache-type-k f32 --cache-type-v f32"
            )
        return Section([keys for keys, _ in both], [values for _, values in both])


def _rows(kv: LayerKV, dtype: np.dtype[np.floating], neighbours: bool) -> tuple[Rows, Rows]:
    """Keys and values [P, G K] as the file has them."""
    keys, values = (part[0].float().cpu().numpy().transpose(1, 0, 2) for part in (kv.keys, kv.values))  # [P, G, K]
    if neighbours:
        keys = keys.reshape(*keys.shape[:2], 2, -1).swapaxes(2, 3)
    with np.errstate(over="ignore"):
        return tuple(np.ascontiguousarray(part.reshape(len(part), -1).astype(dtype)) for part in (keys, values))  # type: ignore[return-value]


def _nearest(own: Sequence[LayerKV], values: Rows) -> int:
    """The layer whose values these are; -1 where none is near."""
    apart = [_apart(_rows(kv, values.dtype, False)[1], values) for kv in own]
    best = int(np.argmin(apart))
    return best if apart[best] < ALIKE else -1


def _apart(mine: Rows, theirs: Rows) -> float:
    """The root mean square difference over the root mean square; infinite where shapes differ."""
    if mine.shape != theirs.shape:
        return float("inf")
    mine, theirs = mine.astype(np.float64), theirs.astype(np.float64)
    return float(np.sqrt(np.square(mine - theirs).mean() / np.square(mine).mean()))
