"""Libri-light: read books of LibriVox without their texts, for what learns from sound alone (Kahn et al. 2020).

Size      60,000 hours: small 577, medium 5,193, large 51,934; English, 7,000 readers, 16,000 Hz flac
Licence   public domain
Get it    https://github.com/facebookresearch/libri-light (small.tar, medium.tar, large.tar)
Layout    ROOT/small/100/sea_fairies_0812_librivox_64kb_mp3/01_baum_sea_fairies_64kb.flac
          ROOT/small/100/.../01_baum_sea_fairies_64kb.json     speaker, snr, voice_activity: [[start, end], ...]
Reads     clips of up to --longest seconds, cut where voice_activity has a gap; speaker; snr in `more`

Options
    --longest S       join stretches of voice up to so many seconds (default: 15)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

TEXT = False
GAP = 1.0  # seconds; a longer silence ends a clip


def clips(root: Path, *, longest: float = 15.0) -> Iterator[Clip | Refused]:
    """All clips, sorted by path: small/100/BOOK/01_baum_sea_fairies_64kb-0001."""
    layout = "small/READER/BOOK/CHAPTER.flac and CHAPTER.json"
    get = "https://github.com/facebookresearch/libri-light"
    base = _layout.find(root, "*/*/*/*.flac", layout=layout, get=get)
    chapters = _layout.sounds(base, "*/*/*/*.flac")
    yield from _layout.each(chapters, partial(_name, base=base), partial(_chapter, base=base, longest=longest))


def _name(path: Path, base: Path) -> tuple[str, Path]:
    return path.relative_to(base).with_suffix("").as_posix(), path


def _chapter(path: Path, base: Path, longest: float) -> list[Clip]:
    facts = json.loads(_layout.read(path.with_suffix(".json")))
    more = {"snr": facts["snr"]} if "snr" in facts else {}
    return [
        Clip(
            id=f"{_name(path, base)[0]}-{number:04}",
            audio=path,
            span=span,
            speaker=str(facts["speaker"]),
            language="en",
            style="speech",
            more=more,
        )
        for number, span in enumerate(join(facts["voice_activity"], longest), 1)
    ]


def join(stretches: Sequence[Sequence[float]], longest: float) -> list[tuple[float, float]]:
    """Neighbouring stretches (start, end) as one, while it is at most `longest` seconds and its gaps at most GAP."""
    joined: list[tuple[float, float]] = []
    for start, end in stretches:
        if joined and start - joined[-1][1] <= GAP and end - joined[-1][0] <= longest:
            joined[-1] = (joined[-1][0], float(end))
        else:
            joined.append((float(start), float(end)))
    return joined
