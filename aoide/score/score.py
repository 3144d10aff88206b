"""One `Score`: what is sung, when, how high, on which syllable; and everything else that its file said about it.

Time in a score is counted in ticks, `resolution` of them to a quarter note, which the tempo map turns into seconds.
Files that know only seconds (.ds, labels, .lrc) come as a score without metre whose tick is a microsecond. Phonemes
and curves, which singers do not read from paper, are in seconds.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aoide.config import UserError

MICROSECONDS = 1_000_000  # the resolution of a score without metre: at 60 quarters a minute a tick is a microsecond
HOLDS = frozenset(("-", "_", "ー", "—", "―", "~", "+~", "+*", "..."))  # lyrics that hold the vowel before them
NEXT = "+"  # a lyric that takes the next syllable of the word before it, or holds its vowel when there is none
BREATHS = frozenset(("AP", "br", "Br"))  # lyrics and phonemes
SILENCES = frozenset(("SP", "pau", "sil"))  # phonemes
SILENT = "SP"  # the one of them that no lyric means: `sil` and `pau` are syllables (sil-ver), as `rest` is a word

_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_PITCH = re.compile(r"([A-Ga-g])([#♯b♭]*)(-?\d+)([+-]\d+(?:\.\d+)?)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tempo:
    """From `tick` on, `bpm` quarter notes a minute."""

    tick: int
    bpm: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Meter:
    """From `tick` on, which begins a bar, bars of `beats` notes of length 1/`unit`."""

    tick: int
    beats: int
    unit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A note, or a rest that its file writes out. Silence between notes needs no note.

    start, length: ticks.
    pitch: MIDI number, 60 is C4; None for a rest or a breath.
    lyric: the syllable as its file has it; "" is none. See HOLDS and NEXT for the marks that continue a syllable.
    slur: goes on with the syllable of the note before it.
    hyphen: the word goes on with the next syllable.
    breath: the singer breathes at the end of the note.
    cents: how much higher than `pitch` it is meant.
    phonemes: how the syllable is said, where its file tells; in the alphabet of the file.
    glide: "up", "down" or "" as in .ds files.
    extra: what only its own file format knows; goes back into a file of that format.
    """

    start: int
    length: int
    pitch: int | None
    lyric: str = ""
    slur: bool = False
    hyphen: bool = False
    breath: bool = False
    cents: float = 0.0
    phonemes: tuple[str, ...] = ()
    glide: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def sung(self) -> bool:
        return self.pitch is not None and self.lyric not in BREATHS and self.lyric != SILENT


@dataclass(frozen=True, kw_only=True, slots=True)
class Phoneme:
    """A sound with its time in seconds.

    note: the place in `Score.notes` of the note (or rest) that it belongs to; None if it is not known.
    onset: it is sung before that note begins, as consonants are. A .ds file counts it with the note before.
    """

    symbol: str
    start: float
    end: float
    note: int | None = None
    onset: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A value over time: `values[i]` at `start + i * step` seconds.

    Names and units: f0 (Hz, 0 is unvoiced), energy, breathiness, voicing (dB), tension, gender, velocity as in .ds.
    """

    name: str
    start: float
    step: float
    values: np.ndarray  # (values,) float64

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise UserError(f"the curve {self.name} has a step of {self.step} s; it must be above zero")
        object.__setattr__(self, "values", np.asarray(self.values, np.float64))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Curve):
            return NotImplemented
        same = (self.name, self.start, self.step) == (other.name, other.start, other.step)
        return same and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    @property
    def end(self) -> float:
        return self.start + len(self.values) * self.step

    def at(self, times: np.ndarray) -> np.ndarray:
        """Values at times in seconds, linear in between, the outermost ones beyond. Unvoiced f0 stays unvoiced."""
        places = np.clip((np.asarray(times) - self.start) / self.step, 0, len(self.values) - 1)
        between = np.interp(places, np.arange(len(self.values)), self.values)
        if self.name != "f0":
            return between
        before, after = self.values[np.floor(places).astype(int)], self.values[np.ceil(places).astype(int)]
        return np.where((before > 0) & (after > 0), between, self.values[np.rint(places).astype(int)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A stretch that its file keeps together, in seconds: a phrase of a .ds file, a line of an .lrc file."""

    start: float
    end: float
    text: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something odd in a score, and where: `bar 3 beat 2: ...`."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


@dataclass(frozen=True, kw_only=True)
class Score:
    """What is sung.

    notes: in the order of their starts.
    tempos, meters: each begins at tick 0.
    language: "en", "zh", "ja", ... where the file tells; else "".
    phonemes, curves: where the file has them.
    remarks: what the reader left out or chose, in words; no part of the score itself.
    """

    notes: tuple[Note, ...] = ()
    tempos: tuple[Tempo, ...] = (Tempo(tick=0, bpm=120.0),)
    meters: tuple[Meter, ...] = (Meter(tick=0, beats=4, unit=4),)
    resolution: int = 480
    title: str = ""
    language: str = ""
    phonemes: tuple[Phoneme, ...] = ()
    curves: tuple[Curve, ...] = ()
    segments: tuple[Segment, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in ("notes", "tempos", "meters", "phonemes", "curves", "segments", "remarks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.resolution < 1:
            raise UserError(f"a resolution of {self.resolution} ticks to a quarter: must be 1 or more")
        if not self.tempos or self.tempos[0].tick != 0 or not self.meters or self.meters[0].tick != 0:
            raise UserError("the first tempo and the first time signature of a score stand at tick 0")
        ordered = sorted(self.tempos, key=lambda tempo: tempo.tick) == list(self.tempos)
        if not ordered or not all(0 < tempo.bpm < float("inf") for tempo in self.tempos):
            raise UserError("the tempos of a score are above zero and in the order of their ticks")
        if any(meter.beats < 1 or meter.unit < 1 for meter in self.meters):
            raise UserError("a time signature has one beat or more, of a note value of 1 or more")
        if any(a.start > b.start for a, b in zip(self.notes, self.notes[1:], strict=False)):
            object.__setattr__(self, "notes", tuple(sorted(self.notes, key=lambda note: note.start)))

    # --------------------------------------------------------------------------------------------------------- files

    @staticmethod
    def load(path: str | os.PathLike[str], part: str | int | None = None) -> Score:
        """Reads a score by what is in the file, or else by its ending.

        Args:
            part: the name or the number (from 1) of a part, track or voice; None: the first that has lyrics.

        Raises:
            UserError: no such file, not a score, damaged, a part that it does not have; with the reason.
            MissingExtra: a format that another package reads, which is not installed.
        """
        from aoide.score.formats import load

        return load(Path(path), part)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the score in the format of the ending, aside and then renamed.

        Raises:
            UserError: an ending that we do not write, or a score that lacks what the format is about.
        """
        from aoide.score.formats import save

        save(self, Path(path))

    # ---------------------------------------------------------------------------------------------------------- time

    @property
    def metered(self) -> bool:
        """Does it know bars and beats, not only seconds?"""
        return self.resolution != MICROSECONDS

    @cached_property
    def _clock(self) -> tuple[list[int], list[float]]:
        """The ticks of the tempo marks and their seconds."""
        ticks, seconds = [0], [0.0]
        for before, tempo in zip(self.tempos, self.tempos[1:], strict=False):
            ticks.append(tempo.tick)
            seconds.append(seconds[-1] + (tempo.tick - before.tick) * 60 / (before.bpm * self.resolution))
        return ticks, seconds

    def seconds(self, tick: float) -> float:
        """When a tick comes."""
        ticks, seconds = self._clock
        i = max(0, bisect_right(ticks, tick) - 1)
        return seconds[i] + (tick - ticks[i]) * 60 / (self.tempos[i].bpm * self.resolution)

    def tick(self, seconds: float) -> int:
        """The tick nearest to a time."""
        ticks, starts = self._clock
        i = max(0, bisect_right(starts, seconds) - 1)
        return round(ticks[i] + (seconds - starts[i]) * self.tempos[i].bpm * self.resolution / 60)

    def place(self, tick: int) -> str:
        """`bar 3 beat 2.5`, both from 1; `3.25 s` in a score without metre."""
        if not self.metered:
            return f"{self.seconds(tick):.2f} s"
        bars = 0
        for i, meter in enumerate(self.meters):
            beat = self.resolution * 4 / meter.unit
            last = i + 1 == len(self.meters) or self.meters[i + 1].tick > tick
            if last:
                done = (tick - meter.tick) / beat
                return f"bar {bars + int(done // meter.beats) + 1} beat {round(done % meter.beats + 1, 2):g}"
            bars += -int(-(self.meters[i + 1].tick - meter.tick) // (beat * meter.beats))
        raise AssertionError("a score has a time signature")

    @property
    def end(self) -> float:
        """Seconds until all is sung."""
        last = max((note.end for note in self.notes), default=0)
        times = [self.seconds(last), *(p.end for p in self.phonemes[-1:]), *(s.end for s in self.segments)]
        return max(*times, 0.0)

    def at_resolution(self, resolution: int) -> Score:
        """The same in other ticks; starts and ends are rounded, so that notes that touch still do."""
        if resolution == self.resolution:
            return self
        scale = resolution / self.resolution

        def to(tick: int) -> int:
            return round(tick * scale)

        notes = tuple(replace(n, start=to(n.start), length=to(n.end) - to(n.start)) for n in self.notes)
        tempos = tuple(replace(tempo, tick=to(tempo.tick)) for tempo in self.tempos)
        meters = tuple(replace(meter, tick=to(meter.tick)) for meter in self.meters)
        return replace(self, notes=notes, tempos=tempos, meters=meters, resolution=resolution)

    def with_metre(self) -> Score:
        """The same with bars and beats: a score that knows only seconds is written at 120, a 960th of a second a tick.

        Times are rounded to that grid.
        """
        if self.metered:
            return self
        made = replace(
            self, resolution=480, tempos=(Tempo(tick=0, bpm=120.0),), meters=(Meter(tick=0, beats=4, unit=4),)
        )

        def to(tick: int) -> int:
            return made.tick(self.seconds(tick))

        notes = tuple(replace(n, start=to(n.start), length=to(n.end) - to(n.start)) for n in self.notes)
        return replace(made, notes=notes)

    # ------------------------------------------------------------------------------------------------------- changes

    def transpose(self, semitones: int) -> Score:
        """Higher by so many semitones, lower if negative; the f0 curve goes with the notes.

        Raises:
            UserError: a note would leave MIDI's range, 0 to 127.
        """

        def moved(note: Note) -> Note:
            if note.pitch is None:
                return note
            pitch = note.pitch + semitones
            if not 0 <= pitch <= 127:
                raise UserError(f"{self.place(note.start)}: {pitch_name(note.pitch)} cannot be moved by {semitones}")
            return replace(note, pitch=pitch)

        factor = 2 ** (semitones / 12)
        curves = [replace(c, values=c.values * factor) if c.name == "f0" else c for c in self.curves]
        return replace(self, notes=tuple(map(moved, self.notes)), curves=tuple(curves))

    def with_lyrics(self, text: str) -> Score:
        """The notes with the syllables of `text`: words with blanks between, `Twin-kle`; `_` holds a note longer.

        Raises:
            UserError: more syllables than notes, or more notes than syllables; names the place.
        """
        from aoide.score.syllables import lay

        return lay(self, text)

    def check(self, low: int | None = None, high: int | None = None) -> list[Finding]:
        """What a singer would ask about, in the order of the score.

        Args:
            low, high: the range of the voice, MIDI numbers.
        """
        from aoide.score.check import findings

        return findings(self, low, high)


# ------------------------------------------------------------------------------------------------------------- pitches


def pitch_name(pitch: int) -> str:
    """60 -> C4, 61 -> C#4."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def pitch_number(name: str) -> tuple[int | None, float]:
    """C4, D#4, Db4 or C4+12 (cents) -> MIDI number and cents; `rest` -> None.

    Raises:
        UserError: not the name of a pitch.
    """
    if name in ("rest", "R", "xx"):
        return None, 0.0
    found = _PITCH.match(name)
    if not found:
        raise UserError(f"{name!r} is not the name of a pitch, such as C4, F#3, Bb5 or rest")
    step, signs, octave, cents = found.groups()
    sharps = sum(1 if sign in "#♯" else -1 for sign in signs)
    return _STEPS[step.upper()] + sharps + 12 * (int(octave) + 1), float(cents or 0)


def in_seconds(**parts: Any) -> Score:
    """A score without metre, whose tick is a microsecond."""
    return Score(resolution=MICROSECONDS, tempos=(Tempo(tick=0, bpm=60.0),), **parts)


def top_notes(notes: Sequence[Note]) -> tuple[list[Note], int]:
    """Of notes that begin together, the highest, which is the melody; and how many went."""
    best: dict[int, Note] = {}
    for note in notes:
        other = best.get(note.start)
        if other is None or (note.pitch or 0) > (other.pitch or 0):
            lyric = note if note.lyric or other is None else replace(note, lyric=other.lyric, hyphen=other.hyphen)
            best[note.start] = lyric
        elif note.lyric and not other.lyric:
            best[note.start] = replace(other, lyric=note.lyric, hyphen=note.hyphen)
    return [best[start] for start in sorted(best)], len(notes) - len(best)
