"""How sure a mean is, and whether two systems differ: by resampling, without assuming how values are distributed.

A statistic here is sum(values) / sum(weights) over the files: the mean where every weight is 1, the error rate of a
corpus where values are edits and weights are words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
_PERMUTATIONS = 9999
_EXACT = 13  # pairs up to which all 2^n signs are tried
_AT_ONCE = 4_000_000  # random numbers in memory


class Interval(NamedTuple):
    """A statistic and its 95 % interval; NaN where there is nothing to tell it from."""

    value: float
    low: float
    high: float


def interval(values: np.ndarray, weights: np.ndarray | None = None, seed: int = 0) -> Interval:
    """The statistic with its percentile bootstrap interval (Efron 1979), files drawn with replacement.

    Args:
        values: (files,) finite.
        weights: (files,); None: the mean.
        seed: of the draws; the same seed gives the same interval.
    """
    weights = np.ones(len(values)) if weights is None else weights
    if len(values) == 0 or weights.sum() == 0:
        return Interval(*[float("nan")] * 3)
    value = float(values.sum() / weights.sum())
    if len(values) == 1:
        return Interval(value, float("nan"), float("nan"))
    generator = np.random.default_rng(seed)
    drawn = []
    rows = max(1, _AT_ONCE // len(values))
    for start in range(0, RESAMPLES, rows):
        chosen = generator.integers(0, len(values), (min(rows, RESAMPLES - start), len(values)))
        below = weights[chosen].sum(axis=1)
        above = values[chosen].sum(axis=1)
        drawn.append(np.divide(above, below, out=np.full(len(below), value), where=below > 0))
    low, high = np.percentile(np.concatenate(drawn), (2.5, 97.5))
    return Interval(value, float(low), float(high))


class Difference(NamedTuple):
    """How much more the first system has than the second, with a 95 % interval and a two-sided p."""

    value: float
    low: float
    high: float
    p: float
    n: int


def difference(first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None, seed: int = 0) -> Difference:
    """Two systems on the same files: paired bootstrap interval, and a paired permutation test.

    The test flips which system a file's two values belong to (Fisher 1935): all ways for a few files, 9,999 random ones
    otherwise, so the smallest p is 1e-4.

    Args:
        first, second: (files,) finite, of the same files.
        weights: (files,), common to both.
    """
    weights = np.ones(len(first)) if weights is None else weights
    gaps = first - second
    found = interval(gaps, weights, seed)
    return Difference(*found, p=_flipped(gaps, seed), n=len(gaps))


def _flipped(gaps: np.ndarray, seed: int) -> float:
    """The share of sign flips whose sum is at least as far from 0 as the one that was seen."""
    if len(gaps) < 2:
        return float("nan")
    seen = abs(gaps.sum()) - 1e-9 * np.abs(gaps).sum()  # what rounding takes
    if len(gaps) <= _EXACT:
        bits = (np.arange(2 ** len(gaps))[:, None] >> np.arange(len(gaps))) & 1
        return float((np.abs((1 - 2 * bits) @ gaps) >= seen).mean())
    generator = np.random.default_rng(seed)
    count, rows = 0, max(1, _AT_ONCE // len(gaps))
    for start in range(0, _PERMUTATIONS, rows):
        signs = generator.integers(0, 2, (min(rows, _PERMUTATIONS - start), len(gaps)), dtype=np.int8)
        count += int((np.abs((1 - 2 * signs) @ gaps) >= seen).sum())
    return (count + 1) / (_PERMUTATIONS + 1)


def holm(p: list[float]) -> list[float]:
    """p values of several tests, corrected for their number (Holm 1979); NaN stays NaN."""
    order = sorted((i for i in range(len(p)) if p[i] == p[i]), key=lambda i: p[i])
    corrected, largest = list(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, p[i] * (len(order) - rank)))
        corrected[i] = largest
    return corrected
