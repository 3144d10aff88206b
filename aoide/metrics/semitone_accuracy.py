"""Sung notes hit: the share of the frames voiced in the reference whose F0 rounds to the same semitone.

A frame that the generated sound leaves unvoiced is missed. For singing; an octave error is a miss (that is what tells
it from chroma accuracy). Half a semitone of error is missed from the middle of a note, less from its edge, so a good
copy of a voice that glides has some misses.

Unit        share
Range       0 to 1
Better      higher
Equation    frames with round(12 log2(g / 440)) = round(12 log2(r / 440)) / frames voiced in the reference
Paper       Poliner et al. 2007, Melody transcription from music audio (raw pitch accuracy, there within
            half a semitone).
"""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics.align import Align
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import contours
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="higher", best=1.0, kind="pair", extra="metrics")


def semitone_accuracy(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
) -> float:
    """Share of semitones hit; NaN if the reference has no voiced frame.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    r, g = contours(first, second, tracker, floor, ceiling, align)
    sung = r > 0
    if not sung.any():
        return float("nan")
    heard = np.maximum(g[sung], 1e-3)  # unvoiced: far below every note
    return float(np.mean(np.rint(12 * np.log2(r[sung] / 440)) == np.rint(12 * np.log2(heard / 440))))
