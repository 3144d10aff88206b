"""Models that read: letters -> phonemes. Trained here, run without torch by the front ends of aoide.text."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Reading(NamedTuple):
    """What a model thinks of the places where sounds may stand."""

    scores: Tensor  # (batch, slots, sounds + 1), before softmax; class 0 is "nothing here"
    slot_mask: Tensor  # (batch, slots) bool


class Reader(Protocol):
    """The common shape of the models of this task."""

    def __call__(self, letters: Tensor, letter_mask: Tensor | None = None) -> Reading:
        """letters (batch, letters) int64, 0 = padding -> the scores of the slots."""
