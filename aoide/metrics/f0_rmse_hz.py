"""How far F0 is off, in Hz: the root mean square over the frames that are voiced in both sounds.

High voices get higher values for the same error heard; `f0_rmse` in cents does not have that fault.

Unit        Hz
Range       0 Hz upwards
Better      lower
Equation    sqrt(mean((g - r)^2))
Paper       none; named in Amphion, arXiv:2312.09911.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics.align import Align
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import both_voiced, rms
from aoide.metrics.metric import Metric

METRIC = Metric(unit="Hz", better="lower", best=0.0, kind="pair", extra="metrics")


def f0_rmse_hz(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
) -> float:
    """RMSE of F0 in Hz; NaN without a voiced moment in common.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    r, g = both_voiced(first, second, tracker, floor, ceiling, align)
    return rms(g - r)
