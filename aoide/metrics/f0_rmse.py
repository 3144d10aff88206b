"""How far F0 is off, in cents: the root mean square over the frames that are voiced in both sounds.

A semitone is 100 cents, an octave 1200. Octave errors and transposition count in full; what is voiced in one sound only
is `vuv_error`.

Unit        cents
Range       0 to thousands of cents; good copies have below 50
Better      lower
Equation    sqrt(mean((1200 log2(g / r))^2))
Paper       none; the cent is Ellis's, 1885, On the musical scales of various nations.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics import amphion as its
from aoide.metrics.align import Align
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import both_voiced, cents, rms
from aoide.metrics.metric import Metric

METRIC = Metric(unit="cents", better="lower", best=0.0, kind="pair", extra="metrics")


def f0_rmse(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
) -> float:
    """RMSE of F0 in cents; NaN without a voiced moment in common.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    return rms(cents(*both_voiced(first, second, tracker, floor, ceiling, align)))


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
    subtract_median: bool = True,
) -> float:
    """Amphion's F0RMSE: cents from each sound's own median, or Hz with zeros for unvoiced frames.

    A transposed sound is perfect, so is one without voice, and DTW on F0 lets an octave cost 1.7 cents.
    """
    found = its.f0_pair(reference, generated, sample_rate, rate, subtract_median)
    if min(map(len, found)) <= 1:
        return 0.0
    first, second = its.sequences(*found, align)
    return rms(first - second)
