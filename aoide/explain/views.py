"""What the views show, as numbers: paths through hidden states, curves over the steps, where in time an error sits.

Everything here is numpy, takes arrays and gives arrays; nothing knows of files or pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

CEPSTRA = 13  # of a mel-cepstral distance, without the first, which is loudness
DECIBEL = 20 / np.log(10)  # of a difference of natural logarithms of magnitudes
MCD = 10 / np.log(10) * np.sqrt(2)  # of a distance of cepstra of natural logarithms (Kubichek 1993)


def first_item(value: Any, dtype: type) -> np.ndarray:
    """The first item of a batch, tensor or array, as numpy."""
    if not hasattr(value, "detach"):
        return np.array(np.asarray(value)[0], dtype)
    item = value.detach()[0]
    item = item.half() if dtype is np.float16 else item.float()  # torch halves eight times as fast as numpy
    return item.to("cpu", copy=True).numpy()


def plain(value: Any) -> np.ndarray:
    """A tensor or an array as numpy."""
    if hasattr(value, "detach"):
        value = value.detach().to("cpu")
        value = value.float() if value.is_floating_point() else value
        return value.numpy()
    return np.asarray(value)


# ---------------------------------------------------------------------------------------------------------- made small


def pooled(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A matrix (..., rows, columns) with no more rows and columns than these: means of what falls together."""
    for axis, most in ((-2, rows), (-1, columns)):
        size = matrix.shape[axis]
        if size > most:
            starts = np.arange(most) * size // most
            counts = np.diff(np.append(starts, size))
            shape = (-1, 1) if axis == -2 else (-1,)
            matrix = np.add.reduceat(matrix, starts, axis=axis) / counts.reshape(shape)
    return matrix


def shrunk_attention(value: Any, heads: int, side: int) -> np.ndarray:
    """(batch, heads, queries, keys) -> (heads, queries, keys) float16 of the first item, few and small."""
    if hasattr(value, "detach"):
        from torch.nn import functional

        kept = value.detach()[0, :heads].float()
        sizes = (min(kept.shape[1], side), min(kept.shape[2], side))
        small = functional.adaptive_avg_pool2d(kept, sizes) if sizes != tuple(kept.shape[1:]) else kept
        return small.to("cpu").half().numpy()
    return pooled(np.asarray(value)[0, :heads].astype(np.float32), side, side).astype(np.float16)


def certainty(scores: Any, token: int) -> np.ndarray:
    """Scores (vocabulary,) of what comes next -> (token, its chance, the entropy in bits)."""
    logits = plain(scores).astype(np.float64).ravel()
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    known = shares[shares > 0]
    return np.array([token, shares[token], -(known * np.log2(known)).sum()], np.float64)


def thinned(count: int, most: int, lengths: np.ndarray | None = None) -> list[int]:
    """Which `most` of `count` steps are kept: both ends, and between them those at equal distances.

    Args:
        lengths: (count - 1,) how far each step moves; steps are then apart by as much change, not by as many steps.
    """
    if count <= most:
        return list(range(count))
    way = np.arange(count, dtype=float)
    if lengths is not None and lengths.sum() > 0:
        even = np.arange(count) / (count - 1)
        way = np.append(0.0, np.cumsum(lengths)) / lengths.sum() + even  # half by change, half by number
    marks = np.linspace(way[0], way[-1], most)
    found = {int(np.argmin(np.abs(way - mark))) for mark in marks} | {0, count - 1}
    return sorted(found)


# ----------------------------------------------------------------------------------------------------------------- path


class Path(NamedTuple):
    """Points (count, 2), between -1 and 1, and the shares of the variance that the two axes hold."""

    points: np.ndarray
    shares: tuple[float, float]


def path(states: np.ndarray) -> Path:
    """The two directions in which states (count, dim) differ most: principal components (Pearson 1901)."""
    states = np.asarray(states, np.float64)
    middle = states - states.mean(0)
    if len(states) < 2 or not np.abs(middle).max():
        return Path(np.zeros((len(states), 2), np.float32), (0.0, 0.0))
    left, sizes, right = np.linalg.svd(middle, full_matrices=False)
    count = min(2, len(sizes))
    points = np.zeros((len(states), 2))
    points[:, :count] = left[:, :count] * sizes[:count]
    for axis in range(count):  # the sign of a component is free: what it weighs most points up
        points[:, axis] *= np.sign(right[axis][np.argmax(np.abs(right[axis]))]) or 1.0
    power = np.append(np.square(sizes), 0.0)
    points /= np.abs(points).max() or 1.0
    return Path(points.astype(np.float32), (float(power[0] / power.sum()), float(power[1] / power.sum())))


def coarse(pictures: np.ndarray, columns: int = 64, rows: int = 40) -> np.ndarray:
    """Pictures (steps, frames, bands) as one vector each, for `path`."""
    return np.stack([pooled(picture.T.astype(np.float32), rows, columns).ravel() for picture in pictures])


# -------------------------------------------------------------------------------------------------------------- metrics


def distance(mels: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """How far log mels (steps, frames, mels) are from (frames, mels), in dB: root mean squares (steps,)."""
    return DECIBEL * np.sqrt(np.square(mels - goal, dtype=np.float64).mean((1, 2)))


def cepstral(mels: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Mel-cepstral distances in dB (steps,), from the cepstra of log mels, frame by frame without alignment."""
    bands = mels.shape[-1]
    order = min(CEPSTRA, bands - 1)
    angles = np.pi / bands * (np.arange(bands) + 0.5)
    basis = np.cos(np.outer(angles, np.arange(1, order + 1))) * (2 / bands)
    differences = (mels - goal).astype(np.float64) @ basis / 2
    return MCD * np.sqrt(np.square(differences).sum(-1)).mean(-1)


def error_map(pictures: np.ndarray, goal: np.ndarray, columns: int = 400) -> np.ndarray:
    """Where in time each step is off: (steps, up to `columns`) root mean squares over the bands."""
    squares = np.square(pictures - goal, dtype=np.float32).mean(-1)
    return np.sqrt(pooled(squares, len(squares), columns))


def moved(pictures: np.ndarray) -> np.ndarray:
    """How far each step moves from the one before: (steps - 1,) root mean squares."""
    return np.array(
        [np.sqrt(np.square(b - a, dtype=np.float32).mean()) for a, b in zip(pictures, pictures[1:], strict=False)]
    )


def f0_differences(ours: np.ndarray, goal: np.ndarray) -> tuple[float | None, float | None, float]:
    """Root mean square in cents, Pearson's correlation, and the share of frames that differ in being voiced.

    The first two are None where too few frames are voiced in both.
    """
    frames = min(len(ours), len(goal))
    ours, goal = ours[:frames], goal[:frames]
    both = (ours > 0) & (goal > 0)
    voicing = float(np.mean((ours > 0) != (goal > 0))) if frames else 0.0
    if both.sum() < max(3, 0.05 * frames):  # what a tracker finds in noise is no melody
        return None, None, voicing
    cents = 1200 * np.log2(ours[both] / goal[both])
    a, b = np.log2(ours[both]), np.log2(goal[both])
    spread = a.std() * b.std()
    correlation = float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else None
    return float(np.sqrt(np.square(cents).mean())), correlation, voicing


# ------------------------------------------------------------------------------------------------------------ the rest


def affine(x: np.ndarray, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The slope and the offset (bands,) with which x (frames, bands) becomes a mel; None where it does not.

    A sampler works on normalised mels, which are a line of the log mel in every band, so the last step and the mel that
    came out of it tell the line. Clipped and masked frames are left out.
    """
    if x.shape != mel.shape or len(x) < 3:
        return None
    x, mel = x.astype(np.float64), mel.astype(np.float64)
    rises = np.concatenate([(mel - np.roll(mel, by, 0)) / _apart(x - np.roll(x, by, 0)) for by in (1, 3, 7)])
    slope = np.median(rises, axis=0)  # of pairs of frames, most of which are neither clipped nor masked (Theil 1950)
    offset = np.median(mel - slope * x, axis=0)
    for near in (0.1, 0.01):
        weight = (np.abs(slope * x + offset - mel) < near * mel.std() + 1e-6).astype(float)
        total = weight.sum(0) + 1e-12
        mean_x, mean_y = (weight * x).sum(0) / total, (weight * mel).sum(0) / total
        spread = (weight * np.square(x - mean_x)).sum(0)
        slope = (weight * (x - mean_x) * (mel - mean_y)).sum(0) / np.maximum(spread, 1e-9)
        offset = mean_y - slope * mean_x
    still = spread < 1e-3 * (np.median(spread) + 1e-12)  # bands in which nothing happens take the line of the others
    if still.any() and not still.all():
        slope[still] = np.median(slope[~still])
        offset[still] = np.median(mel - slope * x, axis=0)[still]
    off = np.abs(slope * x + offset - mel)
    if np.median(off) > 0.02 * (mel.std() + 1e-9) or np.any(slope <= 0):
        return None
    return slope.astype(np.float32), offset.astype(np.float32)


def _apart(differences: np.ndarray) -> np.ndarray:
    """Differences that can be divided by."""
    return np.where(np.abs(differences) < 1e-9, 1e-9, differences)


def in_order(numbers: Sequence[int]) -> list[list[int]]:
    """Indices of reports in runs of a sampler: a new one begins where the step numbers start over.

    Samplers count up or down; a number that has been seen begins a new run.
    """
    runs: list[list[int]] = []
    seen: set[int] = set()
    for index, number in enumerate(numbers):
        if not runs or number in seen:
            runs.append([])
            seen = set()
        runs[-1].append(index)
        seen.add(number)
    return runs


def code_use(codes: np.ndarray, size: int) -> dict[str, list[float]]:
    """Of codes (frames, codebooks): the share of each codebook that is used, and its perplexity."""
    used, perplexity = [], []
    for column in codes.T:
        counts = np.bincount(column.astype(np.int64), minlength=size).astype(float)
        shares = counts[counts > 0] / max(counts.sum(), 1.0)
        used.append(round(len(shares) / size, 5))
        perplexity.append(round(float(np.exp(-(shares * np.log(shares)).sum())), 2))
    return {"used": used, "perplexity": perplexity}


def per_token(values: np.ndarray, durations: np.ndarray, above: float | None = None) -> np.ndarray:
    """The mean of values (frames,) over the frames of each token (tokens,); NaN where there are none.

    Args:
        above: only values above this count, as of F0, where 0 is unvoiced.
    """
    means = np.full(len(durations), np.nan)
    end = np.minimum(np.cumsum(durations), len(values))
    for token, (start, stop) in enumerate(zip(np.append(0, end[:-1]), end, strict=True)):
        own = values[start:stop]
        own = own if above is None else own[own > above]
        if len(own):
            means[token] = own.mean()
    return means
