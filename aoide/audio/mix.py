"""Stems -> a mix at a loudness, with a ceiling for its true peaks, that is the sum of what is written as stems.

    mixed = mix({"voice": voice, "accompaniment": band}, {"voice": 3.0})
    mixed.sound.save("song.wav"); mixed.stems["voice"].save("song-voice.wav")

Every stem gets the same gain over time, so that they go on summing to the mix, and all are rounded to 16 bits before
they are summed, so that they do so sample by sample in files of 16 bits (wav, flac).

True peaks are those between the samples: the highest of four times as many (ITU-R BS.1770, annex 2). The limiter looks
ahead: the gain that each block of 64 samples needs, the least of the blocks around it, smoothed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aoide.audio.loudness import loudness, of_weighted, weighted
from aoide.audio.sound import Sound
from aoide.config import UserError

TARGET = -14.0  # LUFS: what streaming services play
CEILING = -1.0  # dB of full scale, of true peaks
OVERSAMPLING = 4
STEP = 32768  # values of 16 bits from 0 to full scale
_BLOCK = 64  # samples with one gain
_LOOK = 24  # blocks before and behind a peak in which the gain goes down and up
_MARGIN = 0.15  # dB below the ceiling that is aimed at, for what smoothing and rounding do
_NEAR = 0.05  # LU
_ROUNDS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """A mix.

    stems: (samples, channels) each, of which `sound` is the sum.
    loudness: LUFS. peak: true peak in dB of full scale. limited: dB by which the limiter went down at most.
    """

    sound: Sound
    stems: dict[str, Sound]
    loudness: float
    peak: float
    limited: float


def mix(
    stems: Mapping[str, Sound],
    levels: Mapping[str, float] | None = None,
    *,
    target: float = TARGET,
    ceiling: float = CEILING,
    sample_rate: int = 44_100,
) -> Mixed:
    """Mixes stems in stereo; the shorter ones end in silence.

    Args:
        levels: how much louder (dB) a stem is than one at the loudness that all are brought to first; a stem that is
            not named is not louder. None: the stems keep the loudness that they have beside each other.

    Raises:
        UserError: nothing but silence.
    """
    length = max((round(sound.seconds * sample_rate) for sound in stems.values()), default=0)
    balanced, whole, heard = {}, np.zeros((length, 2), np.float32), np.zeros((length, 2))
    for name, sound in stems.items():
        samples = _stereo(sound.resample(sample_rate).samples)[:length]
        samples = np.pad(samples, ((0, length - len(samples)), (0, 0)))
        weights = weighted(Sound(samples, sample_rate))  # weighing is linear, and costs more than all else here
        gain = 1.0
        if levels is not None:
            measured = of_weighted(weights, sample_rate)
            gain = 0.0 if np.isneginf(measured) else 10 ** ((target - measured + levels.get(name, 0.0)) / 20)
        balanced[name] = samples * np.float32(gain)
        whole += balanced[name]
        heard += weights * gain
    if np.isneginf(of_weighted(heard, sample_rate)):
        raise UserError("a mix of nothing but silence")
    curve = _gains(whole, heard, sample_rate, target, ceiling)
    written = {name: np.rint(samples * curve[:, None] * STEP).astype(np.int32) for name, samples in balanced.items()}
    total = sum(written.values(), np.zeros((length, 2), np.int32))
    sound = Sound((total / STEP).astype(np.float32), sample_rate)
    return Mixed(
        sound=sound,
        stems={name: Sound((s / STEP).astype(np.float32), sample_rate) for name, s in written.items()},
        loudness=loudness(sound),
        peak=true_peak(sound),
        limited=float(20 * np.log10(curve.max() / max(curve.min(), 1e-9))),
    )


def true_peak(sound: Sound) -> float:
    """The true peak in dB of full scale; minus infinity for silence."""
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(_peaks(sound.samples, sound.sample_rate).max(initial=0.0)))


def _stereo(samples: np.ndarray) -> np.ndarray:
    """(samples, 2) of one channel, two, or more, of which the first two are taken."""
    wide = samples[:, None] if samples.ndim == 1 else samples
    return np.ascontiguousarray(np.repeat(wide, 2, axis=1) if wide.shape[1] == 1 else wide[:, :2], np.float32)


def _peaks(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The highest true peak of each block: (blocks,)."""
    finer = Sound(samples, sample_rate).resample(sample_rate * OVERSAMPLING).samples
    blocks = -(-len(samples) // _BLOCK)
    found = np.zeros(blocks)
    for values, size in ((finer, _BLOCK * OVERSAMPLING), (samples, _BLOCK)):
        for channel in values.reshape(len(values), -1).T:
            padded = np.pad(np.abs(channel[: blocks * size]), (0, max(0, blocks * size - len(channel))))
            found = np.maximum(found, padded.reshape(blocks, size).max(axis=1))
    return found


def _gains(whole: np.ndarray, heard: np.ndarray, sample_rate: int, target: float, ceiling: float) -> np.ndarray:
    """The gain of each sample: what brings the mix to the target, less where its peaks would pass the ceiling.

    A gain that changes slowly is weighed as the sound is, near enough to be found on weighted samples.
    """
    peaks = _peaks(whole, sample_rate)
    most = 10 ** ((ceiling - _MARGIN) / 20)
    gain = target - of_weighted(heard, sample_rate)
    curve = np.ones(len(whole))
    for _ in range(_ROUNDS):
        linear = 10 ** (gain / 20)
        curve = linear * _limiter(peaks * linear, most, len(whole))
        if curve.min() == linear:
            break
        missing = target - of_weighted(heard * curve[:, None], sample_rate)
        gain += missing
        if abs(missing) < _NEAR:
            break
    return curve.astype(np.float32)


def _limiter(peaks: np.ndarray, most: float, length: int) -> np.ndarray:
    """Gains from 0 to 1 for each sample, smooth, at no peak more than `most` of it."""
    needed = np.minimum(1.0, most / np.maximum(peaks, 1e-12))
    if needed.min(initial=1.0) >= 1.0:
        return np.ones(length)
    reach = _LOOK + 1
    around = np.lib.stride_tricks.sliding_window_view(np.pad(needed, reach, constant_values=1.0), 2 * reach + 1)
    window = np.hanning(2 * _LOOK + 3)[1:-1]
    least = np.pad(around.min(axis=1), _LOOK, mode="edge")
    smooth = np.convolve(least, window / window.sum(), "valid")
    return np.interp(np.arange(length), (np.arange(len(smooth)) + 0.5) * _BLOCK, smooth)
