"""Vocoders: features -> waveform. One file per model; what each of them promises stands here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Vocoder(Protocol):
    """What a vocoder's `Model` offers.

    `config.mel` (a MelConfig) says which mel it reads; it understands no other. `context` is how many frames before and
    after a frame its sound depends on: decoding in chunks with that many frames more on each side equals decoding all.
    """

    config: Any

    @property
    def context(self) -> int: ...

    def __call__(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels), frame_mask (batch, frames) with True = real -> waveform (batch, frames * hop).

        What stands in padded frames changes nothing in the real ones, and their samples are 0.
        """
        ...
