"""How far the loudness of each moment is off, in dB: root mean square of the difference of level.

The level is the root mean square of 40 ms in dB of full scale, not below -60 dB: pauses are as loud as a quiet room, be
they digital silence or faint noise. Half the gain is 6.02 dB. Signals whose gain does not matter: `energy_pearson`.

Unit        dB
Range       0 dB upwards
Better      lower
Equation    sqrt(mean over frames of (R - G)^2), R and G the levels in dB
Paper       none; as Amphion (arXiv:2312.09911) names it, with the level in dB.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import amphion as its
from aoide.metrics.align import Align, at, frames
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.contours import rms
from aoide.metrics.metric import Metric

METRIC = Metric(unit="dB", better="lower", best=0.0, kind="pair")


def energy_rmse(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    floor: float = -60.0,
    align: Align = "auto",
) -> float:
    """RMSE of the level in dB; NaN if both sounds are silent.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        floor: dB of full scale, below which everything is equally silent.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    if first.silent and second.silent:
        return float("nan")
    i, j = frames(first, second, align)
    return rms(at(second.energy(floor=floor), j, floor) - at(first.energy(floor=floor), i, floor))


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
    decibel: bool = True,
) -> float:
    """Amphion's: of the length of spectra, without a floor, so that digital silence gives NaN and the pair is dropped.

    DTW on the level lets half the gain cost 3.6 dB instead of 6.02.
    """
    first, second = (its.energy(sound, decibel) for sound in pair(reference, generated, sample_rate, rate))
    first, second = its.sequences(first, second, align)
    with np.errstate(invalid="ignore"):
        return rms(first - second)
