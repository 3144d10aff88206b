"""Singers as users of DiffSinger keep them: a folder of each, sounds with labels.

Size      yours
Licence   yours; of a person who agreed to be sung with
Get it    made with the community's tools for DiffSinger (github.com/openvpi), or by hand
Layout    ROOT/SINGER/transcriptions.csv       name,ph_seq,ph_dur, and where there are notes ph_num,note_seq,note_dur,
                                               and where there are slurs and glides note_slur,note_glide
          ROOT/SINGER/wavs/NAME.wav            or .flac
     or   ROOT/SINGER/NAME.wav                 with one of these beside it:
          ROOT/SINGER/NAME.ds                  a DiffSinger script; each phrase is a clip
          ROOT/SINGER/NAME.TextGrid            the tier `phones` or `phonemes`, or else the last one
          ROOT/SINGER/NAME.lab                 start end phoneme, in units of 100 ns (HTS), or in seconds
          Both may stand in a folder `raw`. With one singer ROOT may be the folder SINGER itself.
Reads     phonemes and how long they last; of tables and scripts notes with slurs and glides, and which phonemes make a
          word (ph_num). AP is a breath, SP a rest. Songs with labels are cut at their rests into phrases of 10 s.

Options
    --speaker NAME    who sings, for all clips; otherwise the folder
    --language CODE   of the lyrics (default: zh); a phoneme such as `ja/a` names its own
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aoide.config import UserError
from aoide.data.clips import Clip, Note, Refused
from aoide.data.corpora import _labels, _layout

TABLE = "transcriptions.csv"
LABELS = (".ds", ".TextGrid", ".lab")
PHONES = ("phones", "phonemes", "phone", "phoneme")

Who = tuple[str, str]  # singer, language
Line = tuple[int, Mapping[str, Any]]


def clips(root: Path, *, speaker: str | None = None, language: str = "zh") -> Iterator[Clip | Refused]:
    """The clips of one singer after the other, each in the order of the table or of the names: SINGER/NAME."""
    found = False
    for folder in _folders(root):
        name = speaker or (folder.parent if folder.name == "raw" else folder).resolve().name
        table = folder / TABLE
        made = _of_table(table, (name, language)) if table.is_file() else _of_files(folder, (name, language))
        for item in made:
            found = True
            yield item
    if not found:
        layout = f"SINGER/{TABLE} and SINGER/wavs/NAME.wav, or SINGER/NAME.wav and NAME.ds, .TextGrid or .lab"
        raise UserError(f"{root}: expected {layout}; found {_layout.listing(root)}")


def _folders(root: Path) -> list[Path]:
    """The folders of singers: those with a table or with labelled sounds, `raw` among them."""
    below = sorted(path for path in root.iterdir() if path.is_dir() and path.name not in ("wavs", "ds"))
    places = [place for folder in (root, *below) for place in (folder, folder / "raw") if place.is_dir()]
    return list(dict.fromkeys(place for place in places if (place / TABLE).is_file() or _labelled(place)))


def _labelled(folder: Path) -> list[Path]:
    return [path for path in _layout.sounds(folder, "*") if any(path.with_suffix(end).is_file() for end in LABELS)]


# --------------------------------------------------------------------------------------------------------------- tables


def _of_table(table: Path, who: Who) -> Iterator[Clip | Refused]:
    try:
        lines = list(enumerate(csv.DictReader(io.StringIO(_layout.read(table)), restval=""), 2))
    except csv.Error as error:
        raise UserError(f"{table}: not a table: {error}") from None
    if not lines or not {"name", "ph_seq", "ph_dur"} <= set(lines[0][1]):
        raise UserError(f"{table}: expected a table that begins with the line name,ph_seq,ph_dur,...")
    yield from _layout.each(lines, lambda line: (_id(who, line[1]), table), partial(_line, table=table, who=who))


def _id(who: Who, row: Mapping[str, Any]) -> str:
    return f"{who[0]}/{row['name']}"


def _line(line: Line, table: Path, who: Who) -> Clip:
    name = str(line[1]["name"])
    if not name.strip():
        raise ValueError(f"line {line[0]} has no name")
    folder = table.parent / "wavs"
    audio = next((p for end in (".wav", ".flac") if (p := folder / f"{name}{end}").is_file()), folder / f"{name}.wav")
    return _clip(_id(who, line[1]), audio, line[1], who, None)


def _clip(name: str, audio: Path, row: Mapping[str, Any], who: Who, offset: float | None) -> Clip:
    """A line of a table, or a phrase of a script, which begins at `offset` seconds of its sound."""
    symbols, seconds = _words(row, "ph_seq"), tuple(float(x) for x in _words(row, "ph_dur"))
    if len(symbols) != len(seconds) or not symbols:
        raise ValueError(f"{len(symbols)} phonemes in ph_seq, {len(seconds)} times in ph_dur")
    notes, glides = _notes(row)
    counts = [int(x) for x in _words(row, "ph_num")]
    if counts and (sum(counts) != len(symbols) or min(counts) < 0):
        raise ValueError(f"{len(symbols)} phonemes in ph_seq, ph_num counts {sum(counts)}")
    more = {"ph_num": counts} if counts else {}
    return Clip(
        id=name,
        audio=audio,
        span=None if offset is None else (offset, offset + sum(seconds)),
        text=str(row.get("text") or "").strip() or None,
        speaker=who[0],
        language=str(row.get("lang") or who[1]),
        phonemes=" ".join(symbols),
        phoneme_set="diffsinger",
        phoneme_seconds=seconds,
        notes=notes or None,
        style="singing",
        more=more | ({"note_glide": glides} if any(glides) else {}),
    )


def _notes(row: Mapping[str, Any]) -> tuple[tuple[Note, ...], list[str]]:
    """The notes without the rests, and how each glides."""
    names, seconds = _words(row, "note_seq"), [float(x) for x in _words(row, "note_dur")]
    slurs = _words(row, "note_slur") or ["0"] * len(names)
    glides = _words(row, "note_glide") or ["none"] * len(names)
    if len({len(names), len(seconds), len(slurs), len(glides)}) > 1:
        raise ValueError(
            f"{len(names)} notes in note_seq, {len(seconds)} in note_dur, {len(slurs)} in note_slur, {len(glides)} in "
            "note_glide"
        )
    notes, kinds, now = [], [], 0.0
    for name, lasting, slur, glide in zip(names, seconds, slurs, glides, strict=True):
        if lasting < 0:
            raise ValueError("note_dur has a negative duration")
        midi = _labels.pitch(name)
        if midi is not None:
            notes.append(Note(midi, round(now, 6), round(now + lasting, 6), "", slur == "1"))
            kinds.append("" if glide == "none" else glide)
        now += lasting
    return tuple(notes), kinds


def _words(row: Mapping[str, Any], key: str) -> list[str]:
    return str(row.get(key) or "").split()


# ---------------------------------------------------------------------------------------------------------------- files


def _of_files(folder: Path, who: Who) -> Iterator[Clip | Refused]:
    paths = _labelled(folder)
    yield from _layout.each(paths, lambda path: (f"{who[0]}/{path.stem}", path), partial(_song, who=who))


def _song(path: Path, who: Who) -> Iterator[Clip]:
    """The phrases of a sound, by its script or its labels."""
    script = path.with_suffix(".ds")
    if script.is_file():
        yield from _script(path, script, who)
        return
    grid, name = path.with_suffix(".TextGrid"), f"{who[0]}/{path.stem}"
    if grid.is_file():
        tiers = _labels.textgrid(_layout.read(grid))
        if not tiers:
            raise ValueError(f"{grid.name} has no tier of intervals")
        labels = next((tiers[key] for key in PHONES if key in tiers), list(tiers.values())[-1])
    else:
        labels = _labels.labels(_layout.read(path.with_suffix(".lab")))
    for number, phrase in enumerate(_labels.phrases(labels), 1):
        yield Clip(
            id=f"{name}-{number:03}",
            audio=path,
            span=(phrase.start, phrase.end),
            speaker=who[0],
            language=who[1],
            phonemes=phrase.symbols,
            phoneme_set="diffsinger",
            phoneme_seconds=phrase.seconds,
            style="singing",
            song=path.stem,
        )


def _script(path: Path, script: Path, who: Who) -> Iterator[Clip]:
    phrases = json.loads(_layout.read(script))
    phrases = [phrases] if isinstance(phrases, dict) else phrases
    for number, phrase in enumerate(phrases, 1):
        if not isinstance(phrase, dict):
            raise ValueError(f"{script.name} is not a DiffSinger script")
        name = f"{who[0]}/{path.stem}" + (f"-{number:03}" if len(phrases) > 1 else "")
        offset = phrase.get("offset", 0.0)
        whole = len(phrases) == 1 and not offset
        yield _clip(name, path, phrase, who, None if whole else float(offset))
