"""Vocoders: features -> waveform. One file per model; what each of them promises stands here.

Three kinds, told apart by what their `Model` has:

    forward gives the sound          hifigan, vocos, ...: nothing else is needed, and `context` is there
    `vocode` gives the sound         forward is the view that training wants: an output with more than the sound (apnet,
                                     sourcefilter, which have `context` too), or none at all (wavenet, waveglow, ...)
    `source` makes what runs through nsf_hifigan, sourcefilter, parallel_wavegan: see below

Long sound is made in pieces: of `context` frames more on both sides what lies within equals the whole. But a phase that
runs through the whole sound, and what is drawn, cannot be found again from neighbouring frames. So these models split
it off:

    source = model.source(f0, generator=generator)                   (batch, frames, numbers), cheap, of the whole
    sound = model(mel[:, a:b], source=source[:, a:b])                any piece, with its context

`source` is on the clock of the frames and is cut like the mel; given, it takes the place of F0 and of all chance. Where
not even F0 is there as a whole, `model.source(later, after=source)` goes on from the source of the frames before. What
the arguments of `source` are called says what it reads: f0, mel, frame_mask. `model.source_form` describes it for
generate/sources.py, which makes it without torch.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from aoide.config import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from aoide.audio.mel import MelConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What kind of source a vocoder reads."""

    kind: Literal["noise", "sines", "pulses"]
    hop: int  # samples of the source a frame
    partials: int = 0  # sines, each with an offset and noise of its own
    hidden: int = 0  # numbers of noise a frame for a hidden layer
    glide: bool = False  # F0 moves on within a frame to that of the next


class Vocoder(Protocol):
    """What a vocoder's `Model` offers.

    `config.mel` (a MelConfig) says which mel it reads; it understands no other. `context` is how many frames before and
    after a frame its sound depends on: decoding in chunks with that many frames more on each side equals decoding all.
    """

    config: Any

    @property
    def context(self) -> int:
        """Not there where sound cannot be made in pieces: it is drawn sample by sample, or refined as a whole."""
        ...

    def __call__(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels), frame_mask (batch, frames) with True = real -> waveform (batch, frames * hop).

        What stands in padded frames changes nothing in the real ones, and their samples are 0. `vocode`, where it is
        there, is called alike; it takes a `generator` by name, of which the same seed gives the same sound, and
        settings of its own that have defaults.
        """
        ...


def check_mel(mel: Tensor, config: MelConfig) -> None:
    """Makes sure that a mel has the shape that a vocoder of `config` reads.

    Raises:
        UserError: another number of axes or bands; says which mel it must be.
    """
    if mel.ndim != 3 or mel.shape[-1] != config.n_mels:
        raise UserError(f"this vocoder reads {config}, (batch, frames, mels), not a mel {tuple(mel.shape)}")


def check_values(mel: Tensor) -> None:
    """Makes sure that there is something to make sound of; it costs a look at every value.

    Raises:
        UserError: no frames, or NaN or infinity.
    """
    if mel.numel() == 0:
        raise UserError("a mel without frames has no sound")
    if not mel.isfinite().all():
        raise UserError("the mel holds NaN or infinity")


def guarded(model: Any) -> Any:
    """The model, whose calls now look at their mel first; for models that are loaded to be used, not to be trained."""
    for name in ("forward", "vocode"):
        if hasattr(model, name):
            setattr(model, name, _looking(getattr(model, name), model.config.mel))
    return model


def _looking(call: Any, config: MelConfig) -> Any:
    @functools.wraps(call)
    def looked(mel: Tensor, *more: Any, **named: Any) -> Any:
        check_mel(mel, config)
        check_values(mel)
        return call(mel, *more, **named)

    return looked
