"""The scale critic (MSD): strided convolutions on the waveform, at its own rate and at slower ones.

Sources: MelGAN (Kumar et al. 2019, arXiv:1910.06711, section 2.2), HiFi-GAN (Kong et al. 2020, arXiv:2010.05646).
The forms in use, by settings:

    HiFi-GAN, JETS, Amphion's vocoders   Scale()
    MelGAN                               MELGAN
    VITS                                 VITS (one scale; its other critics are periods)

Parity: tests/parity/test_discriminators.py for all but MelGAN's, of which no numbers were recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.discriminators.official import rename, shape, uses_spectral_norm
from aoide.nn.discriminators.parts import Judgement, Norm, judge, normed, through
from aoide.nn.official import adopt, count


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Settings of `ScaleCritic`."""

    scales: int = 3  # each hears the sound at half the rate of the one before
    spectral: int = 1  # how many of them, from the first, have spectral norm; the others have weight norm
    channels: tuple[int, ...] = (128, 128, 256, 512, 1024, 1024, 1024)
    kernels: tuple[int, ...] = (15, 41, 41, 41, 41, 41, 5)  # odd, of as many layers
    strides: tuple[int, ...] = (1, 2, 2, 4, 4, 1, 1)
    groups: tuple[int, ...] = (1, 4, 16, 16, 16, 16, 1)
    edges: Literal["zeros", "mirror"] = "zeros"  # what the first layer hears beyond the ends; see `_halve` too
    slope: float = 0.1  # of the leaky ReLU

    def __post_init__(self) -> None:
        if self.scales < 1 or not 0 <= self.spectral <= self.scales:
            raise ValueError(f"scales is 1 or more and spectral at most that, got {self.scales} and {self.spectral}")
        if not len(self.channels) == len(self.kernels) == len(self.strides) == len(self.groups) > 0:
            raise ValueError("channels, kernels, strides and groups each have an entry for every layer")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels are odd, got {self.kernels}")
        for a, b, groups in zip((1, *self.channels), self.channels, self.groups, strict=False):
            if a % groups or b % groups:
                raise ValueError(f"{groups} groups do not divide {a} and {b} channels")

    def critic(self, sample_rate: int) -> ScaleCritic:
        """The network of these settings; at any sample rate it is the same."""
        return ScaleCritic(self)


MELGAN = Scale(
    spectral=0,
    channels=(16, 64, 256, 1024, 1024, 1024),
    kernels=(15, 41, 41, 41, 41, 5),
    strides=(1, 4, 4, 4, 4, 1),
    groups=(1, 4, 16, 64, 256, 1),
    edges="mirror",
    slope=0.2,
)
VITS = replace(MELGAN, scales=1, edges="zeros", slope=0.1)


class ScaleCritic(nn.Module):
    """One part a scale; see the top of this file."""

    def __init__(self, config: Scale) -> None:
        super().__init__()
        self.config = config
        norms: list[Norm] = ["spectral" if i < config.spectral else "weight" for i in range(config.scales)]
        self.parts = nn.ModuleList(_Part(config, norm) for norm in norms)

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> a judgement with one part a scale; its maps are (batch, channels, time).

        Scores are (batch, time).
        """
        sounds = [audio[:, None]]
        while len(sounds) < len(self.parts):
            sounds.append(_halve(sounds[-1], self.config.edges))
        return judge(self.parts, *sounds)


class _Part(nn.Module):
    def __init__(self, config: Scale, norm: Norm) -> None:
        super().__init__()
        self.slope = config.slope
        sizes = zip((1, *config.channels), config.channels, config.kernels, config.strides, config.groups, strict=False)
        self.convs = nn.ModuleList()
        for a, b, kernel, stride, groups in sizes:
            mode: Literal["zeros", "reflect"] = "zeros" if len(self.convs) or config.edges == "zeros" else "reflect"
            conv = nn.Conv1d(a, b, kernel, stride, kernel // 2, groups=groups, padding_mode=mode)
            self.convs.append(normed(conv, norm))
        self.post = normed(nn.Conv1d(config.channels[-1], 1, 3, padding=1), norm)

    def forward(self, sound: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = through(self.convs, sound, self.slope)
        features.append(self.post(features[-1]))
        return features[-1].flatten(1), features


def _halve(sound: Tensor, edges: Literal["zeros", "mirror"]) -> Tensor:
    """(batch, 1, samples) at half the rate: means of four samples, at the ends with zeros or of fewer samples."""
    if edges == "zeros":
        return functional.avg_pool1d(sound, 4, 2, padding=2)
    return functional.avg_pool1d(sound, 4, 2, padding=1, count_include_pad=False)


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> ScaleCritic:
    """A published multi-scale discriminator in HiFi-GAN's form, or the scale discriminator of VITS.

    Sizes are read off the tensors; strides follow from the form.

    Args:
        state: keys `discriminators.<i>. ...`, under any prefix.
        config: the published configuration, which says nothing about it.

    Raises:
        UserError: keys that are missing or extra.
    """
    ours = rename(state)
    scales = count(ours, "parts.")
    layers = [f"parts.0.convs.{i}" for i in range(count(ours, "parts.0.convs."))]
    shapes = [shape(ours, layer) for layer in layers]
    channels = tuple(size[0] for size in shapes)
    form = VITS if len(layers) == len(VITS.strides) else Scale()
    settings = replace(
        form,
        scales=scales,
        spectral=sum(uses_spectral_norm(ours, f"parts.{i}.") for i in range(scales)),
        channels=channels,
        kernels=tuple(size[2] for size in shapes),
        groups=tuple(a // size[1] for a, size in zip((1, *channels), shapes, strict=False)),
    )
    return adopt(ScaleCritic(settings), ours, "multi-scale discriminator")
