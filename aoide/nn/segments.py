"""Pieces of sequences at places of their own: what a generator of long sounds is trained on."""

from __future__ import annotations

import torch
from torch import Tensor


def random_starts(lengths: Tensor, count: int, chance: Tensor | None = None) -> Tensor:
    """Where to cut `count` frames out of each item: (batch,) int64, all places alike.

    Args:
        lengths: (batch,) frames of each item; a shorter one than `count` is cut at 0.
        chance: (batch,) from 0 to below 1, instead of torch's own draw.
    """
    chance = torch.rand(lengths.shape, device=lengths.device) if chance is None else chance
    return (chance * (lengths - count + 1).clamp(min=1)).long()


def cut(x: Tensor, starts: Tensor, count: int) -> Tensor:
    """`count` steps of each item from its start: x (batch, time, ...), starts (batch,) -> (batch, count, ...).

    Beyond the end of x the last step is repeated, which a mask cut alike keeps out where it matters.
    """
    index = (starts[:, None] + torch.arange(count, device=x.device)).clamp(max=x.shape[1] - 1)
    index = index.view(*index.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
    return x.gather(1, index)
