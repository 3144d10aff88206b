"""What codecs of the transformers library have in common, and what makes them look like a codec of ours.

They keep the promise of aoide/models/codec/__init__.py (`Codec`) without being model files: their weights come from a
hub or a local folder and are not trained here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from aoide.config import UserError


class PretrainedCodec(nn.Module, ABC):
    """Sound (batch, samples) <-> codes (batch, frames, codebooks), by a network of somebody else.

    Args:
        network: the model of transformers.
        sample_rate: Hz.
        hop: samples of a frame.
        codebooks: how many numbers a frame has.
        cardinality: how many values a number has.
    """

    network: Any
    context = None  # they hear the whole sound, or so much of it that the difference is none

    def __init__(self, network: nn.Module, sample_rate: int, hop: int, codebooks: int, cardinality: int) -> None:
        super().__init__()
        self.network = network
        self.sample_rate, self.hop, self.codebooks, self.cardinality = sample_rate, hop, codebooks, cardinality
        self.eval()

    @property
    def config(self) -> Any:
        """The configuration of the network."""
        return self.network.config

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @torch.no_grad()
    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) with True = real -> codes (batch, frames, codebooks) int64.

        Sound that ends within a frame is filled up with silence. With a mask each sound is coded alone: these networks
        know no masks, or not in all of their parts.

        Raises:
            UserError: no sound, or none in this shape.
        """
        if audio.ndim != 2 or not audio.shape[1]:
            raise UserError(f"a codec reads sound (batch, samples) of one sample or more, not {tuple(audio.shape)}")
        audio = functional.pad(audio, (0, -audio.shape[1] % self.hop))
        if mask is None:
            return self._encode(audio)
        lengths = mask.sum(1).tolist()
        codes = [self._encode(one[None, : frames * self.hop])[0] for one, frames in zip(audio, lengths, strict=True)]
        padded = pad_sequence(codes, batch_first=True)
        return functional.pad(padded, (0, 0, 0, mask.shape[1] - padded.shape[1]))

    @torch.no_grad()
    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or the first few of them) -> audio (batch, frames * hop).

        Raises:
            UserError: codes that are not of this codec.
        """
        if codes.ndim != 3 or codes.is_floating_point() or 0 in codes.shape or codes.shape[2] > self.codebooks:
            raise UserError(
                f"codes are whole numbers (batch, frames, codebooks), here of up to {self.codebooks} codebooks, "
                f"not {codes.dtype} {tuple(codes.shape)}"
            )
        if int(codes.min()) < 0 or int(codes.max()) >= self.cardinality:
            raise UserError(f"this codec's codes go from 0 to {self.cardinality - 1}: {codes.min()} to {codes.max()}")
        samples = codes.shape[1] * self.hop
        if mask is None:
            return self._fit(self._decode(codes), samples)
        lengths = mask.sum(1).tolist()
        sounds = [self._decode(one[None, :frames])[0] for one, frames in zip(codes, lengths, strict=True)]
        sounds = [self._fit(one, frames * self.hop) for one, frames in zip(sounds, lengths, strict=True)]
        return self._fit(pad_sequence(sounds, batch_first=True), samples)

    @staticmethod
    def _fit(audio: Tensor, samples: int) -> Tensor:
        """(..., any) -> (..., samples), cut or filled up with silence: some decoders give a little more or less."""
        return functional.pad(audio, (0, samples - audio.shape[-1]))

    @abstractmethod
    def _encode(self, audio: Tensor) -> Tensor:
        """audio (batch, frames * hop) -> codes (batch, frames, codebooks)."""

    @abstractmethod
    def _decode(self, codes: Tensor) -> Tensor:
        """codes (batch, frames, codebooks) -> audio (batch, about frames * hop)."""
