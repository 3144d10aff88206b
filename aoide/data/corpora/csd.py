"""Children's Song Dataset: one woman sings 50 English and 50 Korean songs, each in two keys (Choi et al. 2020).

Size      200 recordings, 4.9 hours, 44,100 Hz; cut into phrases of one line
Licence   CC-BY-NC-SA-4.0
Get it    https://zenodo.org/records/4785016 (CSD.zip)
Layout    ROOT/CSD/english/wav/en001a.wav
          ROOT/CSD/english/csv/en001a.csv      start,end,pitch,syllable: one line for each note
          ROOT/CSD/english/txt/en001a.txt      one phrase a line, a syllable's phonemes joined by _
          ROOT/CSD/english/lyric/en001a.txt    the same lines as one writes them
          ROOT/CSD/korean/...                  ROOT may also be the folder CSD
Reads     lyric, phonemes, notes; song is 001, key a or b in `more`
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from aoide.data.clips import Clip, Note, Refused
from aoide.data.corpora import _layout

LANGUAGES = {"english": "en", "korean": "ko"}
MARGIN = 0.1  # seconds before and after a phrase


def clips(root: Path) -> Iterator[Clip | Refused]:
    """The phrases of all songs: en001a-001 ..."""
    layout = "english/wav/en001a.wav, english/csv/en001a.csv and english/txt/en001a.txt"
    base = _layout.find(root, "*/csv/*.csv", layout=layout, get="https://zenodo.org/records/4785016")
    for folder, language in LANGUAGES.items():
        songs = sorted((base / folder / "csv").glob("[!.]*.csv"))
        yield from _layout.each(songs, _name, partial(_phrases, language=language))


def _name(table: Path) -> tuple[str, Path]:
    return table.stem, table


def _phrases(table: Path, language: str) -> list[Clip]:
    """One clip for each line of txt/, which names as many syllables as the table has rows."""
    name, base = table.stem, table.parent.parent
    rows = [
        (float(row["start"]), float(row["end"]), float(row["pitch"]), row["syllable"])
        for row in csv.DictReader(io.StringIO(_layout.read(table)))
    ]
    lines = [line.split() for line in _layout.read(base / "txt" / f"{name}.txt").splitlines() if line.split()]
    if sum(map(len, lines)) != len(rows):
        raise ValueError(f"txt has {sum(map(len, lines))} syllables, csv {len(rows)} notes")
    lyric = base / "lyric" / f"{name}.txt"
    written = (
        [" ".join(line.split()) for line in _layout.read(lyric).splitlines() if line.split()] if lyric.is_file() else []
    )
    found, at = [], 0
    for number, syllables in enumerate(lines):
        first, last = rows[at], rows[at + len(syllables) - 1]
        before = (first[0] - rows[at - 1][1]) / 2 if at else first[0]
        start = first[0] - max(0.0, min(MARGIN, before))
        after = (rows[at + len(syllables)][0] - last[1]) / 2 if at + len(syllables) < len(rows) else MARGIN
        end = last[1] + max(0.0, min(MARGIN, after))
        notes = [
            Note(pitch, round(begin - start, 6), round(stop - start, 6), syllable)
            for begin, stop, pitch, syllable in rows[at : at + len(syllables)]
        ]
        found.append(
            Clip(
                id=f"{name}-{number + 1:03}",
                audio=base / "wav" / f"{name}.wav",
                span=(start, end),
                text=written[number] if len(written) == len(lines) else None,
                speaker="csd",
                language=language,
                phonemes=" ".join(syllables).replace("_", " "),
                phoneme_set="csd",
                notes=tuple(notes),
                gender="female",
                style="singing",
                song=name[2:5],
                more={"key": name[5:]},
            )
        )
        at += len(syllables)
    return found
