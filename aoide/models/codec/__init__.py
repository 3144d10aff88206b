"""Codecs: sound <-> codes. One file per model; what each of them promises, and what they share, stands here.

A codec whose conditions are more than sound extends the promise in its own docstring: a semantic codec encodes features
(batch, frames, dim) of another network instead of sound, and has no way back to sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from aoide.config import UserError

if TYPE_CHECKING:
    from torch import Tensor

PIECE = 10.0  # seconds that `encode` and `decode` work on at a time
RECURRENT_CONTEXT = 4.0  # seconds to each side after which a recurrent network has all but forgotten


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


# ----------------------------------------------------------------------------------------------------------- long sound


def encode(codec: Codec, pieces: Iterable[Tensor], seconds: float = PIECE) -> Iterator[Tensor]:
    """Codes of a sound of any length in constant memory: equal to those of `codec.encode` of the whole.

    Args:
        codec: any; where its `context` is None the codes are nearly those of the whole.
        pieces: the sound, in pieces (batch, samples) of any length.
        seconds: how much to work on at a time.

    Yields:
        Codes (batch, frames, codebooks).
    """
    yield from _in_pieces(codec.encode, pieces, codec.hop, 1, *_plan(codec, seconds))


def decode(codec: Codec, pieces: Iterable[Tensor], seconds: float = PIECE) -> Iterator[Tensor]:
    """Sound of any number of codes in constant memory; takes pieces (batch, frames, codebooks), see `encode`.

    Yields:
        Sound (batch, samples).
    """
    yield from _in_pieces(codec.decode, pieces, 1, codec.hop, *_plan(codec, seconds))


def _plan(codec: Codec, seconds: float) -> tuple[int, int]:
    """Frames to work on at a time, and frames of context."""
    if seconds <= 0:
        raise UserError(f"sound is coded in pieces longer than 0 s, got {seconds:g}")
    context = round(RECURRENT_CONTEXT * codec.frame_rate) if codec.context is None else codec.context
    return max(1, round(seconds * codec.frame_rate)), context


def _in_pieces(
    run: Callable[[Tensor], Tensor], pieces: Iterable[Tensor], into: int, out: int, frames: int, context: int
) -> Iterator[Tensor]:
    """Runs `run` on `frames` frames at a time, with `context` more on both sides, which are cut off the result.

    `into` and `out` are the places of a frame on the second axis of what goes in and comes out.
    """
    import torch

    held: Tensor | None = None  # starts with `before` frames that are done
    before = 0
    for piece in pieces:
        held = piece if held is None else torch.cat([held, piece], dim=1)
        while held.shape[1] > (before + frames + context) * into:  # more than that: the last call is never empty
            result = run(held[:, : (before + frames + context) * into])
            yield result[:, before * out : (before + frames) * out]
            past = max(0, before + frames - context)
            held, before = held[:, past * into :], before + frames - past
    if held is not None and held.shape[1]:
        yield run(held)[:, before * out :]


# ------------------------------------------------------------------------------------------------------ what they share


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
