"""A score as the phrases of a DiffSinger script: what trained singers read, fill in, and write back.

Every score is sung by way of such a script, so what `--write` writes is what was sung, and singing it gives the same.

    phrases = script.phrases(score)       phonemes with times, notes in a row, curves
    ...                                   models fill in what is open
    script.score(phrases)                 -> Score, as if it had been read from the .ds file
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aoide.config import UserError
from aoide.data import sung
from aoide.data.sung import Row
from aoide.generate import intonation
from aoide.score import Score, drawn_pitch, ds
from aoide.score.score import pitch_number

_NEAR = 1e-4  # seconds; a curve that begins as near to a phrase is its own


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A curve from the beginning of a phrase on: value i stands for frame i, which begins at i * step seconds."""

    step: float
    values: np.ndarray  # (values,)

    def on(self, frames: int, frame_rate: float) -> np.ndarray:
        """On other frames: (frames,) float32, linear in between; F0 is bridged before."""
        places = np.arange(frames) / frame_rate / self.step
        return np.interp(places, np.arange(len(self.values)), self.values).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Phrase:
    """What is sung between two long rests.

    Attributes:
        offset: seconds of the song at which it begins.
        symbols, seconds: phonemes, pauses among them, and how long each lasts; without gaps.
        timed: whether the score says how long they last, or only a rule.
        counts: how many phonemes each word has; () = not known.
        notes: in a row; None = the score has none.
        lines: curves by their names in .ds files.
        entry: the phrase as a .ds file has it.
    """

    offset: float
    symbols: tuple[str, ...]
    seconds: np.ndarray
    timed: bool
    counts: tuple[int, ...]
    notes: Row | None
    lines: Mapping[str, Line]
    entry: Mapping[str, Any]

    def frames(self, frame_rate: float) -> int:
        return max(1, round(float(self.seconds.sum()) * frame_rate))

    def lasting(self, seconds: np.ndarray) -> Phrase:
        """The same with other times of its phonemes."""
        return replace(self, seconds=seconds, timed=True)

    def drawn(self, name: str, values: np.ndarray, frame_rate: float) -> Phrase:
        """The same with a curve."""
        return replace(self, lines={**self.lines, name: Line(1 / frame_rate, np.asarray(values, np.float64))})


def phrases(score: Score, *, timed: bool) -> list[Phrase]:
    """The phrases of a score that has phonemes with times.

    Args:
        timed: whether these times are part of the score, or come from the rule.

    Raises:
        UserError: a phoneme that ends before it begins, or numbers that do not go together.
    """
    bare = replace(score, curves=())
    entries = json.loads(ds.write(bare, "song"))
    found = []
    for entry in entries:
        symbols = tuple(entry.get("ph_seq", "").split())
        if not symbols or "ph_dur" not in entry:
            continue
        seconds = np.array([float(x) for x in entry["ph_dur"].split()])
        counts = tuple(int(x) for x in entry.get("ph_num", "").split())
        offset = float(entry["offset"])
        length = float(seconds.sum())
        found.append(
            Phrase(
                offset=offset,
                symbols=symbols,
                seconds=seconds,
                timed=timed,
                counts=counts if sum(counts) == len(symbols) else (),
                notes=_row(entry),
                lines=_lines(score, offset, length),
                entry=entry,
            )
        )
    if not found:
        raise UserError("nothing to sing: the score has no notes")
    return found


def by_rule(score: Score, phrase: Phrase, frame_rate: float, seed: int) -> Phrase:
    """The phrase with F0 by rule, from the notes."""
    times = phrase.offset + (np.arange(phrase.frames(frame_rate)) + 0.5) / frame_rate
    return phrase.drawn("f0", intonation.by_rule(intonation.tones(score), times, seed), frame_rate)


def score(phrases: Sequence[Phrase], title: str = "") -> Score:
    """The phrases as a score: what a .ds file with them would give."""
    entries = []
    for phrase in phrases:
        entry = dict(phrase.entry)
        entry["ph_dur"] = " ".join(f"{seconds:.6f}" for seconds in phrase.seconds)
        for name, line in phrase.lines.items():
            entry["f0_seq" if name == "f0" else name] = " ".join(map(repr, line.values.tolist()))
            entry[f"{name}_timestep"] = repr(line.step)
        entries.append(entry)
    return replace(ds.read(json.dumps(entries).encode(), "song"), title=title)


def _row(entry: Mapping[str, Any]) -> Row | None:
    names = entry.get("note_seq", "").split()
    if not names:
        return None
    numbers = [pitch_number(name) for name in names]
    pitches = np.array([0.0 if pitch is None else pitch + cents / 100 for pitch, cents in numbers], np.float32)
    slurs = entry.get("note_slur", " ".join("0" for _ in names)).split()
    glides = entry.get("note_glide", " ".join("none" for _ in names)).split()
    row = Row(
        pitches,
        np.array([pitch is None for pitch, _ in numbers]),
        np.array([float(x) for x in entry["note_dur"].split()]),
        np.array([slur == "1" for slur in slurs]),
        np.array([sung.GLIDES.get(glide, 0) for glide in glides], np.int64),
    )
    return sung.filled(row)


def _lines(score: Score, offset: float, seconds: float) -> dict[str, Line]:
    """The curves of a phrase: its own as they are, and pieces of those that run through the song."""
    found: dict[str, Line] = {}
    pitch = drawn_pitch(score)
    for curve in (*([pitch] if pitch is not None else []), *score.curves):
        if not len(curve.values):
            continue
        if abs(curve.start - offset) < _NEAR:
            values = curve.values
            step = curve.step
        elif curve.start < offset + seconds and curve.end > offset:
            step = curve.step
            times = offset + (np.arange(max(1, round(seconds / step))) + 0.5) * step
            values = curve.at(times)
            if curve.name == "f0":
                values = np.where((times >= curve.start) & (times < curve.end), values, 0.0)
        else:
            continue
        if curve.name == "f0":
            if not (values > 0).any():
                continue
            values = sung.bridged(np.asarray(values))
        found[curve.name] = Line(step, np.asarray(values, np.float64))
    return found
