"""SVCC 2023: the targets of the Singing Voice Conversion Challenge, two singers and two speakers (Huang et al. 2023).

Size      some 150 phrases of each, English, 24,000 Hz
Licence   that of NHSS, which it is made of and which must be signed for: https://hltnus.github.io/NHSSDatabase
Get it    https://github.com/lesterphillip/SVCC23_FastSVC/tree/main/egs/generate_dataset
Layout    ROOT/Data/CDF1/10001.wav       ID: the target is heard singing, CD: only speaking; F woman, M man
          ROOT/Data/IDM1/10001.wav       ROOT may also be the folder Data itself.
          ROOT/Data/IDM1/10001.txt       its words
Reads     singer, gender, style, and the words where their file is beside the sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

TEXT = False


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All phrases, sorted: CDF1/10001."""
    layout = "Data/CDF1/10001.wav, Data/CDM1, Data/IDF1, Data/IDM1"
    get = "https://github.com/lesterphillip/SVCC23_FastSVC"
    base = _layout.find(root, "[CIS]*[FM][0-9]/*.wav", layout=layout, get=get)

    def clip(path: Path) -> Clip:
        singer = path.parent.name
        return Clip(
            id=f"{singer}/{path.stem}",
            audio=path,
            text=_layout.words(path.with_suffix(".txt")),
            speaker=singer,
            language="en",
            gender=_layout.gender(singer[-2]),
            style="speech" if singer.startswith("CD") else "singing",
        )

    found = _layout.sounds(base, "[CIS]*[FM][0-9]/*.wav")
    yield from _layout.each(found, lambda path: (f"{path.parent.name}/{path.stem}", path), clip)
