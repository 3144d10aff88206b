"""Multilingual LibriSpeech: the books of LibriVox in eight languages (Pratap et al. 2020).

Size      50,500 hours, 44,500 of them English; German, Dutch, French, Spanish, Italian, Portuguese, Polish; 16,000 Hz
Licence   CC-BY-4.0
Get it    https://www.openslr.org/94/ (mls_german.tar.gz or mls_german_opus.tar.gz ...)
Layout    ROOT/mls_german/train/transcripts.txt                        id, text
          ROOT/mls_german/train/audio/1756/1400/1756_1400_000000.flac  or .opus
          ROOT/mls_german/metainfo.txt                                 reader, gender, part ...
          ROOT may also be the folder mls_german itself.
Reads     text (small letters, without punctuation), reader and gender; the part in `more`

Options
    --language CODE   only this one: en, de, nl, fr, es, it, pt, pl
    --parts NAMES     only these, with commas between: train,dev,test (default: all)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

LANGUAGES = {
    "english": "en",
    "german": "de",
    "dutch": "nl",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "polish": "pl",
}
PARTS = ("train", "dev", "test")


def clips(root: Path, *, language: str | None = None, parts: str = ",".join(PARTS)) -> Iterator[Clip | Refused]:
    """All clips, in the order of the tables."""
    folders = [path for path in (root.resolve(), *sorted(root.glob("mls_*"))) if _language(path)]
    tables = [
        path / part / "transcripts.txt"
        for path in folders
        for part in parts.split(",")
        if language in (None, _language(path)) and (path / part / "transcripts.txt").is_file()
    ]
    if not tables:
        what = f"mls_german/train/transcripts.txt and audio/{'' if language is None else f' in language {language}'}"
        raise UserError(
            f"{root}: expected {what}; found {_layout.listing(root)}; get it at https://www.openslr.org/94/"
        )
    yield from _layout.each(tables, lambda table: (f"{table.parents[1].name}/{table.parent.name}", table), _part)


def _language(folder: Path) -> str:
    """The code of a folder mls_german or mls_german_opus; nothing for others, such as mls_lm_german."""
    name = folder.name.split("_")
    return LANGUAGES.get(name[1], "") if name[0] == "mls" and len(name) > 1 else ""


def _part(table: Path) -> Iterator[Clip | Refused]:
    genders = _genders(table.parents[1] / "metainfo.txt")
    for number, line in enumerate(_layout.read(table).splitlines(), 1):
        if not line.strip():
            continue
        name, tab, text = line.partition("\t")
        reader, _, rest = name.partition("_")
        stem = table.parent / "audio" / reader / rest.partition("_")[0] / name
        path = next((stem.with_suffix(s) for s in (".flac", ".opus") if stem.with_suffix(s).is_file()), None)
        if not tab or path is None:
            reason = f"there is no {name}.flac or .opus" if tab else f"line {number} is not id and text"
            yield Refused(id=name, path=table, reason=reason)
            continue
        yield Clip(
            id=name,
            audio=path,
            text=text.strip(),
            speaker=reader,
            language=_language(table.parents[1]),
            gender=genders.get(reader, ""),
            style="speech",
            more={"part": table.parent.name},
        )


def _genders(path: Path) -> dict[str, str]:
    """Reader to gender, from lines `1756 | F | train | ...`."""
    rows = [line.split("|") for line in _layout.read(path).splitlines()] if path.is_file() else []
    return {row[0].strip(): _layout.gender(row[1].strip()) for row in rows if len(row) > 1 and row[0].strip().isdigit()}
