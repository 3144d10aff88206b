"""Spectra for networks that want their own: no clock of the house, frames and filters as each was trained."""

from __future__ import annotations

import numpy as np

from aoide.audio.mel_config import hz_to_mel, mel_to_hz


def magnitude_frames(
    samples: np.ndarray, win: int, hop: int, n_fft: int | None = None, centred: bool = False
) -> np.ndarray:
    """|FFT| of windowed frames, float32.

    Args:
        samples: (samples,).
        win, hop: samples of the periodic Hann window, and from frame to frame.
        n_fft: samples of the transform, the frame padded with zeros behind it; None: win.
        centred: half a window of silence at both ends, so that frame k is centred on sample k * hop; otherwise only
            whole frames count.

    Returns:
        (frames, bins) magnitudes
    """
    padded = np.pad(samples, win // 2) if centred else samples
    if len(padded) < win:
        return np.zeros((0, (n_fft or win) // 2 + 1), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, win)[::hop]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win) / win)).astype(np.float32)
    size = n_fft or win
    # a scale, here the window's, keeps numpy in float32 and four times as fast
    return np.abs(np.fft.rfft(frames * (window * np.float32(size)), size, norm="forward"))


def triangles(bins: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Overlapping triangles of height 1 on any axis (Hz or mel): (bins,), (bands + 2,) -> (bands, bins)."""
    width = np.diff(edges)
    rising = (bins - edges[:-2, None]) / width[:-1, None]
    falling = (edges[2:, None] - bins) / width[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


def slaney_bands(sample_rate: int, n_fft: int, bands: int, fmin: float, fmax: float) -> np.ndarray:
    """librosa's default mel filters, (bands, bins) float32, for transforms of odd length too."""
    edges = mel_to_hz(np.linspace(hz_to_mel(fmin, "slaney"), hz_to_mel(fmax, "slaney"), bands + 2), "slaney")
    filters = triangles(np.fft.rfftfreq(n_fft, 1.0 / sample_rate), edges)
    return (filters * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def patches(frames: np.ndarray, length: int, hop: int, fill: float) -> np.ndarray:
    """(frames, bands) -> (patches, length, bands): whole patches; what is shorter than one is filled up to one."""
    if len(frames) < length:
        frames = np.pad(frames, ((0, length - len(frames)), (0, 0)), constant_values=fill)
    starts = range(0, len(frames) - length + 1, hop)
    return np.stack([frames[start : start + length] for start in starts])
