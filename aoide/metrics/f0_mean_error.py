"""How far the register is off, in cents: the difference of the mean log F0 over the frames voiced in both sounds.

The part of `f0_rmse` that transposing the whole would mend.

Unit        cents
Range       0 cents upwards
Better      lower
Equation    |mean(1200 log2(g / r))|
Paper       none; the cent is Ellis's, 1885, On the musical scales of various nations.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics.align import Align
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import both_voiced, cents
from aoide.metrics.metric import Metric

METRIC = Metric(unit="cents", better="lower", best=0.0, kind="pair", extra="metrics")


def f0_mean_error(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
) -> float:
    """Distance of the mean F0 in cents, without sign; NaN without a voiced moment in common.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    difference = cents(*both_voiced(first, second, tracker, floor, ceiling, align))
    return float(abs(difference.mean())) if len(difference) else float("nan")
