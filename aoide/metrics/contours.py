"""Two F0 contours side by side: what the F0 metrics compare."""

from __future__ import annotations

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics.align import Align, at, frames
from aoide.metrics.analysis import Analysis


def contours(
    reference: Analysis, generated: Analysis, tracker: Method, floor: float, ceiling: float, align: Align
) -> tuple[np.ndarray, np.ndarray]:
    """F0 of frames that belong together, two arrays (pairs,) in Hz with 0 where unvoiced."""
    i, j = frames(reference, generated, align)
    first, second = (sound.f0(tracker, floor, ceiling).hz for sound in (reference, generated))
    return at(first, i, silence=0.0), at(second, j, silence=0.0)


def both_voiced(
    reference: Analysis, generated: Analysis, tracker: Method, floor: float, ceiling: float, align: Align
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of `contours` in which both are voiced; none if the two have no voiced moment in common."""
    first, second = contours(reference, generated, tracker, floor, ceiling, align)
    voiced = (first > 0) & (second > 0)
    return first[voiced], second[voiced]


def cents(reference: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """How much higher the generated F0 is: 1200 cents are an octave."""
    return 1200.0 * np.log2(generated / reference)


def rms(values: np.ndarray) -> float:
    """Root of the mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if len(values) else float("nan")


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation from -1 to 1; NaN with fewer than two values, or where one does not move at all."""
    if len(first) < 2:
        return float("nan")
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    # What rounding alone leaves of a constant is no movement.
    still = 1e-12 * len(first) * max(float(np.abs(first).max() * np.abs(second).max()), 1e-300)
    return float((a * b).sum() / size) if size > still else float("nan")
