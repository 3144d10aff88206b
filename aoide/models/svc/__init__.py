"""Singing voice conversion: what is sung, and how, of one singer -> the same in the voice of another.

One file per model; what each promises stands here. Features of the source (content, F0, how loud) and who shall sing
come in; aoide/data/features makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Converter(Protocol):
    """What the `Model` of a file in this folder offers.

    `config.mel` is the mel that its frames are those of, and that it gives unless it ends in a vocoder of its own.
    """

    config: Any

    def convert(
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        **settings: Any,
    ) -> Tensor:
        """content (batch, frames, values), f0 (batch, frames) Hz with 0 = unvoiced, energy (batch, frames), speaker
        (batch,), a row of the table of singers -> mel (batch, frames, mels); from a model with a vocoder of its own
        samples (batch, samples).

        `speaker_vector` (batch, values) or `mixture` ((batch, speakers) or (batch, frames, speakers), shares of the
        table) stand in speaker's place, `frame_mask` (batch, frames) says what is real. Settings of its own (how many
        steps) have defaults; a `generator` of the same seed gives the same result.
        """
        ...
