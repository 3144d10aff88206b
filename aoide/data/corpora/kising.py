"""KiSing: one woman sings Mandarin pop songs (Shi et al. 2021); version 2 adds voices that ACE Studio made of them.

Size      14 songs, some 40 minutes (version 1); 23 songs, more voices (version 2)
Licence   version 1: read the page; version 2 CC-BY-NC-4.0
Get it    http://shijt.site/index.php/2021/05/16/kising-the-first-open-source-mandarin-singing-voice-synthesis-corpus/
Layout    ROOT/clean/421/001.wav                         phrases, without a text, or with 001.txt beside
          ROOT/segmented-wav/clean/421_all.wav           or: whole songs, with
          ROOT/segmented-label/0421_align_all.txt        start end phoneme, in seconds
          ROOT/421/421-original.wav                      or (version 2): whole songs by several voices, with
          ROOT/421/421.mid                               the score; its lyrics are pinyin
Reads     phonemes and how long they last from the labels, notes and pinyin from the scores; songs are cut at their
          rests. Phrases of clean/ without a text are refused, unless with --without-text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _labels, _layout


def clips(root: Path) -> Iterator[Clip | Refused]:
    """The phrases of all songs, sorted: 421/001, 421-001 or 421-original-001."""
    phrases = list(_layout.sounds(root, "clean/*/*"))
    songs = list(_layout.sounds(root, "segmented-wav/clean/*"))
    scored = [path for path in _layout.sounds(root, "[0-9]*/*.wav") if any(path.parent.glob("*.mid"))]
    if not phrases and not songs and not scored:
        raise UserError(
            f"{root}: expected clean/421/001.wav, segmented-wav/clean/421_all.wav or 421/421-original.wav; found "
            f"{_layout.listing(root)}; get it at http://shijt.site/index.php/2021/05/16/kising-the-first-open-source-"
            "mandarin-singing-voice-synthesis-corpus/"
        )
    for path in phrases:
        name = f"{path.parent.name}/{path.stem}"
        text = _layout.words(path.with_suffix(".txt"))
        yield Clip(id=name, audio=path, text=text, song=path.parent.name, **_singer("original"))
    yield from _layout.each(songs, lambda path: (path.stem, path), _labelled)
    yield from _layout.each(scored, lambda path: (path.stem, path), _scored)


def _singer(name: str) -> dict[str, Any]:
    known = {"gender": "female"} if name == "original" else {}
    return {"speaker": name, "language": "zh", "style": "singing", **known}


def _labelled(path: Path) -> Iterator[Clip]:
    """A song of version 1 with its labels."""
    song = path.stem.split("_")[0]
    table = path.parents[2] / "segmented-label" / f"0{song}_align_all.txt"
    for number, phrase in enumerate(_labels.phrases(_labels.labels(_layout.read(table))), 1):
        yield Clip(
            id=f"{song}-{number:03}",
            audio=path,
            span=(phrase.start, phrase.end),
            phonemes=phrase.symbols,
            phoneme_set="kising",
            phoneme_seconds=phrase.seconds,
            song=song,
            **_singer("original"),
        )


def _scored(path: Path) -> Iterator[Clip]:
    """A song of version 2 with its score, in whose tempo it is sung."""
    score = min(path.parent.glob("*.mid"))
    song, singer = path.parent.name, path.stem.removeprefix(f"{path.parent.name}-") or "original"
    notes = _labels.score(score)
    labels = [_labels.Label(note.start, note.end, note.lyric or "-") for note in notes]
    for before, after in zip(notes[:-1], notes[1:], strict=True):
        labels.append(_labels.Label(before.end, after.start, "pau")) if after.start > before.end else None
    for number, phrase in enumerate(_labels.phrases(sorted(labels)), 1):
        sung = _labels.within(notes, phrase.start, phrase.end)
        yield Clip(
            id=f"{path.stem}-{number:03}",
            audio=path,
            span=(phrase.start, phrase.end),
            text=" ".join(note.lyric for note in sung if note.lyric),
            notes=sung,
            song=song,
            more={"text": "pinyin"},
            **_singer(singer),
        )
