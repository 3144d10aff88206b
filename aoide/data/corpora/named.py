"""Sounds whose names say what they are: effects, loops and music, as programs and games bring them.

Size      such as sonic-pi-samples (166 loops and strokes, 7 minutes), sound-theme-freedesktop (31),
          wesnoth-1.16-data (291 effects), wesnoth-1.16-music (41 pieces, 128 minutes), hedgewars-data (104 effects and
          27 pieces, 94 minutes), asterisk-moh-opsound-g722 (5 pieces), bucklespring-data (171 keys); PyPI
          immich-memories-music (28 pieces); npm supersonic-scsynth-samples (206)
Licence   theirs: Sonic Pi CC0-1.0, Wesnoth and Hedgewars GPL-2, freedesktop GPL-2, Asterisk's CC-BY-SA-3.0, Immich MIT
Get it    apt-get download sonic-pi-samples; dpkg -x sonic-pi-samples*.deb ROOT     and so on
Layout    ROOT/**/ambi_dark_woosh.flac     any folders, any format
Reads     the words of the name as a caption, such as "ambi dark woosh", after those of the folder with --folders;
          what is longer than --max-seconds is cut at its quietest places

Options
    --folders N       so many folders above the file belong to the caption (default: 0)
    --pattern GLOB    which files below ROOT (default: **/*)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout


def clips(root: Path, *, folders: int = 0, pattern: str = "**/*") -> Iterator[Clip | Refused]:
    """All sounds, sorted by path."""
    empty = True
    for path in _layout.sounds(root, pattern):
        empty = False
        inside = path.relative_to(root)
        above = inside.parts[max(0, len(inside.parts) - 1 - folders) : -1]
        caption = " ".join(describe(part) for part in (*above, path.stem))
        yield Clip(id=inside.with_suffix("").as_posix(), audio=path, text=caption, caption=True, divisible=True)
    if empty:
        raise UserError(f"{root}: expected sound files ({pattern}) in it; found {_layout.listing(root)}")


def describe(name: str) -> str:
    """`ambi_darkWoosh-2` to `ambi dark woosh 2`."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-.+]+", " ", name)
    return " ".join(parted.split()).lower()
