"""The post-net of Tacotron 2 (Shen et al. 2017, arXiv:1712.05884): five convolutions that refine a finished mel."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.conv import Conv1d

_LAYERS, _KERNEL, _DROPOUT = 5, 5, 0.5  # as in all published systems


class PostNet(nn.Module):
    """What to add to a mel: (batch, frames, mels) -> (batch, frames, mels).

    Args:
        mels: bands.
        hidden: channels between.
    """

    def __init__(self, mels: int, hidden: int) -> None:
        super().__init__()
        widths = [mels, *[hidden] * (_LAYERS - 1), mels]
        self.convs = nn.ModuleList(Conv1d(widths[i], widths[i + 1], _KERNEL) for i in range(_LAYERS))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels), mask (batch, frames) with True = real; without a mask padding is read as sound."""
        x = mel
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True), start=1):
            x = norm(conv(x, mask).mT).mT
            x = functional.dropout(x.tanh() if number < _LAYERS else x, _DROPOUT, self.training)
        return x
