"""Transformer blocks that know how far apart two frames are: the encoder of VITS, and of Amphion's voice conversion.

    score of frames i and j = (query_i . (key_j + near_{j - i})) / sqrt(dim of a head)      |j - i| <= window
    what frame i is given   = sum over j of its share * (value_j + given_{j - i})

beyond the window the terms of the distance are 0. Attention, then two convolutions with a ReLU between; each is added
to what came in, the sum normalised (post-norm). Causal blocks, gated by a condition, are what so-vits-svc has inside of
a flow and to predict F0.

Sources: Shaw et al. 2018, arXiv:1803.02155 (relative positions); Kim et al. 2021, arXiv:2106.06103 (VITS). Known from
the code of VITS and of Amphion (both MIT), whose weights `official` renames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn.conv import Conv1d


class RelativeAttention(nn.Module):
    """Multi-head self-attention with learned terms for near distances; keeps the shape (batch, frames, dim).

    Args:
        dim: channels, a multiple of `heads`.
        heads: attention patterns side by side; they share what is learned of distances.
        window: how many frames to each side have a term of their own; 0: none has.
        dropout: on the shares.
        causal: look at the past and the present alone.
    """

    def __init__(self, dim: int, heads: int, window: int, dropout: float, causal: bool = False) -> None:
        super().__init__()
        assert dim % heads == 0, f"{dim} channels do not divide among {heads} heads"
        self.heads, self.window, self.dropout, self.causal = heads, window, dropout, causal
        self.project = nn.Linear(dim, 3 * dim)  # queries, keys, values
        if window:
            self.near = nn.Parameter(torch.randn(2 * window + 1, dim // heads) * (dim // heads) ** -0.5)
            self.given = nn.Parameter(torch.randn(2 * window + 1, dim // heads) * (dim // heads) ** -0.5)
        self.out = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.project.weight)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames, dim)."""
        queries, keys, values = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries = queries / math.sqrt(queries.shape[-1])
        place = torch.arange(x.shape[1], device=x.device)
        apart = place - place[:, None]  # the row is who looks, the column at whom
        scores = queries @ keys.mT
        if self.window:
            term = (apart + self.window).clamp(0, 2 * self.window).expand_as(scores)
            scores = scores + (queries @ self.near.mT).gather(3, term).masked_fill(apart.abs() > self.window, 0.0)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], -1e4)  # finite: a row of padding alone stays a number
        if self.causal:
            scores = scores.masked_fill(apart > 0, -torch.inf)
        shares = scores.softmax(-1)
        trace.report("attention", shares)  # (batch, heads, frames, frames)
        shares = functional.dropout(shares, self.dropout, self.training)
        found = shares @ values
        if self.window:
            found = found + self._by_distance(shares, place) @ self.given
        return self.out(found.transpose(1, 2).flatten(2))

    def _by_distance(self, shares: Tensor, place: Tensor) -> Tensor:
        """The share of what is at each near distance: (batch, heads, frames, 2 * window + 1)."""
        seen = place[:, None] + torch.arange(-self.window, self.window + 1, device=place.device)
        there = (seen >= 0) & (seen < len(place))
        near = shares.gather(3, seen.clamp(0, len(place) - 1).expand(*shares.shape[:2], -1, -1))
        return near.masked_fill(~there, 0.0)


class CausalConv1d(Conv1d):
    """A convolution over the past and the present."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim_in), mask (batch, frames) with True = real -> (batch, frames, dim_out)."""
        if mask is not None:
            x = x.masked_fill(~mask[..., None], 0.0)
        return functional.conv1d(functional.pad(x.mT, (2 * self.reach, 0)), self.weight, self.bias).mT


class RelativeBlock(nn.Module):
    """One block; arguments as in `RelativeEncoder`."""

    def __init__(  # noqa: PLR0913  (what a block is)
        self, dim: int, heads: int, hidden: int, kernel: int, window: int, dropout: float, eps: float, causal: bool
    ) -> None:
        super().__init__()
        self.attention = RelativeAttention(dim, heads, window, dropout, causal)
        self.attention_norm = nn.LayerNorm(dim, eps=eps)
        convolution = CausalConv1d if causal else Conv1d
        self.expand = convolution(dim, hidden, kernel)
        self.contract = convolution(hidden, dim, kernel)
        self.conv_norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames, dim)."""
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        y = self.contract(self.dropout(self.expand(x, mask).relu()), mask)
        return self.conv_norm(x + self.dropout(y))


class RelativeEncoder(nn.Module):
    """Blocks one after another: (batch, frames, dim) -> (batch, frames, dim), 0 at padded frames.

    Args:
        dim, heads: channels, and attention patterns that they divide among.
        hidden: channels between the two convolutions of a block.
        layers: blocks.
        kernel: frames that a convolution sees; odd.
        window: distance up to which attention tells distances apart.
        dropout: on shares, and on what each part adds.
        eps: of the normalisations; VITS has 1e-5, Amphion's conversion 1e-4.
        causal: see the past and the present alone.
        condition: channels of a condition that gates what enters each block, as in WaveNet; 0 = none.
    """

    def __init__(  # noqa: PLR0913  (what an encoder is)
        self,
        dim: int,
        heads: int,
        hidden: int,
        layers: int,
        *,
        kernel: int = 3,
        window: int = 4,
        dropout: float = 0.1,
        eps: float = 1e-5,
        causal: bool = False,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            RelativeBlock(dim, heads, hidden, kernel, window, dropout, eps, causal) for _ in range(layers)
        )
        self.gate = nn.Linear(dim, 2 * dim) if condition else None
        self.condition = nn.Linear(condition, 2 * dim * layers) if condition else None

    def forward(self, x: Tensor, mask: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real, condition (batch, frames or 1, channels)."""
        steer = None
        if self.condition is not None and condition is not None:
            steer = self.condition(condition).chunk(len(self.blocks), dim=2)
        for number, block in enumerate(self.blocks):
            if self.gate is not None and steer is not None:
                value, gate = (self.gate(x) + steer[number]).chunk(2, dim=2)
                x = value.tanh() * gate.sigmoid()
            x = block(x, mask)
        return x if mask is None else x.masked_fill(~mask[..., None], 0.0)


_PARTS = {"conv_o": "attention.out", "conv_1": "expand", "conv_2": "contract"}
_TERMS = {"emb_rel_k": "attention.near", "emb_rel_v": "attention.given"}
_KINDS = {"gamma": "weight", "beta": "bias"}


def official(state: Mapping[str, Tensor], ours: str) -> dict[str, Tensor]:
    """An encoder of VITS, of Amphion or of so-vits-svc, keys from `attn_layers.` on, -> ours, with `ours` before them.

    Of so-vits-svc the normalisation of `cond_layer` is folded before.
    """
    renamed: dict[str, Tensor] = {}
    norms = sorted({key.split(".")[0] for key in state if key.startswith("norm_layers")})
    for key, value in state.items():
        group, *rest = key.split(".")
        if group in ("cond_pre", "cond_layer"):
            stem = "gate" if group == "cond_pre" else "condition"
            renamed[f"{ours}{stem}.{rest[0]}"] = value[..., 0] if value.ndim == 3 else value
            continue
        block, part, *kind = rest
        stem = f"{ours}blocks.{block}."
        if group in norms:
            place = ("attention_norm", "conv_norm")[norms.index(group)]
            renamed[f"{stem}{place}.{_KINDS.get(part, part)}"] = value
        elif part in _TERMS:
            renamed[stem + _TERMS[part]] = value[0]
        elif part == "conv_q":
            parts = [state[f"{group}.{block}.conv_{name}.{kind[0]}"] for name in "qkv"]
            renamed[f"{stem}attention.project.{kind[0]}"] = torch.cat(parts).squeeze(-1)
        elif part not in ("conv_k", "conv_v"):
            flat = part == "conv_o"
            name = ".".join([_PARTS.get(part, part), *kind])
            renamed[stem + name] = value.squeeze(-1) if flat else value
    return renamed
