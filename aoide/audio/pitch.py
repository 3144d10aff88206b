"""The fundamental frequency of a sound, frame by frame, by one of three trackers behind one function.

    f0 = track(samples, 24000, hop=300)        # (frames,) Hz, 0 where nothing periodic is heard

    dio      WORLD's fast tracker with its refinement StoneMask (Morise 2009). The default: clean speech and singing.
    harvest  WORLD's careful tracker (Morise 2017), some twenty times slower; finds more voiced frames.
    swift    SwiftF0 (Nieradzik 2025), a small network; holds out in noise, 47 to 2094 Hz.

dio and harvest come with pyworld, swift with swift-f0; both are in the extra `data`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from aoide.audio.resample import resample
from aoide.config import require

Method = Literal["dio", "harvest", "swift"]

_SWIFT_RATE, _SWIFT_HOP = 16000, 256


@dataclass(frozen=True, kw_only=True, slots=True)
class PitchConfig:
    """How F0 is found; part of the key under which found F0 is kept."""

    method: Method = "dio"
    floor: float = 60.0  # Hz, nothing below is looked for
    ceiling: float = 800.0  # Hz, nothing above is looked for

    def __post_init__(self) -> None:
        if not 0 < self.floor < self.ceiling:
            raise ValueError(f"floor {self.floor} must be above 0 and below ceiling {self.ceiling}")


def track(
    samples: np.ndarray,
    sample_rate: int,
    hop: int,
    method: Method = "dio",
    floor: float = 60.0,
    ceiling: float = 800.0,
    first_centre: float = 0.0,
) -> np.ndarray:
    """Finds F0 on the frames of the mel.

    Args:
        samples: (samples,) mono, full scale -1 to 1.
        sample_rate: Hz.
        hop: samples from frame to frame.
        method: the tracker, see above.
        floor, ceiling: Hz, where to look.
        first_centre: the sample on which frame 0 is centred: 0 for a mel with center padding, hop / 2 for one with
            same padding (`MelConfig.first_centre`).

    Returns:
        (samples // hop,) float32 Hz, 0 = unvoiced.

    Raises:
        MissingExtra: the package of the tracker is not installed.
    """
    if samples.ndim != 1:
        raise ValueError(f"F0 is of one voice: samples (samples,), got shape {samples.shape}")
    frames = len(samples) // hop
    if frames == 0 or not np.any(samples):
        return np.zeros(frames, np.float32)
    skip = round(first_centre)  # a tracker's first frame is centred on the first sample that it gets
    heard = samples[skip:]
    if method == "swift":
        f0 = _swift(heard, sample_rate, hop, floor, ceiling)
    else:
        f0 = _world(heard, sample_rate, hop, method, floor, ceiling)
    return _fit(f0, frames)


def _world(samples: np.ndarray, sample_rate: int, hop: int, method: Method, floor: float, ceiling: float) -> np.ndarray:
    pyworld = require("pyworld", "data")
    sound = samples.astype(np.float64)
    period = 1000.0 * hop / sample_rate  # milliseconds
    if method == "harvest":
        return pyworld.harvest(sound, sample_rate, f0_floor=floor, f0_ceil=ceiling, frame_period=period)[0]
    rough, times = pyworld.dio(sound, sample_rate, f0_floor=floor, f0_ceil=ceiling, frame_period=period)
    return pyworld.stonemask(sound, rough, times, sample_rate)


def _swift(samples: np.ndarray, sample_rate: int, hop: int, floor: float, ceiling: float) -> np.ndarray:
    """SwiftF0 answers every 16 ms; between two voiced answers the pitch is interpolated in octaves."""
    heard = resample(samples, sample_rate, _SWIFT_RATE)
    found = _swift_detector().detect(heard, _SWIFT_RATE, floor, ceiling)
    voiced = found.confidence >= 0.5
    if not voiced.any():
        return np.zeros(0)
    times = np.arange(len(samples) // hop + 1) * hop / sample_rate
    pitch = 2.0 ** np.interp(times, found.timestamps[voiced], np.log2(found.pitch_hz[voiced]))
    nearest = np.clip(np.rint(times * _SWIFT_RATE / _SWIFT_HOP).astype(int), 0, len(voiced) - 1)
    return np.where(voiced[nearest], pitch, 0.0)


@cache
def _swift_detector() -> Any:
    """One network per process: making it takes 20 ms, asking it is thread-safe."""
    return require("swift_f0", "data").SwiftF0(threads=1)


def _fit(f0: np.ndarray, frames: int) -> np.ndarray:
    """Exactly `frames` values: a tracker gives one more, or one less where its first frame is not on sample 0."""
    fitted = np.zeros(frames, np.float32)
    fitted[: min(frames, len(f0))] = f0[:frames]
    return fitted
