"""EnCodec (Defossez et al. 2022, arXiv:2210.13438) at 24 kHz: 75 frames a second of up to 32 codes.

VALL-E, NaturalSpeech 2 and Bark speak its codes. Weights: facebook/encodec_24khz (CC-BY-NC).
"""

from __future__ import annotations

import os
from typing import Any

from torch import Tensor

from aoide.config import UserError
from aoide.external.pretrained_codec import PretrainedCodec
from aoide.external.weights import pretrained

SOURCE = "facebook/encodec_24khz"


class EnCodec(PretrainedCodec):
    """See `PretrainedCodec`.

    Args:
        network: an EncodecModel of one channel that codes the sound as a whole.

    Raises:
        UserError: the model for 48 kHz, whose pieces have a loudness beside their codes.
    """

    def __init__(self, network: Any) -> None:
        c = network.config
        if c.audio_channels != 1 or c.normalize or c.chunk_length_s is not None:
            raise UserError(f"this EnCodec ({c.sampling_rate} Hz, {c.audio_channels} channels) codes loudness apart")
        super().__init__(network, c.sampling_rate, c.hop_length, c.num_quantizers, c.codebook_size)

    def _encode(self, audio: Tensor) -> Tensor:
        most = self.network.config.target_bandwidths[-1]
        return self.network.encode(audio[:, None], bandwidth=most, return_dict=True).audio_codes[0].mT

    def _decode(self, codes: Tensor) -> Tensor:
        return self.network.decode(codes.mT[None], [None], return_dict=True).audio_values[:, 0]


def load(source: str | os.PathLike[str] = SOURCE) -> EnCodec:
    """EnCodec with the weights of a hub name or a local folder.

    Raises:
        MissingExtra: transformers is not installed.
        UserError: neither a folder nor a hub has it.
    """
    return EnCodec(pretrained("EncodecModel", source, extra="models"))
