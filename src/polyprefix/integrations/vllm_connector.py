"""Prefixes in vLLM: a KV connector that puts the keys and values of an exported prefix where a prompt begins with its placeholder tokens.

`polyprefix export RUN --format kv-cache --out FOLDER` writes the folder. vLLM reads it by

    --kv-transfer-config '{"kv_connector": "PrefixConnector", "kv_connector_module_path": "polyprefix.integrations.vllm_connector",
                           "kv_role": "kv_both", "kv_connector_extra_config": {"adapters": ["FOLDER"]}}'

A request is `prompt_token_ids`: the tokens of FOLDER/kv_cache.json, then those of the text. The tokens follow from the prefix, so that
vLLM's own prefix cache never mixes adapters up. Nothing of polyprefix but this file is loaded. Tried with vLLM 0.32 on the CPU.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, KVConnectorMetadata

LAYER = re.compile(r"\blayers\.(\d+)\.")
"""In vLLM's names of attention layers."""


@dataclass(frozen=True)
class SavedPrefix:
    """A folder of `--format kv-cache`."""

    tokens: tuple[int, ...]
    """P placeholders."""
    layers: Sequence[tuple[Tensor, Tensor]]
    """Keys and values [P, G, K] a layer."""

    @classmethod
    def read(cls, folder: Path) -> SavedPrefix:
        """The prefix of a folder.

        Raises:
            ValueError: if it was exported without placeholders.
        """
        said = json.loads((folder / "kv_cache.json").read_text(encoding="utf-8"))
        if "tokens" not in said:
            raise ValueError(f"{folder}: has no placeholder tokens; export it again")
        saved = load_file(folder / "kv_cache.safetensors")

        def rows(name: str) -> Tensor:
            return saved[name][0].transpose(0, 1).contiguous()

        return cls(tuple(said["tokens"]), [(rows(f"keys.{i}"), rows(f"values.{i}")) for i in range(said["layers"])])


@dataclass
class Load(KVConnectorMetadata):
    """What the next forward pass begins with: the place of each prefix, and the blocks of its request."""

    requests: list[tuple[int, list[int]]] = field(default_factory=list)


class PrefixConnector(KVConnectorBase_V1):
    """Keys and values from files in place of those of placeholder tokens."""

    def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any = None) -> None:
        super().__init__(vllm_config=vllm_config, role=role, kv_cache_config=kv_cache_config)
        if vllm_config.parallel_config.tensor_parallel_size > 1:
            raise ValueError(
                "PrefixConnector: heads that are divided among GPUs are not supported; use data parallelism"
            )
        self._dtype: torch.dtype = vllm_config.model_config.dtype
        self._block_size: int = vllm_config.cache_config.block_size
        folders = self._kv_transfer_config.get_from_extra_config("adapters", [])
        self._prefixes = [SavedPrefix.read(Path(folder)) for folder in folders]
        self._waiting: list[tuple[int, list[int]]] = []

    # --- in the scheduler ----------------------------------------------------------------------------------------

    def get_num_new_matched_tokens(self, request: Any, num_computed_tokens: int) -> tuple[int, bool]:
        """How many tokens of a prompt come from a file beyond those that vLLM's cache has."""
        place = self._place(request)
        if place is None:
            return 0, False
        return max(0, len(self._prefixes[place].tokens) - num_computed_tokens), False

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        """Remember the blocks of a request that begins with a prefix."""
        place = self._place(request)
        if num_external_tokens and place is not None:
            self._waiting.append((place, list(blocks.get_block_ids()[0])))

    def build_connector_meta(self, scheduler_output: Any) -> Load:
        """What workers load before the next forward pass."""
        requests, self._waiting = self._waiting, []
        return Load(requests)

    def _place(self, request: Any) -> int | None:
        """Which prefix a prompt begins with; at least one token of text must follow."""
        ids = request.prompt_token_ids or []
        for place, prefix in enumerate(self._prefixes):
            P = len(prefix.tokens)
            if len(ids) > P and tuple(ids[:P]) == prefix.tokens:
                return place
        return None

    # --- in a worker ---------------------------------------------------------------------------------------------

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        """Write prefixes into the blocks of their requests, as each layer's attention writes its own keys and values there."""
        metadata = self._get_connector_metadata()
        assert isinstance(metadata, Load)
        for place, blocks in metadata.requests:
            prefix = self._prefixes[place]
            at = torch.arange(len(prefix.tokens))
            slots = torch.tensor(blocks)[at // self._block_size] * self._block_size + at % self._block_size
            for name, layer in forward_context.no_compile_layers.items():
                cache, found = getattr(layer, "kv_cache", None), LAYER.search(name)
                if cache is None or found is None:
                    continue
                keys, values = (part.to(cache.device, self._dtype) for part in prefix.layers[int(found[1])])
                layer.impl.do_kv_cache_update(layer, keys, values, cache, slots.to(cache.device))

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Everything is loaded before the pass begins."""

    def save_kv_layer(self, layer_name: str, kv_layer: Any, attn_metadata: Any, **kwargs: Any) -> None:
        """Nothing is saved."""

    def wait_for_save(self) -> None:
        """Nothing is saved."""
