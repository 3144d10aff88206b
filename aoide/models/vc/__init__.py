"""Voice conversion: a recording -> the same words in the voice of another recording, of somebody unseen in training.

One file per model; what each promises stands here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Converter(Protocol):
    """What the `Model` of a file in this folder offers; `config.mel` is the clock of its frames."""

    config: Any

    def convert(
        self,
        audio: Tensor,
        reference: Tensor,
        *,
        frame_mask: Tensor | None = None,
        reference_mask: Tensor | None = None,
        **settings: Any,
    ) -> Tensor:
        """audio (batch, samples), reference (batch, samples), some seconds of who shall speak -> (batch, samples).

        The masks (batch, frames) say what is real. Settings of its own have defaults; a `generator` of the same seed
        gives the same result.
        """
        ...
