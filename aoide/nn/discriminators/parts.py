"""What all critics share: what a judgement is, and how stacks of convolutions make one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

Norm = Literal["weight", "spectral"]


class Judgement(NamedTuple):
    """What a critic says of a batch of sounds, a list entry for each of its parts."""

    scores: list[Tensor]  # each (batch, ...), float32: high for recorded sound
    features: list[list[Tensor]]  # each part's maps (batch, channels, ...) that are compared, shallow to deep


def judge(parts: nn.ModuleList, *sounds: Tensor) -> Judgement:
    """The judgement of parts that each turn sound into a score and its maps: one sound for all, or one for each."""
    own = sounds if len(sounds) > 1 else sounds * len(parts)
    scores, features = zip(*(part(sound) for part, sound in zip(parts, own, strict=True)), strict=True)
    return Judgement([score.float() for score in scores], list(features))


def normed(conv: nn.Module, norm: Norm = "weight") -> nn.Module:
    """`conv` with its weight under weight norm or spectral norm."""
    return weight_norm(conv) if norm == "weight" else spectral_norm(conv)


def through(stack: Iterable[nn.Module], x: Tensor, slope: float = 0.1) -> list[Tensor]:
    """Runs a stack of convolutions, each with a leaky ReLU, and gives the activations after each, in order."""
    features = []
    for layer in stack:
        x = functional.leaky_relu(layer(x), slope, inplace=True)
        features.append(x)
    return features


class ComplexStack(nn.Module):
    """EnCodec's convolutions over a complex time-frequency image; they see further in time the deeper they are.

    The first layer has no weight norm, and the score is none of the maps that are compared: both as in EnCodec
    (Defossez et al. 2022, arXiv:2210.13438, section 3.4).

    Args:
        channels: of every layer.
        dilations: over frames, of the layers that halve the bins.
        slope: of the leaky ReLU.
    """

    def __init__(self, channels: int, dilations: tuple[int, ...], slope: float) -> None:
        super().__init__()
        self.slope = slope
        halving = (
            normed(nn.Conv2d(channels, channels, (3, 9), (1, 2), padding=(d, 4), dilation=(d, 1))) for d in dilations
        )
        first = nn.Conv2d(2, channels, (3, 9), padding=(1, 4))
        self.convs = nn.ModuleList([first, *halving, normed(nn.Conv2d(channels, channels, 3, padding=1))])
        self.post = normed(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """image (batch, 2, frames, bins), real and imaginary -> score (batch, 1, frames, fewer bins), maps."""
        features = through(self.convs, image, self.slope)
        return self.post(features[-1]), features
