"""VocalSet: 20 professional singers show 17 techniques on five vowels (Wilkins et al. 2018).

Size      10.1 hours, 3,560 recordings, 9 women and 11 men, 44,100 Hz; no words
Licence   CC-BY-4.0
Get it    https://zenodo.org/records/1193957
Layout    ROOT/FULL/female1/arpeggios/belt/f1_arpeggios_belt_c_a.wav     singer/context/technique
          ROOT/data_by_singer/...                                        version 1.2
          ROOT may also be that folder itself.
Reads     singer, gender, technique; context (arpeggios, excerpts, long_tones, scales) and vowel in `more`. Long
          recordings are cut at their quietest places.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

TEXT = False
VOWELS = frozenset("aeiou")


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All recordings, sorted: female1/arpeggios/belt/f1_arpeggios_belt_c_a."""
    layout = "FULL/female1/arpeggios/belt/f1_arpeggios_belt_c_a.wav"
    base = _layout.find(root, "*male[0-9]*/*/*/*.wav", layout=layout, get="https://zenodo.org/records/1193957")
    for path in _layout.sounds(base, "*male[0-9]*/*/*/*.wav"):
        singer, context, technique = path.parts[-4:-1]
        vowel = path.stem.rpartition("_")[2]
        yield Clip(
            id=path.relative_to(base).with_suffix("").as_posix(),
            audio=path,
            speaker=singer,
            gender=_layout.gender(singer),
            style="singing",
            technique=technique,
            more={"context": context} | ({"vowel": vowel} if vowel in VOWELS else {}),
            divisible=True,
        )
