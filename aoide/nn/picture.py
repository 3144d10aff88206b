"""Sounds as pictures (batch, channels, bins, frames) in which padding is not seen: parts of autoencoders and U-Nets.

A mask here is (batch, 1, 1, frames), True = real, or None where all is. What is padded is 0 whenever a convolution
looks at it, as beyond the edge, and counts in no mean; so an item gives the same alone as beside a longer one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Mask = Tensor | None


def of_frames(mask: Tensor | None) -> Mask:
    """mask (batch, frames) -> that of a picture; None where all is real, which is less work."""
    return None if mask is None or bool(mask.all()) else mask[:, None, None]


def halved(mask: Mask) -> Mask:
    """The mask after a convolution of stride 2: a frame is real where one of its two is."""
    return None if mask is None else mask[..., ::2]


def shut(x: Tensor, mask: Mask) -> Tensor:
    """x with 0 where padded."""
    return x if mask is None else x.masked_fill(~mask, 0.0)


class Norm(nn.GroupNorm):
    """Group norm whose mean and deviation are those of the real frames."""

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:  # type: ignore[override]
        """x (batch, channels, bins, frames) -> the same shape."""
        if mask is None:
            return super().forward(x)
        grouped = x.unflatten(1, (self.num_groups, -1))  # (batch, groups, channels of it, bins, frames)
        real = mask[:, None].to(x.dtype)
        count = real.sum((2, 3, 4), keepdim=True) * grouped.shape[2] * grouped.shape[3]
        mean = (grouped * real).sum((2, 3, 4), keepdim=True) / count
        variance = ((grouped - mean).square() * real).sum((2, 3, 4), keepdim=True) / count
        even = ((grouped - mean) / (variance + self.eps).sqrt()).flatten(1, 2)
        return even * self.weight[:, None, None] + self.bias[:, None, None]


class ResBlock(nn.Module):
    """Two times norm, SiLU, convolution, added to what came in; what it is told of the time joins in the middle.

    Args:
        inward, outward: channels.
        time: values of the embedded time, 0 = it is told none.
        groups, eps: of the norms.
        dropout: before the second convolution.
    """

    def __init__(
        self, inward: int, outward: int, *, time: int = 0, groups: int = 32, eps: float = 1e-6, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(groups, inward, eps), Norm(groups, outward, eps)
        self.conv1 = nn.Conv2d(inward, outward, 3, padding=1)
        self.conv2 = nn.Conv2d(outward, outward, 3, padding=1)
        self.time = nn.Linear(time, outward) if time else None
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Conv2d(inward, outward, 1) if inward != outward else nn.Identity()

    def forward(self, x: Tensor, mask: Mask = None, time: Tensor | None = None) -> Tensor:
        """x (batch, inward, bins, frames), time (batch, values) -> (batch, outward, bins, frames)."""
        h = self.conv1(shut(functional.silu(self.norm1(x, mask)), mask))
        if self.time is not None:
            assert time is not None
            h = h + self.time(functional.silu(time))[..., None, None]
        h = self.conv2(self.dropout(shut(functional.silu(self.norm2(h, mask)), mask)))
        return self.shortcut(x) + h


class Upsample(nn.Module):
    """Twice as many bins and frames: each four times, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """x (batch, channels, bins, frames), its mask before -> (batch, channels, 2 * bins, 2 * frames)."""
        return self.conv(functional.interpolate(shut(x, mask), scale_factor=2, mode="nearest"))


class Downsample(nn.Module):
    """Half as many bins and frames, by a convolution of stride 2.

    Args:
        channels: they stay.
        centred: whether it looks at one place to each side; else at two after its own, as in autoencoders.
    """

    def __init__(self, channels: int, centred: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1 if centred else 0)

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """x (batch, channels, bins, frames), its mask before -> (batch, channels, bins / 2, frames / 2)."""
        x = shut(x, mask)
        return self.conv(x if self.conv.padding[0] else functional.pad(x, (0, 1, 0, 1)))


def fold(latents: Tensor, channels: int) -> Tensor:
    """(batch, frames, channels * bins) -> the picture (batch, channels, bins, frames)."""
    return latents.unflatten(2, (channels, -1)).permute(0, 2, 3, 1)


def unfold(picture: Tensor) -> Tensor:
    """The other way: (batch, channels, bins, frames) -> (batch, frames, channels * bins)."""
    return picture.permute(0, 3, 1, 2).flatten(2)


def sinusoids(number: Tensor, dim: int) -> Tensor:
    """A number as waves, cosines first: (batch,) -> (batch, dim), as in Ho et al. 2020 with periods up to 10,000."""
    half = dim // 2
    rates = 10_000.0 ** (-torch.arange(half, device=number.device, dtype=torch.float32) / half)
    angles = number.float()[:, None] * rates
    return functional.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, dim % 2))
