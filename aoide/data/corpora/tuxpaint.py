"""The stamps of Tux Paint: what a picture shows, spoken in many languages, and the noise that it makes.

Size      7,000 spoken captions: Catalan, Spanish, French, Russian, Romanian, Bulgarian 14 to 30 minutes each,
          Belarusian, Greek, Danish, English and others less; 136 noises, 4 minutes; 44,100 Hz
Licence   GPL-2; volunteers and children speak, who did not agree to be cloned
Get it    the Debian package tuxpaint-stamps-default:
            apt-get download tuxpaint-stamps-default; dpkg -x tuxpaint-stamps-default*.deb ROOT
Layout    ROOT/**/stamps/animals/dog.txt                the English caption, then lines fr.utf8=Un chien.
          ROOT/**/stamps/animals/dog_desc_fr.ogg        the caption, spoken; dog_desc.ogg in English
          ROOT/**/stamps/animals/dog.ogg                the noise
Reads     the caption as text, spoken or of a noise

Options
    --language CODE   only what is spoken in this one, such as fr, en_GB; `none` takes only the noises (default: all)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

_SPOKEN = re.compile(
    r"^(?P<stamp>.+?)(?:_desc(?:_(?P<code>[a-z]{2,3}(?:_[A-Z]{2})?))?|_(?P<said>[a-z]{2}(?:_[A-Z]{2})?))$"
)


def clips(root: Path, *, language: str | None = None) -> Iterator[Clip | Refused]:
    """All sounds, sorted by path: animals/dog_desc_fr."""
    get = "the Debian package tuxpaint-stamps-default"
    base = _layout.find(root, "**/stamps", layout="usr/share/tuxpaint/stamps/*/*_desc_fr.ogg and *.txt", get=get)
    stamps = next(iter(sorted(base.glob("**/stamps"))))
    captions: dict[Path, dict[str, str]] = {}
    for path in _layout.sounds(stamps):
        name = path.relative_to(stamps).with_suffix("").as_posix()
        table, code = _which(path, captions)
        if language is not None and language != (code or "none"):
            continue
        text = captions[table].get(code or "en") or captions[table].get(code.partition("_")[0])
        if not text:
            yield Refused(id=name, path=path, reason=f"no text in {table.name} for {code or 'the noise'}")
            continue
        spoken: dict[str, Any] = {
            "language": code.replace("_", "-").lower(),
            "speaker": f"tuxpaint-{code}",
            "style": "speech",
        }
        yield Clip(id=name, audio=path, text=text, caption=not code, **(spoken if code else {}))


def _which(path: Path, captions: dict[Path, dict[str, str]]) -> tuple[Path, str]:
    """The text file of a sound, whose lines are put into `captions`, and the language; empty for a noise."""
    spoken = _SPOKEN.match(path.stem)
    table, code = path.with_suffix(".txt"), "en" if "symbols" in path.parts else ""
    if spoken and not table.is_file():
        table, code = path.with_name(f"{spoken['stamp']}.txt"), spoken["code"] or spoken["said"] or "en"
    if table not in captions:
        try:
            lines = _layout.read(table).splitlines()
        except (OSError, ValueError):
            lines = []
        pairs = (line.partition(".utf8=") for line in lines[1:])
        captions[table] = {code: text.strip() for code, equals, text in pairs if equals}
        captions[table]["en"] = lines[0].strip() if lines else ""
    return table, code
