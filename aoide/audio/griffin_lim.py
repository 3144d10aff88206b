"""Sound of a mel alone, without any network: Griffin and Lim 1984, in the faster form of Perraudin et al. 2013.

A first spectrum is what the filters of the mel allow, brought nearer to it by multiplicative updates (Lee and Seung
2001); then phases are looked for that agree across frames. It sounds hollow, but what is where in time and pitch stays:
enough to hear and to judge what a model of coarse mels has made. For sound to listen to there are vocoders.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.mel_config import MelConfig, filterbank
from aoide.audio.spectrum import window_of
from aoide.config import UserError

UPDATES, STEPS = 20, 16  # of the spectrum, of the phases
MOMENTUM = 0.99  # of the phases


def sound_of(mel: np.ndarray, config: MelConfig, steps: int = STEPS, seed: int = 0) -> np.ndarray:
    """mel (frames, mels) -> samples (frames * hop,) float32.

    Raises:
        UserError: a mel of another form than the settings say.
    """
    if mel.ndim != 2 or mel.shape[1] != config.n_mels or config.padding != "center":
        raise UserError(f"a mel of {config.n_mels} centred bands is wanted, got {mel.shape}")
    if len(mel) == 0:
        return np.zeros(0, np.float32)
    power = np.exp(mel) if config.log == "ln" else 10.0**mel
    magnitude = spectrum_of((power - config.floor).clip(0) ** (1 / config.power), config)
    window = window_of("hann", config.win, config.n_fft).astype(np.float64)
    draw = np.random.default_rng(seed)
    spectrum = magnitude * np.exp(2j * np.pi * draw.random(magnitude.shape))
    before, weight = np.zeros_like(spectrum), _weight(window, config.hop, len(mel))
    for _ in range(steps):
        again = _forth(_back(spectrum, window, weight, config.hop), window, config.hop, len(mel))
        pushed = again + MOMENTUM * (again - before)
        spectrum, before = magnitude * pushed / np.maximum(np.abs(pushed), 1e-9), again
    return _back(spectrum, window, weight, config.hop).astype(np.float32)


def spectrum_of(bands: np.ndarray, config: MelConfig) -> np.ndarray:
    """Magnitudes (frames, bins) whose bands (frames, mels) are these, as far as magnitudes can have them."""
    filters = filterbank(config).astype(np.float64)  # (mels, bins)
    spectrum = bands @ (filters / np.maximum(filters.sum(1, keepdims=True), 1e-9))
    wanted, shares = bands @ filters, filters.T @ filters
    for _ in range(UPDATES):
        spectrum *= wanted / np.maximum(spectrum @ shares, 1e-9)
    return spectrum


def _back(spectrum: np.ndarray, window: np.ndarray, weight: np.ndarray, hop: int) -> np.ndarray:
    """Frames overlapped and added: (frames, bins) -> (frames * hop,); `weight` is what windows come to."""
    size, frames = len(window), len(spectrum)
    sound = np.zeros(len(weight))
    for number, piece in enumerate(np.fft.irfft(spectrum, size) * window):
        sound[number * hop : number * hop + size] += piece
    return (sound / weight)[size // 2 : size // 2 + frames * hop]


def _weight(window: np.ndarray, hop: int, frames: int) -> np.ndarray:
    """The sum of the squares of all windows at each sample."""
    size, weight = len(window), np.zeros(len(window) + hop * frames)
    for number in range(frames):
        weight[number * hop : number * hop + size] += window**2
    return np.maximum(weight, 1e-6)


def _forth(sound: np.ndarray, window: np.ndarray, hop: int, frames: int) -> np.ndarray:
    size = len(window)
    padded = np.pad(sound, size // 2)
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:frames] * window)
