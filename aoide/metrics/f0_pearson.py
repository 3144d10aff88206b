"""How alike the two F0 contours move: Pearson correlation (FPC) over the frames that are voiced in both sounds.

Of log F0, so that a transposed melody stays perfectly correlated. It says nothing of the right height: see `f0_rmse`.

Unit        none
Range       -1, the mirrored contour, to 1, the same contour
Better      higher
Equation    cov(r, g) / (std(r) std(g)), r and g log F0 of the frames voiced in both
Paper       Pearson 1895, Note on regression and inheritance in the case of two parents.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics import amphion as its
from aoide.metrics.align import Align
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import both_voiced, pearson
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="higher", best=1.0, kind="pair", extra="metrics")


def f0_pearson(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
) -> float:
    """Correlation of log F0; NaN where fewer than two frames are voiced in both, or F0 does not move.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    r, g = both_voiced(first, second, tracker, floor, ceiling, align)
    return pearson(np.log2(r), np.log2(g))


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
    subtract_median: bool = True,
) -> float:
    """Amphion's FPC: of cents without the unvoiced frames, so the time axis is lost, or of Hz with zeros for unvoiced.

    DTW on F0 lets a wrong contour score 0.93; a sound without voice scores 1.
    """
    found = its.f0_pair(reference, generated, sample_rate, rate, subtract_median)
    if min(map(len, found)) <= 1:
        return 1.0
    return pearson(*its.sequences(*found, align))
