"""ConvNeXt blocks in one dimension (Liu et al. 2022, arXiv:2201.03545): look around in time, then think per frame."""

from __future__ import annotations

from collections.abc import Mapping

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


class ConvNeXtBackbone(nn.Module):
    """ConvNeXt blocks between two normalisations (Vocos, Siuzdak 2023, arXiv:2306.00814, section 3.2).

    Args:
        dim_in: channels of the features.
        dim: channels between the blocks.
        hidden: channels inside a block.
        layers: blocks, each with a first scale of 1 / layers.

    `reach` is how many frames before and after a frame its result depends on.
    """

    def __init__(self, dim_in: int, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embed = Conv1d(dim_in, dim, kernel=7)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.blocks = nn.ModuleList(ConvNeXtBlock(dim, hidden, layer_scale=1 / layers) for _ in range(layers))
        self.final_norm = nn.LayerNorm(dim, eps=1e-6)
        self.reach = (1 + layers) * self.embed.reach  # all kernels are of one size
        self.apply(small_start)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """features x (batch, frames, dim_in), mask (batch, frames) with True = real -> (batch, frames, dim)."""
        x = self.norm(self.embed(x, mask))
        for block in self.blocks:
            x = block(x, mask)
        return self.final_norm(x)


def small_start(module: nn.Module) -> None:
    """Vocos' first weights: normal with deviation 0.02, and no bias."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.normal_(module.weight, std=0.02)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


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


def rename_backbone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The keys of published VocosBackbones, wherever they stand in a state dict -> ours; other keys stay."""
    words = {
        "convnext": "blocks",
        "dwconv": "depthwise",
        "pwconv1": "mlp.expand",
        "pwconv2": "mlp.contract",
        "gamma": "mlp.scale",
        "final_layer_norm": "final_norm",
    }
    return {".".join(words.get(word, word) for word in key.split(".")): value for key, value in state.items()}
