"""Codecs: sound <-> codes. One file per model; what each of them promises, and what they share, stands here.

A codec whose conditions are more than sound extends the promise in its own docstring: a semantic codec encodes features
(batch, frames, dim) of another network instead of sound, and has no way back to sound. A codec of mels has `mel`, the
MelConfig of what it decodes to, and leaves the sound to a vocoder (aoide/generate/codec.py joins the two).

Long sound is coded in pieces by aoide/generate/codec.py, for codecs of every kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aoide.config import UserError

if TYPE_CHECKING:
    from torch import Tensor


class Codec(Protocol):
    """What a codec's `Model` offers.

    Sound is cut into frames of `hop` samples; each is told by `codebooks` numbers from 0 to below `cardinality`, the
    coarsest first. `context` is how many frames before and after a frame its codes, and its sound, depend on: None for
    a recurrent codec, where it is all of them.

    Its output, of a forward pass, holds `audio` (batch, frames * hop), `codes`, and the `commitment` and `codebook`
    losses (batch, codebooks).
    """

    config: Any

    @property
    def sample_rate(self) -> int: ...

    @property
    def hop(self) -> int: ...

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        ...

    @property
    def codebooks(self) -> int: ...

    @property
    def cardinality(self) -> int: ...

    @property
    def context(self) -> int | None: ...

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) with True = real -> codes (batch, frames, codebooks) int64.

        Sound that ends within a frame is filled up with silence; codes of padded frames are 0.
        """
        ...

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or the first few of them) -> audio (batch, frames * hop)."""
        ...


# ------------------------------------------------------------------------------------------------------ what they share


class Numbers:
    """The numbers of the promise, for a model whose `config` has `sample_rate`, `hop`, `codebooks` and `codes`."""

    config: Any

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop(self) -> int:
        return self.config.hop

    @property
    def frame_rate(self) -> float:
        return self.sample_rate / self.hop

    @property
    def codebooks(self) -> int:
        return self.config.codebooks

    @property
    def cardinality(self) -> int:
        return self.config.codes


def whole_frames(audio: Tensor, codec: Any) -> Tensor:
    """audio (batch, samples) -> the same with silence after it up to a whole number of frames.

    Raises:
        UserError: no sound, or none in this shape.
    """
    if audio.ndim != 2 or not audio.shape[1]:
        raise UserError(f"a codec reads sound (batch, samples) of one sample or more, not {tuple(audio.shape)}")
    rest = -audio.shape[1] % codec.hop
    return audio if rest == 0 else _silence_after(audio, rest)


def _silence_after(audio: Tensor, samples: int) -> Tensor:
    from torch.nn import functional

    return functional.pad(audio, (0, samples))


def check_codes(codes: Tensor, codec: Any) -> None:
    """Makes sure that codes are of the codec.

    Raises:
        UserError: another shape, no frames, too many codebooks, or a number that is no code.
    """
    if codes.ndim != 3 or codes.is_floating_point() or 0 in codes.shape:
        raise UserError(f"codes are whole numbers (batch, frames, codebooks), not {codes.dtype} {tuple(codes.shape)}")
    if codes.shape[2] > codec.codebooks:
        raise UserError(f"this codec has {codec.codebooks} codebooks, but the codes are of {codes.shape[2]}")
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= codec.cardinality:
        raise UserError(
            f"this codec's codes go from 0 to {codec.cardinality - 1}, but there is a {low if low < 0 else high}"
        )


def commitment(output: Any, batch: Any) -> Tensor:
    """How far the encoder is from the codes that it chose: the mean over the batch, summed over codebooks."""
    return output.commitment.mean(0).sum()


def codebook(output: Any, batch: Any) -> Tensor:
    """How far the codes are from what chose them, for tables that gradients move; see `commitment`."""
    return output.codebook.mean(0).sum()
