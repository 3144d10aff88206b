"""LibriTTS and LibriTTS-R: sentences from the books of LibriVox, for speech synthesis (Zen et al. 2019, Koizumi 2023).

Size      585 hours, English, 2,456 readers, 24,000 Hz; -R has the same sentences, restored by a network
Licence   CC-BY-4.0
Get it    https://www.openslr.org/60/ (LibriTTS), https://www.openslr.org/141/ (LibriTTS-R)
Layout    ROOT/LibriTTS/train-clean-100/103/1241/103_1241_000000_000001.wav
          ROOT/LibriTTS/train-clean-100/103/1241/103_1241.trans.tsv     id, original text, normalised text
          ROOT/LibriTTS/speakers.tsv or SPEAKERS.txt                    reader, sex
          LibriTTS_R in place of LibriTTS; ROOT may also be that folder itself.
Reads     the normalised text, the reader and their gender; the part in `more`

Options
    --parts NAMES     only these, with commas between: dev-clean,test-clean,train-clean-100 (default: all)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError, near
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout


def clips(root: Path, *, parts: str | None = None) -> Iterator[Clip | Refused]:
    """All sentences, sorted by part and id; those of a table that have no sound are refused."""
    layout = "LibriTTS/PART/READER/CHAPTER/ID.wav, such as dev-clean/84/121123/84_121123_000007_000001.wav"
    get = "https://www.openslr.org/60/ or https://www.openslr.org/141/"
    base = _layout.find(root, "*-*/[0-9]*/[0-9]*/*.wav", layout=layout, get=get)
    there = sorted(path.name for path in base.glob("*-*") if path.is_dir())
    wanted = parts.split(",") if parts else there
    for part in wanted:
        if part not in there:
            raise UserError(f"{base}: no part {part!r};{near(part, there)} parts are {', '.join(there)}")
    genders = _genders(base)
    for part in wanted:
        chapters = sorted(path for path in (base / part).glob("[0-9]*/[0-9]*") if path.is_dir())
        yield from _layout.each(
            chapters, lambda chapter: (f"{chapter.parent.name}_{chapter.name}", chapter), lambda c: _chapter(c, genders)
        )


def _chapter(folder: Path, genders: dict[str, str]) -> Iterator[Clip | Refused]:
    """The sentences of a chapter, by its table, and by the text beside a sound that is not in it."""
    reader, table = folder.parent.name, folder / f"{folder.parent.name}_{folder.name}.trans.tsv"
    rows = [line.split("\t") for line in _layout.read(table).splitlines()] if table.is_file() else []
    texts = {row[0]: row[-1].strip() for row in rows if len(row) > 1}
    files = {path.stem: path for path in folder.glob("[!.]*.wav")}
    for name in sorted(texts.keys() | files.keys()):
        if name not in files:
            yield Refused(id=name, path=table, reason=f"there is no {name}.wav")
            continue
        text = texts[name] if name in texts else _layout.words(folder / f"{name}.normalized.txt")
        yield Clip(
            id=name,
            audio=files[name],
            text=text,
            speaker=reader,
            language="en",
            gender=genders.get(reader, ""),
            style="speech",
            more={"part": folder.parents[1].name},
        )


def _genders(base: Path) -> dict[str, str]:
    """Reader to gender, from SPEAKERS.txt (`14 | F | ...`) or speakers.tsv (`14\\tF\\t...`)."""
    found = {}
    for path in (base / "speakers.tsv", base / "SPEAKERS.txt"):
        for line in _layout.read(path).splitlines() if path.is_file() else ():
            reader, *more = line.replace("|", "\t").split("\t")
            if more and reader.strip().isdigit():
                found[reader.strip()] = _layout.gender(more[0].strip())
    return found
