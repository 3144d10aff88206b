"""Vibrato rate: how far the speed of the vibrato is from that of the reference.

Singers have 5 to 7 Hz. Where either sound has no vibrato there is no difference to tell: NaN. `vibrato.measure` gives
rate, extent and share of one sound.

Unit        Hz
Range       0 Hz upwards
Better      lower
Equation    |mean rate of the reference - mean rate of the generated sound|
Paper       Prame 1994, Measurements of the vibrato rate of ten singers.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics import vibrato
from aoide.metrics.analysis import TRACKER, Analysis, pair
from aoide.metrics.metric import Metric

METRIC = Metric(unit="Hz", better="lower", best=0.0, kind="pair", extra="metrics")


def vibrato_rate(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
) -> float:
    """The difference of the mean rates; NaN where one of the two has no vibrato.

    Args:
        reference, generated: sounds, see `aoide.metrics`; they need not be aligned.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
    """
    first, second = (vibrato.measure(sound, tracker).rate for sound in pair(reference, generated, sample_rate))
    return abs(first - second)
