"""Dynamic time warping: the cheapest way to walk through two sequences together, exact, in bounded memory.

The costs are worked through in blocks of rows, and in each block along its anti-diagonals, whose cells do not depend on
each other. What is kept of a block is its last row; what is kept of all is one byte per cell, the step that led there.
A pair of one minute at 10 ms needs 36 MB for these and takes about a second; at 5 ms four times that.
"""

from __future__ import annotations

import numpy as np

_DIAGONAL, _ALONG_SECOND, _ALONG_FIRST = 0, 1, 2
_CELLS_AT_ONCE = 2**22  # 32 MB of costs in float64


def warp(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The path with the smallest sum of Euclidean distances from both beginnings to both ends.

    Steps: one ahead in both, in the second, or in the first; among equals the one named first is taken, as in
    librosa.sequence.dtw.

    Args:
        first, second: (frames,) or (frames, dim), each with a frame at least.

    Returns:
        Two int64 arrays (steps,), the frames of `first` and `second` that belong together, in order.
    """
    steps = np.empty((len(first), len(second)), np.uint8)
    columns = len(second)
    above = np.full(columns, np.inf)  # the sums of the row above the block
    height = max(1, _CELLS_AT_ONCE // columns)
    for row in range(0, len(first), height):
        costs = _distances(first[row : row + height], second)
        above = _block(costs, above, steps[row : row + height], begins=row == 0)
    return _back(steps)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean distances (rows, columns) float64."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    if first.ndim == 1:
        return np.abs(first[:, None] - second[None, :])
    squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None, :] - 2 * first @ second.T
    return np.sqrt(np.maximum(squared, 0.0, out=squared), out=squared)


def _block(costs: np.ndarray, above: np.ndarray, steps: np.ndarray, begins: bool) -> np.ndarray:
    """Fills `steps` (rows, columns) and returns the sums of the last row (columns,).

    The sums of an anti-diagonal are indexed by row + 1; index 0 is the row above the block.
    """
    rows, columns = costs.shape
    slanted_costs = np.empty((rows + columns - 1, rows))  # [d, i] is cell (i, d - i): an anti-diagonal is a row
    _slant(slanted_costs, columns)[:] = costs
    slanted_steps = np.empty(slanted_costs.shape, np.uint8)
    last_row = np.empty(columns)
    one, two, now = (np.full(rows + 1, np.inf) for _ in range(3))  # the anti-diagonal before, the one before that
    for d in range(rows + columns - 1):
        start, stop = max(0, d - columns + 1), min(rows, d + 1)
        one[0] = above[d] if d < columns else np.inf
        two[0] = above[d - 1] if 0 < d <= columns else (0.0 if begins and d == 0 else np.inf)
        cost, step = slanted_costs[d, start:stop], slanted_steps[d, start:stop]
        best = now[start + 1 : stop + 1]
        np.add(two[start:stop], cost, out=best)
        second = one[start + 1 : stop + 1] + cost
        first = one[start:stop] + cost
        np.less(second, best, out=step.view(bool))
        np.minimum(best, second, out=best)
        step[first < best] = _ALONG_FIRST
        np.minimum(best, first, out=best)
        if stop == rows:
            last_row[d - rows + 1] = best[-1]
        one, two, now = now, one, two
    steps[:] = _slant(slanted_steps, columns)
    return last_row


def _slant(slanted: np.ndarray, columns: int) -> np.ndarray:
    """A view (rows, columns) of `slanted` (rows + columns - 1, rows) whose element (i, j) is its element (i + j, i)."""
    down, right = slanted.strides
    return np.lib.stride_tricks.as_strided(slanted, (slanted.shape[1], columns), (down + right, down))


def _back(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the end to the beginning, along the steps that led there."""
    i, j = steps.shape[0] - 1, steps.shape[1] - 1
    path = [(i, j)]
    while i or j:
        step = steps[i, j]
        i -= step != _ALONG_SECOND
        j -= step != _ALONG_FIRST
        path.append((i, j))
    first, second = np.array(path[::-1], dtype=np.int64).T
    return first, second
