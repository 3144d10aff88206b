"""A small encoder of captions that needs no download: hashed words and threes of letters, a few attention blocks, and
one vector of what is said.

Source: Bojanowski et al. 2017, arXiv:1607.04606 (words as the sum of their pieces); Lee et al. 2019, arXiv:1810.00825
(pooling by attention from learned queries).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.nn.attention import AttentionBlock, sinusoids
from aoide.text.captions import BUCKETS

QUERIES = 4  # views of the caption that are put side by side


class CaptionEncoder(nn.Module):
    """Captions as numbers (aoide/text/captions.py) -> a vector each.

    Args:
        dim: channels, even and a multiple of `heads`.
        layers: attention blocks.
        out: values of the vector.
    """

    def __init__(self, dim: int, layers: int, heads: int, out: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(BUCKETS, dim)
        nn.init.normal_(self.embed.weight, std=0.5)
        self.blocks = nn.ModuleList(AttentionBlock(dim, heads, 2 * dim) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.queries = nn.Parameter(torch.randn(QUERIES, dim) / math.sqrt(dim))
        self.out = nn.Linear(QUERIES * dim, out)
        self.unsaid = nn.Parameter(0.02 * torch.randn(out))

    def forward(self, words: Tensor, word_mask: Tensor | None = None, drop: Tensor | None = None) -> Tensor:
        """words (batch, words, pieces) int64, 0 = none; word_mask (batch, words) with True = real -> (batch, out).

        Args:
            drop: (batch,) bool, those of which nothing is said: all get one learned vector.
        """
        there = words != 0
        x = (self.embed(words) * there[..., None]).sum(2) / there.sum(2, keepdim=True).clamp(min=1).sqrt()
        x = x + sinusoids(x.shape[1], x.shape[2], x)
        for block in self.blocks:
            x = block(x, word_mask)
        x = self.norm(x)
        scores = x @ self.queries.mT  # (batch, words, queries)
        if word_mask is not None:
            scores = scores.masked_fill(~word_mask[..., None], -1e4)
        weights = scores.softmax(dim=1)
        trace.report("caption/attention", weights)
        said = self.out((weights.mT @ x).flatten(1))
        return said if drop is None else torch.where(drop[:, None], self.unsaid, said)
