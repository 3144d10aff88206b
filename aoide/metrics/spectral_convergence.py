"""Spectral convergence: the error of the magnitudes relative to those of the reference, at three resolutions.

Loud partials count most, where `stft_distance` weighs all alike (Arik et al. 2019, arXiv:1808.06719, eq. 3).

Unit        none
Range       0 upwards; silence instead of the sound is 1
Better      lower
Equation    |R - G| / |R|, Frobenius norms of magnitude spectrograms
Paper       Arik, Jun, Diamos 2019, arXiv:1808.06719, eq. 3.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics.align import equal_length
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.metric import Metric
from aoide.metrics.stft_distance import RESOLUTIONS

METRIC = Metric(unit="", better="lower", best=0.0, kind="pair")


def spectral_convergence(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
) -> float:
    """Relative error of magnitudes, the mean of three resolutions; NaN if the reference is silent.

    Args:
        reference, generated: sounds, see `aoide.metrics`; the shorter one is continued with silence.
        sample_rate: Hz of sounds that are arrays.
    """
    first, second = equal_length(*pair(reference, generated, sample_rate))
    if first.silent:
        return float("nan")
    errors = []
    for n_fft, hop, win in RESOLUTIONS:
        r, g = first.stft(n_fft, hop, win), second.stft(n_fft, hop, win)
        errors.append(np.linalg.norm(r - g) / np.linalg.norm(r))
    return float(np.mean(errors))
