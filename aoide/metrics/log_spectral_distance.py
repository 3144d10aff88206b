"""Log-spectral distance: how far the level of each frequency is off in each frame, in dB.

Root mean square over frequency, then mean over time. Papers on bandwidth extension print the same number in bels
(log10 of power), a tenth of this.

Unit        dB
Range       0 dB upwards
Better      lower
Equation    mean over frames of sqrt(mean over bins of (20 log10(r / g))^2), Hann window of 2048 samples
            every 512
Paper       Gray & Markel 1976, Distance measures for speech processing.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics.align import equal_length
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.metric import Metric
from aoide.metrics.spectra import FLOOR, level

METRIC = Metric(unit="dB", better="lower", best=0.0, kind="pair")


def log_spectral_distance(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    n_fft: int = 2048,
    hop: int = 512,
    floor: float = FLOOR,
) -> float:
    """LSD in dB; NaN if both sounds are silent.

    Args:
        reference, generated: sounds, see `aoide.metrics`; the shorter one is continued with silence.
        sample_rate: Hz of sounds that are arrays.
        n_fft, hop: samples of the window, and from frame to frame.
        floor: dB below a full-scale sine, where everything is equally silent.
    """
    first, second = equal_length(*pair(reference, generated, sample_rate))
    if first.silent and second.silent:
        return float("nan")
    difference = level(first, n_fft, hop, n_fft, floor) - level(second, n_fft, hop, n_fft, floor)
    return float(np.sqrt((difference.astype(np.float64) ** 2).mean(axis=1)).mean())
