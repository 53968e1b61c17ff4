"""LoRA as a GGUF adapter, for llama.cpp's `--lora`.

    W x + (alpha / r) B A x        blk.N.attn_q.weight.lora_a [r, in], .lora_b [out, r], adapter.lora.alpha

The base model's GGUF file is the template: its architecture names the tensors, and its weights, beside ours, say whether the converter has
moved the rows of a projection (for rotary embeddings of neighbours) and that both are one model.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft.tuners.tuners_utils import BaseTunerLayer

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.atomic import output_errors, writing
from polyprefix.errors import AdapterError, first_line
from polyprefix.models.gguf import check_magic

ADAPTER = "adapter.gguf"
ALIKE = 0.25
"""Root mean square difference of two weights over their root mean square, up to which they may be one: 4 bits make 0.1, 2 bits 0.2."""

Matrix = NDArray[np.float32]


def write_lora(model: AdaptedModel, folder: Path, template: Path) -> Path:
    """Write `adapter.gguf`.

    Args:
        template: the GGUF file of the base model.

    Raises:
        AdapterError: if the adapter is not plain LoRA of linear layers, or the file is damaged or of another model.
        ModelError: if the file is no GGUF file.
        OutputError: if the folder cannot be written.
    """
    base = _Base(template)
    K = model.hook.kv_shape(0)[1]
    tensors: dict[str, Matrix] = {}
    alphas = set()
    for name, layer in _layers(model):
        [key] = layer.lora_A
        a, b = (part[key].weight.detach().float().cpu().numpy() for part in (layer.lora_A, layer.lora_B))
        place = base.place(name)
        rows = base.rows(place, layer.get_base_layer().weight.detach().float().cpu().numpy(), K)
        tensors[f"{place}.lora_a"], tensors[f"{place}.lora_b"] = a, np.ascontiguousarray(b[rows])
        alphas.add(layer.scaling[key] * len(a))
    [alpha] = alphas
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with writing(folder / ADAPTER) as temporary:
        writer = importlib.import_module("gguf").GGUFWriter(temporary, base.architecture)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        for name, tensor in tensors.items():
            writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return folder


def _layers(model: AdaptedModel) -> Iterator[tuple[str, Any]]:
    """PEFT's layers by the base's own names of their weights.

    Raises:
        AdapterError: if one is more than a product of two matrices beside a linear layer.
    """
    for name, module in model.model.named_modules():
        if not isinstance(module, BaseTunerLayer):
            continue
        if any(getattr(module, "use_dora", {}).values()):
            raise AdapterError(
                "llama.cpp has no DoRA; export transformers, which merges it into the weights, and convert that"
            )
        if not isinstance(module.get_base_layer(), torch.nn.Linear):
            raise AdapterError(
                f"'{name}' is no linear layer, and llama.cpp adapts no others; export transformers, and convert that"
            )
        yield f"{name}.weight", module


class _Base:
    """The GGUF file of a base model."""

    def __init__(self, path: Path) -> None:
        if importlib.util.find_spec("gguf") is None:
            raise AdapterError(
                f"{path}: reading GGUF files needs the gguf package; run: pip install 'polyprefix[gguf]'"
            )
        check_magic(path)
        self._gguf, self._path = importlib.import_module("gguf"), path
        try:
            reader = self._gguf.GGUFReader(path)
            self.architecture = str(reader.fields["general.architecture"].contents())
            kind = next(kind for kind, name in self._gguf.MODEL_ARCH_NAMES.items() if name == self.architecture)
            self._tensors = {tensor.name: tensor for tensor in reader.tensors}
            blocks = int(reader.fields[f"{self.architecture}.block_count"].contents())
        except Exception as error:  # a damaged file raises anything
            raise AdapterError(f"{path}: damaged, or of an unknown architecture ({first_line(error)})") from None
        self._names = self._gguf.get_tensor_name_map(kind, blocks)

    def place(self, name: str) -> str:
        """What the file calls a weight.

        Raises:
            AdapterError: if it has none such.
        """
        found = self._names.get_name(name, try_suffixes=(".weight",))
        if found not in self._tensors:
            raise AdapterError(f"{self._path}: has no tensor for {name}; give the GGUF file of the base model")
        return str(found)

    def rows(self, place: str, weight: Matrix, head: int) -> NDArray[np.intp]:
        """The order in which the file has the rows [out] of a weight [out, in].

        Args:
            head: K, rows of a head.

        Raises:
            AdapterError: if it holds another weight.
        """
        tensor = self._tensors[place]
        theirs = self._gguf.dequantize(tensor.data, tensor.tensor_type)
        plain = np.arange(len(weight))
        orders = [plain]
        if len(weight) % head == 0:  # halves of a head that rotate together become neighbours
            orders.append(plain.reshape(-1, 2, head // 2).swapaxes(1, 2).reshape(-1))
        size = float(np.square(weight).mean())
        for order in orders:
            if theirs.shape == weight.shape and np.square(theirs - weight[order]).mean() < ALIKE**2 * size:
                return order
        raise AdapterError(
            f"{self._path}: '{place}' is not that of {len(weight)} rows here; give the GGUF file of the base model"
        )
