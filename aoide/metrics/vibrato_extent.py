"""Vibrato extent: how far the depth of the vibrato is from that of the reference.

Singers have 50 to 100 cents to each side. Where either sound has no vibrato there is no difference to tell: NaN.
`vibrato.measure` gives rate, extent and share of one sound.

Unit        cents
Range       0 cents upwards
Better      lower
Equation    |mean extent of the reference - mean extent of the generated sound|
Paper       Prame 1997, Vibrato extent and intonation in professional Western lyric singing.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics import vibrato
from aoide.metrics.analysis import TRACKER, Analysis, pair
from aoide.metrics.metric import Metric

METRIC = Metric(unit="cents", better="lower", best=0.0, kind="pair", extra="metrics")


def vibrato_extent(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
) -> float:
    """The difference of the mean extents; NaN where one of the two has no vibrato.

    Args:
        reference, generated: sounds, see `aoide.metrics`; they need not be aligned.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
    """
    first, second = (vibrato.measure(sound, tracker).extent for sound in pair(reference, generated, sample_rate))
    return abs(first - second)
