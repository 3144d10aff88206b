"""Vocos for EnCodec: codes (batch, frames, codebooks) -> waveform (batch, samples), samples = frames * hop.

Idea         A better decoder for a codec that exists: the sum of the code vectors takes the place of the mel, and every
             normalisation knows the bandwidth (how many codebooks were sent) by an adaptive scale and shift.
Objective    adversarial with a mel loss (aoide/objectives/gan.py); the code vectors are EnCodec's own and stay so
Paper        Siuzdak 2023, arXiv:2306.00814
Code         github.com/gemelo-ai/vocos (MIT)
Checkpoints  charactr/vocos-encodec-24khz (Hugging Face, MIT): load with `from_official`
Parity       tests/parity/test_vocos.py
Differs      every item of a batch has its own bandwidth; the critics are not told the bandwidth in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder.vocos import rename_convnext, section
from aoide.nn.conv import Conv1d
from aoide.nn.convnext import AdaConvNeXtBlock, AdaLayerNorm, small_start
from aoide.nn.istft import FourierHead, Padding
from aoide.nn.official import adopt
from aoide.nn.stft_loss import MelLoss
from aoide.objectives import Batch, gan


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published 24 kHz checkpoint (7.9 M parameters)."""

    sample_rate: int = 24_000  # Hz
    n_fft: int = 1280  # samples
    hop: int = 320  # samples between frames: 75 frames a second
    padding: Padding = "same"
    codebooks: int = 16  # as many as the highest bandwidth sends
    codes: int = 1024  # entries of a codebook
    code_dim: int = 128
    bandwidths: int = 4  # how many there are: 1.5, 3, 6 and 12 kbit/s
    dim: int = 384
    layers: int = 8
    hidden: int = 1152  # channels inside a ConvNeXt block


class Backbone(nn.Module):
    """ConvNeXt blocks that know the bandwidth: features (batch, frames, code_dim) -> hidden (batch, frames, dim)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim, layers = config.dim, config.layers
        self.embed = Conv1d(config.code_dim, dim, kernel=7)
        self.norm = AdaLayerNorm(dim, config.bandwidths)
        self.blocks = nn.ModuleList(
            AdaConvNeXtBlock(dim, config.hidden, config.bandwidths, layer_scale=1 / layers) for _ in range(layers)
        )
        self.final_norm = nn.LayerNorm(dim, eps=1e-6)
        self.reach = (1 + layers) * self.embed.reach  # all kernels are of one size
        self.apply(small_start)

    def forward(self, x: Tensor, bandwidth: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.norm(self.embed(x, mask), bandwidth)
        for block in self.blocks:
            x = block(x, bandwidth, mask)
        return self.final_norm(x)


class Model(nn.Module):
    """EnCodec codes -> waveform."""

    codebooks: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # All codebooks end to end; entry c of codebook q is row q * codes + c. EnCodec's, so a buffer and not trained.
        self.register_buffer("codebooks", torch.randn(config.codebooks * config.codes, config.code_dim))
        self.backbone = Backbone(config)
        self.head = FourierHead(config.dim, config.n_fft, config.hop, config.padding)

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on."""
        return self.backbone.reach + self.head.reach

    def forward(self, codes: Tensor, bandwidth: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks) int64, bandwidth (batch,) int64 -> waveform (batch, frames * hop).

        A lower bandwidth sends fewer codebooks: the first ones. `bandwidth` is its index, 0 the lowest.
        frame_mask (batch, frames) is True where real.

        Raises:
            UserError: more codebooks than the model has.
        """
        return self.head(self.backbone(self.features(codes), bandwidth, frame_mask), frame_mask)

    def features(self, codes: Tensor) -> Tensor:
        """codes (batch, frames, codebooks) -> the sum of their vectors (batch, frames, code_dim)."""
        sent = codes.shape[-1]
        if sent > self.config.codebooks:
            raise UserError(f"this vocoder reads up to {self.config.codebooks} codebooks, not {sent}")
        first = torch.arange(sent, device=codes.device) * self.config.codes
        return functional.embedding(codes + first, self.codebooks).sum(2)


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound, 100 bands over all frequencies."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(MelConfig(sample_rate=config.sample_rate, fmax=config.sample_rate / 2, floor=1e-7))

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        return self.distance(output, batch["audio"])


TRAINING = gan.Config(loss="hinge", weights={"mel": 45.0}, critic_weights={"band": 0.1})
LOSSES = {"mel": MelDistance}
NEEDS = ("codes", "bandwidth", "audio")
TOY = Config(sample_rate=8_000, n_fft=64, hop=16, codebooks=3, codes=12, code_dim=9, dim=16, layers=2, hidden=32)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random codes and sounds of 80 frames, each of another bandwidth."""
    frames = 80
    return {
        "codes": torch.randint(config.codes, (batch, frames, config.codebooks), generator=generator),
        "bandwidth": torch.arange(batch) % config.bandwidths,
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
    }


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys; EnCodec's own weights in it are left out.
        config: its config.yaml as a dict: `feature_extractor`, `backbone`, `head`, each its arguments or
            `{class_path, init_args}`. A `codebook` group may say how many `bins` a codebook has; EnCodec's have 1024.

    Raises:
        UserError: not a Vocos for EnCodec codes, or a state that does not fit the configuration.
    """
    _, features = section(config, "feature_extractor")
    _, backbone = section(config, "backbone")
    _, head = section(config, "head")
    vectors = state.get("feature_extractor.codebook_weights")
    if vectors is None:
        raise UserError("this checkpoint has no EnCodec codebooks: load it as vocoder/vocos")
    codes = config.get("codebook", {}).get("bins", 1024)
    own = Config(
        sample_rate=48_000 if features.get("encodec_model") == "encodec_48khz" else 24_000,
        n_fft=head["n_fft"],
        hop=head["hop_length"],
        padding=head.get("padding", "same"),
        codebooks=len(vectors) // codes,
        codes=codes,
        code_dim=vectors.shape[1],
        bandwidths=backbone["adanorm_num_embeddings"],
        dim=backbone["dim"],
        layers=backbone["num_layers"],
        hidden=backbone["intermediate_dim"],
    )
    return adopt(Model(own), {"codebooks": vectors, **rename_convnext(state)}, "Vocos checkpoint")
