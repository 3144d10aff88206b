"""HTS labels (.lab), as Sinsy and NNSVS use them <-> Score: phonemes with times, in units of 100 ns.

A line is `start end phoneme`, or a full-context label with the phoneme between - and +. The contexts of a sung label
name the note behind /E: (C4, or xx in a rest); labels in a row with the same such context are of one note.
"""

from __future__ import annotations

import re
from dataclasses import replace

from aoide.config import UserError
from aoide.score.formats import text_of
from aoide.score.score import BREATHS, MICROSECONDS, SILENCES, Note, Phoneme, Score, in_seconds, pitch_number

_UNIT = 1e-7  # seconds
_FULL = re.compile(r"[^-]*-(?P<phoneme>.+?)\+.*/A:")
_NOTE = re.compile(r"/E:(?P<pitch>[^\]]+)\](?P<more>.*?)/F:")


def read(data: bytes, where: str, part: str | int | None = None) -> Score:
    """Reads labels. Notes come only from full-context labels; phonemes without them know none."""
    phonemes: list[Phoneme] = []
    notes: list[Note] = []
    before = None
    for number, line in enumerate(text_of(data, where, "utf-8-sig", "cp932").splitlines(), 1):
        if not line.strip():
            continue
        start, end, label = _line(line, f"{where}: line {number}")
        if phonemes and start < phonemes[-1].end - 1e-9:
            raise UserError(f"{where}: line {number}: begins before the line above it ends")
        full = _FULL.match(label)
        symbol = full["phoneme"] if full else label
        context = _NOTE.search(label)
        place = None
        if context:
            pitch = _pitch(context["pitch"], f"{where}: line {number}")
            if (context[0], pitch) != before or not notes:
                tick = round(start * MICROSECONDS)
                notes.append(Note(start=tick, length=0, pitch=pitch, lyric=symbol if pitch is None else ""))
            before = (context[0], pitch)
            place = len(notes) - 1
            notes[-1] = _longer(notes[-1], round(end * MICROSECONDS), symbol)
        phonemes.append(Phoneme(symbol=symbol, start=start, end=end, note=place))
    if not phonemes:
        raise UserError(f"{where}: no labels in it")
    return in_seconds(notes=tuple(notes), phonemes=tuple(phonemes))


def _line(line: str, where: str) -> tuple[float, float, str]:
    parts = line.split(maxsplit=2)
    try:
        start, end, label = float(parts[0]) * _UNIT, float(parts[1]) * _UNIT, parts[2].strip()
    except (ValueError, IndexError):
        raise UserError(f"{where}: not `start end label`: {line.strip()[:40]!r}") from None
    if not 0 <= start <= end < float("inf"):
        raise UserError(f"{where}: ends before it begins")
    return round(start, 7), round(end, 7), label


def _pitch(name: str, where: str) -> int | None:
    try:
        return pitch_number(name)[0]
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _longer(note: Note, end: int, symbol: str) -> Note:
    phonemes = note.phonemes if note.pitch is None else (*note.phonemes, symbol)
    return replace(note, length=end - note.start, phonemes=phonemes)


def write(score: Score, where: str) -> bytes:
    """Writes mono labels; silence between phonemes becomes `pau`.

    Raises:
        UserError: the score has no phonemes with times.
    """
    if not score.phonemes:
        raise UserError(
            f"{where}: labels are phonemes with times, which this score lacks; aoide.text.lyrics.plan adds them"
        )
    lines, now = [], 0
    for phoneme in score.phonemes:
        start, end = round(phoneme.start / _UNIT), round(phoneme.end / _UNIT)
        if start > now:
            lines.append(f"{now} {start} pau")
        symbol = "pau" if phoneme.symbol in SILENCES and phoneme.symbol != "sil" else phoneme.symbol
        lines.append(f"{max(start, now)} {end} {'br' if symbol in BREATHS else symbol}")
        now = max(end, now)
    return ("\n".join(lines) + "\n").encode()
