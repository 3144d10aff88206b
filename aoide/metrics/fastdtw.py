"""FastDTW (Salvador & Chan 2007), the approximation of dynamic time warping that `pymcd` uses, for Amphion's MCD.

The sequences are halved until they are tiny, aligned, and each path is widened by one cell to be the corridor of the
next finer level. `warp.warp` is exact and faster; this is here for its number.
"""

from __future__ import annotations

import numpy as np

_RADIUS = 1
_SHORTEST = _RADIUS + 2  # frames: what is shorter is aligned exactly


def fastdtw(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The path through two sequences (frames, dim) by Euclidean distance: two int64 arrays (steps,)."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    if min(len(first), len(second)) < _SHORTEST:
        whole = np.tile([0, len(second)], (len(first), 1))
        return _align(first, second, whole)
    path = fastdtw(_halved(first), _halved(second))
    return _align(first, second, _corridor(*path, len(first), len(second)))


def _halved(frames: np.ndarray) -> np.ndarray:
    even = len(frames) - len(frames) % 2
    return (frames[:even:2] + frames[1:even:2]) / 2


def _corridor(i: np.ndarray, j: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """From the path of the coarser level: the first column of each row, and the one after the last: (rows, 2)."""
    coarse = int(i[-1]) + 1
    low, high = np.full(coarse, columns), np.zeros(coarse, int)
    np.minimum.at(low, i, j)
    np.maximum.at(high, i, j)
    near = np.arange(coarse + _RADIUS)
    low = np.maximum(low[np.clip(near - _RADIUS, 0, coarse - 1)] - _RADIUS, 0)
    high = high[np.minimum(near + _RADIUS, coarse - 1)] + _RADIUS
    corridor = np.stack([2 * low, np.minimum(2 * high + 2, columns)], axis=1)
    return np.repeat(corridor, 2, axis=0)[:rows]


def _align(first: np.ndarray, second: np.ndarray, corridor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dynamic time warping in a corridor. Among equals: a step in both, then in the second, then in the first."""
    nothing = float("inf")
    above: dict[int, float] = {-1: 0.0}  # the sums of the row above, by column
    steps: list[list[int]] = []
    for row, (start, stop) in enumerate(corridor.tolist()):
        costs = np.sqrt(((first[row] - second[start:stop]) ** 2).sum(axis=1)).tolist()
        here: dict[int, float] = {}
        left, row_steps = nothing, []
        for column, cost in enumerate(costs, start=start):
            both, up = above.get(column - 1, nothing), above.get(column, nothing)
            if up < left and up < both:
                left, step = up + cost, 2
            elif left < both:
                left, step = left + cost, 1
            else:
                left, step = both + cost, 0
            here[column] = left
            row_steps.append(step)
        above = here
        steps.append(row_steps)
    path = [(len(first) - 1, len(second) - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        step = steps[i][j - int(corridor[i, 0])]
        path.append((i - (step != 1), j - (step != 2)))
    i_path, j_path = np.array(path[::-1], dtype=np.int64).T
    return i_path, j_path
