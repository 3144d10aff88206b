"""OpenSFX: the sound effects of OpenTTD, each with a caption, its author and its licence.

Size      73 effects, 149 seconds, 44,100 Hz
Licence   each its own, in `more`: 51 CC-BY-3.0, 21 CC0-1.0, 1 CC-BY-SA-3.0; name the authors
Get it    the Debian package openttd-opensfx:  apt-get download openttd-opensfx; dpkg -x openttd-opensfx*.deb ROOT
Layout    ROOT/**/opensfx.cat        a table of places, then for each sound its description and a WAV file
Reads     the quoted name as caption; the whole description in `more`. The sounds are written to OUT/audio.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError, write_aside
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

_PLACE = 0x7FFFFFFF  # the highest bit says that there are descriptions
_NAME = re.compile(r'^"([^"]*)"')


def clips(root: Path, *, output: Path) -> Iterator[Clip | Refused]:
    """All effects, in the order of the file."""
    path = next(iter(sorted(root.rglob("*.cat"))), None)
    if path is None:
        raise UserError(
            f"{root}: expected opensfx.cat in it; found {_layout.listing(root)}; "
            "unpack the Debian package openttd-opensfx there"
        )
    folder = output / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (description, sound) in enumerate(_sounds(path)):
        named = _NAME.match(description)
        audio = folder / f"{number:03}.wav"
        if not sound:
            yield Refused(id=f"{number:03}", path=path, reason=f"no sound behind {description[:40]!r}")
            continue
        if not audio.is_file() or audio.read_bytes() != sound:
            with write_aside(audio) as aside:
                aside.write_bytes(sound)
        yield Clip(
            id=f"{number:03}",
            audio=audio,
            text=named[1] if named else description,
            caption=True,
            more={"description": description},
        )


def _sounds(path: Path) -> Iterator[tuple[str, bytes]]:
    """The description of each sound, and its WAV file; nothing where that is broken.

    Raises:
        UserError: not such a file.
    """
    content = path.read_bytes()
    try:
        count = (struct.unpack_from("<I", content)[0] & _PLACE) // 8
        places = [place & _PLACE for place, _ in struct.iter_unpack("<II", content[: count * 8])]
        for place in places:
            length = content[place]
            description = content[place + 1 : place + 1 + length].rstrip(b"\0").decode("latin-1")
            riff = content.find(b"RIFF", place, place + length + 16)
            size = struct.unpack_from("<I", content, riff + 4)[0] + 8 if riff >= 0 else 0
            whole = riff >= 0 and riff + size <= len(content)
            yield description, content[riff : riff + size] if whole else b""
    except (struct.error, IndexError):
        raise UserError(f"{path}: not a sound set of OpenTTD, or a broken one") from None
