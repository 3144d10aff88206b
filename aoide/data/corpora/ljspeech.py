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

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout, folder


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All clips, in the order of the table."""
    layout, get = "LJSpeech-1.1/metadata.csv and LJSpeech-1.1/wavs", "https://keithito.com/LJ-Speech-Dataset/"
    base = _layout.find(root, "metadata.csv", layout=layout, get=get)
    yield from folder.from_table(base / "metadata.csv", "LJ", "en")
