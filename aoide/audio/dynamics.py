"""How loud a sound is over a time, and not from frame to frame: what stays when another voice sings the song."""

from __future__ import annotations

import math

import numpy as np

REACH = 4.0  # deviations to each side where a window ends


def window(deviation: float) -> np.ndarray:
    """A Gaussian of that deviation, in frames: (2 * reach + 1,) float64 with sum 1; of deviation 0 a single 1."""
    reach = math.ceil(REACH * deviation)
    values = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(deviation, 1e-9)) ** 2)
    return np.asarray(values / values.sum())


def over_time(energy: np.ndarray, deviation: float) -> np.ndarray:
    """(frames,) of energy -> the root of its mean square in that window; at the ends, of what is there."""
    weights = window(deviation)
    part = slice(len(weights) // 2, len(weights) // 2 + len(energy))
    power, real = (np.convolve(x, weights)[part] for x in (np.square(energy, dtype=np.float64), np.ones(len(energy))))
    return np.sqrt(np.maximum(power, 0.0) / real)
