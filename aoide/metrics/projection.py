"""A signal split into what it has of a reference and the rest: the ratio behind SI-SDR and SI-SNR."""

from __future__ import annotations

import math

import numpy as np

from aoide.config import require

LIMIT = 100.0  # dB: what rounding to float32 leaves of a perfect copy is no distortion


def ratio(reference: np.ndarray, generated: np.ndarray) -> float:
    """Power of the projection of `generated` on `reference` over the power of the rest, in dB, within +-100.

    NaN where one of the two is all zero.
    """
    r, g = reference.astype(np.float64), generated.astype(np.float64)
    own, other = float(r @ r), float(g @ g)
    if own == 0.0 or other == 0.0:
        return math.nan
    target = (float(g @ r) / own) * r
    rest = g - target
    found, left = float(target @ target), float(rest @ rest)
    if left <= found * 10 ** (-LIMIT / 10):
        return LIMIT
    return max(-LIMIT, 10 * math.log10(found / left)) if found > 0.0 else -LIMIT


def ratio_of_torchmetrics(reference: np.ndarray, generated: np.ndarray, zero_mean: bool) -> float:
    """The same as torchmetrics has it: in float32 by torch, with a guard against 0 / 0, which a perfect copy feels.

    Args:
        reference, generated: (samples,).
        zero_mean: subtract the means first.
    """
    torch = require("torch", "torch")
    r, g = (torch.from_numpy(samples) for samples in (reference, generated))
    if zero_mean:
        r, g = r - r.mean(), g - g.mean()
    guard = torch.finfo(r.dtype).eps
    target = ((r * g).sum() + guard) / (r.square().sum() + guard) * r
    rest = target - g
    return float(10 * torch.log10((target.square().sum() + guard) / (rest.square().sum() + guard)))
