"""What Amphion's metrics have in common, faults included (open-mmlab/Amphion@d3de90f, evaluation/metrics).

A metric's function `amphion` gives the number that Amphion would print, to compare with papers that print those:

    Everything is resampled to 22,050 Hz unless a rate is given (`rate`); F0 is Praat's at 256 samples.
    dtw aligns two sequences by the very values that are compared, which hides errors; cut drops what is longer.
    A missing value becomes a perfect score.

tests/parity/test_metrics.py compares with numbers that Amphion's own code gave.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.config import UserError, require
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.warp import warp

Align = Literal["dtw", "cut"]

RATE = 22050  # Hz, of librosa.load without a rate
HOP = 256  # samples, whatever the rate


def sequences(first: np.ndarray, second: np.ndarray, align: Align) -> tuple[np.ndarray, np.ndarray]:
    """Two sequences brought to one length, by DTW on themselves or by cutting."""
    if align == "dtw" and min(len(first), len(second)):
        i, j = warp(first, second)
        return first[i], second[j]
    length = min(len(first), len(second))
    return first[:length], second[:length]


def samples(
    reference: np.ndarray | Analysis, generated: np.ndarray | Analysis, sample_rate: int | None, rate: int, align: Align
) -> tuple[Analysis, Analysis]:
    """Both sounds at `rate`, equally long.

    Raises:
        UserError: they are not, and the samples should be aligned by DTW: Amphion then needs 8 bytes for every pair of
            samples, 390 GB for 10 s, and fails.
    """
    first, second = pair(reference, generated, sample_rate, rate)
    if len(first.samples) != len(second.samples) and align == "dtw":
        raise UserError(
            f"the sounds have {len(first.samples)} and {len(second.samples)} samples, which Amphion aligns by DTW on "
            "samples and runs out of memory: ask for align='cut'"
        )
    length = min(len(first.samples), len(second.samples))
    return first.lasting(length), second.lasting(length)


def f0(sound: Analysis) -> np.ndarray:
    """Praat's F0 (frames,) Hz, 0 = unvoiced, on Praat's own frames."""
    return sound.keep("amphion f0", lambda: _praat(sound))


def _praat(sound: Analysis) -> np.ndarray:
    parselmouth = require("parselmouth", "praat")
    if sound.seconds <= 3 / 50:  # Praat wants three of the longest periods; Amphion ends here with its error
        return np.zeros(0)
    pitch = parselmouth.Sound(sound.samples, sound.sample_rate).to_pitch_ac(
        time_step=HOP / sound.sample_rate, voicing_threshold=0.6, pitch_floor=50.0, pitch_ceiling=1100.0
    )
    return pitch.selected_array["frequency"]


def f0_pair(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None,
    rate: int,
    subtract_median: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """F0 of both, not aligned yet.

    Args:
        subtract_median: cents above the sound's own median without the unvoiced frames, so the time axis is lost, too;
            otherwise Hz with zeros for unvoiced frames.
    """
    found = [f0(sound) for sound in pair(reference, generated, sample_rate, rate)]
    if subtract_median:
        found = [1200 * np.log2(hz[hz > 0] / 440) for hz in found]
        found = [cents - np.median(cents) if len(cents) else cents for cents in found]
    return found[0], found[1]


def energy(sound: Analysis, decibel: bool = True) -> np.ndarray:
    """Length of each spectrum (1 + samples // 256,), in dB without a floor: digital silence is -inf."""
    spectrum = sound.stft(1024, HOP, ends="constant")
    length = np.sqrt((spectrum.astype(np.float64) ** 2).sum(axis=1))
    if not decibel:
        return length
    with np.errstate(divide="ignore"):
        return 20 * np.log10(length)
