"""LJ Speech 1.1: one woman reads seven non-fiction books (Linda Johnson for LibriVox; Keith Ito 2017).

Size      13,100 clips, 24 hours, English, 22,050 Hz, 1 to 10 s
Licence   public domain
Get it    https://keithito.com/LJ-Speech-Dataset/ (LJSpeech-1.1.tar.bz2, 2.6 GB)
Layout    ROOT/LJSpeech-1.1/metadata.csv       id|text|normalised text
          ROOT/LJSpeech-1.1/wavs/LJ001-0001.wav
          ROOT may also be the folder LJSpeech-1.1 itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import folder


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All clips, in the order of the table."""
    for place in (root / "LJSpeech-1.1", root):
        if (place / "metadata.csv").is_file():
            yield from folder.from_table(place / "metadata.csv", "LJ", "en")
            return
    raise UserError(
        f"{root}: no LJSpeech-1.1/metadata.csv in it; get LJ Speech at https://keithito.com/LJ-Speech-Dataset/"
    )
