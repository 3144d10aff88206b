"""Layer norm whose scale and shift come from a condition: how AdaSpeech adapts to a speaker (Chen et al. 2021,
arXiv:2103.00993, section 2.3).

    y = norm(x) * (weight + scale(condition)) + bias + shift(condition)

In the paper the condition gives scale and shift alone. Here it gives what is added to those of a plain layer norm, and
that starts at 0: a plain model goes over into this one without a change of what it says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aoide.nn.attention import FFTBlock


class ConditionalLayerNorm(nn.LayerNorm):
    """Layer norm over the last axis, steered by a condition.

    Args:
        dim: channels.
        condition: channels of the condition.
    """

    def __init__(self, dim: int, condition: int) -> None:
        super().__init__(dim)
        self.scale = nn.Linear(condition, dim, bias=False)
        self.shift = nn.Linear(condition, dim, bias=False)
        for layer in (self.scale, self.shift):
            nn.init.zeros_(layer.weight)

    def forward(self, input: Tensor, condition: Tensor | None = None) -> Tensor:  # noqa: A002  (LayerNorm's own name)
        """input (batch, time, dim), condition (batch, condition); None: that of nobody, a plain layer norm."""
        plain = super().forward(input)
        if condition is None:
            return plain
        normal = nn.functional.layer_norm(input, self.normalized_shape, eps=self.eps)
        return plain + normal * self.scale(condition)[:, None] + self.shift(condition)[:, None]


class ConditionalFFTBlock(FFTBlock):
    """A feed-forward Transformer block whose two norms are conditional; FFTBlock's arguments, and the condition's size.

    The weights of an FFTBlock fit; only `*.scale.weight` and `*.shift.weight` are new.
    """

    def __init__(  # noqa: PLR0913  (a block's sizes)
        self, dim: int, heads: int, hidden: int, kernels: tuple[int, int], dropout: float, condition: int
    ) -> None:
        super().__init__(dim, heads, hidden, kernels, dropout)
        self.attention_norm: ConditionalLayerNorm = ConditionalLayerNorm(dim, condition)
        self.conv_norm: ConditionalLayerNorm = ConditionalLayerNorm(dim, condition)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames), condition (batch, condition) -> as x, 0 at padded frames."""
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)), condition)
        x = self.conv_norm(x + self.dropout(self.contract(self.expand(x, mask).relu(), mask)), condition)
        return x.masked_fill(~mask[..., None], 0.0)


def added(name: str) -> bool:
    """Whether a parameter is one that a plain block does not have."""
    return name.endswith(("_norm.scale.weight", "_norm.shift.weight"))


def fitted(weights: dict[str, Tensor], own: dict[str, Tensor], speakers: str = "speakers.weight") -> dict[str, Tensor]:
    """Weights of a model for the one whose state dict is `own`, which may have conditional norms or other speakers.

    New norms keep what they start with, 0. A table of other speakers starts, for each, from the mean of those known.
    """
    weights = {name: value for name, value in own.items() if added(name) and name not in weights} | weights
    if speakers in own and speakers in weights and own[speakers].shape != weights[speakers].shape:
        weights[speakers] = weights[speakers].mean(0, keepdim=True).expand(len(own[speakers]), -1).clone()
    elif speakers in own and speakers not in weights:
        weights[speakers] = torch.zeros_like(own[speakers])  # one voice: it had nothing to tell speakers by
    return weights
