"""Snake, the activation of waves: x + sin(alpha x)^2 / alpha, alone and guarded against aliasing.

A network of ReLUs cannot go on with a period that it has heard; x + sin^2 can. BigVGAN, DAC and their heirs use it, and
BigVGAN wraps it into a doubling and a halving of the rate, since what it adds above half the sample rate would fold
down. Everything here works inside stacks of convolutions, channels first: x (batch, channels, time).

Sources: Snake Ziyin et al. 2020, arXiv:2006.08195; SnakeBeta and the guard Lee et al. 2022, arXiv:2206.04658 (BigVGAN);
the filter Karras et al. 2021, arXiv:2106.12423. Parity: tests/parity/test_bigvgan.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError
from aoide.nn.upsampler import side_by_side

TAPS = 12  # of the filters of the guard
_FLOOR = 1e-9  # keeps the division from failing where alpha or beta is 0


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha with one trained alpha a channel.

    Args:
        channels: of the input.
        log_scale: the parameter is the logarithm of alpha (so that it begins as 0, not as 1).
    """

    reach = 0  # how many samples to each side an output depends on

    def __init__(self, channels: int, log_scale: bool = False) -> None:
        super().__init__()
        self.log_scale = log_scale
        self.alpha = nn.Parameter(torch.zeros(channels) if log_scale else torch.ones(channels))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, channels, time) -> the same shape; what is 0 stays 0, so the mask (batch, 1, time) is not read."""
        return snake(x, *self.scales())

    def scales(self) -> tuple[Tensor, Tensor]:
        """Frequency and 1 / height of the wave, each (channels,)."""
        alpha = self.alpha.exp() if self.log_scale else self.alpha
        return alpha, 1 / (alpha + _FLOOR)


class SnakeBeta(Snake):
    """x + sin(alpha x)^2 / beta: the height of the wave is trained apart from its frequency."""

    def __init__(self, channels: int, log_scale: bool = False) -> None:
        super().__init__(channels, log_scale)
        self.beta = nn.Parameter(self.alpha.detach().clone())

    def scales(self) -> tuple[Tensor, Tensor]:
        alpha, beta = (self.alpha.exp(), self.beta.exp()) if self.log_scale else (self.alpha, self.beta)
        return alpha, 1 / (beta + _FLOOR)


def snake(x: Tensor, alpha: Tensor, height: Tensor) -> Tensor:
    """x + height * sin(alpha x)^2 for x (batch, channels, ...), alpha and height (channels,)."""
    shape = (-1, *(1 for _ in range(x.ndim - 2)))
    wave = x * alpha.view(shape)
    if wave.requires_grad:
        return torch.addcmul(x, wave.sin().square(), height.view(shape))
    return torch.addcmul(x, wave.sin_().square_(), height.view(shape))  # a large tensor less to find memory for


class AntiAliased(nn.Module):
    """`activation` at twice the rate: up by a windowed sinc, activation, down by the same.

    Args:
        activation: a Snake or SnakeBeta.

    The ends of the sound go on as their last value; with a mask those of each item do.
    """

    filter: Tensor
    reach = TAPS // 2  # samples to each side

    def __init__(self, activation: Snake) -> None:
        super().__init__()
        self.activation = activation
        self.register_buffer("filter", half_band(), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, channels, time), mask (batch, 1, time) with True = real -> the same shape.

        What stands in padded places changes nothing in the real ones; they come out as 0.
        """
        if mask is None:
            return self._by_phases(x) if side_by_side(x) else self._down(self.activation(self._up(x)))
        twice = self.activation(self._up(_hold(x, mask)))
        return self._down(_hold(twice, mask.repeat_interleave(2, dim=2))).masked_fill(~mask, 0.0)

    def _by_phases(self, x: Tensor) -> Tensor:
        """The same where channels lie side by side, some three times faster: even and odd samples stay apart.

        An even sample of the doubled signal is half of the taps over x, an odd one the other half; and an output is
        one half of the taps over the even samples plus the other over the odd ones.
        """
        time, half = x.shape[2], TAPS // 2
        line = x.mT.contiguous()  # (batch, time, channels)
        ends = (line[:, :1].expand(-1, half - 1, -1), line[:, -1:].expand(-1, half - 1, -1))
        wide = torch.cat([ends[0], line, ends[1]], dim=1).mT
        # Place k of `even` is sample 2 (k - 2), of `odd` sample 2 (k - 3) + 1: both depend on the same places of x.
        even, odd = (self.activation(_depthwise(wide, 2 * taps)) for taps in (self.filter[::2], self.filter[1::2]))
        first, last = even[:, :, 2:3].clone(), odd[:, :, time + 2 : time + 3].clone()
        even[:, :, :2], odd[:, :, :3] = first, first
        even[:, :, time + 2 :], odd[:, :, time + 3 :] = last, last
        return _depthwise(even, self.filter[1::2]).add_(_depthwise(odd, self.filter[::2]))

    def _up(self, x: Tensor) -> Tensor:
        """(batch, channels, time) -> (batch, channels, 2 * time)."""
        channels, margin = x.shape[1], TAPS // 2 - 1
        kernel = (2 * self.filter.to(x.dtype)).expand(channels, 1, TAPS)
        wide = functional.pad(x, (margin, margin), mode="replicate")
        return functional.conv_transpose1d(wide, kernel, stride=2, padding=3 * margin, groups=channels)

    def _down(self, x: Tensor) -> Tensor:
        """(batch, channels, 2 * time) -> (batch, channels, time)."""
        channels = x.shape[1]
        wide = functional.pad(x, (TAPS // 2 - 1, TAPS // 2), mode="replicate")
        return functional.conv1d(wide, self.filter.to(x.dtype).expand(channels, 1, TAPS), stride=2, groups=channels)


def _depthwise(x: Tensor, taps: Tensor) -> Tensor:
    """Each channel of x (batch, channels, time), which lie side by side, through one filter, without padding."""
    kernel = taps.to(x.dtype).expand(x.shape[1], 1, 1, -1)
    return functional.conv2d(x[:, :, None], kernel, groups=x.shape[1])[:, :, 0]


def half_band(taps: int = TAPS) -> Tensor:
    """A low-pass at a quarter of the sample rate, (taps,): a sinc under a Kaiser window, its sum 1."""
    width = 4 * 0.3  # of the transition, BigVGAN's 0.6 / 2 on each side
    attenuation = 2.285 * (taps / 2 - 1) * math.pi * width + 7.95  # dB, Kaiser's formula
    window = torch.kaiser_window(taps, periodic=False, beta=0.1102 * (attenuation - 8.7))
    taps_in_time = torch.arange(taps) - (taps - 1) / 2
    kernel = window * torch.sinc(taps_in_time / 2)
    return kernel / kernel.sum()


def _hold(x: Tensor, mask: Tensor) -> Tensor:
    """x (batch, channels, time) whose padded places continue the last real value of the item."""
    last = (mask.sum(2, keepdim=True) - 1).clamp(min=0)
    return torch.where(mask, x, x.gather(2, last.expand(-1, x.shape[1], -1)))


def without_filters(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """A published state dict less the filters of its guards ("...filter"), which we compute.

    Raises:
        UserError: one of them is another filter than ours.
    """
    expected = half_band()
    for key, value in state.items():
        if key.endswith(".filter") and not (
            value.numel() == TAPS and torch.allclose(value.flatten().float(), expected, atol=1e-4)
        ):
            raise UserError(f"this {source} has another anti-aliasing filter than BigVGAN's in {key}")
    return {key: value for key, value in state.items() if not key.endswith(".filter")}
