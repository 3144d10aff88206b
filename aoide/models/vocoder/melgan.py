"""MelGAN, the first fast adversarial vocoder: log-mel (batch, frames, mels) -> waveform (batch, frames * hop).

Idea         Transposed convolutions with residual blocks of growing dilation (1, 3, 9), no noise and no recurrence; a
             critic at three rates judges windows of the sound, and its feature maps take the place of a spectral loss.
Objective    adversarial, mostly feature matching (aoide/objectives/gan.py)
Recipes      recipes/vocoder/melgan-folder.yaml
Paper        Kumar et al. 2019, arXiv:1910.06711
Code         github.com/descriptinc/melgan-neurips (MIT); github.com/open-mmlab/Amphion (MIT)
Checkpoints  those of Amphion's recipe and of the authors, which have the same keys: load with `from_official`
Parity       tests/parity/test_melgan.py
Differs      a mel loss of small weight joins the critics, so that validation has a number; theirs has none. The
             convolutions of an item in a padded batch mirror its own end. A sound too short to be mirrored as often as
             a kernel is wide is mirrored again and again, where theirs fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.audio.mel import MelConfig
from aoide.models.vocoder import check_mel, hifigan
from aoide.models.vocoder.hifigan import MelDistance, check_hop, official_mel, plain_keys
from aoide.nn.discriminators.scale import MELGAN
from aoide.nn.official import adopt
from aoide.nn.upsampler import Convolution, Transposed, masked, normalised, with_norms
from aoide.objectives import gan

SLOPE = 0.2  # of every leaky ReLU
ENDS = 7  # kernel of the first and the last convolution
SPREAD = 3  # each block of a stage has this many times the dilation of the one before


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of MelGAN; the defaults are those of Amphion's recipe, and but for the mel those of the paper."""

    mel: MelConfig = field(default_factory=lambda: MelConfig(scale="slaney", norm="slaney", eps=1e-9, padding="same"))
    dim: int = 32  # channels of the last stage; each stage before it has twice as many as the next
    rates: tuple[int, ...] = (8, 8, 2, 2)  # how many times longer each stage makes the signal
    blocks: int = 3  # residual blocks of a stage

    def __post_init__(self) -> None:
        if self.dim < 1 or self.blocks < 0 or not self.rates or min(self.rates) < 2:
            raise ValueError(
                f"dim is at least 1, blocks 0 and each rate 2, got {self.dim}, {self.blocks} and {self.rates}"
            )
        check_hop(self.rates, self.mel)


# --------------------------------------------------------------------------------------------------------------- layers


class Mirrored(Convolution):
    """A convolution that sees the sound mirrored at its ends: (batch, dim_in, time) -> (batch, dim_out, time)."""

    def forward(self, x: Tensor, mask: Tensor | None = None, before: Any = None, after: Any = None) -> Tensor:
        """x (batch, dim_in, time), mask (batch, 1, time) with True = real; the mirror stands at the end of an item."""
        assert before is None and after is None
        wide = mirror(x, int(self.padding[0]), mask)
        return masked(functional.conv1d(wide, self.weight, self.bias, dilation=self.dilation), mask)


def mirror(x: Tensor, reach: int, mask: Tensor | None = None) -> Tensor:
    """x (batch, channels, time) with `reach` mirrored samples before and after what is real.

    Returns:
        (batch, channels, time + 2 * reach); what a mask leaves of the end has no meaning.
    """
    time = x.shape[2]
    if mask is None and time > reach:
        return functional.pad(x, (reach, reach), mode="reflect")
    last = (torch.full((1, 1), time) if mask is None else mask.sum(2)).to(x.device) - 1
    place = torch.arange(-reach, time + reach, device=x.device).abs() % (2 * last).clamp(min=1)
    place = torch.minimum(place, 2 * last - place).clamp(min=0)
    return x.gather(2, place[:, None].expand(len(x), x.shape[1], -1))


class ResidualBlock(nn.Module):
    """A convolution of size 1 of x plus a branch with a dilated one: (batch, channels, time) -> the same shape."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.wide = normalised(Mirrored(channels, channels, 3, dilation))
        self.mix = normalised(Convolution(channels, channels, 1))
        self.shortcut = normalised(Convolution(channels, channels, 1))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x 0 where the mask (batch, 1, time) is False."""
        y = functional.leaky_relu_(self.wide(functional.leaky_relu(x, SLOPE), mask), SLOPE)
        return self.mix(y, mask).add_(self.shortcut(x, mask))


class Stage(nn.Module):
    """Transposed convolution and residual blocks: (batch, 2 * channels, time) -> (batch, channels, rate * time)."""

    def __init__(self, channels: int, rate: int, blocks: int) -> None:
        super().__init__()
        self.up = normalised(Transposed(2 * channels, channels, 2 * rate, rate))
        self.blocks = nn.ModuleList(ResidualBlock(channels, SPREAD**i) for i in range(blocks))
        self.rate, self.reach = rate, sum(SPREAD**i for i in range(blocks))  # samples to each side

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = masked(self.up(functional.leaky_relu_(x, SLOPE)), mask)
        for block in self.blocks:
            x = block(x, mask)
        return x


class Model(nn.Module):
    """Log-mel -> waveform."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths = [config.dim << i for i in reversed(range(len(config.rates)))]
        self.first = normalised(Mirrored(config.mel.n_mels, 2 * widths[0], ENDS))
        self.stages = nn.ModuleList(
            Stage(channels, rate, config.blocks) for channels, rate in zip(widths, config.rates, strict=True)
        )
        self.last = normalised(Mirrored(config.dim, 1, ENDS))
        self.apply(_small_start)

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on; see `aoide.models.vocoder.Vocoder`."""
        rate, frames = 1, float(ENDS // 2)
        for stage in cast("list[Stage]", list(self.stages)):
            frames += 2 / rate
            rate *= stage.rate
            frames += stage.reach / rate
        return math.ceil(frames + ENDS // 2 / rate)

    def forward(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels) of `config.mel`, frame_mask (batch, frames) -> waveform (batch, frames * hop).

        Raises:
            UserError: a mel of another number of bands.
        """
        check_mel(mel, self.config.mel)
        mask = None if frame_mask is None else frame_mask[:, None]
        x = self.first(mel.mT, mask)
        for stage in cast("list[Stage]", list(self.stages)):
            mask = None if mask is None else mask.repeat_interleave(stage.rate, dim=2)
            x = stage(x, mask)
        return torch.tanh(self.last(functional.leaky_relu_(x, SLOPE), mask)[:, 0].float())


def _small_start(module: nn.Module) -> None:
    """First weights: normal with deviation 0.02."""
    if isinstance(module, (Convolution, Transposed)):
        with torch.no_grad():
            module.weight = nn.init.normal_(torch.empty_like(module.weight), std=0.02)


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = gan.Config(
    critics=("scale",), loss="hinge_linear", reduction="sum", weights={"mel": 1.0}, feature=10.0, scale=MELGAN
)
LOSSES = {"mel": MelDistance}
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=15, win=64, n_mels=10, fmax=4_000, padding="same"),
    dim=4,
    rates=(5, 3),
    blocks=2,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels and sounds of 80 frames, loud enough to reach both sides of the critic's leaky ReLUs."""
    drawn = hifigan.example(config, batch, generator)
    return drawn | {"audio": 5 * drawn["audio"]}


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: the generator's state dict with the original keys, with or without the prefix `generator.`.
        config: Amphion's args.json with the sections `preprocess` and `model`.

    Raises:
        UserError: a configuration that contradicts itself, or a state that does not fit it.
    """
    sizes = config["model"]["melgan"]
    rates = tuple(sizes["ratios"])
    mel = official_mel(config["preprocess"], math.prod(rates))
    own = Config(mel=mel, dim=sizes["ngf"], rates=rates, blocks=sizes["n_residual_layers"])
    names = _official_names(own)
    renamed = {}
    for key, value in with_norms(plain_keys(state)).items():
        place = next((theirs for theirs in names if key.startswith(theirs)), "")
        renamed[names.get(place, "") + key.removeprefix(place)] = value
    return adopt(Model(own), renamed, "MelGAN checkpoint")


def _official_names(config: Config) -> dict[str, str]:
    """Where each convolution stands in their one long `model`, where every layer has a number: their name to ours."""
    names = {"model.1.": "first."}
    number = 3  # after the padding, the first convolution and the activation of the first stage
    for i in range(len(config.rates)):
        names[f"model.{number}."] = f"stages.{i}.up."
        for j in range(config.blocks):
            theirs, ours = f"model.{number + 1 + j}", f"stages.{i}.blocks.{j}"
            names |= {
                f"{theirs}.block.2.": f"{ours}.wide.",
                f"{theirs}.block.4.": f"{ours}.mix.",
                f"{theirs}.shortcut.": f"{ours}.shortcut.",
            }
        number += config.blocks + 2  # the blocks, the activation and what comes after it
    names[f"model.{number + 1}."] = "last."  # after the activation there is a padding
    return names
