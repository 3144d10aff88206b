"""The dilated critic: convolutions on the waveform that keep its rate and reach further layer by layer.

One score a sample, of some 40 samples to each side: it judges texture, and leaves the course of things to the spectral
losses beside it. Source: Parallel WaveGAN (Yamamoto et al. 2020, arXiv:1910.11480, section 2.3), whose generator trains
against it without feature matching; the maps are there for those who want it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from aoide.config import UserError
from aoide.nn.discriminators.parts import Judgement, judge, normed, through
from aoide.nn.official import adopt, modern_weight_norm


@dataclass(frozen=True, kw_only=True, slots=True)
class Dilated:
    """Settings of `DilatedCritic`."""

    layers: int = 10  # the first and the last are not dilated, those between by 1, 2, 3, ...
    channels: int = 64
    kernel: int = 3  # samples; odd
    slope: float = 0.2  # of the leaky ReLU

    def __post_init__(self) -> None:
        if self.layers < 2 or self.channels < 1:
            raise ValueError(f"layers is 2 or more and channels 1 or more, got {self.layers} and {self.channels}")
        if self.kernel % 2 == 0:
            raise ValueError(f"the kernel is odd, got {self.kernel}")

    def critic(self, sample_rate: int) -> DilatedCritic:
        """The network of these settings; at any sample rate it is the same."""
        return DilatedCritic(self)


class DilatedCritic(nn.Module):
    """One part; see the top of this file."""

    def __init__(self, config: Dilated) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleList([_Part(config)])

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> one part: score (batch, samples), maps (batch, channels, samples)."""
        return judge(self.parts, audio)


class _Part(nn.Module):
    def __init__(self, config: Dilated) -> None:
        super().__init__()
        self.slope = config.slope
        inputs = (1, *[config.channels] * (config.layers - 2))
        dilations = (1, *range(1, config.layers - 1))
        layers = zip(inputs, dilations, strict=True)
        self.convs = nn.ModuleList(_conv(dim, config.channels, config.kernel, dilation) for dim, dilation in layers)
        self.post = _conv(config.channels, 1, config.kernel)

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = through(self.convs, audio[:, None], self.slope)
        return self.post(features[-1])[:, 0], features


def _conv(dim_in: int, dim_out: int, kernel: int, dilation: int = 1) -> nn.Module:
    return normed(nn.Conv1d(dim_in, dim_out, kernel, padding=dilation * (kernel // 2), dilation=dilation))


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> DilatedCritic:
    """The discriminator of a checkpoint of github.com/kan-bayashi/ParallelWaveGAN.

    Args:
        state: its state dict, keys `conv_layers.<2 i>. ...`, with or without the prefix `discriminator.`.
        config: the published configuration with the section `discriminator_params`.

    Raises:
        UserError: a discriminator of another kind, or a state that does not fit.
    """
    sizes = config.get("discriminator_params", {})
    kind = config.get("discriminator_type", "ParallelWaveGANDiscriminator")
    if kind != "ParallelWaveGANDiscriminator" or sizes.get("dilation_factor", 1) != 1:
        raise UserError(f"Aoide builds ParallelWaveGANDiscriminator with dilations 1, 2, 3, ..., not this {kind}")
    settings = Dilated(
        layers=sizes.get("layers", 10),
        channels=sizes.get("conv_channels", 64),
        kernel=sizes.get("kernel_size", 3),
        slope=sizes.get("nonlinear_activation_params", {}).get("negative_slope", 0.2),
    )
    ours = {}
    for key, value in modern_weight_norm(dict(state)).items():
        _, place, rest = key.removeprefix("discriminator.").split(".", 2)  # every other place is an activation
        layer = int(place) // 2
        ours[f"parts.0.post.{rest}" if layer == settings.layers - 1 else f"parts.0.convs.{layer}.{rest}"] = value
    return adopt(DilatedCritic(settings), ours, "Parallel WaveGAN discriminator")
