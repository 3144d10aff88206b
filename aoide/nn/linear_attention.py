"""Blocks of a Transformer whose cost grows with the length of the sound and not with its square (SANA, ACE-Step).

    block(x, steer, told, turns, masks)      (batch, frames, dim) -> the same

Frames attend to each other without a softmax, to what is told with one, and hear their neighbours by convolutions; a
time steers all but the middle part by six numbers a channel, which all blocks get alike and each adds its own to.

Sources: Katharopoulos et al. 2020, arXiv:2006.16236 (attention as sums); Xie et al. 2024, arXiv:2410.10629 (the block);
Chen et al. 2023, arXiv:2310.00426 (steering that is shared). Known from github.com/ace-step/ACE-Step (Apache-2.0).
Parity: tests/parity/test_acestep.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn.conv import Conv1d

EPS = 1e-6  # of the normalisations, as published


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a block."""

    dim: int
    heads: int
    hidden: int  # channels inside the convolutions


class Told(NamedTuple):
    """What is looked at while the song is made."""

    vectors: Tensor  # (batch, 1 + words + letters, dim)
    mask: Tensor  # (batch, 1 + words + letters)
    places: Tensor  # (batch, 1 + words + letters), counted from 0


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys turned as published: x (batch, heads, places, head_dim), cos and sin (places, head_dim / 2)
    or (batch, 1, places, head_dim / 2).

    Neighbours are a pair, but the angles count as if halves were: channel 2i turns by angle 2i mod head_dim / 2, its
    neighbour by the next one. It is no rotation, and the weights know it like that.
    """
    cos, sin = torch.cat([cos, cos], dim=-1).to(x.dtype), torch.cat([sin, sin], dim=-1).to(x.dtype)
    crossed = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    return x * cos + crossed * sin


def split(x: Tensor, heads: int) -> Tensor:
    """(batch, places, dim) -> (batch, heads, places, head_dim)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class LinearAttention(nn.Module):
    """Attention without a softmax (Katharopoulos et al. 2020, arXiv:2006.16236): what it costs grows with the length,
    not with its square.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, angle: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) -> (batch, frames, dim)."""
        queries, keys, values = (split(part, self.heads) for part in self.project(x).chunk(3, dim=-1))
        queries, keys = turn(queries, *angle).relu(), turn(keys, *angle).relu()
        if mask is not None:
            keys = keys.masked_fill(~mask[:, None, :, None], 0.0)
        queries, keys, values = queries.float(), keys.float(), values.float()  # sums over all frames
        found = queries @ (keys.mT @ values) / (queries @ keys.sum(2)[..., None] + 1e-15)
        found = found.to(x.dtype).transpose(1, 2).flatten(2)
        return self.out(found if mask is None else found.masked_fill(~mask[..., None], 0.0))


class CrossAttention(nn.Module):
    """Frames look at what is told."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.pair, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(
        self,
        x: Tensor,
        told: Told,
        angle: tuple[Tensor, Tensor],
        told_angle: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) -> (batch, frames, dim)."""
        keys, values = (split(part, self.heads) for part in self.pair(told.vectors).chunk(2, dim=-1))
        queries, keys = turn(split(self.query(x), self.heads), *angle), turn(keys, *told_angle)
        seen = told.mask[:, None, None, :]
        if trace.active("attention"):
            scores = queries @ keys.mT / queries.shape[-1] ** 0.5
            trace.report("attention", scores.masked_fill(~seen, -torch.inf).softmax(-1))
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
        found = found.transpose(1, 2).flatten(2)
        return self.out(found if mask is None else found.masked_fill(~mask[..., None], 0.0))


class GatedConvs(nn.Module):
    """What a frame and its neighbours say, of which a gate lets some through: (batch, frames, dim) -> the same."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.expand, self.near = nn.Linear(dim, 2 * hidden), Conv1d(2 * hidden, 2 * hidden, 3, groups=2 * hidden)
        self.contract = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        value, gate = self.near(functional.silu(self.expand(x)), mask).chunk(2, dim=-1)
        return self.contract(value * functional.silu(gate))


class LinearBlock(nn.Module):
    """Linear attention, attention to what is told, convolutions; the first and the last are steered by the time."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        dim, heads = sizes.dim, sizes.heads
        self.attention, self.listen = LinearAttention(dim, heads), CrossAttention(dim, heads)
        self.mlp = GatedConvs(dim, sizes.hidden)
        self.table = nn.Parameter(torch.randn(6, dim) / dim**0.5)

    def forward(
        self,
        x: Tensor,
        steer: Tensor,
        told: Told,
        turns: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
        masks: tuple[Tensor | None, Tensor | None],
    ) -> Tensor:
        """x (batch, frames, dim), steer (batch, 6, dim).

        Args:
            turns: angles of the frames and of what is told.
            masks: (batch, frames) for attention and for convolutions.
        """
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (self.table + steer)[:, :, None].unbind(1)
        x = x + gate * self.attention(steered(x, shift, scale), turns[0], masks[0])
        x = x + self.listen(x, told, *turns, masks[0])
        return x + mlp_gate * self.mlp(steered(x, mlp_shift, mlp_scale), masks[1])


def steered(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalised to a mean square of 1, then scaled by 1 + scale and shifted."""
    return functional.rms_norm(x, x.shape[-1:], eps=EPS) * (1 + scale) + shift
