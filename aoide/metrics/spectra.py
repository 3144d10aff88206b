"""Levels of spectra in dB, which the spectral distances compare."""

from __future__ import annotations

import numpy as np

from aoide.metrics.analysis import Analysis

FLOOR = -100.0  # dB: below, everything is equally silent; about the noise of 16 bits


def level(sound: Analysis, n_fft: int, hop: int, win: int, floor: float = FLOOR) -> np.ndarray:
    """(1 + samples // hop, n_fft // 2 + 1) float32 in dB under a Hann window; a full-scale sine is 0 dB."""
    spectrum = sound.stft(n_fft, hop, win)
    least = 10 ** (floor / 20)
    return 20 * np.log10(np.maximum(spectrum * np.float32(4 / win), np.float32(least)))
