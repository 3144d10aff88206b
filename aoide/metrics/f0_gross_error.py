"""Gross pitch error: the share of frames, voiced in both sounds, whose F0 is off by more than a fifth.

Octave errors and a tracker that follows a wrong partial; what is finer is `f0_rmse`'s (Rabiner et al. 1976).

Unit        share
Range       0 to 1
Better      lower
Equation    frames with |g / r - 1| > 0.2 / frames voiced in both
Paper       Rabiner, Cheng, Rosenberg, McGonegal 1976, A comparative performance study of several pitch
            detection algorithms.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics.align import Align
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import both_voiced
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="lower", best=0.0, kind="pair", extra="metrics")


def f0_gross_error(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
    threshold: float = 0.2,
) -> float:
    """Share of frames with a gross error; NaN without a voiced moment in common.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
        threshold: relative error from which an error is gross.
    """
    first, second = pair(reference, generated, sample_rate)
    r, g = both_voiced(first, second, tracker, floor, ceiling, align)
    return float(np.mean(np.abs(g / r - 1) > threshold)) if len(r) else float("nan")
