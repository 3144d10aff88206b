"""PJS: one man sings 100 short Japanese songs, and reads their words (Koguchi and Takamichi 2020).

Size      100 songs, 27 minutes, 48,000 Hz; and as many read sentences
Licence   CC-BY-SA-4.0
Get it    https://sites.google.com/site/shinnosuketakamichi/research-topics/pjs_corpus
Layout    ROOT/PJS_corpus_ver1.1/pjs001/pjs001_song.wav, pjs001_speech.wav
          ROOT/PJS_corpus_ver1.1/pjs001/pjs001.lab             start end phoneme, in units of 100 ns
          ROOT/PJS_corpus_ver1.1/pjs001/pjs001.musicxml        the score
          ROOT/PJS_corpus_ver1.1/pjs001/pjs001.txt             the words
          ROOT may also be the folder PJS_corpus_ver1.1 itself.
Reads     words; phonemes and how long they last; the notes of the score, moved to where they are sung
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _labels, _layout, kiritan


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All songs and read sentences, sorted: pjs001_song, pjs001_speech."""
    layout = "pjs001/pjs001_song.wav, pjs001.lab, pjs001.musicxml and pjs001.txt"
    get = "https://sites.google.com/site/shinnosuketakamichi/research-topics/pjs_corpus"
    base = _layout.find(root, "pjs*/*_song.wav", layout=layout, get=get)
    paths = [path for path in _layout.sounds(base, "pjs*/*") if path.stem.endswith(("_song", "_speech"))]
    yield from _layout.each(paths, lambda path: (path.stem, path), _clip)


def _clip(path: Path) -> Clip:
    song, _, kind = path.stem.rpartition("_")
    spoken = Clip(
        id=path.stem,
        audio=path,
        text=_layout.words(path.with_name(f"{song}.txt")),
        speaker="pjs",
        language="ja",
        gender="male",
        style="speech",
        song=song,
    )
    if kind == "speech":
        return spoken
    sung = _labels.whole(_labels.labels(_layout.read(path.with_name(f"{song}.lab"))))
    notes = kiritan.melody(path.with_name(f"{song}.musicxml"), sung.labels)
    return replace(
        spoken,
        phonemes=sung.symbols,
        phoneme_set="hts-ja",
        phoneme_seconds=sung.seconds,
        notes=None if notes is None else tuple(notes),
        style="singing",
    )
