"""DiffSinger scripts (.ds): a JSON list of phrases with phonemes, notes and curves <-> Score.

Each phrase is a segment of the score. Its numbers are texts with blanks between; its words are its notes without the
slurred ones, and `ph_num` counts the phonemes of each word from its vowel on: the consonants before a vowel count with
the word before. Fields that we do not know stay with their segment and are written back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from aoide.config import UserError
from aoide.score.formats import text_of
from aoide.score.score import (
    BREATHS,
    HOLDS,
    MICROSECONDS,
    NEXT,
    SILENCES,
    Curve,
    Note,
    Phoneme,
    Score,
    Segment,
    in_seconds,
    pitch_name,
    pitch_number,
)

_NOTES = {"note_seq", "note_dur", "note_slur", "note_glide"}
_PHONEMES = {"ph_seq", "ph_dur", "ph_num"}
_PAUSE = 0.6  # seconds of silence that part two phrases of a score that comes without
_PAD = 0.25  # seconds of silence before and after such a phrase
_LITTLE = 1e-4  # seconds; a shorter silence between phonemes is none


def read(data: bytes, where: str, part: str | int | None = None) -> Score:
    """Reads a script."""
    try:
        phrases = json.loads(text_of(data, where))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}: not JSON, or cut off: {error}") from None
    phrases = [phrases] if isinstance(phrases, dict) else phrases
    if not isinstance(phrases, list) or not phrases or not all(isinstance(phrase, dict) for phrase in phrases):
        raise UserError(f"{where}: JSON, but not a DiffSinger script, which is a list of phrases")
    notes: list[Note] = []
    phonemes: list[Phoneme] = []
    curves: list[Curve] = []
    segments: list[Segment] = []
    cut = 0
    order = sorted(enumerate(phrases, 1), key=lambda item: _offset(item[1], f"{where}: phrase {item[0]}"))
    for number, phrase in order:
        reader = _Phrase(phrase, f"{where}: phrase {number}")
        late = _late_silence(notes, phonemes, reader.start)
        if late != (0, 0):
            notes, phonemes = notes[: len(notes) - late[0]], phonemes[: len(phonemes) - late[1]]
            segments[-1] = _shortened(segments[-1], notes, phonemes, late[0])
            cut += 1
        first = len(notes)
        notes += reader.notes()
        phonemes += reader.phonemes(notes, first)
        curves += reader.curves()
        segments.append(reader.segment())
    languages = {str(phrase["lang"]) for phrase in phrases if "lang" in phrase}
    return in_seconds(
        notes=tuple(notes),
        phonemes=tuple(phonemes),
        curves=tuple(curves),
        segments=tuple(segments),
        language=languages.pop() if len(languages) == 1 else "",
        remarks=(f"{cut} phrases go on in silence while the next begins; left out",) if cut else (),
    )


def _late_silence(notes: list[Note], phonemes: list[Phoneme], start: float) -> tuple[int, int]:
    """How many rests and silences at the end begin when the next phrase has begun: they would stand inside it."""
    rests = next((i for i, n in enumerate(reversed(notes)) if n.pitch is not None or n.start < round(start * 1e6)), 0)
    silences = next((i for i, p in enumerate(reversed(phonemes)) if p.symbol not in SILENCES or p.start < start), 0)
    return rests, silences


def _shortened(segment: Segment, notes: list[Note], phonemes: list[Phoneme], rests: int) -> Segment:
    """The phrase without so many rests at its end, which its text names, too."""
    ends = [*(note.end / MICROSECONDS for note in notes[-1:]), *(sound.end for sound in phonemes[-1:])]
    text = segment.text.rsplit(maxsplit=rests)[0] if rests and segment.text else segment.text
    return replace(segment, end=round(max(ends, default=segment.start), 6), text=text)


def _offset(phrase: Mapping[str, Any], where: str) -> float:
    value = phrase.get("offset", 0)
    try:
        offset = float(value)
    except (TypeError, ValueError):
        offset = float("nan")
    if not abs(offset) < 1e7:
        raise UserError(f"{where}: offset is {value!r}, not a number of seconds")
    return offset


class _Phrase:
    """One phrase of a script, and what of it is not understood."""

    def __init__(self, phrase: Mapping[str, Any], where: str) -> None:
        self.phrase = phrase
        self.where = where
        self.start = self.end = _offset(phrase, where)
        self.extra: dict[str, Any] = {}

    def words(self, key: str) -> list[str]:
        value = self.phrase.get(key)
        if value is None:
            return []
        if isinstance(value, list):
            return [str(item) for item in value]
        return str(value).split()

    def numbers(self, key: str) -> np.ndarray:
        try:
            values = np.array([float(word) for word in self.words(key)], np.float64)
        except ValueError as error:
            raise UserError(f"{self.where}: {key}: {error}") from None
        if not np.isfinite(values).all():
            raise UserError(f"{self.where}: {key} has values that are no numbers")
        return values

    def durations(self, key: str, count: int, of: str) -> np.ndarray:
        values = self.numbers(key)
        if len(values) != count:
            raise UserError(f"{self.where}: {count} values in {of}, but {len(values)} in {key}")
        if (values < 0).any():
            raise UserError(f"{self.where}: {key} has a negative duration")
        return values

    def notes(self) -> list[Note]:
        names = self.words("note_seq")
        if not names:
            return []
        edges = self._edges(self.durations("note_dur", len(names), "note_seq"))
        slurs = self.words("note_slur") or ["0"] * len(names)
        glides = self.words("note_glide") or ["none"] * len(names)
        if len(slurs) != len(names) or len(glides) != len(names):
            raise UserError(
                f"{self.where}: {len(names)} notes, but {len(slurs)} in note_slur, {len(glides)} in note_glide"
            )
        lyrics = self._lyrics(names, slurs)
        found = []
        for i, name in enumerate(names):
            try:
                pitch, cents = pitch_number(name)
            except UserError as error:
                raise UserError(f"{self.where}: note_seq: {error}") from None
            start, end = (round(edge * MICROSECONDS) for edge in edges[i : i + 2])
            glide = glides[i] if glides[i] != "none" else ""
            found.append(
                Note(
                    start=start,
                    length=end - start,
                    pitch=pitch,
                    cents=cents,
                    lyric=lyrics[i],
                    slur=slurs[i] == "1",
                    glide=glide,
                )
            )
        return found

    def _edges(self, durations: np.ndarray) -> np.ndarray:
        edges = self.start + np.concatenate([[0.0], np.cumsum(durations)])
        self.end = max(self.end, round(float(edges[-1]), 6))
        return edges

    def _lyrics(self, names: list[str], slurs: list[str]) -> list[str]:
        """The words of `text` for the notes, if it has as many."""
        words = str(self.phrase.get("text", "")).split()
        if len(words) != slurs.count("0"):
            words = []
        left = iter(words)
        return ["" if slur == "1" else next(left, "") for slur in slurs]

    def phonemes(self, notes: list[Note], first: int) -> list[Phoneme]:
        """The phonemes with times; those without go to the notes of their words."""
        symbols = self.words("ph_seq")
        if not symbols:
            return []
        places = self._places(symbols, notes, first)
        if "ph_dur" not in self.phrase:
            if None in places:
                self.extra["ph_seq"] = self.phrase["ph_seq"]
                return []
            for i in range(first, len(notes)):
                own = tuple(s for s, place in zip(symbols, places, strict=True) if place == i)
                notes[i] = replace(notes[i], phonemes=own)
            return []
        edges = self._edges(self.durations("ph_dur", len(symbols), "ph_seq")).round(9)
        return [
            Phoneme(symbol=symbol, start=float(edges[i]), end=float(edges[i + 1]), note=places[i])
            for i, symbol in enumerate(symbols)
        ]

    def _places(self, symbols: list[str], notes: list[Note], first: int) -> list[int | None]:
        """For each phoneme the first note of its word; None if `ph_num` does not tell."""
        words = [i for i in range(first, len(notes)) if not notes[i].slur]
        counts = [int(count) for count in self.numbers("ph_num")]
        if len(counts) == len(words) and sum(counts) == len(symbols) and min(counts, default=0) >= 0:
            return [word for word, count in zip(words, counts, strict=True) for _ in range(count)]
        if counts:
            self.extra["ph_num"] = self.phrase["ph_num"]
        return [None] * len(symbols)

    def curves(self) -> list[Curve]:
        found = []
        for key in self.phrase:
            if not key.endswith("_timestep"):
                continue
            name = key.removesuffix("_timestep")
            values = self.numbers("f0_seq" if name == "f0" else name)
            if not len(values):
                self.extra[key] = self.phrase[key]
                continue
            step = self.numbers(key)
            if len(step) != 1 or not step[0] > 0:
                raise UserError(f"{self.where}: {key} is {self.phrase[key]!r}, not a step in seconds")
            found.append(Curve(name=name, start=self.start, step=float(step[0]), values=values))
        return found

    def segment(self) -> Segment:
        known = _NOTES | _PHONEMES | {"offset", "text"}
        for key, value in self.phrase.items():
            timed = f"{'f0' if key == 'f0_seq' else key}_timestep" in self.phrase or key.endswith("_timestep")
            if key not in known and not timed and value is not None:
                self.extra[key] = value
        return Segment(start=self.start, end=self.end, text=str(self.phrase.get("text", "")), extra=self.extra)


# ---------------------------------------------------------------------------------------------------------- writing


def write(score: Score, where: str) -> bytes:
    """Writes a script.

    Raises:
        UserError: the score has no phonemes at all: they are what a .ds file is about.
    """
    if not score.phonemes and not any(note.phonemes for note in score.notes):
        raise UserError(
            f"{where}: a .ds file lists phonemes, which this score lacks; aoide.text.lyrics.planned(score) adds them"
        )
    own = [s for s in score.segments if "words" not in s.extra] if score.notes or score.phonemes else []
    segments = own or _phrases(score)
    phrases = []
    for i, segment in enumerate(segments):
        until = segments[i + 1].start if i + 1 < len(segments) else float("inf")
        phrases.append(_written(score, segment, until, padded=not own))
    return (json.dumps(phrases, ensure_ascii=False, indent=2) + "\n").encode()


def _phrases(score: Score) -> list[Segment]:
    """Stretches between long rests, with a little silence around."""
    found: list[Segment] = []
    for note in score.notes:
        start, end = score.seconds(note.start), score.seconds(note.end)
        if note.length <= 0 or note.pitch is None and note.lyric not in BREATHS:
            continue
        if found and start < found[-1].end + _PAUSE:
            found[-1] = Segment(start=found[-1].start, end=max(end, found[-1].end))
        else:
            found.append(Segment(start=start, end=end))
    edges = [0.0, *(segment.end for segment in found)]
    return [
        Segment(start=max(s.start - _PAD, min(edge, s.start), 0.0), end=s.end + _PAD)
        for s, edge in zip(found, edges, strict=False)
    ]


def _written(score: Score, segment: Segment, until: float, *, padded: bool) -> dict[str, Any]:
    begin = segment.start
    notes = _row(score, segment, until, padded=padded)
    phrase: dict[str, Any] = {"offset": round(begin, 6) if padded else begin}
    words = [note for note in notes if not note[1].slur]
    phrase["text"] = segment.text if not padded else " ".join(_word(note) for _, note in words)
    said = [p for p in score.phonemes if begin - _LITTLE <= p.start < until - _LITTLE]
    if said:
        end = notes[-1][1].end / MICROSECONDS if notes else said[-1].end
        sounds = _with_silence(said, begin, end) if padded else said
        phrase["ph_seq"] = " ".join(sound.symbol for sound in sounds)
        phrase["ph_dur"] = " ".join(_shown(sound.end - sound.start, 6) for sound in sounds)
        if words and (padded or all(sound.note is not None for sound in sounds)):
            phrase["ph_num"] = " ".join(map(str, _groups(sounds, words)))
    elif any(note.phonemes for _, note in notes):
        phrase["ph_seq"] = " ".join(symbol for _, note in notes for symbol in note.phonemes)
        phrase["ph_num"] = " ".join(str(len(note.phonemes)) for _, note in words)
    if notes:
        phrase["note_seq"] = " ".join(_pitch(note) for _, note in notes)
        phrase["note_dur"] = " ".join(_shown(note.length / MICROSECONDS, 6) for _, note in notes)
        phrase["note_slur"] = " ".join("1" if note.slur else "0" for _, note in notes)
        if any(note.glide for _, note in notes):
            phrase["note_glide"] = " ".join(note.glide or "none" for _, note in notes)
    for curve in score.curves:
        if begin - _LITTLE <= curve.start < until - _LITTLE:
            phrase["f0_seq" if curve.name == "f0" else curve.name] = " ".join(map(repr, curve.values.tolist()))
            phrase[f"{curve.name}_timestep"] = repr(curve.step)
    if score.language and "lang" not in segment.extra and padded:
        phrase["lang"] = score.language
    return phrase | dict(segment.extra)


def _row(score: Score, segment: Segment, until: float, *, padded: bool) -> list[tuple[int | None, Note]]:
    """(place in the score, note in microseconds): notes and, in the gaps between them, rests, without overlap."""
    begin, end = (round(edge * MICROSECONDS) for edge in (segment.start, segment.end))
    last = round(until * MICROSECONDS) if until < float("inf") else until
    inside = []
    for i, note in enumerate(score.notes):
        start, stop = (round(score.seconds(tick) * MICROSECONDS) for tick in (note.start, note.end))
        if begin <= start < last and stop > start:
            inside.append((i, start, stop, note))
    row: list[tuple[int | None, Note]] = []
    position = begin
    for k, (i, begins, ends, note) in enumerate(inside):
        start, stop = max(begins, position), min([ends, *(other[1] for other in inside[k + 1 : k + 2])])
        if stop <= position:
            continue
        if start > position:
            row.append((None, Note(start=position, length=start - position, pitch=None)))
        slur = note.slur or (note.sung and (note.lyric in HOLDS or note.lyric == NEXT))
        row.append((i, _as(note, start, stop - start, slur)))
        position = stop
    if padded and end > position and row:
        row.append((None, Note(start=position, length=end - position, pitch=None)))
    return row


def _as(note: Note, start: int, length: int, slur: bool) -> Note:
    pitch = note.pitch if note.sung else None
    return replace(note, start=start, length=length, pitch=pitch, slur=slur)


def _with_silence(said: list[Phoneme], begin: float, end: float) -> list[Phoneme]:
    """The phonemes without gaps between them: SP where nothing is sung."""
    found: list[Phoneme] = []
    now = begin
    for sound in said:
        if sound.start > now + _LITTLE:
            found.append(Phoneme(symbol="SP", start=now, end=sound.start))
        found.append(sound)
        now = sound.end
    if end > now + _LITTLE:
        found.append(Phoneme(symbol="SP", start=now, end=end))
    return found


def _groups(sounds: list[Phoneme], words: list[tuple[int | None, Note]]) -> list[int]:
    """How many phonemes each word has. Onsets count with the word before, silence with its rest."""
    counts = [0] * len(words)
    place = {i: k for k, (i, _) in enumerate(words) if i is not None}
    now = 0
    for sound in sounds:
        if sound.note is None:
            middle = (sound.start + sound.end) / 2 * MICROSECONDS
            rests = [k for k, (i, note) in enumerate(words) if i is None and note.start <= middle < note.end]
            now = max(now, rests[0]) if rests else now
        else:
            k = place.get(sound.note, now)
            now = max(now, k - 1 if sound.onset else k, 0)
        counts[now] += 1
    return counts


def _word(note: Note) -> str:
    if note.lyric in BREATHS:
        return "AP"
    return "SP" if note.pitch is None else (note.lyric or "la")


def _pitch(note: Note) -> str:
    if note.pitch is None:
        return "rest"
    return pitch_name(note.pitch) + (f"{note.cents:+g}" if note.cents else "")


def _shown(value: float, digits: int) -> str:
    return f"{round(value, digits):.{digits}f}".rstrip("0").rstrip(".") or "0"
