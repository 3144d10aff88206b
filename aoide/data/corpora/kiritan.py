"""Tohoku Kiritan singing database: a character's voice sings 50 Japanese pop songs (Ogawa and Morise 2021).

Size      50 songs, 57 minutes of singing, 96,000 Hz, one female voice; cut at its rests into phrases of 10 s
Licence   research only, within article 30-4 of Japan's copyright act; no voice that is hers may be published
Get it    sounds at https://zunko.jp/kiridev/login.php, labels at https://github.com/mmorise/kiritan_singing
Layout    ROOT/**/wav/01.wav
          ROOT/**/mono_label/01.lab       start end phoneme, in seconds
          ROOT/**/musicxml/01.xml         the score; or midi_label/01.mid
Reads     phonemes and how long they last; the notes of the score, moved to where they are sung. There are no lyrics
          but the phonemes. br is a breath, cl a stop, pau a rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from aoide.data.clips import Clip, Note, Refused
from aoide.data.corpora import _labels, _layout

VOWELS = frozenset("aiueoAIUEON") | {"cl"}  # what a note's onset falls on


def clips(root: Path) -> Iterator[Clip | Refused]:
    """The phrases of all songs: 01-001 ..."""
    get = "https://zunko.jp/kiridev/login.php and https://github.com/mmorise/kiritan_singing"
    base = _layout.find(root, "**/wav/*.wav", "**/mono_label/*.lab", layout="wav/01.wav and mono_label/01.lab", get=get)
    labels = {path.stem: path for path in sorted(base.glob("**/mono_label/[!.]*.lab"))}
    scores = {path.stem: path for kind in ("midi_label/*.mid", "musicxml/*.xml") for path in base.glob(f"**/{kind}")}
    for path in _layout.sounds(base, "**/wav/*.wav"):
        if path.stem not in labels:
            yield Refused(id=path.stem, path=path, reason=f"there is no mono_label/{path.stem}.lab")
            continue
        make = partial(phrases, label=labels[path.stem], score=scores.get(path.stem))
        yield from _layout.each([path], lambda path: (path.stem, path), make)


def phrases(path: Path, label: Path, score: Path | None) -> Iterator[Clip]:
    """A song, cut at its rests."""
    labels = _labels.labels(_layout.read(label))
    notes = melody(score, labels)
    for number, phrase in enumerate(_labels.phrases(labels), 1):
        yield Clip(
            id=f"{path.stem}-{number:03}",
            audio=path,
            span=(phrase.start, phrase.end),
            speaker="kiritan",
            language="ja",
            phonemes=phrase.symbols,
            phoneme_set="hts-ja",
            phoneme_seconds=phrase.seconds,
            notes=None if notes is None else _labels.within(notes, phrase.start, phrase.end),
            gender="female",
            style="singing",
            song=path.stem,
        )


def melody(score: Path | None, labels: list[_labels.Label]) -> list[Note] | None:
    """The notes of a score where they are sung, None if there is no score, or one of something else."""
    if score is None or not score.is_file():
        return None
    return _labels.follow(_labels.score(score), [label.start for label in labels if label.symbol in VOWELS])
