"""Structural similarity of mel spectrograms: SSIM, made for pictures, on 80 bands and 80 dB.

Wang, Bovik, Sheikh, Simoncelli 2004: means, variances and covariance under a Gaussian window of 11 x 11 with a
deviation of 1.5. One frame is 10 ms; levels from the loudest of the reference down to 80 dB below it are the greys.

Unit        none
Range       -1 to 1
Better      higher
Equation    mean of (2 m_r m_g + a)(2 c_rg + b) / ((m_r^2 + m_g^2 + a)(v_r + v_g + b)), a and b small
Paper       Wang, Bovik, Sheikh, Simoncelli 2004, Image quality assessment: from error visibility to
            structural similarity.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.metrics.align import Align, frames
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="higher", best=1.0, kind="pair")

_RANGE = 80.0  # dB
_MEL = MelConfig(n_fft=1024, win=1024, hop=240, n_mels=80, log="log10", floor=1e-5)
_DEVIATION, _REACH = 1.5, 5
_STEADY = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2  # keep the quotients finite where nothing is


def mel_ssim(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    align: Align = "auto",
) -> float:
    """SSIM of the mels; NaN if the reference is silent or the sounds are shorter than 11 frames.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    if first.silent:
        return float("nan")
    i, j = frames(first, second, align)
    r, g = (20.0 * _rows(sound.mel(_MEL), index) for sound, index in ((first, i), (second, j)))
    if len(r) <= 2 * _REACH:
        return float("nan")
    loudest = r.max()
    r, g = (np.clip(mel - loudest, -_RANGE, 0.0) + _RANGE for mel in (r, g))
    return float(_similarity(r, g).mean())


def _rows(mel: np.ndarray, index: np.ndarray) -> np.ndarray:
    """mel[index], and silence for the frames beyond its end: float64."""
    silence = np.full((1, _MEL.n_mels), _MEL.silence)
    return np.concatenate([mel, silence])[np.minimum(index, len(mel))]


def _similarity(r: np.ndarray, g: np.ndarray) -> np.ndarray:
    mean_r, mean_g = _blur(r), _blur(g)
    variance_r, variance_g = _blur(r * r) - mean_r**2, _blur(g * g) - mean_g**2
    together = _blur(r * g) - mean_r * mean_g
    light, contrast = _STEADY
    return ((2 * mean_r * mean_g + light) * (2 * together + contrast)) / (
        (mean_r**2 + mean_g**2 + light) * (variance_r + variance_g + contrast)
    )


def _blur(picture: np.ndarray) -> np.ndarray:
    """Weighted mean under the Gaussian, where it lies wholly inside: (rows, columns) -> (rows - 10, columns - 10)."""
    weights = np.exp(-0.5 * (np.arange(-_REACH, _REACH + 1) / _DEVIATION) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        picture = np.lib.stride_tricks.sliding_window_view(picture, 2 * _REACH + 1, axis=axis) @ weights
    return picture
