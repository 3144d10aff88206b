"""How alike loudness moves in the two sounds: Pearson correlation of the level in dB.

The level is the root mean square of 40 ms in dB of full scale, not below -60 dB. Gain does not matter, as long as it
does not push quiet moments below that.

Unit        none
Range       -1 to 1, the same rise and fall
Better      higher
Equation    cov(R, G) / (std(R) std(G)), R and G the levels in dB of all frames
Paper       Pearson 1895, Note on regression and inheritance in the case of two parents.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import amphion as its
from aoide.metrics.align import Align, at, frames
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.contours import pearson
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="higher", best=1.0, kind="pair")


def energy_pearson(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    floor: float = -60.0,
    align: Align = "auto",
) -> float:
    """Correlation of the level in dB; NaN if a sound is silent, or its level never moves.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        floor: dB of full scale, below which everything is equally silent.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    if first.silent or second.silent:
        return float("nan")
    i, j = frames(first, second, align)
    return pearson(at(first.energy(floor=floor), i, floor), at(second.energy(floor=floor), j, floor))


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
    decibel: bool = True,
) -> float:
    """Amphion's: of the length of spectra, without a floor, aligned by DTW on the level itself.

    Half the gain costs a tenth of the correlation, digital silence gives NaN and the pair is dropped.
    """
    first, second = (its.energy(sound, decibel) for sound in pair(reference, generated, sample_rate, rate))
    first, second = its.sequences(first, second, align)
    with np.errstate(invalid="ignore"):
        return pearson(first, second)
