"""The one idea: every prefix method makes keys and values before the text in each layer.

Read in this order: `kv` (the value), `attention` (how text attends to it), `probe` (what a model is asked first), `lengths` and `limits`
(which sequences may share a pass), `rope_scaling`, `hook` (how a model is given one, and read for one),
`packed` (several sequences in one row), `layers` (which layers), `rotary` (moving keys to other positions).
"""

from polyprefix.prefix.hook import AttentionHook
from polyprefix.prefix.kv import GatedKV, KVPrefix, LayerKV
from polyprefix.prefix.layers import parse_layers
from polyprefix.prefix.mixed import MixedPrefix
from polyprefix.prefix.packed import Packed, packing
from polyprefix.prefix.shapes import LayerShape, layer_shapes
from polyprefix.prefix.token_tree import TokenTree

__all__ = [
    "AttentionHook",
    "GatedKV",
    "KVPrefix",
    "LayerKV",
    "LayerShape",
    "MixedPrefix",
    "Packed",
    "TokenTree",
    "layer_shapes",
    "packing",
    "parse_layers",
]
