"""Voiced or not, as a search for the voiced frames of the reference: F1, the harmonic mean of precision and recall.

Unit        none
Range       0, no voiced moment in common, to 1
Better      higher
Equation    2 tp / (2 tp + fp + fn), with tp frames voiced in both, fp in the generated, fn in the reference
            sound only
Paper       van Rijsbergen 1979, Information retrieval; for vocoders Morrison et al. 2022, arXiv:2110.10139.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics import amphion as its
from aoide.metrics.align import Align
from aoide.metrics.analysis import CEILING_HZ, FLOOR_HZ, TRACKER, Analysis, pair
from aoide.metrics.contours import contours
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="higher", best=1.0, kind="pair", extra="metrics")


def vuv_f1(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    tracker: Method = TRACKER,
    floor: float = FLOOR_HZ,
    ceiling: float = CEILING_HZ,
    align: Align = "auto",
) -> float:
    """F1 of voicing; NaN if neither sound has a voiced frame.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        tracker: finds F0, see `aoide.audio.pitch`.
        floor, ceiling: Hz, where F0 is looked for.
        align: which frames belong together, see `aoide.metrics.align`.
    """
    first, second = pair(reference, generated, sample_rate)
    r, g = contours(first, second, tracker, floor, ceiling, align)
    hits, wrong = int(((r > 0) & (g > 0)).sum()), int(((r > 0) != (g > 0)).sum())
    return 2 * hits / (2 * hits + wrong) if hits + wrong else float("nan")


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
) -> tuple[int, int, int]:
    """Amphion's counts: frames voiced in both, in the generated only, in the reference only.

    Amphion adds them up over all pairs and prints F1 = tp / (tp + (fp + fn) / 2): `amphion_f1`. DTW on F0 brings zeros
    to zeros, so that F1 is near 1 whatever was said.
    """
    found = its.f0_pair(reference, generated, sample_rate, rate, subtract_median=False)
    if min(map(len, found)) <= 1:
        return 0, 0, 0
    first, second = (hz > 0 for hz in its.sequences(*found, align))
    return int((first & second).sum()), int((~first & second).sum()), int((first & ~second).sum())


def amphion_f1(counts: Iterable[tuple[int, int, int]]) -> float:
    """The one number of a set of pairs from the counts of each; NaN where Amphion divides by zero."""
    hits, false, missed = (sum(column) for column in zip(*counts, strict=True))
    return hits / (hits + (false + missed) / 2) if hits + false + missed else float("nan")
