"""UST, the files of UTAU <-> Score. 480 ticks to a quarter; `R` is a rest, `息` or `breath` a breath; Shift-JIS of
old, UTF-8 of late.

What we do not sing by (envelopes, pitch bends, flags) is kept with its note and written back.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from aoide.config import UserError
from aoide.score.formats import text_of
from aoide.score.score import HOLDS, NEXT, Note, Score, Tempo
from aoide.score.syllables import breaths_as_notes, whole_words

_SECTION = re.compile(r"\[#(\w+)\]$")
_OWN = {"Length", "Lyric", "NoteNum"}
_RESTS = {"", "R", "r", "Ｒ"}
BREATHS = {"息": "AP", "breath": "AP"}  # as voice banks of UTAU call them -> as scores do


def read(data: bytes, where: str, part: str | int | None = None) -> Score:
    """Reads a UST file."""
    text = text_of(data, where, "utf-8-sig", "cp932")
    settings: dict[str, str] = {}
    notes: list[Note] = []
    tempos: dict[int, float] = {}
    tick = 0
    for name, values, line in _sections(text, where):
        if name == "SETTING":
            settings = values
            if "Tempo" in values:
                tempos[0] = _tempo(values["Tempo"], where, line)
        elif name.isdigit():
            length = _whole(values, "Length", where, line)
            if length < 0:
                raise UserError(f"{where}: line {line}: a length of {length}")
            if "Tempo" in values:
                tempos[tick] = _tempo(values["Tempo"], where, line)
            lyric = values.get("Lyric", "").strip()
            lyric = BREATHS.get(lyric, lyric)
            if lyric not in _RESTS:
                extra = {key: value for key, value in values.items() if key not in _OWN and key != "Tempo"}
                pitch = _whole(values, "NoteNum", where, line)
                if not 0 <= pitch <= 127:
                    raise UserError(f"{where}: line {line}: NoteNum={pitch} is no MIDI number")
                slur = lyric in HOLDS or lyric == NEXT
                notes.append(Note(start=tick, length=length, pitch=pitch, lyric=lyric, slur=slur, extra=extra))
            tick += length
    if not settings and not notes:
        raise UserError(f"{where}: no UST file: no settings and no notes in it")
    tempos.setdefault(0, 120.0)
    kept = {key: value for key, value in settings.items() if key not in ("Tempo", "ProjectName", "Tracks")}
    return Score(
        notes=tuple(notes),
        tempos=tuple(Tempo(tick=at, bpm=tempos[at]) for at in sorted(tempos)),
        title=settings.get("ProjectName", ""),
        extra={"ust": kept} if kept else {},
    )


def _sections(text: str, where: str) -> list[tuple[str, dict[str, str], int]]:
    """(name, values, line) of each section."""
    found: list[tuple[str, dict[str, str], int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if head := _SECTION.match(line.strip()):
            found.append((head[1], {}, number))
        elif "=" in line and found:
            key, _, value = line.partition("=")
            found[-1][1][key.strip()] = value
        elif line.strip() and found and found[-1][0] != "VERSION":
            raise UserError(f"{where}: line {number}: neither a section nor name=value: {line.strip()[:40]!r}")
    return found


def _tempo(text: str, where: str, line: int) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UserError(f"{where}: line {line}: not a tempo: {text.strip()[:40]!r}")
    return value


def _whole(values: dict[str, str], key: str, where: str, line: int) -> int:
    try:
        return round(float(values[key]))
    except (KeyError, ValueError, OverflowError):
        raise UserError(f"{where}: line {line}: the note has no {key}, or none that is a number") from None


def write(score: Score, where: str) -> bytes:
    """Writes UST 1.2, in Shift-JIS if all letters are in it, else in UTF-8."""
    score = breaths_as_notes(whole_words(score.with_metre().at_resolution(480)))
    settings: dict[str, Any] = {"Tempo": _shown(score.tempos[0].bpm), "Tracks": 1, "ProjectName": score.title}
    settings |= {"Mode2": True, **score.extra.get("ust", {})}
    lines = ["[#VERSION]", "UST Version1.2", "[#SETTING]", *(f"{key}={value}" for key, value in settings.items())]
    changes = list(score.tempos[1:])
    position = number = 0

    def put(length: int, lyric: str, pitch: int, more: dict[str, Any]) -> None:
        nonlocal position, number
        values: dict[str, Any] = {"Length": length, "Lyric": lyric, "NoteNum": pitch}
        if changes and changes[0].tick <= position:
            values["Tempo"] = _shown(changes.pop(0).bpm)
        lines.extend([f"[#{number:04d}]", *(f"{key}={value}" for key, value in (values | more).items())])
        position += length
        number += 1

    for note in _in_a_row(score):
        while note.start > position:  # a rest, cut where the tempo changes: only a note can change it
            end = min([note.start, *(tempo.tick for tempo in changes[:1] if tempo.tick > position)])
            put(end - position, "R", 60, {})
        lyric = note.lyric or ("-" if note.slur else "R" if note.pitch is None else "la")
        put(note.length, lyric, 60 if note.pitch is None else note.pitch, dict(note.extra))
    lines.append("[#TRACKEND]")
    text = "\r\n".join(lines) + "\r\n"
    try:
        return text.encode("cp932")
    except UnicodeEncodeError:
        return text.replace("[#SETTING]\r\n", "[#SETTING]\r\nCharset=UTF-8\r\n", 1).encode()


def _in_a_row(score: Score) -> list[Note]:
    """Notes of some length that do not overlap, cut where they would, and split where the tempo changes inside one."""
    notes = [note for note in score.notes if note.length > 0]
    row: list[Note] = []
    for i, note in enumerate(notes):
        start = max(note.start, row[-1].end) if row else note.start
        end = min([note.end, *(after.start for after in notes[i + 1 : i + 2] if after.start > start)])
        inside = [tempo.tick for tempo in score.tempos if start < tempo.tick < end]
        for a, b in zip([start, *inside], [*inside, end], strict=True):
            if b > a:
                piece = replace(note, start=a, length=b - a)
                row.append(piece if a == start else replace(piece, lyric="-", slur=True))
    return row


def _shown(bpm: float) -> str:
    return f"{bpm:.2f}" if round(bpm, 2) == bpm else repr(bpm)
