"""HiFi-GAN, the vocoder most others are measured by: log-mel (batch, frames, mels) -> waveform (batch, frames * hop).

Idea         Transposed convolutions raise the rate step by step; after each the mean of three residual blocks that see
             3, 7 and 11 samples at several dilations, so that short and long patterns are heard at once. Critics that
             look at every second, third, fifth ... sample (period) and at slower versions (scale) teach it the detail.
Objective    adversarial with a mel loss (aoide/objectives/gan.py)
Recipes      recipes/vocoder/hifigan-folder.yaml, recipes/vocoder/hifigan-amphion.yaml
Paper        Kong et al. 2020, arXiv:2010.05646
Code         github.com/jik876/hifi-gan (MIT); github.com/open-mmlab/Amphion (MIT)
Checkpoints  those of jik876 (LJ, VCTK, UNIVERSAL; V1, V2, V3), amphion/hifigan_speech_bigdata (24 M, 24 kHz), and any
             with the keys of the former: load with `from_official`
Parity       tests/parity/test_hifigan.py
Differs      the mel may have any number of bands (theirs has 80). Forms of the network, by `Config`:

                 V1       the defaults: 13.9 M parameters, 22.05 kHz
                 V2       dim 128: 0.9 M
                 V3       dim 256, rates 8 8 4, kernels 16 16 8, block "2", block_kernels 3 5 7,
                          dilations (1 2) (2 6) (3 12): 1.5 M
                 Amphion  dim 768, rates 8 4 2 2 2, kernels 16 8 4 4 4, block_kernels 3 5 7, 24 kHz: 23.7 M
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder import check_mel
from aoide.nn import upsampler
from aoide.nn.discriminators import Period
from aoide.nn.official import adopt, amphion_mel
from aoide.nn.stft_loss import MelLoss
from aoide.nn.upsampler import Upsampler
from aoide.objectives import Batch, gan


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of HiFi-GAN; the defaults are those of V1."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=22_050, n_mels=80, fmax=8_000, scale="slaney", norm="slaney", eps=1e-9, padding="same"
        )
    )
    dim: int = 512  # channels before the first stage; each stage halves them
    rates: tuple[int, ...] = (8, 8, 2, 2)  # how many times longer each stage makes the signal
    kernels: tuple[int, ...] = (16, 16, 4, 4)  # of the transposed convolutions
    block: Literal["1", "2"] = "1"  # two convolutions for each dilation, or one
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3

    def __post_init__(self) -> None:
        upsampler.check(self.dim, self.rates, self.kernels, self.block_kernels, self.dilations)
        check_hop(self.rates, self.mel)


def check_hop(rates: tuple[int, ...], mel: MelConfig) -> None:
    """Raises ValueError where the stages together do not make one hop of a frame."""
    if math.prod(rates) != mel.hop:
        raise ValueError(f"rates {rates} make {math.prod(rates)} samples of a frame, mel.hop is {mel.hop}")


class Model(nn.Module):
    """Log-mel -> waveform."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.upsampler = Upsampler(
            config.mel.n_mels,
            config.dim,
            config.rates,
            config.kernels,
            config.block_kernels,
            config.dilations,
            block=config.block,
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
        return torch.tanh(self.upsampler(mel, frame_mask)[..., 0].float())


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound, over all frequencies whatever the input's mel spans."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.distance = MelLoss(replace(config.mel, fmax=config.mel.sample_rate / 2))

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        return self.distance(output, batch["audio"])


TRAINING = gan.Config(
    critics=("period", "scale"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 45.0},
    feature=2.0,
    period=Period(first_map=True),
)
LOSSES = {"mel": MelDistance}
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    dim=16,
    rates=(4, 2, 2),
    kernels=(8, 4, 4),
    block_kernels=(3, 5),
    dilations=((1, 3), (2,)),
)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels and sounds of 80 frames."""
    frames = 80
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 3,
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: the generator's state dict with the original keys, with or without the prefix `generator.`, before or
            after their remove_weight_norm.
        config: its config.json, or Amphion's args.json with the sections `preprocess` and `model`.

    Raises:
        UserError: a configuration that contradicts itself, or a state that does not fit it.
    """
    sizes, mel = official_sizes(config, "hifigan")
    own = Config(mel=mel, **sizes)
    parts = upsampler.with_norms(plain_keys(state))
    renamed = upsampler.rename_official(parts, len(own.block_kernels), "upsampler.")
    return adopt(Model(own), renamed, "HiFi-GAN checkpoint")


def plain_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a generator without the prefix that its training checkpoint gives it."""
    return {key.removeprefix("generator."): value for key, value in state.items()}


def official_sizes(config: Mapping[str, Any], section: str) -> tuple[dict[str, Any], MelConfig]:
    """What generators of HiFi-GAN's kind have in common: the settings of `Config` but `mel`, and the mel.

    Args:
        config: HiFi-GAN's or BigVGAN's config.json, or Amphion's args.json.
        section: what Amphion calls the model.

    Raises:
        UserError: the rates do not make the hop.
    """
    sizes, preprocess = (config["model"][section], config["preprocess"]) if "model" in config else (config, config)
    rates = tuple(sizes["upsample_rates"])
    settings = {
        "dim": sizes["upsample_initial_channel"],
        "rates": rates,
        "kernels": tuple(sizes["upsample_kernel_sizes"]),
        "block": str(sizes["resblock"]),
        "block_kernels": tuple(sizes["resblock_kernel_sizes"]),
        "dilations": tuple(map(tuple, sizes["resblock_dilation_sizes"])),
    }
    return settings, official_mel(preprocess, math.prod(rates))


def official_mel(settings: Mapping[str, Any], hop: int) -> MelConfig:
    """The mel of HiFi-GAN, BigVGAN (`sampling_rate`, `num_mels`) or of Amphion (`sample_rate`, `n_mel`).

    Args:
        settings: what it leaves out is as in HiFi-GAN's V1 or in Amphion's config/vocoder.json.
        hop: samples per frame, as the network has them.

    Raises:
        UserError: the settings name another hop.
    """
    if settings.get("hop_size", hop) != hop:
        raise UserError(
            f"this configuration contradicts itself: its rates make {hop} samples of a frame, hop_size is "
            f"{settings['hop_size']}"
        )
    if "n_mel" in settings or "sample_rate" in settings:
        return amphion_mel({**settings, "hop_size": hop})
    rate = settings.get("sampling_rate", 22_050)
    return MelConfig(
        sample_rate=rate,
        n_fft=settings.get("n_fft", 1024),
        hop=hop,
        win=settings.get("win_size", 1024),
        n_mels=settings.get("num_mels", 80),
        fmin=settings.get("fmin") or 0,
        fmax=settings.get("fmax", 8_000) or rate / 2,
        scale="slaney",
        norm="slaney",
        eps=1e-9,
        padding="same",
    )
