"""Mel-cepstra: the spectral envelope in a few numbers per frame, as WORLD finds it and SPTK warps it.

WORLD's CheapTrick (Morise 2015) gives the power envelope without harmonics; its cepstrum is warped to the mel scale by
the first-order all-pass of Oppenheim and Johnson (1972), as `pysptk.sp2mc` does.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from aoide.audio.pitch import Method
from aoide.config import require
from aoide.metrics.analysis import PERIOD, TRACKER, Analysis


def envelope(sound: Analysis, tracker: Method = TRACKER) -> np.ndarray:
    """WORLD's power envelope on the common grid, (frames, bins) float64, by the F0 that the sound is known to have.

    CheapTrick takes its window from F0; a tracker that holds out in noise gives it a better one than WORLD's own.
    """
    return sound.keep(("envelope of world", tracker), lambda: _by_tracker(sound, tracker))


def _by_tracker(sound: Analysis, tracker: Method) -> np.ndarray:
    pyworld = require("pyworld", "metrics")
    f0 = sound.f0(tracker).hz.astype(np.float64)
    return pyworld.cheaptrick(sound.samples.astype(np.float64), f0, np.arange(len(f0)) * PERIOD, sound.sample_rate)


def envelope_of_dio(sound: Analysis, period: float, n_fft: int | None = None) -> np.ndarray:
    """WORLD's power envelope (frames, n_fft // 2 + 1) float64, a frame every `period` seconds from the first sample.

    F0 is DIO's with StoneMask between 71 and 800 Hz, as pyworld.wav2world takes it.

    Args:
        n_fft: of the envelope; None: WORLD's own for the rate.
    """
    return sound.keep(("world", period, n_fft), lambda: _by_dio(sound, period, n_fft))


def _by_dio(sound: Analysis, period: float, n_fft: int | None) -> np.ndarray:
    pyworld = require("pyworld", "metrics")
    samples, rate = sound.samples.astype(np.float64), sound.sample_rate
    rough, times = pyworld.dio(samples, rate, frame_period=1000 * period)
    f0 = pyworld.stonemask(samples, rough, times, rate)
    return pyworld.cheaptrick(samples, f0, times, rate, fft_size=n_fft)


def mel_cepstra(power: np.ndarray, order: int, alpha: float) -> np.ndarray:
    """Power spectra (frames, bins) -> mel-cepstra (frames, order + 1); c0 is the natural log of the mean amplitude."""
    return np.log(power) @ _from_logs(power.shape[1], order + 1, alpha)


@cache
def _from_logs(bins: int, target: int, alpha: float) -> np.ndarray:
    """The matrix (bins, target) from log power to mel-cepstra: the inverse transform and the warping in one."""
    cepstrum = np.fft.irfft(np.eye(bins), axis=1)[:, :bins]
    cepstrum[:, 0] /= 2
    cepstrum[:, -1] /= 2
    return cepstrum @ _warping(bins, target, alpha).T


def _warping(source: int, target: int, alpha: float) -> np.ndarray:
    """The matrix (target, source) that takes a cepstrum to the all-pass-warped frequency axis.

    It is the recursion of SPTK's `freqt`, run on all unit vectors at once.
    """
    warped = np.zeros((target, source))
    for n in range(source - 1, -1, -1):
        before = warped.copy()
        warped[0] = alpha * before[0]
        warped[0, n] += 1.0
        if target > 1:
            warped[1] = (1 - alpha**2) * before[0] + alpha * before[1]
        for m in range(2, target):
            warped[m] = before[m - 1] + alpha * (before[m] - warped[m - 1])
    return warped


@cache
def mel_alpha(sample_rate: int) -> float:
    """The all-pass coefficient whose warping is nearest to the mel scale: 0.41 at 16 kHz, 0.455 at 22.05, 0.554 at 48.

    The mel scale is Fant's, ln(1 + f / 1000), as in SPTK's tables.
    """
    omega = np.linspace(0, np.pi, 1000)
    wanted = np.log1p(omega / np.pi * sample_rate / 2000)
    wanted = wanted / wanted[-1] * np.pi
    candidates = np.arange(0.0, 1.0, 0.001)[:, None]
    warped = omega + 2 * np.arctan(candidates * np.sin(omega) / (1 - candidates * np.cos(omega)))
    return float(candidates[((warped - wanted) ** 2).sum(axis=1).argmin(), 0])
