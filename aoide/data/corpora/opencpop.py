"""Opencpop: one woman sings 100 Mandarin pop songs, cut and annotated by hand (Wang et al. 2022).

Size      3,756 phrases, 5.2 hours, 44,100 Hz
Licence   CC-BY-NC-ND-4.0
Get it    https://wenet.org.cn/opencpop/ (on request)
Layout    ROOT/segments/transcriptions.txt       id|text|phonemes|note names|note seconds|phoneme seconds|slurs
          ROOT/segments/wavs/2001000001.wav
          ROOT/segments/train.txt, test.txt      which phrases are for testing
Reads     text, phonemes (AP is a breath, SP a rest) and how long they last, notes with slurs; the split in `more`
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _labels, _layout

Line = tuple[int, str]


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All phrases, in the order of the table."""
    layout = "segments/transcriptions.txt and segments/wavs/2001000001.wav"
    base = _layout.find(root, "segments/transcriptions.txt", layout=layout, get="https://wenet.org.cn/opencpop/")
    table = base / "segments" / "transcriptions.txt"
    test = base / "segments" / "test.txt"
    held = {line.partition("|")[0] for line in _layout.read(test).splitlines()} if test.is_file() else set()
    lines = [(number, line) for number, line in enumerate(_layout.read(table).splitlines(), 1) if line.strip()]
    yield from _layout.each(lines, partial(_name, table=table), partial(_clip, table=table, held=held))


def _name(line: Line, table: Path) -> tuple[str, Path]:
    return line[1].partition("|")[0], table


def _clip(line: Line, table: Path, held: set[str]) -> Clip:
    parts = line[1].split("|")
    if len(parts) != 7:
        raise ValueError(f"line {line[0]} has {len(parts)} fields, not 7")
    name, text, phonemes, notes, note_seconds, seconds, slurs = (part.strip() for part in parts)
    symbols, pitches = phonemes.split(), [_labels.pitch(note) for note in notes.split()]
    lasting, slurred = [float(s) for s in note_seconds.split()], [slur == "1" for slur in slurs.split()]
    if len({len(symbols), len(pitches), len(lasting), len(slurred)}) > 1:
        raise ValueError(f"line {line[0]} has {len(symbols)} phonemes, {len(pitches)} notes, {len(slurred)} slurs")
    return Clip(
        id=name,
        audio=table.parent / "wavs" / f"{name}.wav",
        text=text,
        speaker="opencpop",
        language="zh",
        phonemes=" ".join(symbols),
        phoneme_set="opencpop",
        phoneme_seconds=tuple(float(s) for s in seconds.split()),
        notes=_labels.by_syllables(symbols, pitches, lasting, slurred),
        gender="female",
        style="singing",
        song=name[:4],
        more={"split": "test" if name in held else "train"},
    )
