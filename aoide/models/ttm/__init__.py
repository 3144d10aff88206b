"""Text to music and to songs: a description, or lyrics and a style -> sound. One file per model; the promises are here.

A model of latents (`songflow`, `acestep`) or of codes (`musicgen`) is one part of several: what reads the words stands
before it, an autoencoder or a codec behind it. What a user has is all of them together: `Music` for `aoide music`,
`Songs` for `aoide song`; aoide/generate joins the parts.

Latents are (batch, frames, dim), time before all else; several stems stand side by side in dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from aoide.config import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aoide.audio.sound import Sound
    from aoide.score.song_script import SongScript

LONGEST_CAPTION = 2000  # letters; a style is a sentence or some tags, a mistaken file is not
MIX = "mix"  # the name of the sum of all stems


class Music(Protocol):
    """What makes music of descriptions, as `aoide music` uses it: whole, from words to samples."""

    @property
    def name(self) -> str: ...

    @property
    def sample_rate(self) -> int:
        """Hz of what it makes."""
        ...

    @property
    def longest(self) -> float:
        """Seconds that it makes at most."""
        ...

    @property
    def steps(self) -> int | None:
        """Of its sampler, where nobody says how many; None = it has none."""
        ...

    @property
    def guidance(self) -> float:
        """How much further than the words say; 1 = as they say."""
        ...

    @property
    def follows_melody(self) -> bool:
        """Whether it takes a melody."""
        ...

    def generate(
        self,
        captions: Sequence[str],
        seconds: float,
        *,
        melody: Sound | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Music for each caption: (captions, samples) or (captions, samples, channels) float32 on the CPU.

        Args:
            melody: what it shall follow, for a model with `follows_melody`.
            generator: of all that is drawn: the same seed, the same music.

        Raises:
            UserError: a caption, a length or a melody that it cannot do; says which and why.
        """
        ...


class Songs(Protocol):
    """What makes songs of lyrics, as `aoide song --model` uses it: whole, from words to samples."""

    @property
    def name(self) -> str: ...

    @property
    def sample_rate(self) -> int: ...

    @property
    def longest(self) -> float:
        """Seconds."""
        ...

    @property
    def stems(self) -> tuple[str, ...]:
        """What it gives beside the mix: ("voice", "accompaniment"), or nothing."""
        ...

    @property
    def steps(self) -> int: ...

    @property
    def guidance(self) -> float: ...

    def generate(
        self,
        script: SongScript,
        style: str = "",
        seconds: float | None = None,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """The song: "mix" and each stem, (samples,) or (samples, channels) float32 on the CPU, whose sum is the mix.

        Args:
            script: lyrics; lines without times get theirs by their syllables.
            style: tags or a sentence; "" = that of the script.
            seconds: how long it is; None = as the script says, or as its lines need.

        Raises:
            UserError: lyrics, a style or a length that it cannot do; says which and why.
        """
        ...


def check(model: Music | Songs, words: Sequence[str], seconds: float) -> None:
    """Makes sure that a model can make what is asked for.

    Raises:
        UserError: an empty or far too long description, or a length that it does not make.
    """
    for text in words:
        if not any(letter.isalnum() for letter in text):
            raise UserError(f"the description {text!r} says nothing: say style, instruments and tempo, in words")
        if len(text) > LONGEST_CAPTION:
            raise UserError(
                f"the description has {len(text)} letters; {LONGEST_CAPTION} at most: a sentence or some tags will do"
            )
    if not 0 < seconds <= model.longest:
        raise UserError(f"{model.name} makes music of more than 0 and at most {model.longest:g} s, not {seconds:g} s")
