"""Score -> MusicXML 4.0: one part, one voice, notes split at bar lines and tied."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from aoide.score.score import Meter, Note, Score
from aoide.score.syllables import continues

_HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    b'"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_TYPES = {
    Fraction(4 * (2 ** (dots + 1) - 1), value * 2**dots): (name, dots)
    for value, name in ((1, "whole"), (2, "half"), (4, "quarter"), (8, "eighth"), (16, "16th"), (32, "32nd"))
    for dots in (0, 1, 2)
}
_SHARPS = (
    ("C", 0),
    ("C", 1),
    ("D", 0),
    ("D", 1),
    ("E", 0),
    ("F", 0),
    ("F", 1),
    ("G", 0),
    ("G", 1),
    ("A", 0),
    ("A", 1),
    ("B", 0),
)


class _Piece(NamedTuple):
    """A part of a note, or of the silence between notes, inside one bar."""

    start: int
    end: int
    note: Note | None
    first: bool
    last: bool
    extend: bool  # a melisma follows


def engrave(score: Score) -> bytes:
    """The XML."""
    score = score.with_metre()
    root = Element("score-partwise", version="4.0")
    if score.title:
        SubElement(SubElement(root, "work"), "work-title").text = score.title
    if score.language:
        language = SubElement(SubElement(root, "defaults"), "lyric-language")
        language.set("xml:lang", score.language)
    listed = SubElement(SubElement(root, "part-list"), "score-part", id="P1")
    SubElement(listed, "part-name").text = "Voice"
    part = SubElement(root, "part", id="P1")
    bars = list(_bars(score))
    pieces = _pieces(score, [start for start, _, _ in bars])
    syllabic = _Syllabic()
    for number, (start, end, meter) in enumerate(bars, 1):
        measure = SubElement(part, "measure", number=str(number))
        if number == 1 or meter.tick == start:
            _attributes(measure, score, meter, first=number == 1)
        tempos = [tempo for tempo in score.tempos if start <= tempo.tick < end or (end == bars[-1][1] <= tempo.tick)]
        inside = [piece for piece in pieces if start <= piece.start < end]
        for piece in inside:
            for tempo in [tempo for tempo in tempos if tempo.tick < piece.end]:
                _tempo(measure, tempo.bpm, tempo.tick - piece.start)
                tempos.remove(tempo)
            _note(measure, piece, score.resolution, syllabic)
        for tempo in tempos:
            _tempo(measure, tempo.bpm, tempo.tick - end)
    indent(root)
    return _HEAD + tostring(root, encoding="utf-8") + b"\n"


def _bars(score: Score) -> Iterator[tuple[int, int, Meter]]:
    """(start, end, time signature) of each bar, until all is written. A new time signature begins a bar."""
    last = max((note.end for note in score.notes), default=0)
    start = 0
    for i, meter in enumerate(score.meters):
        length = max(1, round(score.resolution * 4 * meter.beats / meter.unit))
        until = score.meters[i + 1].tick if i + 1 < len(score.meters) else max(last, start + 1)
        while start < until:
            end = start + length
            if i + 1 < len(score.meters):
                end = min(end, until)
            yield start, end, meter
            start = end


def _pieces(score: Score, starts: list[int]) -> list[_Piece]:
    """Notes and rests in a row, cut at the bar lines; a note that overlaps the next is cut there."""
    notes = [note for note in score.notes if note.sung and note.length > 0]
    spans: list[tuple[int, int, Note | None, bool]] = []
    position = 0
    for i, note in enumerate(notes):
        after = notes[i + 1] if i + 1 < len(notes) else None
        end = min(note.end, after.start) if after else note.end
        if end <= max(note.start, position):
            continue
        if note.start > position:
            spans.append((position, note.start, None, False))
        held = after is not None and continues(after)
        spans.append((max(note.start, position), end, note, held))
        position = end
    pieces = []
    for start, end, held_note, extend in spans:
        first = bisect_right(starts, start)
        cuts = [start, *(bar for bar in starts[first:] if bar < end), end]
        for a, b in zip(cuts, cuts[1:], strict=False):
            pieces.append(_Piece(a, b, held_note, a == start, b == end, extend))
    return pieces


class _Syllabic:
    """single, begin, middle or end, told from the syllable before."""

    def __init__(self) -> None:
        self._open = False

    def of(self, note: Note) -> str:
        before, self._open = self._open, note.hyphen
        return ("middle" if note.hyphen else "end") if before else ("begin" if note.hyphen else "single")


def _attributes(measure: Element, score: Score, meter: Meter, *, first: bool) -> None:
    attributes = SubElement(measure, "attributes")
    if first:
        SubElement(attributes, "divisions").text = str(score.resolution)
    time = SubElement(attributes, "time")
    SubElement(time, "beats").text = str(meter.beats)
    SubElement(time, "beat-type").text = str(meter.unit)


def _tempo(measure: Element, bpm: float, offset: int) -> None:
    direction = SubElement(measure, "direction", placement="above")
    metronome = SubElement(SubElement(direction, "direction-type"), "metronome")
    SubElement(metronome, "beat-unit").text = "quarter"
    SubElement(metronome, "per-minute").text = f"{bpm:.10g}"
    if offset:
        SubElement(direction, "offset", sound="yes").text = str(offset)
    SubElement(direction, "sound", tempo=repr(float(bpm)))


def _note(measure: Element, piece: _Piece, resolution: int, syllabic: _Syllabic) -> None:
    element = SubElement(measure, "note")
    note = piece.note
    ties = [kind for kind, tied in (("stop", not piece.first), ("start", not piece.last)) if tied and note]
    _pitch(element, note)
    SubElement(element, "duration").text = str(piece.end - piece.start)
    for kind in ties:
        SubElement(element, "tie", type=kind)
    SubElement(element, "voice").text = "1"
    name, dots = _TYPES.get(Fraction(piece.end - piece.start, resolution), ("", 0))
    if name:
        SubElement(element, "type").text = name
        for _ in range(dots):
            SubElement(element, "dot")
    _notations(element, piece, ties)
    if note is not None and piece.first and note.lyric and not continues(note):
        lyric = SubElement(element, "lyric", number="1")
        SubElement(lyric, "syllabic").text = syllabic.of(note)
        SubElement(lyric, "text").text = note.lyric
        if piece.extend:
            SubElement(lyric, "extend")


def _notations(element: Element, piece: _Piece, ties: list[str]) -> None:
    """Ties, the slur over a melisma, a breath."""
    notations = Element("notations")
    for kind in ties:
        SubElement(notations, "tied", type=kind)
    if piece.note is not None:
        held = continues(piece.note)
        if piece.first and piece.extend and not held:
            SubElement(notations, "slur", type="start", number="1")
        if piece.last and held and not piece.extend:
            SubElement(notations, "slur", type="stop", number="1")
        if piece.last and piece.note.breath:
            SubElement(SubElement(notations, "articulations"), "breath-mark")
    if len(notations):
        element.append(notations)


def _pitch(element: Element, note: Note | None) -> None:
    if note is None or note.pitch is None:
        SubElement(element, "rest")
        return
    step, sharp = _SHARPS[note.pitch % 12]
    pitch = SubElement(element, "pitch")
    SubElement(pitch, "step").text = step
    alter = sharp + note.cents / 100
    if alter:
        SubElement(pitch, "alter").text = repr(round(alter, 6)) if alter % 1 else str(int(alter))
    SubElement(pitch, "octave").text = str(note.pitch // 12 - 1)
