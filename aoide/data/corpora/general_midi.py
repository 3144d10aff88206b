"""A corpus made by a sound font: notes, scales, arpeggios, chords and drum loops with captions that follow from them.

Size      as many clips as asked for, of 3.07 s, 24,000 Hz; 8,000 of them 6.8 hours and 700 MB
Licence   that of the font: the one in the package is MIT. What comes out is synthetic; no musician was recorded for it.
Get it    nothing; a thousand clips take about a minute on one core
Layout    ROOT/clips/ID.json      captions and facts; written last
          ROOT/audio/ID.flac      16 bit
          ROOT is the output folder unless --root says otherwise.

25 instruments and drums. A clip is drawn from what a listener could tell (instrument, register, direction, speed,
articulation, loudness, tone ...) and has four captions, "a bright trumpet plays a fast rising scale in the high
register". Every eighth combination of instrument, kind, register, direction and speed is left out: --unseen makes clips
of those alone, for judging what was learned.

Options
    --clips N         how many (default: 1000)
    --first N         the number of the first, for clips that another corpus does not have (default: 0)
    --unseen          of the combinations that training does not see
    --font FILE       another sound font, .sf2 (default: that of the package)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from aoide.audio import io
from aoide.audio.font import open_font
from aoide.audio.resample import resample
from aoide.audio.sampler import play
from aoide.audio.sound import Sound
from aoide.config import write_aside
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _phrases

SAMPLE_RATE = 24_000
CAPTIONS = 4


def make(
    root: Path,
    say: Callable[[str], None],
    *,
    clips: int = 1000,
    first: int = 0,
    unseen: bool = False,
    font: Path | None = None,
) -> None:
    """Plays every clip that is not finished yet.

    Raises:
        UserError: no such font.
    """
    from tqdm import tqdm

    names = {n: _id(n, unseen) for n in range(first, first + clips)}
    todo = [n for n, name in names.items() if not (root / "clips" / f"{name}.json").is_file()]
    if not todo:
        return
    for part in ("clips", "audio"):
        (root / part).mkdir(parents=True, exist_ok=True)
    opened = open_font(font)
    say(f"{len(todo)} of {clips} clips to play, in {root}")
    for number in tqdm(todo, unit="clip", disable=None):
        random = np.random.default_rng([number, unseen])
        spec = _phrases.draw(random, unseen)
        notes = _phrases.notes(spec, random)
        played = resample(play(opened, notes).mean(1), opened.sample_rate, SAMPLE_RATE)
        sound = _phrases.sound(played, spec, SAMPLE_RATE, random)
        io.write(root / "audio" / f"{names[number]}.flac", Sound(sound, SAMPLE_RATE))
        keys = [note.pitch for note in notes]
        captions = [_phrases.caption(spec, random, keys[0]) for _ in range(CAPTIONS)]
        record = {"captions": captions, **spec.facts(), "keys": keys}
        with write_aside(root / "clips" / f"{names[number]}.json") as aside:
            aside.write_text(json.dumps(record), "utf-8")


def clips(
    root: Path, *, clips: int = 1000, first: int = 0, unseen: bool = False, font: Path | None = None
) -> Iterator[Clip | Refused]:
    """The clips that are finished, by number."""
    for number in range(first, first + clips):
        name = _id(number, unseen)
        path = root / "clips" / f"{name}.json"
        try:
            record = json.loads(path.read_text("utf-8"))
            yield Clip(
                id=name,
                audio=root / "audio" / f"{name}.flac",
                text=record["captions"][0],
                caption=True,
                more=record,
            )
        except FileNotFoundError:
            yield Refused(id=name, path=path, reason="was not made")
        except (OSError, ValueError, LookupError, TypeError):
            yield Refused(id=name, path=path, reason="its record is broken: delete it, and it is made again")


def _id(number: int, unseen: bool) -> str:
    return f"{'unseen' if unseen else 'clip'}-{number:06}"
