"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864): queries and keys are turned by their place."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Pairs = Literal["halves", "neighbours"]


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
    rates = base ** (-torch.arange(0, dim, 2, device=x.device) / dim)
    angles = torch.arange(start, start + frames, device=x.device)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    if pairs == "halves":
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    first, second = x[..., ::2], x[..., 1::2]
    return torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1).flatten(-2)
