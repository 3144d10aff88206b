"""Blocks of Transformers that know how far apart two places are, by sinusoids: encoders of the Conformer's family.

Used without convolutions by CosyVoice 2 (codes) and ACE-Step (lyrics); both bring the keys of ESPnet and WeNet, which
`INSIDE` and `fused` rename.

Sources: Dai et al. 2019, arXiv:1901.02860 (Transformer-XL, section 3.3 and appendix B); Gulati et al. 2020,
arXiv:2005.08100 (Conformer). Parity: tests/parity/test_acestep.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

INSIDE = {
    "self_attn.linear_q.": "attention.project.",
    "self_attn.linear_out.": "attention.out.",
    "self_attn.linear_pos.": "attention.distance.",
    "self_attn.pos_bias_u": "attention.content_bias",
    "self_attn.pos_bias_v": "attention.distance_bias",
    "feed_forward.w_1.": "expand.",
    "feed_forward.w_2.": "contract.",
    "norm_mha.": "attention_norm.",
    "norm_ff.": "mlp_norm.",
}
"""Published names of the parts of a `DistanceBlock` -> ours, once queries, keys and values are `fused`."""


class DistanceAttention(nn.Module):
    """Self-attention that knows how far apart two frames are, by sinusoids (Dai et al. 2019, arXiv:1901.02860)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim)
        self.distance = nn.Linear(dim, dim, bias=False)
        self.content_bias = nn.Parameter(torch.empty(heads, dim // heads))
        self.distance_bias = nn.Parameter(torch.empty(heads, dim // heads))
        self.out = nn.Linear(dim, dim)
        for bias in (self.content_bias, self.distance_bias):
            nn.init.xavier_uniform_(bias)

    def forward(self, x: Tensor, sight: Tensor) -> Tensor:
        """x (batch, frames, dim), sight (batch, 1, frames or 1, frames), True = looked at -> (batch, frames, dim)."""
        frames, dim = x.shape[1:]
        queries, keys, values = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        apart = torch.arange(frames - 1, -frames, -1, device=x.device)
        terms = self.distance(_sinusoids(apart, dim).to(x.dtype)).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        scores = (queries + self.distance_bias[:, None]) @ terms.mT  # (batch, heads, frames, 2 frames - 1)
        place = torch.arange(frames, device=x.device)
        index = (frames - 1 - place[:, None] + place[None, :]).expand_as(scores[..., :frames])
        bias = scores.gather(3, index) / math.sqrt(dim // self.heads)
        found = functional.scaled_dot_product_attention(
            queries + self.content_bias[:, None], keys, values, attn_mask=bias.masked_fill(~sight, -torch.inf)
        )
        return self.out(found.transpose(1, 2).flatten(2))


def _sinusoids(places: Tensor, dim: int) -> Tensor:
    """Sines and cosines by turns of places (places,), which may be below 0: (places, dim)."""
    rates = torch.exp(torch.arange(0, dim, 2, device=places.device) * (-math.log(10_000) / dim))
    angles = places[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class DistanceBlock(nn.Module):
    """Normalise and attend, normalise and think, each added to what came in."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, eps: float = 1e-12) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim, eps=eps)
        self.attention = DistanceAttention(dim, heads)
        self.mlp_norm = nn.LayerNorm(dim, eps=eps)
        self.expand, self.contract = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, sight: Tensor) -> Tensor:
        """x (batch, frames, dim), sight (batch, 1, frames or 1, frames) -> (batch, frames, dim)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), sight))
        return x + self.dropout(self.contract(self.dropout(functional.silu(self.expand(self.mlp_norm(x))))))


class Enter(nn.Module):
    """A linear layer, normalised and made large, as the original Transformer has its input."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.linear, self.norm, self.dropout = nn.Linear(dim, dim), nn.LayerNorm(dim), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, dim) -> the same."""
        return self.dropout(self.dropout(self.norm(self.linear(x))) * math.sqrt(x.shape[-1]))


def fused(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Joins published queries, keys and values (linear_q, linear_k, linear_v) under the name of the queries."""
    joined = {}
    for key, value in state.items():
        if ".linear_q." in key:
            three = (state[key.replace(".linear_q.", f".linear_{which}.")] for which in "qkv")
            joined[key] = torch.cat([*three])
        elif ".linear_k." not in key and ".linear_v." not in key:
            joined[key] = value
    return joined
