"""The encoder that prefixes and soft prompts may be trained through: a table and one MLP for all of their tokens.

    out = start + W_2 tanh(W_1 E + b_1) + b_2          E [P, W] a row a token, out [P, N]

W_2 begins near zero, so that training begins at `start`. It is a training aid: what it gives is what is saved.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Trained rows that one MLP turns into all tokens of a prompt, beside where these start."""

    def __init__(self, start: Tensor, width: int, hidden: int, generator: torch.Generator) -> None:
        """Random weights, the same for the same generator on every device.

        Args:
            start: [P, N].
            width: W, of the trained rows.
            hidden: of the MLP.
        """
        super().__init__()
        length, size = start.shape
        device = start.device
        self.table = nn.Parameter(torch.randn(length, width, generator=generator).to(device))
        self.inner = nn.Linear(width, hidden, device=device)
        self.outer = nn.Linear(hidden, size, device=device)
        with torch.no_grad():
            for linear, scale in ((self.inner, width**-0.5), (self.outer, 1e-3 * hidden**-0.5)):
                linear.weight.copy_(torch.randn(linear.weight.shape, generator=generator) * scale)
                linear.bias.zero_()
        self.register_buffer("start", start)

    def forward(self) -> Tensor:
        """What the rows stand for, [P, N]."""
        return self.start + self.outer(torch.tanh(self.inner(self.table)))


def encoder_parameters(length: int, width: int, hidden: int, size: int) -> int:
    """P W + (W + 1) h + (h + 1) N."""
    return length * width + (width + 1) * hidden + (hidden + 1) * size
