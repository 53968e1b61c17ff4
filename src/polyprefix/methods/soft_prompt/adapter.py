"""What a soft prompt trains: embeddings, or an encoder of some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from polyprefix.methods.adapter import Adapter, tokens_of_length
from polyprefix.methods.base import Start
from polyprefix.methods.encoder import Encoder
from polyprefix.models.head import embedding_table
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook, KVPrefix

if TYPE_CHECKING:
    from polyprefix.methods.soft_prompt import SoftPrompt


def build(method: SoftPrompt, base: BaseModel, start: Start) -> Adapter:
    """The table with its initial values."""
    embed = base.model.get_input_embeddings()
    table = embedding_table(base.model)
    sampled = torch.randint(table.shape[0], (1, max(method.length, 1024)), generator=start.generator())
    with torch.no_grad():  # through the module, which may scale (Gemma)
        vocabulary = embed(sampled.to(table.device)).float()
        if method.init == "text":
            values = embed(tokens_of_length(base, method.init_text or start.text, method.length)).float()
        elif method.init == "vocabulary":
            values = vocabulary[:, : method.length]
        else:
            shape = (1, method.length, vocabulary.shape[-1])
            values = torch.randn(shape, generator=start.generator()).to(vocabulary.device) * vocabulary.std()
    count = method.encoded_tokens()
    return EncodedPrompt(values, count, method.encoder_hidden, start) if count else PromptTable(values)


class PromptTable(Adapter):
    """E, [1, P, D]."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """The keys and values that the frozen model makes of E at positions -P..-1."""
        return hook.compute_kv(inputs_embeds=self.table.to(hook.dtype), start=-self.table.shape[1])


class EncodedPrompt(Adapter):
    """Rows of E from a shared encoder, then rows that are parameters, [1, P - P_e, D]."""

    def __init__(self, table: Tensor, encoded: int, hidden: int, start: Start) -> None:
        super().__init__()
        self.encoder = Encoder(table[0, :encoded], table.shape[-1], hidden, start.generator())
        free = table[:, encoded:]
        self.free = nn.Parameter(free.clone()) if free.numel() else None

    def table(self) -> Tensor:
        """E, [1, P, D]."""
        encoded = self.encoder()[None]
        return encoded if self.free is None else torch.cat([encoded, self.free], 1)

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """That of the table."""
        table = self.table()
        return hook.compute_kv(inputs_embeds=table.to(hook.dtype), start=-table.shape[1])

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Folded to the table of a soft prompt."""
        return {"table": self.table()}
