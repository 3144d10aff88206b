"""OpenSinger: 66 singers sing Mandarin pop songs (Huang et al. 2021).

Size      50 hours, 25 men and 41 women, 24,000 Hz
Licence   CC-BY-NC-SA-2.0
Get it    https://github.com/Multi-Singer/Multi-Singer.github.io
Layout    ROOT/OpenSinger/WomanRaw/0_SONG/0_SONG_0.wav
          ROOT/OpenSinger/WomanRaw/0_SONG/0_SONG_0.txt     the words
          ROOT/OpenSinger/WomanRaw/0_SONG/0_SONG_0.lab     start end phoneme, in seconds, where there is one
          ROOT/OpenSinger/ManRaw/...                       ROOT may also be the folder OpenSinger itself.
Reads     text, singer, gender; phonemes and how long they last
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _labels, _layout


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All phrases, sorted by path: Woman_0/SONG/0."""
    layout = "WomanRaw/0_SONG/0_SONG_0.wav with .txt and .lab, and ManRaw/"
    get = "https://github.com/Multi-Singer/Multi-Singer.github.io"
    base = _layout.find(root, "*anRaw/*/*.wav", layout=layout, get=get)
    yield from _layout.each(_layout.sounds(base, "*anRaw/*/*.wav"), lambda path: (_id(path), path), _clip)


def _id(path: Path) -> str:
    """`WomanRaw/0_SONG/0_SONG_12.wav` is Woman_0/SONG/12."""
    singer, _, rest = path.stem.partition("_")
    song, _, number = rest.rpartition("_")
    return f"{path.parents[1].name.removesuffix('Raw')}_{singer}/{song}/{number}"


def _clip(path: Path) -> Clip:
    name = _id(path)
    singer, song, _ = name.split("/")
    table = path.with_suffix(".lab")
    sung = _labels.whole(_labels.labels(_layout.read(table))) if table.is_file() else None
    return Clip(
        id=name,
        audio=path,
        text=_layout.words(path.with_suffix(".txt")),
        speaker=singer,
        language="zh",
        phonemes=sung.symbols if sung else None,
        phoneme_set="opensinger" if sung else "",
        phoneme_seconds=sung.seconds if sung else None,
        gender=_layout.gender(singer),
        style="singing",
        song=song,
    )
