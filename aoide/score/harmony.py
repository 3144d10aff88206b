"""Chords: which of them a song has where, and their file.

    chords = progression("verse", ...)                 # planned, by the section
    spans = harmonise(score, rules)                    # for a melody, edited or not: the plan where it fits
    save(spans, score, path); spans, score = load(path)        # chords.mid

A chord is a root and its tones as pitch classes. In minor the dominant is major, with the leading note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aoide.config import UserError, write_aside
from aoide.score import tracks
from aoide.score.score import Score
from aoide.score.style import KEYS

if TYPE_CHECKING:
    from aoide.score.rules import Rules

LEADING, SUBTONIC = 11, 10  # semitones above the tonic: the raised and the natural seventh of minor
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_QUALITIES = {"": (0, 4, 7), "m": (0, 3, 7), "dim": (0, 3, 6), "aug": (0, 4, 8), "7": (0, 4, 7, 10)}
_QUALITIES |= {"m7": (0, 3, 7, 10), "maj7": (0, 4, 7, 11), "sus4": (0, 5, 7), "sus2": (0, 2, 7), "6": (0, 4, 7, 9)}
_ROMAN = {
    "major": {"I": (0, ""), "ii": (2, "m"), "iii": (4, "m"), "IV": (5, ""), "V": (7, ""), "vi": (9, "m")},
    "minor": {"i": (0, "m"), "III": (3, ""), "iv": (5, "m"), "V": (7, ""), "VI": (8, ""), "VII": (10, "")},
}
LOOPS = {
    "major": {
        "verse": ("I vi IV V", "I IV I V", "I V vi IV", "I iii IV V", "I IV vi V"),
        "chorus": ("IV I V vi", "I V vi IV", "I IV V I", "vi IV I V"),
        "other": ("vi IV I V", "ii V I vi", "IV V vi I"),
    },
    "minor": {
        "verse": ("i VI III VII", "i iv i V", "i VII VI V", "i III VII iv"),
        "chorus": ("VI VII i i", "i VI III VII", "iv VII III VI"),
        "other": ("iv i VI V", "VI III VII i", "III VII iv V"),
    },
}
"""Four bars each, in turn for as long as a section lasts; its last two bars are the cadence."""
CADENCES = {"major": ("V I", "IV I", "V I"), "minor": ("V i", "VII i", "V i")}
HALF = {"major": ("ii V", "IV V"), "minor": ("iv V", "VI V")}  # of pre-choruses and bridges
LOWEST = 48  # MIDI number; the root of a chord in chords.mid is the first from here on
CHORD_PROGRAM = 0  # the piano


@dataclass(frozen=True, slots=True)
class Chord:
    """root: pitch class. tones: pitch classes, the root first."""

    root: int
    tones: tuple[int, ...]

    @classmethod
    def of(cls, root: int, quality: str = "") -> Chord:
        return cls(root % 12, tuple((root + step) % 12 for step in _QUALITIES[quality]))

    @classmethod
    def named(cls, name: str) -> Chord:
        """`Am`, `F#`, `Bbm7`.

        Raises:
            UserError: no name of a chord.
        """
        size = 2 if name[1:2] in ("#", "b") else 1
        if name[:size] not in KEYS or name[size:] not in _QUALITIES:
            raise UserError(f"{name!r} is no chord such as C, F#m, Bb7 or Bdim")
        return cls.of(KEYS.index(name[:size]), name[size:])

    @property
    def name(self) -> str:
        """`Am`; one that has no name of ours by its tones, as `C(0,1,7)`."""
        steps = frozenset((tone - self.root) % 12 for tone in self.tones)
        for quality, known in _QUALITIES.items():
            if frozenset(known) == steps:
                return KEYS[self.root] + quality
        return f"{KEYS[self.root]}({','.join(map(str, sorted(steps)))})"


@dataclass(frozen=True, slots=True)
class Span:
    """A chord and when it sounds, in ticks."""

    start: int
    length: int
    chord: Chord

    @property
    def end(self) -> int:
        return self.start + self.length


def scale(tonic: int, mode: str) -> tuple[int, ...]:
    """The pitch classes of a key."""
    return tuple((tonic + step) % 12 for step in _SCALES[mode])


def roman(numeral: str, tonic: int, mode: str) -> Chord:
    """The chord that a numeral names: V in C major is G."""
    step, quality = _ROMAN[mode][numeral]
    return Chord.of(tonic + step, quality)


def diatonic(tonic: int, mode: str) -> list[Chord]:
    """The chords of a key that songs are made of, the tonic first."""
    return [Chord.of(tonic + step, quality) for step, quality in _ROMAN[mode].values()]


def progression(
    tag: str, bars: int, tonic: int, mode: str, random: np.random.Generator, *, closed: bool
) -> list[Chord]:
    """The chords of a section, one a bar.

    Args:
        closed: it ends with a cadence on the tonic; else on the dominant.
    """
    loops = LOOPS[mode].get(tag, LOOPS[mode]["other"])
    loop = str(random.choice(loops)).split()
    end = str(random.choice(CADENCES[mode] if closed else HALF[mode])).split()
    numerals = [loop[i % len(loop)] for i in range(max(0, bars - 2))] + end[-min(bars, 2) :]
    return [roman(numeral, tonic, mode) for numeral in numerals]


def harmonise(score: Score, rules: Rules) -> list[Span]:
    """Chords for a melody, one a bar: those of the plan, or where the melody was changed so that one does not fit, the
    chord of the key that fits best; beyond the plan likewise."""
    bar = score.resolution // 2 * rules.bar_eighths
    sung = [note for note in score.notes if note.sung and note.pitch is not None]
    ends = {note.start for note, after in zip(sung, sung[1:], strict=False) if after.start > note.end}
    ends |= {note.start for note in sung[-1:]}
    last = max((note.end for note in sung), default=0)
    count = max(rules.bars, -int(-last // bar))
    choices = diatonic(rules.tonic, rules.mode)
    everything = [Chord.of(root, quality) for root in range(12) for quality in ("", "m")]
    spans = []
    for number in range(count):
        start = number * bar
        weights: dict[int, float] = {}
        firm: set[int] = set()
        for note in sung:
            shared = min(note.end, start + bar) - max(note.start, start)
            if shared <= 0:
                continue
            tone = (note.pitch or 0) % 12
            weights[tone] = weights.get(tone, 0.0) + shared * (2.0 if note.start == start else 1.0)
            if note.start == start or (note.start in ends and note.start >= start):
                firm.add(tone)
        planned = Chord.named(rules.chords[number]) if number < rules.bars else choices[0]
        chord = planned
        if not firm <= set(planned.tones):
            options = [c for c in choices if firm <= set(c.tones)] or [c for c in everything if firm <= set(c.tones)]
            chord = max(options or choices, key=lambda c: sum(weights.get(tone, 0.0) for tone in c.tones))
        spans.append(Span(start, bar, chord))
    return spans


def save(spans: Sequence[Span], score: Score, path: Path) -> None:
    """Writes chords as a MIDI file that any editor opens; tempo and metre are those of the score."""
    events = []
    for span in spans:
        root = LOWEST + (span.chord.root - LOWEST) % 12
        for tone in span.chord.tones:
            pitch = root + (tone - span.chord.root) % 12
            events.append(tracks.Event(span.start, span.length, pitch, 80, CHORD_PROGRAM))
    with write_aside(path) as aside:
        aside.write_bytes(tracks.write({"Chords": events}, score))


def load(path: Path) -> tuple[list[Span], Score]:
    """The chords of a MIDI file, from all its tracks but drums; and a score without notes, for tempo and metre.

    Notes that sound at the same time make a chord, the lowest is its root.

    Raises:
        UserError: not a MIDI file, or one without notes.
    """
    events, empty = tracks.read(path)
    notes = [event for event in events if not event.drums]
    if not notes:
        raise UserError(f"{path}: no notes, and so no chords, in it")
    edges = sorted({e.start for e in notes} | {e.end for e in notes})
    spans: list[Span] = []
    for start, end in zip(edges, edges[1:], strict=False):
        pitches = sorted(event.pitch for event in notes if event.start <= start and event.end >= end)
        if not pitches:
            continue
        tones = tuple(dict.fromkeys(pitch % 12 for pitch in pitches))
        chord = Chord(tones[0], tones)
        if spans and spans[-1].chord == chord and spans[-1].end == start and not any(e.start == start for e in notes):
            spans[-1] = Span(spans[-1].start, end - spans[-1].start, chord)
        else:
            spans.append(Span(start, end - start, chord))
    return spans, empty


def key_of(score: Score) -> tuple[int, str]:
    """(tonic, mode) of the key that fits a melody: most of its time in the scale and the triad, and ending there."""
    weights = np.zeros(12)
    sung = [note for note in score.notes if note.sung and note.pitch is not None]
    for note in sung:
        weights[(note.pitch or 0) % 12] += score.seconds(note.end) - score.seconds(note.start)
    last = (sung[-1].pitch or 0) % 12 if sung else 0

    def fit(tonic: int, mode: str) -> float:
        triad = diatonic(tonic, mode)[0].tones
        inside = sum(weights[tone] for tone in scale(tonic, mode)) + 0.5 * sum(weights[tone] for tone in triad)
        return float(inside + 0.3 * weights.sum() * (last == tonic))

    return max(((tonic, mode) for mode in _SCALES for tonic in range(12)), key=lambda key: fit(*key))
