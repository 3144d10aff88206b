"""Score files: which format a file is in, told by what is in it, and by its ending where that says nothing.

A format is a file of this folder with `read(data, where, part) -> Score`, and `write(score, where) -> bytes` where we
write it. Other projects' files are read by LibreSVIP (see projects.py).
"""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

from aoide.config import UserError, near, write_aside
from aoide.score.score import Score

ENDINGS = {
    ".musicxml": "musicxml",
    ".mxl": "musicxml",
    ".xml": "musicxml",
    ".mid": "midi",
    ".midi": "midi",
    ".kar": "midi",
    ".ust": "ust",
    ".ustx": "ustx",
    ".ds": "ds",
    ".lab": "hts",
    ".lrc": "lrc",
}
NAMES = {
    "musicxml": "MusicXML",
    "midi": "MIDI",
    "ust": "UST",
    "ustx": "USTX",
    "ds": "a DiffSinger script",
    "hts": "an HTS label file",
    "lrc": "LRC",
}
_LARGEST = 100_000_000  # bytes; a score is thousands of times smaller, a mistaken path is not
_MARKS = (
    ("midi", re.compile(rb"MThd|RIFF....RMIDdata", re.S)),
    ("musicxml", re.compile(rb"PK\x03\x04")),
    ("musicxml", re.compile(rb"\s*<(\?xml|!DOCTYPE|!--|score-)")),
    ("musicxml", re.compile(rb"\xff\xfe<\x00|\xfe\xff\x00<")),
    ("ust", re.compile(rb"\s*\[#(VERSION|SETTING|0000)\]")),
    ("ustx", re.compile(rb"(?s).{0,4000}^ustx_version:", re.M)),
    ("ds", re.compile(rb"(?s)\s*[\[{].{0,4000}\"(ph_seq|note_seq|offset|f0_seq)\"")),
    ("hts", re.compile(rb"\s*\d+(\.\d+)?[ \t]+\d+(\.\d+)?[ \t]+\S+")),
    ("lrc", re.compile(rb"\s*\[(\d+:\d+|ti:|ar:|al:|by:|offset:|la:|length:|re:)")),
)


def load(path: Path, part: str | int | None = None) -> Score:
    """See `Score.load`."""
    data = _read(path)
    if not data.strip():
        raise UserError(f"{path}: is empty")
    ending = path.suffix.lower()
    promised, found = ENDINGS.get(ending), sniff(data)
    if promised is None and (found is None or found == "musicxml"):  # many projects' files are XML or zip archives
        from aoide.score.projects import endings, read

        if ending in endings():
            return read(path, part)
        if found is None:
            raise UserError(f"{path}: not a score; these are: {', '.join(ENDINGS)}{_near(ending)}")
    name = found or promised
    assert name is not None
    score: Score = importlib.import_module(f"aoide.score.{name}").read(data, str(path), part)
    if promised is not None and name != promised:
        said = f"{path.name} is {NAMES[name]}, whatever its ending says"
        score = replace(score, remarks=(said, *score.remarks))
    return score


def save(score: Score, path: Path) -> None:
    """See `Score.save`."""
    ending = path.suffix.lower()
    if ending == ".kar":
        ending = ".mid"
    if ending not in ENDINGS:
        raise UserError(f"{path}: no format of ours; choose one of {', '.join(ENDINGS)}{_near(ending)}")
    name = ENDINGS[ending]
    data: bytes = importlib.import_module(f"aoide.score.{name}").write(score, str(path))
    with write_aside(path) as aside:
        aside.write_bytes(data)


def sniff(data: bytes) -> str | None:
    """The format that the beginning of a file shows; None if it shows none."""
    head = data[:5000].removeprefix(b"\xef\xbb\xbf")
    return next((name for name, mark in _MARKS if mark.match(head)), None)


def text_of(data: bytes, where: str, *encodings: str) -> str:
    """The text in the first of the encodings that fits.

    Raises:
        UserError: none does.
    """
    for encoding in encodings or ("utf-8-sig",):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{where}: not a text in {' or '.join(encodings or ('UTF-8',))}")


def choose(names: list[str], part: str | int | None, default: int, where: str, kind: str) -> int:
    """The place in `names` of the part that was asked for by name or number from 1.

    Raises:
        UserError: there is none.
    """
    if part is None:
        return default
    if isinstance(part, str) and part in names:
        return names.index(part)
    number = part if isinstance(part, int) else int(part) if part.isdigit() else 0
    if 1 <= number <= len(names):
        return number - 1
    guess = near(str(part), names) or f" there are {', '.join(f'{i + 1} {n}'.strip() for i, n in enumerate(names))}"
    raise UserError(f"{where}: no {kind} {part!r};{guess}")


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise UserError(f"{path}: more than {_LARGEST // 1_000_000} MB; not a score")
    return data


def _near(ending: str) -> str:
    guess = near(ending, ENDINGS)
    return f";{guess}" if guess else ""
