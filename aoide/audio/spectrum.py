"""Magnitudes and log-mels in numpy, for what runs without torch: the voices and vocoders of the package, and metrics.

The same numbers as `aoide.audio.stft` and `aoide.audio.mel` give in torch, by the same clock: `samples // hop` frames,
of which "center" padding centres frame k on sample k * hop and "same" on the middle of hop k.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.audio.mel_config import MelConfig, filterbank

BLOCK = 2**20  # numbers of windowed sound that are transformed at a time


def magnitudes(
    samples: np.ndarray, n_fft: int, hop: int, window: np.ndarray, ends: Literal["reflect", "constant"] = "reflect"
) -> np.ndarray:
    """|STFT| (1 + samples // hop, n_fft // 2 + 1) of centred frames, in float32.

    Around the sound lies its mirror image ("reflect", as torch.stft has it) or silence ("constant", as librosa.stft).
    """
    if len(samples) == 0:
        return np.zeros((0, n_fft // 2 + 1), np.float32)
    padded = np.pad(samples, n_fft // 2, mode=ends)
    return transform(padded, n_fft, hop, window, 1 + len(samples) // hop)


def transform(padded: np.ndarray, n_fft: int, hop: int, window: np.ndarray, count: int) -> np.ndarray:
    """Magnitudes of `count` frames, block by block, so that a long sound needs no second copy of all its frames."""
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop][:count]
    spectra = np.empty((len(frames), n_fft // 2 + 1), np.float32)
    block = max(1, BLOCK // n_fft)
    # numpy transforms float32 as such only with a scale; without one it goes by way of float64, four times slower
    window = (window * n_fft).astype(np.float32)
    for start in range(0, len(frames), block):
        spectra[start : start + block] = np.abs(np.fft.rfft(frames[start : start + block] * window, norm="forward"))
    return spectra


def window_of(kind: str, win: int, n_fft: int) -> np.ndarray:
    """A window of `win` samples, "hann" (periodic) or "ones", in the middle of `n_fft`, float32."""
    shape = np.ones(win) if kind == "ones" else 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win) / win)
    left = (n_fft - win) // 2
    return np.pad(shape, (left, n_fft - win - left)).astype(np.float32)


def log_mel(samples: np.ndarray, config: MelConfig) -> np.ndarray:
    """Log-mel (samples // hop, mels) float32 of samples (samples,) at `config.sample_rate`."""
    frames = len(samples) // config.hop
    if frames == 0:
        return np.zeros((0, config.n_mels), np.float32)
    left = config.n_fft // 2 if config.padding == "center" else (config.n_fft - config.hop) // 2
    right = left if config.padding == "center" else config.n_fft - config.hop - left
    padded = np.pad(samples, (left, right), mode="reflect")
    spectrum = transform(padded, config.n_fft, config.hop, window_of("hann", config.win, config.n_fft), frames)
    if config.eps:
        spectrum = np.sqrt(spectrum**2 + np.float32(config.eps))
    bands = np.maximum((spectrum**config.power) @ filterbank(config).T, np.float32(config.floor))
    return np.log(bands) if config.log == "ln" else np.log10(bands)
