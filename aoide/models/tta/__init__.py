"""Text to audio: a description -> sound. One file per model; what each of them promises stands here.

A diffusion model of latents (`audioldm`) is one part of three: an encoder reads the caption, the model makes latents,
and an autoencoder (`autoencoderkl`) and a vocoder make sound of them. What a user has is all of them together,
`Described`; aoide/generate joins the parts.

Latents are (batch, frames, dim) everywhere, time before all else: a model that sees them as pictures folds them inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aoide.config import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from aoide.audio.sound import Sound

LONGEST_CAPTION = 2000  # letters; nobody describes ten seconds in more, a mistaken file does


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A sound to go out from, instead of from nothing.

    A variation is `Start(sound=s, strength=0.5)`; a span made anew `Start(sound=s, fresh=((2.0, 3.5),))`; what comes
    after it `Start(sound=s, fresh=((s.seconds, wanted),))`, where so many seconds are wanted.
    """

    sound: Sound  # at any rate; shorter than what is wanted: silence follows
    strength: float = 1.0  # how much of what is made anew: near 0 it stays as it is, 1 keeps nothing of it
    fresh: tuple[tuple[float, float], ...] = ()  # seconds from, to that are made anew, all else stays; () = all of it

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise UserError(f"strength is above 0 and at most 1, got {self.strength:g}")
        for begin, end in self.fresh:
            if not 0 <= begin < end:
                raise UserError(f"a span is made anew from 0 s or later to a later time, got {begin:g} to {end:g} s")
        if not self.fresh and self.strength == 1:
            raise UserError("a sound to go out from needs a strength below 1, or spans that are made anew")


class Described(Protocol):
    """What makes sound of descriptions, as `aoide sound` uses it: whole, from caption to samples."""

    name: str
    sample_rate: int  # Hz of what it makes
    longest: float  # seconds that it makes at most
    steps: int  # of its sampler, where nobody says how many
    guidance: float  # likewise

    def generate(
        self,
        captions: Sequence[str],
        seconds: float,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        start: Start | None = None,
    ) -> list[Sound]:
        """A sound for each caption, `seconds` long.

        Args:
            captions: at least one.
            seconds: how long each is.
            steps: of the sampler; None = `self.steps`.
            guidance: how much further than without the caption; 1 = as it says, None = `self.guidance`.
            seed: of all that is drawn: the same seed, the same sound.
            start: a sound to go out from.

        Raises:
            UserError: a caption, a length or a start that it cannot do; says which and why.
        """
        ...


class Denoiser(Protocol):
    """What the `Model` of a diffusion model here offers: one step of the way from noise to latents."""

    config: Any  # has `process`, `frame_rate` and `dim`

    def __call__(
        self,
        noisy: Tensor,
        step: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """noisy (batch, frames, dim), step (batch,), text (batch, words, text_dim) -> like `noisy`."""
        ...


class Autoencoder(Protocol):
    """What turns sound into latents and back; also what data.networks.latents names."""

    config: Any

    @property
    def sample_rate(self) -> int: ...

    @property
    def hop(self) -> int:
        """Samples of a frame of latents."""
        ...

    @property
    def frame_rate(self) -> float:
        """Frames of latents per second."""
        ...

    @property
    def dim(self) -> int:
        """Values of a frame of latents."""
        ...

    def encode(self, audio: Tensor) -> Tensor:
        """audio (batch, samples) -> latents (batch, frames, dim)."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """latents (batch, frames, dim) -> a mel (batch, frames * stride, mels) or audio (batch, frames * hop)."""
        ...


def check(model: Described, captions: Sequence[str], seconds: float) -> None:
    """Makes sure that a model can make what is asked for.

    Raises:
        UserError: no caption, an empty or far too long one, or a length that it does not make.
    """
    if not captions:
        raise UserError("there is no caption: say what is to be heard, such as 'a dog barks twice in the rain'")
    for caption in captions:
        if not any(letter.isalnum() for letter in caption):
            raise UserError(f"the caption {caption!r} says nothing: describe what is to be heard, in words")
        if len(caption) > LONGEST_CAPTION:
            raise UserError(
                f"the caption has {len(caption)} letters; {LONGEST_CAPTION} at most: describe the sound in a sentence"
            )
    if not 0 < seconds <= model.longest:
        raise UserError(f"{model.name} makes sounds of more than 0 and at most {model.longest:g} s, not {seconds:g} s")
