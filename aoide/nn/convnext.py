"""ConvNeXt blocks in one dimension (Liu et al. 2022, arXiv:2201.03545): look around in time, then think per frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.conv import Conv1d


class ConvNeXtBlock(nn.Module):
    """x + scale * MLP(LayerNorm(depthwise convolution(x))); keeps the shape (batch, frames, dim).

    Args:
        dim: channels.
        hidden: channels inside the MLP, usually 3 or 4 times `dim`.
        kernel: frames that the depthwise convolution sees; odd.
        layer_scale: first value of the trained scale of the branch, one a channel; None means no scale.
    """

    def __init__(self, dim: int, hidden: int, kernel: int = 7, layer_scale: float | None = None) -> None:
        super().__init__()
        self.depthwise = Conv1d(dim, dim, kernel, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = ScaledMLP(dim, hidden, layer_scale)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames, dim).

        What stands in padded frames, before and after, has no meaning and changes nothing in the real ones.
        """
        return x + self.mlp(self.norm(self.depthwise(x, mask)))


class AdaConvNeXtBlock(nn.Module):
    """A ConvNeXt block whose normalisation depends on a class of the item.

    Args:
        classes: how many classes there are; the other arguments are those of `ConvNeXtBlock`.
    """

    def __init__(self, dim: int, hidden: int, classes: int, kernel: int = 7, layer_scale: float | None = None) -> None:
        super().__init__()
        self.depthwise = Conv1d(dim, dim, kernel, groups=dim)
        self.norm = AdaLayerNorm(dim, classes)
        self.mlp = ScaledMLP(dim, hidden, layer_scale)

    def forward(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), label (batch,) int64, mask (batch, frames) -> (batch, frames, dim)."""
        return x + self.mlp(self.norm(self.depthwise(x, mask), label))


class ScaledMLP(nn.Module):
    """Two linear layers with a GELU between and a trained scale per channel: the part of a block without time."""

    def __init__(self, dim: int, hidden: int, layer_scale: float | None) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, hidden)
        self.contract = nn.Linear(hidden, dim)
        self.scale = None if layer_scale is None else nn.Parameter(torch.full((dim,), float(layer_scale)))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, dim) -> (batch, frames, dim)."""
        y = self.contract(functional.gelu(self.expand(x)))
        return y if self.scale is None else self.scale * y


class AdaLayerNorm(nn.Module):
    """Layer normalisation with a scale and a shift for each class; before training all classes are plain LayerNorm."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.scale = nn.Embedding(classes, dim)
        self.shift = nn.Embedding(classes, dim)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """x (batch, frames, dim), label (batch,) int64 -> (batch, frames, dim)."""
        normal = functional.layer_norm(x, x.shape[-1:], eps=1e-6)
        return normal * self.scale(label)[:, None] + self.shift(label)[:, None]
