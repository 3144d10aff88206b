"""Self-attention over a sequence (Vaswani et al. 2017, arXiv:1706.03762), and the blocks around it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn.conv import Conv1d
from aoide.nn.rotary import Pairs, rotate


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention of a sequence to itself; keeps the shape (batch, frames, dim).

    Args:
        dim: channels, a multiple of `heads`.
        heads: attention patterns side by side, each with dim / heads channels.
        bias: whether the projections have one.
        rotary: which channels rotary positions turn together (see `nn/rotary.py`), None = no positions.
    """

    def __init__(self, dim: int, heads: int, bias: bool = True, rotary: Pairs | None = None) -> None:
        super().__init__()
        assert dim % heads == 0, f"{dim} channels do not divide among {heads} heads"
        self.heads, self.rotary = heads, rotary
        self.project = nn.Linear(dim, 3 * dim, bias=bias)  # queries, keys, values
        self.out = nn.Linear(dim, dim, bias=bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames, dim); padding is not looked
        at.
        """
        queries, keys, values = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.rotary is not None:
            queries, keys = rotate(queries, self.rotary), rotate(keys, self.rotary)
        where = None if mask is None else mask[:, None, None, :]
        if trace.active("attention"):
            scores = queries @ keys.mT / math.sqrt(keys.shape[-1])
            seen = scores if where is None else scores.masked_fill(~where, -torch.inf)
            trace.report("attention", seen.softmax(-1))  # (batch, heads, frames, frames)
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=where)
        return self.out(found.transpose(1, 2).flatten(2))


class AttentionBlock(nn.Module):
    """Normalise and attend, normalise and think per frame, each added to what came in (pre-norm Transformer layer).

    Args:
        dim: channels.
        heads: attention heads.
        hidden: channels inside the MLP.
    """

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames, dim)."""
        x = x + self.attention(self.attention_norm(x), mask)
        return x + self.mlp(self.mlp_norm(x))


class FFTBlock(nn.Module):
    """Feed-forward Transformer block of FastSpeech (Ren et al. 2019, arXiv:1905.09263, section 3.1).

    Attention, then two convolutions with a ReLU between; each is added to what came in, the sum normalised: post-norm.

    Args:
        dim: channels.
        heads: attention heads.
        hidden: channels between the convolutions.
        kernels: frames that the two convolutions see; odd.
        dropout: on what attention and convolutions add.
    """

    def __init__(self, dim: int, heads: int, hidden: int, kernels: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads)
        self.attention_norm = nn.LayerNorm(dim)
        self.expand = Conv1d(dim, hidden, kernels[0])
        self.contract = Conv1d(hidden, dim, kernels[1])
        self.conv_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames, dim), 0 at padded frames."""
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        x = self.conv_norm(x + self.dropout(self.contract(self.expand(x, mask).relu(), mask)))
        return x.masked_fill(~mask[..., None], 0.0)


class PreNormFFTBlock(nn.Module):
    """The same with the normalisation before each part, as NaturalSpeech 2 and 3 have it; the second layer of the
    convolutional part sees one frame (Ju et al. 2024, arXiv:2403.03100).

    Args:
        dim, heads, hidden, dropout: as in `FFTBlock`.
        kernel: frames that the convolution sees; odd.
    """

    def __init__(self, dim: int, heads: int, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.conv_norm = nn.LayerNorm(dim)
        self.expand = Conv1d(dim, hidden, kernel)
        self.contract = nn.Linear(hidden, dim)
        for layer in (self.expand, self.contract):
            nn.init.normal_(layer.weight, std=0.02)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames, dim)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        return x + self.contract(self.dropout(self.expand(self.conv_norm(x), mask).relu()))


def sinusoids(positions: int, dim: int, like: Tensor, start: int = 0) -> Tensor:
    """The fixed position code of the Transformer (section 3.5): (positions, dim).

    Even channels are sines, odd ones cosines. Channels 2i and 2i + 1 turn once in 2 pi * 10000^(2i / dim) positions.

    Args:
        positions: how many, from `start` on.
        dim: channels, even.
        like: gives device and type.
    """
    rates = torch.exp(torch.arange(0, dim, 2, device=like.device) * (-math.log(10000.0) / dim))
    angles = torch.arange(start, start + positions, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1).to(like.dtype)
