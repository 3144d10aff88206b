"""GTSinger: 20 singers in nine languages sing with and without six techniques, and read the words (Zhang et al. 2024).

Size      80.6 hours of singing, 16.2 of speech, 48,000 Hz
Licence   CC-BY-NC-SA-4.0
Get it    https://huggingface.co/datasets/GTSinger/GTSinger
Layout    ROOT/English/EN-Alto-1/Breathy/my love/Breathy_Group/0000.wav
          ROOT/English/EN-Alto-1/Breathy/my love/Breathy_Group/0000.json      words, phonemes, notes, techniques
          .../Control_Group/0000.wav                                          the same without the technique
          .../Paired_Speech_Group/0000.wav                                    the words, read
Reads     text, phonemes and how long they last, notes; technique; per phoneme the techniques, and emotion, pace, range
          and singing_method in `more`
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from aoide.data.clips import Clip, Note, Refused
from aoide.data.corpora import _layout

LANGUAGES = {
    "Chinese": "zh",
    "English": "en",
    "French": "fr",
    "German": "de",
    "Italian": "it",
    "Japanese": "ja",
    "Korean": "ko",
    "Russian": "ru",
    "Spanish": "es",
}
TECHNIQUES = ("mix", "falsetto", "breathy", "breathe", "pharyngeal", "vibrato", "glissando")
GLOBAL = ("emotion", "pace", "range", "singing_method")


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All clips, sorted by path: EN-Alto-1/Breathy/my love/Breathy_Group/0000."""
    base = _layout.find(
        root,
        "*/*/*/*/*_Group/*.wav",
        layout="LANGUAGE/SINGER/TECHNIQUE/SONG/GROUP/0000.wav, such as English/EN-Alto-1/Breathy/my love/Breathy_Group",
        get="https://huggingface.co/datasets/GTSinger/GTSinger",
    )
    yield from _layout.each(_layout.sounds(base, "*/*/*/*/*_Group/*.wav"), _name, _clip)


def _name(path: Path) -> tuple[str, Path]:
    return path.relative_to(path.parents[4]).with_suffix("").as_posix(), path


def _clip(path: Path) -> Clip:
    singer, technique, song, group = path.parts[-5:-1]
    language = LANGUAGES.get(path.parts[-6], "")
    words: list[dict[str, Any]] = json.loads(_layout.read(path.with_suffix(".json")))
    phonemes, seconds, used = _phonemes(words)
    said = [word["word"] for word in words if not word["word"].startswith("<")]
    speech, control = group.startswith("Paired_Speech"), group.startswith("Control")
    more: dict[str, Any] = {key: words[0][key] for key in GLOBAL if words and key in words[0]}
    return Clip(
        id=_name(path)[0],
        audio=path,
        text=("" if language in ("zh", "ja") else " ").join(said),
        speaker=singer,
        language=language,
        phonemes=" ".join(phonemes),
        phoneme_set=f"gtsinger-{language}",
        phoneme_seconds=tuple(seconds),
        notes=None if speech else _melody(words),
        gender=_layout.gender(singer.split("-")[1]),
        style="speech" if speech else "singing",
        technique="" if speech or control else group.removesuffix("_Group").lower(),
        song=song,
        more=more | {"contrast": technique.lower()} | ({"phoneme_techniques": used} if any(used) else {}),
    )


def _phonemes(words: list[dict[str, Any]]) -> tuple[list[str], list[float], list[str]]:
    """All phonemes, how long each lasts until the next one, and its techniques, such as `mix vibrato`."""
    timed = [
        (float(start), float(end), str(symbol), " ".join(t for t in TECHNIQUES if _on(word, t, i)))
        for word in words
        for i, (start, end, symbol) in enumerate(zip(word["ph_start"], word["ph_end"], word["ph"], strict=True))
    ]
    edges = [start for start, *_ in timed] + [timed[-1][1]] if timed else [0.0]
    seconds = [round(after - before, 6) for before, after in pairwise([0.0, *edges[1:]])]
    return [symbol.strip("<>") for _, _, symbol, _ in timed], seconds, [used for *_, used in timed]


def _on(word: dict[str, Any], technique: str, number: int) -> bool:
    marks = word.get(technique, ())
    return number < len(marks) and str(marks[number]) == "1"


def _melody(words: list[dict[str, Any]]) -> tuple[Note, ...]:
    """The notes of all words; the second and later ones of a word are slurs."""
    return tuple(
        Note(float(midi), start, end, word["word"] if i == 0 else "", i > 0)
        for word in words
        for i, (midi, (start, end)) in enumerate(zip(word.get("note", ()), _times(word), strict=True))
        if float(midi) > 0
    )


def _times(word: dict[str, Any]) -> list[tuple[float, float]]:
    """When the notes of a word begin and end; where only their lengths are given, they share its time."""
    if "note_start" in word:
        return [(float(a), float(b)) for a, b in zip(word["note_start"], word["note_end"], strict=True)]
    lengths = [float(length) for length in word.get("note_dur", ())]
    begin, scale = float(word["start_time"]), float(word["end_time"]) - float(word["start_time"])
    edges = [begin + scale * sum(lengths[:i]) / (sum(lengths) or 1.0) for i in range(len(lengths) + 1)]
    return [(round(a, 6), round(b, 6)) for a, b in pairwise(edges)]
