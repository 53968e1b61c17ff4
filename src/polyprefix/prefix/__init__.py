"""The one idea: every prefix method makes keys and values that stand before the text in each layer.

Read in this order: `kv` (the value), `attention` (how text attends to it), `seam` (how a model is given one, and read for one),
`packed` (several texts in one row), `layers` (which layers), `rotary` (moving keys to other positions).
"""

from polyprefix.prefix.kv import GatedKV, KVPrefix, LayerKV
from polyprefix.prefix.layers import parse_layers
from polyprefix.prefix.packed import Packed, Tree, packing
from polyprefix.prefix.seam import Seam
from polyprefix.prefix.shapes import LayerShape, layer_shapes

__all__ = [
    "GatedKV",
    "KVPrefix",
    "LayerKV",
    "LayerShape",
    "Packed",
    "Seam",
    "Tree",
    "layer_shapes",
    "packing",
    "parse_layers",
]
