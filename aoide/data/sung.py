"""What a singing model reads of a score: phonemes and words in frames, notes in a row, smooth lines. Numpy alone.

Training reads it from the labels of a clip (aoide/data/singing.py), singing from a score (generate/torch_singer.py), so
both see the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from aoide.data.clips import Note
from aoide.score.score import BREATHS, SILENCES

GLIDES = {"": 0, "none": 0, "up": 1, "down": 2}
SMOOTH = 0.06  # seconds over which curves and the line of the notes are smoothed, as openvpi's voices are trained
HIGHEST = 127  # MIDI
MIDDLE = 60.0  # MIDI number where nothing says how high it is
_LITTLE = 1e-3  # seconds; a shorter rest between two notes is none


class Row(NamedTuple):
    """Notes one after the other, without gaps: rests are among them."""

    pitches: np.ndarray  # (notes,) float32 MIDI numbers; a rest has that of the nearest note
    rests: np.ndarray  # (notes,) bool
    seconds: np.ndarray  # (notes,) float64
    slurs: np.ndarray  # (notes,) bool
    glides: np.ndarray  # (notes,) int64, 0 none, 1 up, 2 down


def frames_of(seconds: Sequence[float] | np.ndarray, frame_rate: float, frames: int | None = None) -> np.ndarray:
    """Durations in frames, int64: each end is rounded, so nothing drifts.

    Args:
        frames: how many there are; what is beyond is cut, and the last lasts until the end.
    """
    ends = np.round(np.cumsum(np.asarray(seconds, np.float64)) * frame_rate).astype(np.int64)
    if frames is not None and len(ends):
        ends = np.minimum(ends, frames)
        ends[-1] = frames
    return np.diff(ends, prepend=0)


def row(notes: Sequence[Note], seconds: float, glides: Sequence[str] = ()) -> Row | None:
    """The notes of a clip with the rests between them; None where there is no note.

    Args:
        notes: in their order; where two overlap, the first ends when the second begins.
        seconds: how long the clip is.
        glides: one of GLIDES for each note; none of them = none glides.
    """
    parts: list[tuple[float, bool, float, bool, int]] = []
    now = 0.0
    kinds = [GLIDES.get(kind, 0) for kind in glides] or [0] * len(notes)
    for k, note in enumerate(notes):
        end = min(note.end, notes[k + 1].start) if k + 1 < len(notes) else min(note.end, max(seconds, note.start))
        start = max(note.start, now)
        if end - start < _LITTLE:
            continue
        if start - now > _LITTLE:
            parts.append((0.0, True, start - now, False, 0))
            now = start
        parts.append((note.midi, False, end - now, note.slur, kinds[k]))
        now = end
    if not parts:
        return None
    if seconds - now > _LITTLE:
        parts.append((0.0, True, seconds - now, False, 0))
    pitches, rests, lasting, slurs, kinds_ = (np.array(column) for column in zip(*parts, strict=True))
    return filled(Row(pitches.astype(np.float32), rests, lasting, slurs, kinds_.astype(np.int64)))


def filled(notes: Row) -> Row:
    """The row with the pitch of the nearest note, counted in notes, in its rests; MIDDLE where there is none."""
    known = np.flatnonzero(~notes.rests)
    if not len(known):
        return notes._replace(pitches=np.full(len(notes.rests), MIDDLE, np.float32))
    place = np.arange(len(notes.rests))
    nearest = known[np.abs(place[:, None] - known).argmin(axis=1)]
    return notes._replace(pitches=notes.pitches[nearest])


def words(symbols: Sequence[str], seconds: Sequence[float], notes: Row) -> np.ndarray:
    """Which word each phoneme belongs to, from 1: (tokens,) int64; for labels that do not count phonemes by words.

    A word begins with the phoneme that is nearest to the beginning of a note that is not slurred, and with each silence
    and breath; so where notes begin with vowels, consonants count with the word before, as in .ds files.
    """
    starts = np.cumsum([0.0, *seconds])[:-1]
    begins = np.cumsum(notes.seconds) - notes.seconds
    first = np.array([silent(symbol) for symbol in symbols], bool)
    voiced = np.flatnonzero(~first)
    for begin in begins[~notes.rests & ~notes.slurs]:
        if len(voiced):
            first[voiced[np.abs(starts[voiced] - begin).argmin()]] = True
    first[:1] = True
    return np.cumsum(first).astype(np.int64)


def counted(numbers: Sequence[int]) -> np.ndarray:
    """`ph_num` of a .ds file, phonemes of each word -> (tokens,) int64, which word each belongs to, from 1."""
    return np.repeat(np.arange(1, len(numbers) + 1), np.asarray(numbers, np.int64))


def silent(symbol: str) -> bool:
    """A pause or a breath, also where a language stands before it (`ja/SP`)."""
    bare = symbol.rpartition("/")[2]
    return bare in SILENCES or bare in BREATHS


def split_at_slurs(durations: np.ndarray, notes: np.ndarray, slurs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Phonemes that go on to another note, as several: for models that hear one note with each phoneme.

    Args:
        durations: (tokens,) frames.
        notes, slurs: frames of each note of the row, and which go on with the syllable before.

    Returns:
        For each part its phoneme, and how many frames it lasts; a phoneme that is not cut is one part.
    """
    cuts = (np.cumsum(notes) - notes)[slurs]
    owners, lasting = [], []
    ends = np.cumsum(durations)
    for i, (start, end) in enumerate(zip(ends - durations, ends, strict=True)):
        inside = cuts[(cuts > start) & (cuts < end)]
        edges = [start, *inside.tolist(), end]
        for a, b in pairwise(edges):
            owners.append(i)
            lasting.append(b - a)
    return np.array(owners, np.int64), np.array(lasting, np.int64)


def note_of(durations: np.ndarray, notes: np.ndarray) -> np.ndarray:
    """The note in whose time the middle of each phoneme lies: frames of both -> (tokens,) int64."""
    middles = np.cumsum(durations) - (durations + 1) // 2
    return np.minimum(np.searchsorted(np.cumsum(notes), middles, side="right"), len(notes) - 1)


# --------------------------------------------------------------------------------------------------------------- lines


def line(pitches: np.ndarray, durations: np.ndarray, frames: int, frame_rate: float) -> np.ndarray:
    """The base pitch: notes as steps, smoothed: (frames,) float32 MIDI numbers."""
    steps = np.repeat(pitches, durations)
    if not len(steps):
        return np.full(frames, MIDDLE, np.float32)
    steps = np.concatenate([steps[:frames], np.full(max(0, frames - len(steps)), steps[-1], steps.dtype)])
    return smoothed(steps, frame_rate)


def smoothed(values: np.ndarray, frame_rate: float, seconds: float = SMOOTH) -> np.ndarray:
    """A mean with the weights of half a sine, over so many seconds: (frames,) -> (frames,) float32."""
    width = round(seconds * frame_rate)
    if width < 3 or not len(values):
        return np.asarray(values, np.float32)
    kernel = np.sin(np.linspace(0, np.pi, width))
    padded = np.pad(np.asarray(values, np.float64), ((width - 1) // 2, width // 2), mode="edge")
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), "valid"), np.float32)


def midi(f0: np.ndarray) -> np.ndarray:
    """Hz, above 0 -> MIDI numbers."""
    return np.asarray(69 + 12 * np.log2(np.asarray(f0, np.float64) / 440), np.float32)


def hertz(pitch: np.ndarray) -> np.ndarray:
    """The inverse of `midi`."""
    return np.asarray(440 * 2 ** ((np.asarray(pitch, np.float64) - 69) / 12), np.float32)


def bridged(f0: np.ndarray) -> np.ndarray:
    """F0 (frames,) Hz with what is unvoiced (0) drawn through, straight in octaves; level at the ends."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return np.full(len(f0), hertz(np.array(MIDDLE)), np.float32)
    place = np.arange(len(f0))
    return np.exp(np.interp(place, voiced, np.log(f0[voiced]))).astype(np.float32)


def means(values: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """The mean of frames over each token: (frames,), (tokens,) -> (tokens,) float64; 0 for a token without frames."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.minimum(np.cumsum(durations), len(values))
    starts = np.minimum(ends, np.cumsum(durations) - durations)
    return (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)


def heights(pitch: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """The note of each phoneme, its mean pitch rounded: (tokens,) int64 MIDI numbers."""
    return np.clip(np.round(means(pitch, durations)), 0, HIGHEST).astype(np.int64)
