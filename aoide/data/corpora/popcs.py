"""PopCS: one woman sings 117 Mandarin pop songs, cut into phrases (Liu et al. 2021, DiffSinger).

Size      5.9 hours, 24,000 Hz
Licence   CC-BY-NC-SA-4.0, on request
Get it    https://github.com/MoonInTheRiver/DiffSinger/blob/master/resources/apply_form.md
Layout    ROOT/popcs/popcs-SONG/0000_wf0.wav
          ROOT/popcs/popcs-SONG/0000.txt            the words
          ROOT/popcs/popcs-SONG/0000_ph.txt         phonemes
          ROOT/popcs/popcs-SONG/0000.TextGrid       the last tier has the phonemes with their times
          ROOT may also be the folder popcs itself.
Reads     text, phonemes and how long they last. There are no notes: the authors used the F0 of the sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _labels, _layout


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All phrases, sorted by path: SONG/0000."""
    layout = "popcs-SONG/0000_wf0.wav, 0000.txt, 0000_ph.txt and 0000.TextGrid"
    get = "https://github.com/MoonInTheRiver/DiffSinger/blob/master/resources/apply_form.md"
    base = _layout.find(root, "popcs-*/*_wf0.wav", layout=layout, get=get)
    yield from _layout.each(_layout.sounds(base, "popcs-*/*_wf0.wav"), lambda path: (_id(path), path), _clip)


def _id(path: Path) -> str:
    return f"{path.parent.name.removeprefix('popcs-')}/{path.stem.removesuffix('_wf0')}"


def _clip(path: Path) -> Clip:
    name = path.stem.removesuffix("_wf0")
    grid, plain = path.with_name(f"{name}.TextGrid"), path.with_name(f"{name}_ph.txt")
    tiers = list(_labels.textgrid(_layout.read(grid)).values()) if grid.is_file() else []
    sung = _labels.whole(tiers[-1]) if tiers else None
    phonemes = sung.symbols if sung else _layout.words(plain)
    return Clip(
        id=_id(path),
        audio=path,
        text=_layout.words(path.with_name(f"{name}.txt")),
        speaker="popcs",
        language="zh",
        phonemes=phonemes or None,
        phoneme_set="popcs" if phonemes else "",
        phoneme_seconds=sung.seconds if sung else None,
        gender="female",
        style="singing",
        song=path.parent.name.removeprefix("popcs-"),
    )
