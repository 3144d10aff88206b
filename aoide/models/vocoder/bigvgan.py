"""BigVGAN, the universal vocoder: log-mel (batch, frames, mels) -> waveform (batch, frames * hop).

Idea         HiFi-GAN whose activations are periodic, x + sin(alpha x)^2 / beta, and guarded against aliasing: each
             works at twice the rate between two low-passes. Trained on everything, it renders what it has never heard:
             singing, instruments, noise. It computes 112 M parameters at up to full rate, so it wants a GPU.
Objective    adversarial with a mel loss over several resolutions (aoide/objectives/gan.py)
Recipes      recipes/vocoder/bigvgan-folder.yaml
Paper        Lee et al. 2022, arXiv:2206.04658
Code         github.com/NVIDIA/BigVGAN (MIT); github.com/open-mmlab/Amphion (MIT)
Checkpoints  nvidia/bigvgan_v2_24khz_100band_256x, bigvgan_v2_44khz_128band_512x and the others of that collection,
             bigvgan_24khz_100band, bigvgan_base_24khz_100band, bigvgan_base_22khz_80band (Hugging Face, MIT),
             amphion/BigVGAN_singing_bigdata: load with `from_official`
Parity       tests/parity/test_bigvgan.py
Differs      the filters of the guard are computed, not loaded. Forms of the network, by `Config`:

                 v2        the defaults: 112 M parameters, 24 kHz; at 44.1 kHz rates 8 4 2 2 2 2, kernels 16 8 4 4 4 4
                           and 128 mels: 122 M
                 v1        bounded "tanh", last_bias true; trained with the critic resolution in place of cqt and with
                           weights {mel: 45, multiscale_mel: 0}: 112 M
                 v1 base   the same with dim 512, rates 8 8 2 2, kernels 16 16 4 4: 14.0 M
                 Amphion   v1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder import check_mel
from aoide.models.vocoder.hifigan import MelDistance, check_hop, example, official_sizes, plain_keys
from aoide.nn import upsampler
from aoide.nn.discriminators import Cqt, Period
from aoide.nn.official import adopt
from aoide.nn.snake import AntiAliased, Snake, SnakeBeta, without_filters
from aoide.nn.stft_loss import MultiScaleMelLoss
from aoide.nn.upsampler import Upsampler
from aoide.objectives import Batch, gan

__all__ = ["LOSSES", "NEEDS", "TOY", "TRAINING", "Config", "Model", "example", "from_official"]

ACTIVATIONS = {"snake": Snake, "snakebeta": SnakeBeta}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of BigVGAN; the defaults are those of bigvgan_v2_24khz_100band_256x."""

    mel: MelConfig = field(default_factory=lambda: MelConfig(scale="slaney", norm="slaney", eps=1e-9, padding="same"))
    dim: int = 1536  # channels before the first stage; each stage halves them
    rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)  # how many times longer each stage makes the signal
    kernels: tuple[int, ...] = (8, 8, 4, 4, 4, 4)  # of the transposed convolutions
    block: Literal["1", "2"] = "1"  # two convolutions for each dilation, or one
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
    activation: Literal["snake", "snakebeta"] = "snakebeta"  # one number a channel, or two
    log_scale: bool = True  # whether these numbers are logarithms
    bounded: Literal["tanh", "clamp"] = "clamp"  # how the waveform is kept within -1 and 1
    last_bias: bool = False  # of the last convolution

    def __post_init__(self) -> None:
        upsampler.check(self.dim, self.rates, self.kernels, self.block_kernels, self.dilations)
        check_hop(self.rates, self.mel)


class Model(nn.Module):
    """Log-mel -> waveform."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        snake = ACTIVATIONS[config.activation]
        self.upsampler = Upsampler(
            config.mel.n_mels,
            config.dim,
            config.rates,
            config.kernels,
            config.block_kernels,
            config.dilations,
            block=config.block,
            activation=lambda channels: AntiAliased(snake(channels, config.log_scale)),
            upsampling_activation=False,
            last_bias=config.last_bias,
        )

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on; see `aoide.models.vocoder.Vocoder`."""
        return self.upsampler.reach

    def forward(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels) of `config.mel`, frame_mask (batch, frames) -> waveform (batch, frames * hop).

        Raises:
            UserError: a mel of another number of bands.
        """
        check_mel(mel, self.config.mel)
        audio = self.upsampler(mel, frame_mask)[..., 0].float()
        return torch.tanh(audio) if self.config.bounded == "tanh" else audio.clamp(-1.0, 1.0)


# ------------------------------------------------------------------------------------------------------------- training


class MultiScaleMelDistance(nn.Module):
    """L1 between mels of generated and recorded sound at seven resolutions, from 32 samples to 2048."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MultiScaleMelLoss(config.mel.sample_rate)

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        return self.distance(output, batch["audio"])


TRAINING = gan.Config(
    critics=("period", "cqt"),
    loss="least_squares",
    reduction="sum",
    weights={"multiscale_mel": 15.0},
    feature=2.0,
    period=Period(first_map=True),
    cqt=Cqt(channels=128),
)
LOSSES = {"mel": MelDistance, "multiscale_mel": MultiScaleMelDistance}
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    dim=16,
    rates=(4, 2, 2),
    kernels=(8, 4, 4),
    block_kernels=(3, 5),
    dilations=((1, 2), (1,)),
)


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: the generator's state dict with the original keys, with or without the prefix `generator.`, before or
            after their remove_weight_norm.
        config: NVIDIA's config.json, or Amphion's args.json with the sections `preprocess` and `model`.

    Raises:
        UserError: a configuration that contradicts itself, or a state that does not fit it.
    """
    own = official_config(config)
    parts = upsampler.with_norms(without_filters(plain_keys(state), "BigVGAN checkpoint"))
    renamed = upsampler.rename_official(parts, len(own.block_kernels), "upsampler.")
    return adopt(Model(own), renamed, "BigVGAN checkpoint")


def official_config(config: Mapping[str, Any]) -> Config:
    """Our settings for a published configuration; raises as `from_official` does."""
    sizes, mel = official_sizes(config, "bigvgan")
    theirs = config["model"]["bigvgan"] if "model" in config else config
    if theirs["activation"] not in ACTIVATIONS:
        raise UserError(f"this BigVGAN has the activation {theirs['activation']}; Aoide builds snake and snakebeta")
    return Config(
        mel=mel,
        **sizes,
        activation=theirs["activation"],
        log_scale=theirs["snake_logscale"],
        bounded="tanh" if theirs.get("use_tanh_at_final", True) else "clamp",
        last_bias=theirs.get("use_bias_at_final", True),
    )
