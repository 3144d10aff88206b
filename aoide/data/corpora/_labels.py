"""Annotations of singing: labels, TextGrids, scores; and cutting a song into phrases by them. All times are seconds.

Labels are lines `start end symbol`, in seconds where one has a decimal point, in units of 100 ns where none has, as in
HTS. TextGrids are Praat's, long or short. Scores are whatever `aoide.score` reads.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aoide.data.clips import Note
from aoide.score.score import HOLDS, Score, pitch_number

RESTS = frozenset({"pau", "sil", "sp", "SP", "silence", "spn", "", "#"})
BREATHS = frozenset({"br", "AP"})
INITIALS = frozenset("bpmfdtnlgkhjqxrzcsyw") | {"zh", "ch", "sh"}  # of Mandarin syllables
MARGIN = 0.15  # seconds of a rest that stay at either end of a phrase
PHRASE = 10.0  # seconds up to which neighbouring phrases stay together


class Label(NamedTuple):
    """A symbol and when it sounds."""

    start: float
    end: float
    symbol: str


class Phrase(NamedTuple):
    """A stretch of a song, cut at rests."""

    start: float
    end: float
    labels: list[Label]  # without gaps, in seconds of the song; the rests at the ends are named `pau`

    @property
    def symbols(self) -> str:
        return " ".join(label.symbol for label in self.labels)

    @property
    def seconds(self) -> tuple[float, ...]:
        return tuple(round(label.end - label.start, 6) for label in self.labels)


# -------------------------------------------------------------------------------------------------------------- reading


def labels(text: str) -> list[Label]:
    """Lines `start end symbol`, sorted; in seconds if any has a decimal point.

    Raises:
        ValueError: a line that is none, or that ends before it begins.
    """
    found = []
    unit = 1.0 if re.search(r"^\s*(\d+\.\d|\d+\s+\d+\.\d)", text, re.MULTILINE) else 1e-7
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            start, end, *symbol = line.split()
            label = Label(float(start) * unit, float(end) * unit, symbol[0] if symbol else "")
            if label.end < label.start:
                raise ValueError(f"line {number} ends before it begins")
            found.append(label)
    return sorted(found)


def textgrid(text: str) -> dict[str, list[Label]]:
    """The interval tiers of a TextGrid, by name.

    Raises:
        ValueError: not a TextGrid.
    """
    tokens = iter(re.findall(r'"(?:[^"]|"")*"|(?<![\[\w.])-?\d+(?:\.\d+)?(?:[eE]-?\d+)?(?![\w\]])', text))
    try:
        if next(tokens) != '"ooTextFile"' or next(tokens) != '"TextGrid"':
            raise ValueError("not a TextGrid")
        _, _, count = next(tokens), next(tokens), int(next(tokens))
        tiers: dict[str, list[Label]] = {}
        for _ in range(count):
            kind, name, _, _, size = next(tokens), next(tokens)[1:-1], next(tokens), next(tokens), int(next(tokens))
            if kind == '"IntervalTier"':
                found = [(float(next(tokens)), float(next(tokens)), next(tokens)[1:-1].strip()) for _ in range(size)]
                tiers[name] = [Label(*label) for label in found]
            else:
                for _ in range(2 * size):
                    next(tokens)
    except StopIteration:
        raise ValueError("the TextGrid ends too early") from None
    return tiers


def whole(labels: Sequence[Label]) -> Phrase:
    """All labels of a clip, from its beginning on; what is not labelled is a rest."""
    filled: list[Label] = []
    for label in labels:
        now = filled[-1].end if filled else 0.0
        if label.start > now + 1e-6:
            filled.append(Label(now, label.start, "pau"))
        filled.append(label._replace(start=filled[-1].end if filled else 0.0, symbol=label.symbol or "pau"))
    return Phrase(0.0, filled[-1].end if filled else 0.0, filled)


def score(path: Path) -> list[Note]:
    """The notes of a score, in its own times; a MIDI file's lyrics `-` are slurs.

    Raises:
        UserError: not a score.
    """
    read = Score.load(path)
    return [
        Note(
            note.pitch + note.cents / 100,
            read.seconds(note.start),
            read.seconds(note.end),
            "" if note.slur or note.lyric in HOLDS else note.lyric,
            note.slur or note.lyric in HOLDS,
        )
        for note in read.notes
        if note.sung and note.pitch is not None
    ]


def by_syllables(
    symbols: Sequence[str], pitches: Sequence[float | None], seconds: Sequence[float], slurs: Sequence[bool]
) -> tuple[Note, ...]:
    """The notes of a Mandarin line that is annotated by phonemes: an initial and its final share one note.

    Args:
        pitches: of the note of each phoneme, None in a rest; seconds: how long that note lasts.
        slurs: whether the phoneme only goes on, on a new note.
    """
    notes, now, i = [], 0.0, 0
    while i < len(symbols):
        after = i + 1
        if symbols[i] in INITIALS and after < len(symbols) and not slurs[after]:
            after += 1
        midi, length = pitches[after - 1], seconds[after - 1]
        if midi:
            lyric = "" if slurs[i] else "".join(symbols[i:after])
            notes.append(Note(midi, round(now, 6), round(now + length, 6), lyric, bool(slurs[i])))
        now, i = now + length, after
    return tuple(notes)


def pitch(name: str) -> float | None:
    """A note's name to its MIDI number: `C#4/Db4`, `A4`; a number stays one; None for a rest.

    Raises:
        ValueError: neither.
    """
    if name in ("rest", "0", ""):
        return None
    if name[0].isdigit():
        return float(name)
    number, cents = pitch_number(name.partition("/")[0])
    return None if number is None else number + cents / 100


# -------------------------------------------------------------------------------------------------------------- cutting


def phrases(labels: Sequence[Label], longest: float = PHRASE, rests: Collection[str] = RESTS) -> Iterator[Phrase]:
    """Cuts a song at its rests and before its breaths; phrases stay together up to `longest` seconds."""
    sung = [i for i, label in enumerate(labels) if label.symbol not in rests]
    runs: list[tuple[int, int]] = []  # first and last label of what is not cut
    for i in sung:
        if not runs or i != runs[-1][1] + 1 or labels[i].symbol in BREATHS:
            runs.append((i, i))
        else:
            runs[-1] = (runs[-1][0], i)
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined and labels[last].end - labels[joined[-1][0]].start <= longest:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    for first, last in joined:
        yield _phrase(labels, first, last, rests)


def _phrase(labels: Sequence[Label], first: int, last: int, rests: Collection[str]) -> Phrase:
    """The labels from first to last, with a little of the rests at both ends, and without gaps."""
    before, after = (_rest(labels, i, rests) for i in (first - 1, last + 1))
    start = labels[first].start - min(MARGIN, before / 2)
    end = labels[last].end + min(MARGIN, after / 2)
    inside = [
        label if label.symbol not in rests else label._replace(symbol="pau") for label in labels[first : last + 1]
    ]
    inside = [Label(start, inside[0].start, "pau"), *inside, Label(inside[-1].end, end, "pau")]
    edges = [start, *(label.start for label in inside[1:]), end]
    whole = [Label(a, b, label.symbol) for a, b, label in zip(edges[:-1], edges[1:], inside, strict=True)]
    return Phrase(start, end, [label for label in whole if label.end > label.start])


def _rest(labels: Sequence[Label], number: int, rests: Collection[str]) -> float:
    """How long a label lasts, if there is one and it is a rest."""
    if 0 <= number < len(labels) and labels[number].symbol in rests:
        return labels[number].end - labels[number].start
    return 0.0


def within(notes: Sequence[Note], start: float, end: float) -> tuple[Note, ...]:
    """The notes whose middle lies between two times, in seconds from the first of them."""
    return tuple(
        note._replace(start=round(max(note.start - start, 0.0), 6), end=round(min(note.end, end) - start, 6))
        for note in notes
        if start <= (note.start + note.end) / 2 < end
    )


def follow(notes: Sequence[Note], onsets: Sequence[float], near: float = 0.06, least: float = 0.5) -> list[Note] | None:
    """A score moved to where it is sung, by the one shift that brings most notes onto the sung vowels' onsets.

    Returns:
        The notes in the times of the sound; None if fewer than `least` of them have an onset within `near` seconds: the
        score is another version of the song, or at another tempo.
    """
    if not notes or not onsets:
        return None
    heard = np.sort(np.asarray(onsets, float))
    starts = np.array([note.start for note in notes])
    shifts = (heard[None, :] - starts[: 4 * len(heard), None]).ravel()
    counts, edges = np.histogram(shifts, bins=np.arange(shifts.min() - 0.05, shifts.max() + 0.1, 0.02))
    best = int(np.argmax(np.convolve(counts, np.ones(3), "same")))
    close = shifts[np.abs(shifts - (edges[best] + 0.01)) <= near]
    shift = float(np.median(close))
    moved = starts + shift
    after = np.clip(np.searchsorted(heard, moved), 1, len(heard) - 1) if len(heard) > 1 else np.zeros(len(moved), int)
    gap = np.minimum(np.abs(heard[after] - moved), np.abs(heard[after - 1] - moved))
    if float((gap <= near).mean()) < least:
        return None
    return [note._replace(start=note.start + shift, end=note.end + shift) for note in notes]
