"""Prefill: keys and values of prompts before the first token is generated, without padding, common prefixes computed once.

Generation itself works on rows of one length. All but the last token of each prompt go through the model as trees in one row
(polyprefix.prefix.packed); their keys and values are then laid out as the rows that transformers' `generate` goes on from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from polyprefix.adapters.adapted import AdaptedModel, ComputedPrefix
from polyprefix.engine import batch as tensors
from polyprefix.prefix import TokenTree
from polyprefix.text.batches import by_token_budget, group_by_common_prefix


@torch.no_grad()
def prefill(
    model: AdaptedModel, prompts: Sequence[tuple[int, ...]], prefix: ComputedPrefix, budget: int
) -> tuple[DynamicCache | None, list[TokenTree]]:
    """A cache [B, G, T - 1, K] a layer, left-padded, and what was computed for it; no cache where no prompt has a second token.

    Args:
        prompts: B of them, without the common prefix, T the longest.
        budget: tokens of one pass at most.
    """
    texts = [TokenTree(ids[:-1]) for ids in prompts]
    width = max(len(text.ids) for text in texts)
    if width == 0:
        return None, []
    groups = group_by_common_prefix([text.trunk for text in texts], [text.size for text in texts], budget)
    trees = [TokenTree.joined([texts[i] for i in group]) for group in groups]
    index = torch.zeros(len(prompts), width, dtype=torch.long)
    parts, end = [], 0
    for rows in by_token_budget([tree.size for tree in trees], budget):
        inputs = tensors.batch([trees[row] for row in rows], model)
        with model.hook.lengths.for_length(prefix.common_length + width + 1):
            parts.append(
                model.hook.compute_kv(
                    inputs.input_ids, start=prefix.common_length, before=prefix.kv, packed=inputs.packed
                )
            )
        for row in rows:
            for i, places in zip(groups[row], trees[row].paths(end), strict=True):
                index[i, width - len(places) :] = torch.tensor(places, dtype=torch.long)
            end += trees[row].size
    index = index.to(model.device)
    cache = DynamicCache(config=model.config)
    for layer in parts[0].joined:
        keys = torch.cat([part.joined[layer].keys for part in parts], 2)[0][:, index].transpose(0, 1)
        values = torch.cat([part.joined[layer].values for part in parts], 2)[0][:, index].transpose(0, 1)
        cache.update(keys, values, layer)
    return cache, trees
