"""A score as models see it: one value for each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from aoide.config import UserError, near
from aoide.score.score import Phoneme, Score


class Frames(NamedTuple):
    """All but `durations` and `tokens` have one value a frame; frame i is about (i + 0.5) / frame_rate seconds."""

    pitch: np.ndarray  # (frames,) float32, MIDI numbers with cents; 0 where nothing is sung
    note: np.ndarray  # (frames,) int64, places in Score.notes; -1 where nothing is sung
    phoneme: np.ndarray  # (frames,) int64, places in `phonemes`; -1 before, between and after them
    tokens: np.ndarray  # (phonemes,) int64, by `symbols`; their places if there are none
    durations: np.ndarray  # (phonemes,) int64, frames of each phoneme
    curves: dict[str, np.ndarray]  # each (frames,) float32


def to_frames(
    score: Score,
    frame_rate: float,
    *,
    phonemes: Sequence[Phoneme] | None = None,
    symbols: Mapping[str, int] | None = None,
    frames: int | None = None,
) -> Frames:
    """The score on a grid of `frame_rate` frames a second.

    Boundaries are rounded one by one, so nothing drifts: a phoneme that ends at t seconds ends at frame
    round(t * frame_rate), however many came before it.

    Args:
        phonemes: with times, as `aoide.text.lyrics.plan` gives them; None: those of the score.
        symbols: the number of each phoneme's symbol.
        frames: how many; None: as many as the score and its phonemes need.

    Raises:
        UserError: a phoneme that `symbols` does not have (names the near ones), or one that ends before it begins.
    """
    said = score.phonemes if phonemes is None else phonemes
    seconds = max(score.end, max((p.end for p in said), default=0.0))
    count = int(round(seconds * frame_rate)) if frames is None else frames
    pitch, note = _notes(score, frame_rate, count)
    phoneme = np.full(count, -1, np.int64)
    durations = np.zeros(len(said), np.int64)
    for i, p in enumerate(said):
        start, end = round(p.start * frame_rate), round(p.end * frame_rate)
        if p.end < p.start:
            raise UserError(f"the phoneme {p.symbol} at {p.start:.3f} s ends before it begins")
        phoneme[max(start, 0) : max(end, 0)] = i
        durations[i] = end - start
    tokens = np.arange(len(said)) if symbols is None else np.array([_number(p, symbols) for p in said], np.int64)
    centres = (np.arange(count) + 0.5) / frame_rate
    curves: dict[str, np.ndarray] = {}
    for curve in score.curves:
        inside = (centres >= curve.start) & (centres < curve.end)
        values = curves.setdefault(curve.name, np.zeros(count, np.float32))
        values[inside] = curve.at(centres[inside])
    return Frames(pitch, note, phoneme, tokens, durations, curves)


def _notes(score: Score, frame_rate: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    pitch, place = np.zeros(count, np.float32), np.full(count, -1, np.int64)
    for i, note in enumerate(score.notes):
        start, end = (max(0, round(score.seconds(tick) * frame_rate)) for tick in (note.start, note.end))
        pitch[start:end] = note.pitch + note.cents / 100 if note.sung and note.pitch is not None else 0
        place[start:end] = i if note.sung else -1
    return pitch, place


def _number(phoneme: Phoneme, symbols: Mapping[str, int]) -> int:
    if phoneme.symbol not in symbols:
        guess = near(phoneme.symbol, symbols) or f" it has {len(symbols)} others"
        raise UserError(f"the voice has no phoneme {phoneme.symbol!r};{guess}")
    return symbols[phoneme.symbol]
