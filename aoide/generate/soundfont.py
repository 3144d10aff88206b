"""Renders notes with a sound font, without torch.

    render([Note(0.0, 1.0, 69, program=56), Note(1.0, 0.5, 38, drums=True)]).save("song.wav")

The small font of the package has at least one program of each family of General MIDI, and a drum kit; a font of your
own is one argument: font=Path("FluidR3_GM.sf2").
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aoide.audio.font import SmallFont, open_font
from aoide.audio.sampler import Font, Note, play
from aoide.audio.sound import Sound
from aoide.config import UserError

__all__ = ["LONGEST", "Note", "Soundfont", "render"]

LONGEST = 3600.0  # seconds


def render(
    notes: Sequence[Note], seconds: float | None = None, sample_rate: int = 44_100, font: Path | None = None
) -> Sound:
    """Plays notes: a sound of (samples, 2), not limited: many loud notes at once go beyond full scale.

    A program that the font has not is played by the nearest of its family, with a warning.

    Args:
        seconds: how long the sound is; None: until the last note has faded.
        font: an .sf2 file, or a folder with `soundfont.json`; None: the font of the package.

    Raises:
        UserError: no font there, a broken one, or a sound that is too long.
    """
    return _rendered(open_font(font), notes, seconds, sample_rate)


class Soundfont:
    """A font in a folder, as `aoide.load` gives it; read once, for many sounds."""

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1) -> None:
        self.folder = Path(folder)
        self.font = SmallFont(self.folder)
        self.name, self.sample_rate = self.font.name, self.font.sample_rate

    def __repr__(self) -> str:
        return f"Soundfont({self.name}, {len(self.font.programs)} programs)"

    @property
    def card(self) -> str:
        return (self.folder / "card.md").read_text("utf-8")

    def render(self, notes: Sequence[Note], seconds: float | None = None, sample_rate: int = 44_100) -> Sound:
        """As the function `render`."""
        return _rendered(self.font, notes, seconds, sample_rate)


def _rendered(font: Font, notes: Sequence[Note], seconds: float | None, sample_rate: int) -> Sound:
    end = max((note.start + note.seconds for note in notes), default=0.0) if seconds is None else seconds
    if not 0 <= end <= LONGEST:
        raise UserError(f"a rendered sound lasts at most {LONGEST:.0f} s, not {end:g}")
    return Sound(play(font, notes, seconds), font.sample_rate).resample(sample_rate)
