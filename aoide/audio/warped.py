"""A frequency scale like that of the ear, on which an all-pass filter runs: that of the mel-cepstrum.

A spectral envelope whose log is a sum of cosines on this scale has the minimum phase that is the same sum of sines
(Oppenheim and Johnson 1972; Tokuda et al. 1994). So a few points of an envelope give magnitude and phase of a filter by
two products of matrices, see `basis`.
"""

from __future__ import annotations

import math

import numpy as np

ALPHA = 0.46  # of the all-pass at 24 kHz: close to the mel scale


def warp(omega: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Angular frequency 0 to pi -> the same on the warped scale; the way back is that with -alpha."""
    return omega + 2 * np.arctan2(alpha * np.sin(omega), 1 - alpha * np.cos(omega))


def grid(bands: int, alpha: float = ALPHA) -> np.ndarray:
    """Where points of equal distance on the warped scale lie, 0 to 1 = half the sample rate: (bands,)."""
    return warp(np.linspace(0, math.pi, bands), -alpha) / math.pi


def basis(bands: int, bins: int, alpha: float = ALPHA) -> tuple[np.ndarray, np.ndarray]:
    """What makes of the log envelope at the points of `grid` that at bins, and its minimum phase.

    Returns:
        Two matrices (bands, bins) float32: values @ the first is the log magnitude, @ the second the phase in radians.
    """
    order = np.arange(bands)
    ends = np.where((order == 0) | (order == bands - 1), 0.5, 1.0)
    # cosine transform of the points (the first and the last count half): coefficients of cos(k w)
    to_cepstrum = np.cos(math.pi * np.outer(order, order) / (bands - 1)) * ends[:, None] * ends * 2 / (bands - 1)
    warped = warp(np.linspace(0, math.pi, bins), alpha)
    return (
        (to_cepstrum @ np.cos(np.outer(order, warped))).astype(np.float32),
        (to_cepstrum @ -np.sin(np.outer(order, warped))).astype(np.float32),
    )
