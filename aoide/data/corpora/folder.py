"""Your own recordings: a folder of sound files with their texts.

    ROOT/a.wav     ROOT/a.txt             one text file beside each sound, ending in .txt or .lab
    ROOT/anna/b.flac  ROOT/anna/b.lab     sub-folders are speakers

or a table beside them, one line for each sound, fields parted by bars as in LJ Speech:

    ROOT/metadata.csv                     id|text      or      id|text|normalised text
    ROOT/wavs/id.wav                      or ROOT/id.wav, with any ending

Sounds may be wav, flac, ogg, opus, mp3, m4a and whatever else libsndfile or FFmpeg reads, at any rate.
Texts are UTF-8. Size and licence: yours.

Options
    --speaker NAME    who speaks, for all clips; otherwise the first sub-folder, or the name of ROOT
    --language CODE   what is spoken (default: en)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import AUDIO_ENDINGS

TEXT_ENDINGS = (".txt", ".lab")


def clips(root: Path, *, speaker: str | None = None, language: str = "en") -> Iterator[Clip | Refused]:
    """Clips of the table if there is one, else of the files, sorted by id: the path below ROOT without its ending."""
    table = root / "metadata.csv"
    if table.is_file():
        yield from from_table(table, speaker or root.resolve().name, language)
        return
    sounds = sorted(path for path in root.rglob("[!.]*") if path.suffix.lower() in AUDIO_ENDINGS)
    if not sounds:
        raise UserError(f"{root}: no sound files and no metadata.csv in it")
    for path in sounds:
        inside = path.relative_to(root)
        name = inside.with_suffix("").as_posix()
        who = speaker or (inside.parts[0] if len(inside.parts) > 1 else root.resolve().name)
        try:
            text = _text_beside(path)
        except (UnicodeDecodeError, OSError) as error:
            yield Refused(id=name, path=path, reason=f"its text cannot be read: {error}")
            continue
        yield Clip(id=name, audio=path, text=text, speaker=who, language=language)


def from_table(table: Path, speaker: str, language: str) -> Iterator[Clip | Refused]:
    """Clips of a table in the form of LJ Speech; the normalised text is taken where there is one."""
    try:
        lines = table.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{table}: not UTF-8: {error.reason} at byte {error.start}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, *texts = (part.strip() for part in line.split("|"))
        if not texts or not name:
            yield Refused(id=name, path=table, reason=f"line {number} is not id|text or id|text|normalised text")
            continue
        path = _sound_of(table.parent, name)
        if path is None:
            yield Refused(id=name, path=table, reason=f"line {number}: no sound file {name} here or in wavs")
            continue
        text = next((text for text in reversed(texts[:2]) if text), None)
        name = name.removesuffix(path.suffix)
        yield Clip(id=name, audio=path, text=text, speaker=speaker, language=language)


def _sound_of(folder: Path, name: str) -> Path | None:
    """The sound of a line: `name` may have its ending already."""
    for place in (folder / "wavs", folder):
        if (place / name).suffix.lower() in AUDIO_ENDINGS and (place / name).is_file():
            return place / name
        for ending in AUDIO_ENDINGS:
            path = place / f"{name}{ending}"
            if path.is_file():
                return path
    return None


def _text_beside(path: Path) -> str | None:
    for ending in TEXT_ENDINGS:
        beside = path.with_suffix(ending)
        if beside.is_file():
            return " ".join(beside.read_text("utf-8-sig").split())
    return None
