"""Long sound in constant memory: a network that hears only so far is run on pieces with that much more on both sides.

    for piece in in_chunks(rows, step, size=200, context=30): ...

What is cut off again at both sides of a piece is all that the cut could have changed, so the pieces put together equal
what `step` makes of the whole. Only numpy; the network may be of any kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np


def in_chunks(
    blocks: Iterable[np.ndarray], step: Callable[[np.ndarray], np.ndarray], size: int, context: int
) -> Iterator[np.ndarray]:
    """Runs `step` on `size` rows at a time.

    Args:
        blocks: arrays (rows, ...) of any number of rows; together the whole.
        step: (rows, ...) -> (rows * n, ...) for some n.
        size: rows that are new in each call.
        context: rows before and after a row on which its result depends.

    Yields:
        Results of consecutive rows, of the whole in the end.
    """
    held: np.ndarray | None = None
    before = 0  # rows at the beginning of `held` that are done, and only context
    for block in blocks:
        held = block if held is None else np.concatenate([held, block])
        while len(held) > before + size + context:  # more than that: so the last call has something new
            yield _run(step, held[: before + size + context], before, before + size)
            past = max(0, before + size - context)
            held, before = held[past:], before + size - past
    if held is not None and len(held) > before:
        yield _run(step, held, before, len(held))


def _run(step: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, start: int, stop: int) -> np.ndarray:
    result = step(rows)
    scale = len(result) // len(rows)
    return result[start * scale : stop * scale]


def in_rows(blocks: Iterable[np.ndarray], hop: int) -> Iterator[np.ndarray]:
    """Samples (samples,) in blocks of any length -> rows (frames, hop); silence fills the last row."""
    rest = np.zeros(0, np.float32)
    for block in blocks:
        samples = np.concatenate([rest, block])
        full = len(samples) // hop * hop
        rest = samples[full:]
        if full:
            yield samples[:full].reshape(-1, hop)
    if len(rest):
        yield np.pad(rest, (0, hop - len(rest)))[None]
