"""Fish Fillets NG: the acted Czech dialogue of a puzzle game, two big fish and whom they meet.

Size      1,756 lines, 97 minutes, Czech, 22,050 Hz; two main actors of 40 minutes each, character voices
Licence   GPL-2; the actors did not agree to be cloned
Get it    the Debian packages fillets-ng-data and fillets-ng-data-cs, unpacked into one folder or two:
            apt-get download fillets-ng-data fillets-ng-data-cs
            for deb in *.deb; do dpkg -x "$deb" ROOT; done
Layout    ROOT/**/script/barrel/dialogs_cs.lua       dialogId("bar-v-co", "font_big", "English") dialogStr("Czech")
          ROOT/**/sound/barrel/cs/bar-v-co.ogg
Reads     the Czech text, the English one in `more`; a speaker for each colour of the game's subtitles
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(rf"dialogId\({_QUOTED},\s*{_QUOTED},\s*{_QUOTED}\)\s*dialogStr\({_QUOTED}\)")


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All lines that have a sound, sorted by script; then the sounds that no script has a text for."""
    scripts = sorted(root.rglob("*dialogs_cs.lua"))
    files = {path.stem: path for path in _layout.sounds(root, "**/cs/*")}
    if not scripts or not files:
        raise UserError(
            f"{root}: expected script/*/dialogs_cs.lua and sound/*/cs/*.ogg in it; found {_layout.listing(root)}; "
            "unpack the Debian packages fillets-ng-data and fillets-ng-data-cs there"
        )
    told: set[str] = set()
    for script in scripts:
        for name, font, english, czech in _LINE.findall(_layout.read(script)):
            if name in files and name not in told:
                told.add(name)
                yield Clip(
                    id=name,
                    audio=files[name],
                    text=" ".join(_plain(czech).split()),
                    speaker=font.removeprefix("font_"),
                    language="cs",
                    style="acted",
                    more={"english": _plain(english)},
                )
    for name in sorted(files.keys() - told):
        yield Clip(id=name, audio=files[name], language="cs", style="acted")


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
