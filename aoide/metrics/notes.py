"""Notes of a singing voice: found in its F0 contour, or given by a score.

    notes = of_contour(hz, 0.01)               # F0 every 10 ms, 0 = unvoiced
    notes.onset, notes.offset, notes.hz        # (notes,) seconds, seconds, Hz

A note is a stretch of voice around one semitone. Where one ends and the next begins is the cheapest path through the
semitones: each frame costs its distance from the semitone, each change of note a fixed price. A vibrato swings back
before a change has paid for itself; a step does not. A pause of 40 ms ends a note, so that a note sung twice is two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aoide.config import UserError

_CHANGE = 4.0  # semitone-frames of 10 ms that a change of note costs
_GAP = 0.04  # seconds without voice that end a note
_SWING = 0.18  # seconds of one swing of a vibrato
_SHORTEST = 0.08  # seconds: what is shorter is a glide or a consonant


class Notes(NamedTuple):
    """(notes,) each, in order of onset."""

    onset: np.ndarray  # seconds
    offset: np.ndarray  # seconds
    hz: np.ndarray  # the middle of the F0 in the note


def of_contour(hz: np.ndarray, period: float) -> Notes:
    """Finds the notes in an F0 contour.

    Args:
        hz: (frames,) Hz, 0 = unvoiced.
        period: seconds from frame to frame.
    """
    found: list[tuple[float, float, float]] = []
    for start, end in stretches(np.asarray(hz) > 0, round(_GAP / period)):
        pitch = _semitones(np.asarray(hz[start:end], np.float64))
        # a voice may be out of tune with 440 Hz: the grid lies where this stretch, less its vibrato, is nearest to it
        tuning = np.angle(np.exp(2j * np.pi * _mean_over(pitch, round(_SWING / period))).sum()) / (2 * np.pi)
        path = _cheapest(pitch - tuning, _CHANGE * 0.01 / period)
        edges = [0, *(np.flatnonzero(np.diff(path)) + 1), len(path)]
        for first, last in zip(edges[:-1], edges[1:], strict=True):
            if (last - first) * period >= _SHORTEST:
                middle = float(np.median(pitch[first:last]))
                found.append(((start + first) * period, (start + last) * period, 440.0 * 2.0 ** ((middle - 69.0) / 12)))
    columns = np.array(found, np.float64).reshape(-1, 3).T
    return Notes(*columns)


def of_score(notes: np.ndarray) -> Notes:
    """Notes of a score.

    Args:
        notes: (notes, 3): onset and offset in seconds, MIDI number (69 = 440 Hz; fractions are allowed).

    Raises:
        UserError: another shape, or a note that ends before it begins.
    """
    table = np.asarray(notes, np.float64)
    if table.ndim != 2 or table.shape[1] != 3:
        raise UserError(f"notes are (notes, 3): onset, offset in seconds, MIDI number; got shape {table.shape}")
    if not (table[:, 1] > table[:, 0]).all() or (table[:, 0] < 0).any():
        raise UserError("a note must begin at 0 or later and end after it has begun")
    onset, offset, midi = table[np.argsort(table[:, 0], kind="stable")].T
    return Notes(onset, offset, 440.0 * 2.0 ** ((midi - 69.0) / 12))


def stretches(voiced: np.ndarray, gap: int = 1) -> list[tuple[int, int]]:
    """Where voice begins and ends, as frames [start, end); pauses shorter than `gap` frames are bridged."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]]).astype(int)))
    merged: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if merged and start - merged[-1][1] < gap:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _semitones(hz: np.ndarray) -> np.ndarray:
    """Hz -> MIDI numbers; unvoiced frames inside a stretch are interpolated."""
    at = np.flatnonzero(hz > 0)
    return np.interp(np.arange(len(hz)), at, 69.0 + 12.0 * np.log2(hz[at] / 440.0))


def _mean_over(pitch: np.ndarray, frames: int) -> np.ndarray:
    """The mean of each frame's neighbourhood, (frames,); at the ends of what there is."""
    box = np.ones(min(frames, len(pitch)))
    return np.convolve(pitch, box, mode="same") / np.convolve(np.ones_like(pitch), box, mode="same")


def _cheapest(pitch: np.ndarray, change: float) -> np.ndarray:
    """The semitone of each frame on the cheapest path (Viterbi): (frames,) -> (frames,) int."""
    low, high = int(np.floor(pitch.min())), int(np.ceil(pitch.max()))
    states = np.arange(low, high + 1)
    distance = np.abs(pitch[:, None] - states)
    cost = distance[0].copy()
    came = np.zeros(distance.shape, int)
    here = np.arange(len(states))
    for frame in range(1, len(pitch)):
        best = int(cost.argmin())
        stays = cost <= cost[best] + change
        came[frame] = np.where(stays, here, best)
        cost = np.where(stays, cost, cost[best] + change) + distance[frame]
    path = np.empty(len(pitch), int)
    path[-1] = cost.argmin()
    for frame in range(len(pitch) - 1, 0, -1):
        path[frame - 1] = came[frame, path[frame]]
    return states[path]
