"""NUS-48E: twelve people sing and read 20 English songs, 48 recordings of each kind (Duan et al. 2013).

Size      169 minutes, 115 of them sung; 12 singers, 44,100 Hz; cut at its rests into phrases of 10 s
Licence   research only
Get it    https://smcnus.comp.nus.edu.sg/nus-48e-sung-and-spoken-lyrics-corpus/
Layout    ROOT/nus-smc-corpus_48/ADIZ/sing/01.wav
          ROOT/nus-smc-corpus_48/ADIZ/sing/01.txt      start end phoneme, in seconds; sil and sp are rests
          ROOT/nus-smc-corpus_48/ADIZ/read/01.wav, 01.txt
          ROOT may also be the folder nus-smc-corpus_48 itself.
Reads     phonemes (of CMU's dictionary, small, no stress) and how long they last. There are no words.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _labels, _layout

STYLES = {"sing": "singing", "read": "speech"}


def clips(root: Path) -> Iterator[Clip | Refused]:
    """The phrases of all songs, sorted: ADIZ/sing/01-001 ..."""
    layout = "SINGER/sing/01.wav with 01.txt, and SINGER/read/"
    get = "https://smcnus.comp.nus.edu.sg/nus-48e-sung-and-spoken-lyrics-corpus/"
    base = _layout.find(root, "*/sing/*.wav", layout=layout, get=get)
    songs = [path for path in _layout.sounds(base, "*/*/*.wav") if path.parent.name in STYLES]
    yield from _layout.each(songs, partial(_name, base=base), partial(_phrases, base=base))


def _name(path: Path, base: Path) -> tuple[str, Path]:
    return path.relative_to(base).with_suffix("").as_posix(), path


def _phrases(path: Path, base: Path) -> Iterator[Clip]:
    singer, kind = path.parts[-3:-1]
    for number, phrase in enumerate(_labels.phrases(_labels.labels(_layout.read(path.with_suffix(".txt")))), 1):
        yield Clip(
            id=f"{_name(path, base)[0]}-{number:03}",
            audio=path,
            span=(phrase.start, phrase.end),
            speaker=singer,
            language="en",
            phonemes=phrase.symbols,
            phoneme_set="cmu",
            phoneme_seconds=phrase.seconds,
            style=STYLES[kind],
            song=path.stem,
        )
