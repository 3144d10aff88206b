"""M4Singer: 20 professional singers sing 700 Mandarin pop songs, with scores (Zhang et al. 2022).

Size      29.8 hours, 20,942 phrases, 48,000 Hz; soprano, alto, tenor and bass
Licence   CC-BY-NC-SA-4.0
Get it    https://github.com/M4Singer/M4Singer (on request)
Layout    ROOT/m4singer/meta.json                  item_name, txt, phs, is_slur, ph_dur, notes, notes_dur
          ROOT/m4singer/Alto-1#SONG/0000.wav       item_name is Alto-1#SONG#0000
          ROOT may also be the folder m4singer itself.
Reads     text, phonemes and how long they last, notes with slurs
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _labels, _layout


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All phrases, in the order of meta.json: Alto-1/SONG/0000."""
    layout = "meta.json and Alto-1#SONG/0000.wav"
    meta = _layout.find(root, "meta.json", layout=layout, get="https://github.com/M4Singer/M4Singer") / "meta.json"
    try:
        items = json.loads(_layout.read(meta))
    except ValueError as error:
        raise UserError(f"{meta}: cannot be read: {error}") from None
    name = partial(_name, meta=meta)
    yield from _layout.each(items, name, partial(_clip, base=meta.parent))


def _name(item: Any, meta: Path) -> tuple[str, Path]:
    named = isinstance(item, dict) and "item_name" in item
    return item["item_name"].replace("#", "/") if named else "", meta


def _clip(item: dict[str, Any], base: Path) -> Clip:
    folder, _, number = item["item_name"].rpartition("#")
    singer, _, song = folder.partition("#")
    audio = base / folder / f"{number}.wav"
    escaped = folder.encode("unicode_escape").decode().replace("\\u", "#U")  # what some unzip makes of Chinese names
    if not audio.is_file() and (base / escaped).is_dir():
        audio = base / escaped / f"{number}.wav"
    pitches = [float(midi) or None for midi in item["notes"]]
    slurs = [bool(int(slur)) for slur in item["is_slur"]]
    symbols = [symbol.strip("<>") for symbol in item["phs"]]
    return Clip(
        id=f"{singer}/{song}/{number}",
        audio=audio,
        text=item["txt"].replace("<AP>", "").replace("<SP>", "").strip(),
        speaker=singer,
        language="zh",
        phonemes=" ".join(symbols),
        phoneme_set="m4singer",
        phoneme_seconds=tuple(float(seconds) for seconds in item["ph_dur"]),
        notes=_labels.by_syllables(symbols, pitches, [float(seconds) for seconds in item["notes_dur"]], slurs),
        gender=_layout.gender(singer),
        style="singing",
        song=song,
    )
