"""Multi-resolution STFT distance: how far the levels of spectra are off, in dB, at three resolutions.

The mean absolute difference of log magnitudes (Yamamoto et al. 2020, arXiv:1910.11480, eq. 5, there in nepers) over
transforms of 512, 1024 and 2048 samples. Their other term, relative and linear, is a quantity of its own:
`spectral_convergence`. Phase does not count.

Unit        dB
Range       0 dB upwards
Better      lower
Equation    mean over resolutions, frames and bins of |20 log10(r / g)|
Paper       Yamamoto, Song, Kim 2020, arXiv:1910.11480, eq. 5, there in nepers.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import amphion as its
from aoide.metrics.align import equal_length
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.metric import Metric
from aoide.metrics.spectra import FLOOR, level

METRIC = Metric(unit="dB", better="lower", best=0.0, kind="pair")

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # n_fft, hop, window, in samples


def stft_distance(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    floor: float = FLOOR,
) -> float:
    """Mean difference of levels in dB; NaN if both sounds are silent.

    Args:
        reference, generated: sounds, see `aoide.metrics`; the shorter one is continued with silence.
        sample_rate: Hz of sounds that are arrays.
        floor: dB below a full-scale sine, where everything is equally silent.
    """
    first, second = equal_length(*pair(reference, generated, sample_rate))
    if first.silent and second.silent:
        return float("nan")
    differences = [
        np.abs(level(first, n_fft, hop, win, floor) - level(second, n_fft, hop, win, floor)).mean(dtype=np.float64)
        for n_fft, hop, win in RESOLUTIONS
    ]
    return float(np.mean(differences))


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
) -> float:
    """Amphion's M-STFT: spectral convergence plus the difference of natural logs, with no window."""
    first, second = its.samples(reference, generated, sample_rate, rate, align)
    total = 0.0
    for n_fft, hop, win in RESOLUTIONS:
        spectra = [sound.stft(n_fft, hop, win, window="ones").astype(np.float64) for sound in (first, second)]
        r, g = (np.sqrt(np.maximum(spectrum**2, 1e-7)) for spectrum in spectra)
        total += np.linalg.norm(r - g) / np.linalg.norm(r) + np.abs(np.log(r / g)).mean()
    return float(total / len(RESOLUTIONS))
