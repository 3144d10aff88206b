"""Sound fonts: the small one that comes in the package, or any .sf2 file.

The small one is a folder: `samples.flac`, all tones end to end, and `soundfont.json`, which says where each begins,
which keys it is for, where it loops and how it fades; `tools/make_soundfont.py` wrote it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from aoide import voices
from aoide.audio.sampler import Envelope, Font, Zone
from aoide.audio.sf2 import SoundFont2
from aoide.config import UserError, build

FILE, SAMPLES = "soundfont.json", "samples.flac"
FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Tone:
    """A zone as `soundfont.json` tells it."""

    program: int
    drums: bool = False
    samples: tuple[int, int]  # of the file, from and to
    root: float
    keys: tuple[int, int]
    gain: float
    loop: tuple[float, float] | None = None  # of the tone
    choke: int = 0
    decay: float = 0.0  # seconds for 100 dB; 0: none
    release: float = 0.1  # likewise


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What `soundfont.json` says."""

    format: int = FORMAT
    name: str
    summary: str
    licence: str
    sha256: dict[str, str]
    aoide: str
    sample_rate: int  # Hz
    names: dict[str, str]  # program -> what it is, in words
    tones: list[Tone] = field(default_factory=list)


class SmallFont:
    """A font in a folder.

    Raises:
        UserError: no such folder, or a broken one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, path = folder, folder / FILE
        try:
            data = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{path}: no sound font, or a broken one; install it again") from None
        self.about = build(Description, data, str(path))
        self.name, self.sample_rate = self.about.name, self.about.sample_rate

    @property
    def programs(self) -> Sequence[int]:
        return sorted({tone.program for tone in self.about.tones if not tone.drums})

    @property
    def kits(self) -> Sequence[int]:
        return sorted({tone.program for tone in self.about.tones if tone.drums})

    def zones(self, program: int, drums: bool) -> Sequence[Zone]:
        return [self._zone(tone) for tone in self.about.tones if (tone.program, tone.drums) == (program, drums)]

    @cached_property
    def _samples(self) -> np.ndarray:
        """All tones, int16."""
        import soundfile

        path = self.folder / SAMPLES
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != self.about.sha256[SAMPLES]:
            raise UserError(f"{path}: not the file that {FILE} describes: truncated or exchanged; install it again")
        return soundfile.read(path, dtype="int16")[0]

    def _zone(self, tone: Tone) -> Zone:
        start, end = tone.samples
        fading = Envelope(decay=tone.decay, sustain=100.0, release=tone.release)
        return Zone(
            samples=self._samples[start:end],
            rate=self.sample_rate,
            root=tone.root,
            loop=tone.loop,
            keys=tone.keys,
            gain=tone.gain,
            choke=tone.choke,
            envelope=fading if tone.decay else Envelope(release=tone.release),
        )


def open_font(path: Path | None = None) -> Font:
    """A font: the path of an .sf2 file, or of a folder with `soundfont.json`; None: the one in the package.

    Raises:
        UserError: neither, or a broken one.
    """
    if path is None:
        return SmallFont(voices.find(voices.DEFAULT_FONT, kind="soundfont"))
    if path.is_dir():
        return SmallFont(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such sound font")
    return SoundFont2(path)
