"""WaveRNN's loop over samples, compiled by numba: what `wavernn.Loop` computes, without Python between the samples.

It is imported only where numba is installed (`pip install numba`). The first call compiles it, in some seconds;
what was compiled is kept on the disk. All arrays are float32. The weights are those of `wavernn.Loop`: (inputs,
outputs), layers of one input side by side, biases as a last row, the factors of the gates in them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_compiled = njit(fastmath=True, error_model="numpy", cache=True)

_0, _HALF, _1, _2, _QUARTER = (np.float32(number) for number in (0, 0.5, 1, 2, 0.25))
_SATURATED = np.float32(9)  # tanh of it is 1 in float32
_ABOVE = tuple(np.float32(factor) for factor in (135_135, 17_325, 378))  # Lambert's continued fraction of tanh, cut
_BELOW = tuple(np.float32(factor) for factor in (135_135, 62_370, 3_150, 28))  # after its seventh division


@_compiled
def steps(
    known: np.ndarray,
    noise: np.ndarray,
    weights: tuple[np.ndarray, ...],
    states: tuple[np.ndarray, np.ndarray],
    level: float,
    levels: np.ndarray,
    bells: int,
    floor: float,
) -> tuple[np.ndarray, float]:
    """Draws the samples of one sound, one after the other.

    Args:
        known: (samples, 6 * units + 2 * hidden), what the mel gives to the two cells, the third layer and the fourth.
        noise: (samples, draws), what draws are made of (objectives/tokens.py).
        weights: of the sample before, (6 * units + hidden,); of the first state, (units + 1, 6 * units); of the second,
            (units + 1, 3 * units); of the third layer, the fourth and the last, the latter with its biases.
        states: (units + 1,) twice, ending with a 1; moved on in place.
        level: of the sample before.
        levels: of each class; nothing for a mixture of bells, where the level is the value.
        bells: of a mixture; 0 for classes.
        floor: of the logarithm of a bell's scale.

    Returns:
        The values (samples,), classes as numbers, and the level of the last.
    """
    of_level, of_h1, of_h2, third, fourth, out = weights
    h1, h2 = states
    units, hidden = len(h1) - 1, third.shape[1]
    given = np.empty(len(of_level), np.float32)
    rest1, rest2 = np.empty(6 * units, np.float32), np.empty(3 * units, np.float32)
    x, y, scores = np.empty(hidden, np.float32), np.empty(hidden + 1, np.float32), np.empty(out.shape[1], np.float32)
    y[-1] = _1
    values = np.empty(len(known), np.float32)
    _product(h1, of_h1, rest1)
    _product(h2, of_h2, rest2)
    for now in range(len(known)):
        for i in range(len(given)):
            given[i] = known[now, i] + level * of_level[i]
        _cell(h1[:-1], given[: 3 * units], rest1)
        _product(h1, of_h1, rest1)
        for i in range(3 * units, 6 * units):
            given[i] += rest1[i]
        _cell(h2[:-1], given[3 * units :], rest2)
        _product(h2, of_h2, rest2)
        _product(h1[:-1] + h2[:-1], third, x)
        _positive(x, given[6 * units :], x)
        _product(x, fourth, y[:-1])
        _positive(y, known[now, len(given) :], y)
        _product(y, out, scores)
        values[now] = _draw(scores, noise[now], bells, floor)
        level = levels[int(values[now])] if len(levels) else values[now]
    return values, level


@_compiled
def _product(x: np.ndarray, weights: np.ndarray, result: np.ndarray) -> None:
    """result = x @ weights. Four rows at a time, since to write the result costs as much as to read a row."""
    result[:] = _0
    last = len(x) - len(x) % 4
    for k in range(0, last, 4):
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        for j in range(len(result)):
            result[j] += a * weights[k, j] + b * weights[k + 1, j] + c * weights[k + 2, j] + d * weights[k + 3, j]
    for k in range(last, len(x)):
        for j in range(len(result)):
            result[j] += x[k] * weights[k, j]


@_compiled
def _cell(state: np.ndarray, given: np.ndarray, rest: np.ndarray) -> None:
    """A GRU cell: `given` by its input, the `rest` by its state; halves of the gates are in their weights."""
    units = len(state)
    for i in range(units):
        reset = _tanh(given[i] + rest[i])
        update = _tanh(given[units + i] + rest[units + i])
        candidate = rest[2 * units + i]
        new = _tanh(given[2 * units + i] + candidate + reset * candidate)
        state[i] = _HALF * (state[i] + new + update * (state[i] - new))


@_compiled
def _positive(x: np.ndarray, known: np.ndarray, result: np.ndarray) -> None:
    """The positive part of x + known."""
    for i in range(len(known)):
        result[i] = max(x[i] + known[i], _0)


@_compiled
def _tanh(x: np.float32) -> np.float32:
    """To 4e-7: of a quarter of x by a fraction, then tanh(2 y) = 2 tanh(y) / (1 + tanh(y)^2) twice."""
    y = min(max(x, -_SATURATED), _SATURATED) * _QUARTER
    s = y * y
    above = y * (_ABOVE[0] + s * (_ABOVE[1] + s * (_ABOVE[2] + s)))
    t = above / (_BELOW[0] + s * (_BELOW[1] + s * (_BELOW[2] + s * _BELOW[3])))
    t = _2 * t / (_1 + t * t)
    return _2 * t / (_1 + t * t)


@_compiled
def _draw(scores: np.ndarray, noise: np.ndarray, bells: int, floor: float) -> np.float32:
    """What `sample` of objectives/tokens.py draws, a class or a number of a mixture of bells."""
    weights = len(scores) - 2 * bells  # a lone bell of Gauss has none
    best = 0
    for i in range(weights):
        if scores[i] + noise[i] > scores[best] + noise[best]:
            best = i
    if bells == 0:
        return np.float32(best)
    mean, scale = scores[weights + best], max(scores[weights + bells + best], np.float32(floor))
    return min(max(mean + np.exp(scale) * noise[-1], -_1), _1)
