"""Mimi (Defossez et al. 2024, arXiv:2410.00037), the codec of Moshi: 24 kHz, 12.5 frames a second of up to 32 codes.

The first codebook is semantic (it learned from WavLM), the others are acoustic; Moshi speaks the first eight. Weights:
kyutai/mimi (CC-BY-4.0).
"""

from __future__ import annotations

import os
from typing import Any

from torch import Tensor

from aoide.external.pretrained_codec import PretrainedCodec
from aoide.external.weights import pretrained

SOURCE = "kyutai/mimi"


class Mimi(PretrainedCodec):
    """See `PretrainedCodec`.

    Args:
        network: a MimiModel.
    """

    def __init__(self, network: Any) -> None:
        c = network.config
        super().__init__(
            network, c.sampling_rate, round(c.sampling_rate / c.frame_rate), c.num_quantizers, c.codebook_size
        )

    def _encode(self, audio: Tensor) -> Tensor:
        return self.network.encode(audio[:, None], num_quantizers=self.codebooks, return_dict=True).audio_codes.mT

    def _decode(self, codes: Tensor) -> Tensor:
        return self.network.decode(codes.mT, return_dict=True).audio_values[:, 0]


def load(source: str | os.PathLike[str] = SOURCE) -> Mimi:
    """Mimi with the weights of a hub name or a local folder.

    Raises:
        MissingExtra: transformers is not installed.
        UserError: neither a folder nor a hub has it.
    """
    return Mimi(pretrained("MimiModel", source, extra="models"))
