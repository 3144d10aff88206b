"""Singing voice synthesis: phonemes, durations, F0 -> mel or sound. One file per model; what each promises is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Singer(Protocol):
    """What the `Model` of an acoustic model in this folder offers.

    `config.symbols` is the size of the phoneme table that its tokens come from, `config.mel` the mel that it gives.
    """

    config: Any

    def sing(self, tokens: Tensor, token_mask: Tensor, durations: Tensor, f0: Tensor, **settings: Any) -> Tensor:
        """tokens, token_mask, durations (batch, tokens), durations in frames; f0 (batch, frames) Hz -> mel; a model
        that goes all the way gives samples (batch, frames * hop).

        Settings of its own (how many steps, which curves) have defaults; a `generator` of the same seed gives the same
        mel (batch, frames, mels).
        """
        ...
