"""Flows whose map is a smooth monotonic curve: rational-quadratic splines, steered by convolutions.

Between -tail and tail the curve goes through `bins` pieces, each the quotient of two parabolas, with given widths,
heights and slopes at the joints; outside it is the identity. Its inverse is the root of a parabola, in closed form.

`SplineFlow` moves one of two channels by such a curve that depends on the other channel and on a condition: with a few
of them in a row, what is distributed normally becomes distributed as durations of phonemes are.

Sources: Durkan et al. 2019, arXiv:1906.04032 (neural spline flows); Kim et al. 2021, arXiv:2106.06103, appendix B
(VITS). Parity: tests/parity/test_vits.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.conv import Conv1d

SMALLEST = 1e-3  # share of a bin in width and height, and slope at a joint: the curve stays invertible


def rational_quadratic(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, tail: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Moves numbers along the curve.

    Args:
        x: (...).
        widths, heights: (..., bins), any numbers; a softmax makes shares of them.
        slopes: (..., bins - 1) at the inner joints, any numbers; a softplus makes them positive. At the ends it is 1.
        tail: half the length of the interval.
        inverse: go back.

    Returns:
        The moved numbers and the logarithm of the slope there, both (...).
    """
    left, width, low, height, slope, next_slope = _pieces(x, widths, heights, slopes, tail, inverse)
    inside = x.clamp(-tail, tail)
    steep = height / width
    bend = slope + next_slope - 2 * steep
    if inverse:
        rise = inside - low
        a, b, c = rise * bend + height * (steep - slope), height * slope - rise * bend, -steep * rise
        share = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
        moved = share * width + left
    else:
        share = (inside - left) / width
        moved = low + height * (steep * share.square() + slope * share * (1 - share)) / (
            steep + bend * share * (1 - share)
        )
    top = steep.square() * (
        next_slope * share.square() + 2 * steep * share * (1 - share) + slope * (1 - share).square()
    )
    log_slope = top.log() - 2 * (steep + bend * share * (1 - share)).log()
    out = x.abs() > tail
    return torch.where(out, x, moved), torch.where(out, 0.0, -log_slope if inverse else log_slope)


def _pieces(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, tail: float, inverse: bool
) -> tuple[Tensor, ...]:
    """Of the piece that each number lies on: left end, width, lower end, height, slopes at both ends."""
    across, up = _joints(widths, tail), _joints(heights, tail)
    one = math.log(math.expm1(1 - SMALLEST))  # the softplus of it, and the smallest slope, are 1
    tangents = SMALLEST + functional.softplus(functional.pad(slopes, (1, 1), value=one))
    edges = up if inverse else across
    piece = (x[..., None] >= edges[..., 1:-1]).sum(-1, keepdim=True)

    def at(values: Tensor, place: Tensor) -> Tensor:
        return values.gather(-1, place)[..., 0]

    left, low = at(across, piece), at(up, piece)
    return (
        left,
        at(across, piece + 1) - left,
        low,
        at(up, piece + 1) - low,
        at(tangents, piece),
        at(tangents, piece + 1),
    )


def _joints(sizes: Tensor, tail: float) -> Tensor:
    """Sizes (..., bins), any numbers -> the ends of the pieces from -tail to tail (..., bins + 1)."""
    shares = SMALLEST + (1 - SMALLEST * sizes.shape[-1]) * sizes.softmax(-1)
    inner = 2 * tail * shares.cumsum(-1)[..., :-1] - tail
    ends = torch.full_like(inner[..., :1], tail)
    return torch.cat([-ends, inner, ends], dim=-1)


class Dilated(nn.Module):
    """Convolutions that see ever further, each channel by itself and then each frame: (batch, tokens, dim) -> the same.

    Args:
        dim: channels.
        kernel: of the convolutions; odd. Dilations are its powers.
        layers: how many.
        dropout: of what a layer adds.
    """

    def __init__(self, dim: int, kernel: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.depth = nn.ModuleList(Conv1d(dim, dim, kernel, kernel**i, groups=dim) for i in range(layers))
        self.depth_norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.point = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        self.point_norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (batch, tokens, dim), mask (batch, tokens) with True = real -> as x, 0 at padded tokens."""
        for depth, norm, point, last in zip(self.depth, self.depth_norms, self.point, self.point_norms, strict=True):
            y = functional.gelu(norm(depth(x, mask)))
            x = x + self.dropout(functional.gelu(last(point(y))))
        return x.masked_fill(~mask[..., None], 0.0)


class SplineFlow(nn.Module):
    """Moves the second of two channels along a curve that the first one and a condition choose.

    Args:
        dim: channels inside, and of the condition.
        kernel: of its convolutions; odd.
        layers: of them.
        bins: pieces of the curve.
        tail: half of the interval in which it is a curve.
    """

    def __init__(self, dim: int, kernel: int, layers: int = 3, bins: int = 10, tail: float = 5.0) -> None:
        super().__init__()
        self.bins, self.tail = bins, tail
        self.scale = dim**-0.5
        self.first = nn.Linear(1, dim)
        self.stack = Dilated(dim, kernel, layers)
        self.last = nn.Linear(dim, 3 * bins - 1)
        nn.init.zeros_(self.last.weight)  # it begins as the identity, nearly
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """x (batch, tokens, 2), condition (batch, tokens, dim) -> the moved x, log slopes (batch, tokens); both 0 at
        padded tokens.
        """
        still, moved = x.split(1, dim=2)
        curve = self.last(self.stack(self.first(still) + condition, mask)).masked_fill(~mask[..., None], 0.0)
        widths, heights, slopes = curve.split((self.bins, self.bins, self.bins - 1), dim=2)
        moved, log_slope = rational_quadratic(
            moved[..., 0], widths * self.scale, heights * self.scale, slopes, self.tail, inverse
        )
        x = torch.cat([still, moved[..., None]], dim=2)
        return x.masked_fill(~mask[..., None], 0.0), log_slope.masked_fill(~mask, 0.0)
