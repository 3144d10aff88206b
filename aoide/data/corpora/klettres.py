"""Letters and syllables of KLettres, a game for learning to read, in 25 languages.

Size      1,836 letters and syllables, 51 minutes, 44,100 Hz and others, one or two speakers a language
Licence   GPL-2
Get it    the Debian package klettres-data:  apt-get download klettres-data; dpkg -x klettres-data*.deb ROOT
Layout    ROOT/usr/share/klettres/en/sounds.xml            <sound name="A" file="en/alpha/a.ogg"/>
          ROOT/usr/share/klettres/en/alpha/a.ogg
Reads     the letter or syllable as text

Options
    --language CODE   only this one, such as fr, pt_BR
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout


def clips(root: Path, *, language: str | None = None) -> Iterator[Clip | Refused]:
    """All sounds that the lists name, by language: fr/syllab/ad-16."""
    get = "the Debian package klettres-data"
    base = _layout.find(root, "**/klettres/*/sounds.xml", layout="usr/share/klettres/en/sounds.xml", get=get)
    lists = sorted(base.glob(f"**/klettres/{language or '*'}/sounds.xml"))
    yield from _layout.each(lists, lambda path: (path.parent.name, path), _clips)


def _clips(path: Path) -> list[Clip]:
    try:
        sounds = ElementTree.fromstring(_layout.read(path).encode()).iter("sound")
    except ElementTree.ParseError as error:
        raise ValueError(f"not XML: {error}") from None
    code = path.parent.name
    return [
        Clip(
            id=Path(sound.attrib["file"]).with_suffix("").as_posix(),
            audio=path.parents[1] / sound.attrib["file"],
            text=sound.attrib["name"],
            speaker=f"klettres-{code}",
            language=code.replace("_", "-").lower(),
            style="speech",
        )
        for sound in sounds
    ]
