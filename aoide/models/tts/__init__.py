"""Text to speech: phonemes -> mel or waveform. One file per model; what each of them promises stands here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Spoken(Protocol):
    """What a model of speech gives: at least how long each token lasts, and which frames are real."""

    @property
    def durations(self) -> Tensor:
        """(batch, tokens) int64 frames, 0 at padded tokens."""

    @property
    def frame_mask(self) -> Tensor:
        """(batch, frames), True = real."""


class Speaker(Protocol):
    """What the `Model` of a file in this folder offers.

    `config.symbols` is the size of the phoneme table that its tokens come from. Whatever else its forward takes
    (durations, F0 ...) is measured in training and predicted where it is not given; so text alone is enough to speak.
    """

    config: Any

    def __call__(self, tokens: Tensor, token_mask: Tensor) -> Spoken:
        """tokens, token_mask (batch, tokens) with True = real -> mel or spectra, and durations."""
        ...
