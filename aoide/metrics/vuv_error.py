"""Voiced or not, decided wrongly: the share of frames in which one sound is voiced and the other is not.

Unit        share
Range       0 to 1
Better      lower
Equation    frames voiced in one of the two / all frames
Paper       Chu & Alwan 2009, Reducing F0 frame error of F0 tracking algorithms under noisy conditions.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics.align import Align
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import contours
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="lower", best=0.0, kind="pair", extra="metrics")


def vuv_error(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
) -> float:
    """Share of frames with the wrong decision; NaN if neither sound has a voiced frame.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    r, g = contours(first, second, tracker, floor, ceiling, align)
    if not (r > 0).any() and not (g > 0).any():
        return float("nan")
    return float(np.mean((r > 0) != (g > 0)))
