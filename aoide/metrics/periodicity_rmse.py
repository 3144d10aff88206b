"""How far off a sound is from being as periodic as the reference: root mean square of the difference of periodicity.

Breath and noise in the voice, the roughness of vocoders (CARGAN: Morrison et al. 2022, arXiv:2110.10139). The measure
is the tracker's own, from 0 to 1; papers on vocoders use tracker="crepe", slow without a GPU. All frames count.

Unit        none
Range       0 to 1
Better      lower
Equation    sqrt(mean over frames of (p_g - p_r)^2)
Paper       Morrison et al. 2022, CARGAN, arXiv:2110.10139.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.config import UserError, require
from aoide.metrics import amphion as its
from aoide.metrics.align import Align, at, frames
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import rms
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="lower", best=0.0, kind="pair", extra="metrics")

_SHORTEST = 0.1  # seconds, in which a tracker can tell
_BINS_TO_1500_HZ = 334  # of CREPE's 360 pitches


def periodicity_rmse(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
) -> float:
    """RMSE of periodicity; NaN if a sound is silent or shorter than a tenth of a second.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    if first.silent or second.silent or min(first.seconds, second.seconds) < _SHORTEST:
        return float("nan")
    i, j = frames(first, second, align)
    heard = [sound.f0(tracker, floor, ceiling).periodicity for sound in (first, second)]
    if heard[0] is None or heard[1] is None:
        raise UserError(f"{tracker} does not measure periodicity; swift, praat, crepe and crepe-tiny do")
    return rms(at(heard[1], j, silence=0.0) - at(heard[0], i, silence=0.0))


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
) -> float:
    """Amphion's: CREPE (full) every 256 samples, 0 where it is softer than -60 dB(A), DTW on periodicity itself.

    At other rates than 16 kHz it is resampled by soxr here, by resampy there, which moves the fourth digit.
    """
    first, second = (_crepe(sound) for sound in pair(reference, generated, sample_rate, rate))
    if min(len(first), len(second)) <= 1:
        return 0.0
    first, second = its.sequences(first, second, align)
    return rms(first - second)


def _crepe(sound: Analysis) -> np.ndarray:
    """torchcrepe.predict(fmin=0, fmax=1500, return_periodicity=True) and threshold.Silence: (frames,)."""
    return sound.keep("amphion periodicity", lambda: _periodicity(sound))


def _periodicity(sound: Analysis) -> np.ndarray:
    require("torch", "torch")
    from aoide.external import crepe

    heard = sound.at(crepe.RATE)
    hop = int(its.HOP * crepe.RATE / sound.sample_rate)
    probabilities = crepe.activations(heard.samples, np.arange(1 + len(heard.samples) // hop) * hop)
    path = crepe.viterbi(probabilities, last=_BINS_TO_1500_HZ)
    periodicity = probabilities[np.arange(len(path)), path]
    return np.where(_loudness(heard, crepe.WINDOW, hop) < -60.0, 0.0, periodicity)


def _loudness(sound: Analysis, n_fft: int, hop: int) -> np.ndarray:
    """The mean over frequencies of the A-weighted level in dB: (frames,)."""
    magnitude = sound.stft(n_fft, hop, ends="constant").astype(np.float64)
    level = 20 * np.log10(np.maximum(magnitude, 1e-5))
    level = np.maximum(level, level.max() - 80.0)
    squared = np.linspace(0.0, sound.sample_rate / 2, n_fft // 2 + 1) ** 2
    low, a, b, high = np.array([20.598997, 107.65265, 737.86223, 12194.217]) ** 2  # poles of the curve, IEC 61672
    with np.errstate(divide="ignore"):
        weight = 20 * np.log10(
            high * squared**2 / ((squared + low) * (squared + high) * np.sqrt((squared + a) * (squared + b)))
        )
    weight = np.maximum(weight + 2.0, -80.0) - 20.0
    return np.maximum(level + weight, -100.0).mean(axis=1)
