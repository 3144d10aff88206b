"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864): queries and keys are turned by their place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Pairs = Literal["halves", "neighbours"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Slower turns for longer texts than a network was first trained on, as Llama 3.1 has them: pairs of channels that
    turn less than `low` times in `places` become `factor` times slower, those that turn more than `high` times stay.
    """

    factor: float = 32.0
    low: float = 1.0
    high: float = 4.0
    places: int = 8192

    def __post_init__(self) -> None:
        if self.factor < 1 or not 0 < self.low < self.high or self.places < 1:
            raise ValueError("factor is 1 or more, low above 0 and below high, places 1 or more")


def angles(places: Tensor, dim: int, base: float = 10_000.0, stretch: Stretch | None = None) -> tuple[Tensor, Tensor]:
    """How far each pair of channels is turned: cosine and sine, (..., dim / 2) each.

    Args:
        places: (...), counted from 0.
        dim: channels of a head, even.
        base: pair i turns once in 2 pi base^(2i / dim) places.
    """
    rates = base ** (-torch.arange(0, dim, 2, device=places.device) / dim)
    if stretch is not None:
        turns = stretch.places * rates / (2 * math.pi)
        kept = ((turns - stretch.low) / (stretch.high - stretch.low)).clamp(0, 1)
        rates = rates * (kept + (1 - kept) / stretch.factor)
    turned = places[..., None] * rates
    return turned.cos(), turned.sin()


def turn(x: Tensor, cos: Tensor, sin: Tensor, pairs: Pairs = "halves") -> Tensor:
    """Turns pairs of channels by given angles: x (..., frames, dim), cos and sin (frames, dim / 2) -> like x."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    if pairs == "halves":
        first, second = x.chunk(2, dim=-1)
        swapped = torch.cat([second, first], dim=-1)  # whole heads at a time: half heads take five times as long
        return torch.addcmul(x * torch.cat([cos, cos], dim=-1), swapped, torch.cat([-sin, sin], dim=-1))
    first, second = x[..., ::2], x[..., 1::2]
    return torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1).flatten(-2)


def rotate(x: Tensor, pairs: Pairs = "halves", base: float = 10_000.0, start: int = 0) -> Tensor:
    """Turns pairs of channels by angles that grow with the place: (batch, heads, frames, dim) -> the same.

    Args:
        x: queries or keys; dim even.
        pairs: channel i goes with i + dim / 2 (`halves`, as in Llama and GPT-NeoX) or 2i with 2i + 1 (`neighbours`, as
            in the paper).
        base: pair i turns once in 2 pi base^(2i / dim) places.
        start: the place of the first frame.
    """
    frames, dim = x.shape[-2:]
    return turn(x, *angles(torch.arange(start, start + frames, device=x.device), dim, base), pairs)
