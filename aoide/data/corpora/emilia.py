"""Emilia: speech in the wild in six languages, cut, transcribed and scored by Emilia-Pipe (He et al. 2024).

Size      101,654 hours, 24,000 Hz mp3: English, Chinese, German, French, Japanese, Korean; with YODAS 216,000 hours
Licence   CC-BY-NC-4.0 (Emilia), CC-BY-4.0 (Emilia-YODAS); the speakers did not agree to be cloned
Get it    https://huggingface.co/datasets/amphion/Emilia-Dataset; unpack the tar files where they are
Layout    ROOT/**/EN_B00000_S00000_W000000.mp3 and .json beside it    as the tar files hold them
          ROOT/**/EN_B00000.jsonl                                     one clip a line, `wav` is a path from there
Reads     text, speaker, language; dnsmos in `more`

Options
    --language CODE   only this one: de, en, fr, ja, ko, zh
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

Item = tuple[Path, int, str]  # a file; the number of a line in it and the line, or 0 and nothing for a file of one clip


def clips(root: Path, *, language: str | None = None) -> Iterator[Clip | Refused]:
    """All clips: those of the lists, else those with a file of their own, sorted by path."""
    empty = True
    for found in _layout.each(_items(root), _name, _clip):
        empty = False
        if language is None or isinstance(found, Refused) or found.language == language:
            yield found
    if empty:
        raise UserError(
            f"{root}: expected EN_B00000_S00000_W000000.mp3 and .json in it, or EN_B00000.jsonl; found "
            f"{_layout.listing(root)}; get it at https://huggingface.co/datasets/amphion/Emilia-Dataset and unpack it"
        )


def _items(root: Path) -> Iterator[Item]:
    lists = sorted(root.rglob("[!.]*.jsonl"))
    for path in lists:
        yield from ((path, n, line) for n, line in enumerate(_layout.read(path).splitlines(), 1) if line.strip())
    yield from ((path, 0, "") for path in (() if lists else sorted(root.rglob("[!.]*.json"))))


def _name(item: Item) -> tuple[str, Path]:
    path, number, _ = item
    return f"{path.stem}:{number}" if number else path.stem, path


def _clip(item: Item) -> Clip:
    path, number, line = item
    facts: dict[str, Any] = json.loads(line if number else _layout.read(path))
    name = facts.get("id") or facts["_id"]
    audio = path.parent / facts["wav"] if number else path.with_suffix(Path(facts["wav"]).suffix)
    return Clip(
        id=name,
        audio=audio,
        text=facts["text"].strip(),
        speaker=facts["speaker"],
        language=facts["language"],
        style="speech",
        more={"dnsmos": facts["dnsmos"]} if "dnsmos" in facts else {},
    )
