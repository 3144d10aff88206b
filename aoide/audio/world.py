"""The vocoder WORLD: a voice as F0, the envelope of its spectrum, and how much of it is noise; there and back again.

    parts = analyse(samples, 24_000, hop=240)                                  F0, envelope, aperiodicity
    samples = synthesise(*parts, sample_rate=24_000, hop=240)                  (frames * hop,)

Envelope and aperiodicity lie on few points of a warped scale (`audio/warped.py`), which is what a singer predicts
(`models/svs/xiaoicesing.py`), and are natural logarithms of amplitudes. Frame k is centred on sample k * hop.

Source: Morise et al. 2016, WORLD: a vocoder-based high-quality speech synthesis system; the library is pyworld.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aoide.audio import warped
from aoide.config import require

BANDS, NOISE_BANDS = 80, 12  # points of the envelope and of the aperiodicity, unless others are asked for
LEAST_NOISE = 1e-3  # share of the amplitude: below it noise is not told from none
_SHORTEST = 3 / 71  # seconds that a transform holds at least: three periods of WORLD's lowest F0


class World(NamedTuple):
    """What WORLD hears."""

    f0: np.ndarray  # (frames,) float32 Hz, 0 = unvoiced
    envelope: np.ndarray  # (frames, bands) float32, natural log of the amplitude of a source of unit power, filtered
    aperiodicity: np.ndarray  # (frames, noise_bands) float32, natural log of the share of noise in it, at most 0


def analyse(
    samples: np.ndarray,
    sample_rate: int,
    hop: int,
    *,
    low: float = 71.0,
    high: float = 800.0,
    bands: int = BANDS,
    noise_bands: int = NOISE_BANDS,
) -> World:
    """WORLD's view of a sound: samples (samples,) -> samples // hop frames.

    Args:
        low, high: Hz, between which F0 is looked for.

    Raises:
        MissingExtra: WORLD is not installed.
    """
    world = require("pyworld", "data")
    x, n_fft = samples.astype(np.float64), transform(sample_rate)
    frames = len(x) // hop
    f0, times = world.dio(x, sample_rate, f0_floor=low, f0_ceil=high, frame_period=1000 * hop / sample_rate)
    f0 = world.stonemask(x, f0, times, sample_rate)
    power = world.cheaptrick(x, f0, times, sample_rate, fft_size=n_fft)
    noise = world.d4c(x, f0, times, sample_rate, fft_size=n_fft)
    envelope = 0.5 * np.log(np.maximum(power, 1e-12))
    share = np.log(np.clip(noise, LEAST_NOISE, 1.0))
    parts = f0, _points(envelope, bands), _points(share, noise_bands)
    return World(*(part[:frames].astype(np.float32) for part in parts))


def synthesise(
    f0: np.ndarray, envelope: np.ndarray, aperiodicity: np.ndarray, *, sample_rate: int, hop: int
) -> np.ndarray:
    """WORLD's synthesis: what `World` holds -> samples (frames * hop,) float32.

    Raises:
        MissingExtra: WORLD is not installed.
    """
    world = require("pyworld", "data")
    bins = transform(sample_rate) // 2 + 1
    level = np.asarray(envelope, np.float64) @ warped.basis(envelope.shape[1], bins)[0].astype(np.float64)
    points = warped.grid(aperiodicity.shape[1])
    share = np.stack([np.interp(np.linspace(0, 1, bins), points, row) for row in np.asarray(aperiodicity, np.float64)])
    power, noise = np.exp(2 * level), np.exp(np.clip(share, np.log(LEAST_NOISE), 0.0))
    samples = world.synthesize(np.asarray(f0, np.float64), power, noise, sample_rate, 1000 * hop / sample_rate)
    length = len(f0) * hop
    return np.pad(samples, (0, max(0, length - len(samples))))[:length].astype(np.float32)


def transform(sample_rate: int) -> int:
    """Samples of WORLD's transform, a power of two."""
    return 1 << int(_SHORTEST * sample_rate + 1).bit_length()


def _points(spectrum: np.ndarray, count: int) -> np.ndarray:
    """(frames, bins) at points of the warped scale: (frames, count)."""
    place = warped.grid(count) * (spectrum.shape[1] - 1)
    left = np.minimum(place.astype(int), spectrum.shape[1] - 2)
    share = place - left
    return spectrum[:, left] * (1 - share) + spectrum[:, left + 1] * share
