"""Mandarin syllables of the input method gcin: every syllable in every tone, by two speakers.

Size      2,358 syllables, 14 minutes, 44,100 Hz
Licence   speaker 5 (a voice actress): CC-BY-3.0; speaker 3: GPL-3 or LGPL-3
Get it    the Debian package gcin-voice:  apt-get download gcin-voice; dpkg -x gcin-voice*.deb ROOT
Layout    ROOT/usr/share/gcin-voice/ogg/SYLLABLE/5.ogg     the folder is the syllable in bopomofo, with its tone
Reads     the syllable as text and as phonemes (bopomofo and tone, one symbol each)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All syllables, sorted."""
    get = "the Debian package gcin-voice"
    base = _layout.find(root, "**/gcin-voice/ogg", layout="usr/share/gcin-voice/ogg/SYLLABLE/5.ogg", get=get)
    for path in _layout.sounds(base, "**/gcin-voice/ogg/*/*.ogg"):
        syllable = path.parent.name
        yield Clip(
            id=f"{syllable}/{path.stem}",
            audio=path,
            text=syllable,
            speaker=path.stem,
            language="zh",
            phonemes=" ".join(syllable),
            phoneme_set="bopomofo",
            style="speech",
        )
