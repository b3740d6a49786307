"""The networks of layers in PyTorch, as its manual and nanoGPT write them."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional


def module(name: str) -> Any:
    """Return the module of a name."""
    if name == "convolutions":
        parts = (nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU())
        return nn.Sequential(*parts, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 10))
    return GPT() if name == "GPT" else Last()


class Last(nn.Module):
    """An LSTM and a dense layer behind its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Any) -> Any:
        """Return the scores of the last step."""
        return self.out(self.cell(x)[0][:, -1])


class Block(nn.Module):
    """One block of a GPT."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.back = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h: Any) -> Any:
        """Return h with what attention and the dense layers add."""
        parts = self.look(self.before(h)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.out(seen.transpose(1, 2).flatten(-2))
        return h + self.back(functional.gelu(self.wide(self.between(h)), approximate="tanh"))


class GPT(nn.Module):
    """Four blocks, one table for tokens and logits."""

    def __init__(
        self, vocabulary: int = 65, width: int = 128, heads: int = 4, depth: int = 4, context: int = 64
    ) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks, self.last = nn.Sequential(*(Block(width, heads) for _ in range(depth))), nn.LayerNorm(width)

    def forward(self, tokens: Any) -> Any:
        """Return the scores of the next characters."""
        h = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        return self.last(self.blocks(h)) @ self.tokens.weight.T
