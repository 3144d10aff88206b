"""Singing Voice Dataset: Beijing opera and western opera, without accompaniment (Black, Li and Tian 2014).

Size      some hours of monophonic singing, 14 Chinese and several western singers, 44,100 Hz; no words
Licence   for research: read the page
Get it    http://isophonics.net/SingingVoiceDataset
Layout    ROOT/monophonic/chinese/fem_01/pos_1.wav      gender_singer/emotion_song
          ROOT/monophonic/western/male_02/neg_3.wav     ROOT may also be the folder monophonic itself.
Reads     singer, gender, and whether the song is glad (pos), sad (neg) or neither (neu); whole songs are cut at their
          quietest places. The folder polyphonic is left out: it has instruments in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

TEXT = False
LANGUAGES = {"chinese": "zh", "western": ""}


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All songs, sorted: chinese/fem_01/pos_1."""
    layout = "monophonic/chinese/fem_01/pos_1.wav and monophonic/western/..."
    base = _layout.find(root, "chinese/*_*/*.wav", layout=layout, get="http://isophonics.net/SingingVoiceDataset")
    for kind, language in LANGUAGES.items():
        for path in _layout.sounds(base / kind, "*/*"):
            singer = path.parent.name
            yield Clip(
                id=f"{kind}/{singer}/{path.stem}",
                audio=path,
                speaker=f"{kind}-{singer}",
                language=language,
                gender=_layout.gender(singer),
                style="singing",
                song=path.stem,
                more={"emotion": path.stem.partition("_")[0], "tradition": kind},
                divisible=True,
            )
