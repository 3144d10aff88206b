"""What is said or sung, frame by frame, and not who does it: mel, F0 -> content. One file a model; here is the promise.

A conversion (aoide/generate/convert.py) reads the content of one voice and lets another say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Heard(NamedTuple):
    """What a model of this task hears."""

    content: Tensor  # (batch, frames, dim)
    scores: Tensor  # (batch, frames, symbols), before softmax


class Listener(Protocol):
    """What the `Model` of a content encoder offers.

    `config.mel` is the mel that it reads, `context` how many frames before and after a frame its content depends on.
    """

    config: Any

    @property
    def context(self) -> int: ...

    def __call__(self, mel: Tensor, f0: Tensor | None = None, frame_mask: Tensor | None = None) -> Heard:
        """mel (batch, frames, mels), f0 (batch, frames) Hz with 0 = unvoiced, frame_mask (batch, frames) with
        True = real -> content, and what it stands for.
        """
        ...
