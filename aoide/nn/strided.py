"""From sound to frames and back by strided convolutions: encoder and decoder of the Descript codec and its heirs.

    SoundEncoder   convolution -> per stage: residual units, activation, strided convolution -> activation, convolution
    SoundDecoder   convolution -> per stage: activation, transposed convolution, residual units -> activation,
                   convolution, tanh

DAC and MaskGCT put a Snake between the convolutions, FACodec an anti-aliased SnakeBeta; nn/snake.py has both. Outside
it is time before channels; inside, where one convolution follows the other, channels first: (batch, channels, time).

With a mask every convolution reads zeros after the end of an item, so that an item in a padded batch gives what it
gives alone: signals are kept 0 there, in place, right after each convolution.

Sources: Zeghidour et al. 2021, arXiv:2107.03312 (SoundStream); Kumar et al. 2023, arXiv:2306.06546 (DAC). Parity:
tests/parity/test_maskgct_codecs.py, test_facodec.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from aoide.nn.official import modern_weight_norm
from aoide.nn.upsampler import Activation, convolution, masked

DILATIONS = (1, 3, 9)  # of the residual units of a stage
UNIT_KERNEL = 7  # of a unit's first convolution; the ends of encoder and decoder have it too
LAST_KERNEL = 3  # of the encoder's last convolution


class ResidualUnit(nn.Module):
    """x + convolution of size 1(activation(dilated convolution(activation(x)))).

    Args:
        channels: of input and output.
        dilation: of the first convolution.
        activation: makes an activation for a number of channels.
    """

    def __init__(self, channels: int, dilation: int, activation: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.before = activation(channels)
        self.wide = convolution(channels, channels, UNIT_KERNEL, dilation)
        self.between = activation(channels)
        self.mix = convolution(channels, channels, 1)
        self.apply(small_start)
        reach = cast("Activation", self.before).reach + cast("Activation", self.between).reach
        self.reach = dilation * (UNIT_KERNEL // 2) + reach  # samples to each side

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, channels, time), 0 where the mask (batch, 1, time) is False -> the same."""
        y = masked(self.wide(self.before(x, mask)), mask)
        return masked(self.mix(self.between(y, mask)), mask).add_(x)


class Down(nn.Module):
    """A stage of the encoder: (batch, channels, rate * time) -> (batch, 2 * channels, time)."""

    def __init__(self, channels: int, rate: int, activation: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.units = nn.ModuleList(ResidualUnit(channels, dilation, activation) for dilation in DILATIONS)
        self.activation = activation(channels)
        self.down = weight_norm(nn.Conv1d(channels, 2 * channels, 2 * rate, rate, padding=-(-rate // 2)))
        self.down.apply(small_start)
        self.reach = _reach(self.units) + cast("Activation", self.activation).reach + rate  # samples of its input

    def forward(self, x: Tensor, mask: Tensor | None, mask_out: Tensor | None) -> Tensor:
        for unit in self.units:
            x = unit(x, mask)
        return masked(self.down(self.activation(x, mask)), mask_out)


class Up(nn.Module):
    """A stage of the decoder: (batch, channels, time) -> (batch, channels // 2, rate * time)."""

    def __init__(self, channels: int, rate: int, activation: Callable[[int], nn.Module]) -> None:
        super().__init__()
        half = channels // 2
        self.activation = activation(channels)
        odd = rate % 2
        self.up = weight_norm(
            nn.ConvTranspose1d(channels, half, 2 * rate, rate, padding=rate // 2 + odd, output_padding=odd)
        )
        self.units = nn.ModuleList(ResidualUnit(half, dilation, activation) for dilation in DILATIONS)
        self.reach = _reach(self.units) + rate * (
            1 + cast("Activation", self.activation).reach
        )  # samples of its output

    def forward(self, x: Tensor, mask: Tensor | None, mask_out: Tensor | None) -> Tensor:
        x = masked(self.up(self.activation(x, mask)), mask_out)
        for unit in self.units:
            x = unit(x, mask_out)
        return x


class SoundEncoder(nn.Module):
    """Sound to frames: audio (batch, frames * hop) -> (batch, frames, dim).

    Args:
        dim: of the frames.
        channels: after the first convolution; each stage doubles them.
        rates: how many times shorter each stage makes the signal; their product is the hop.
        activation: for a number of channels, what stands before the convolutions.

    Attributes:
        hop: samples per frame.
        reach: how many frames before and after its own a frame depends on.
    """

    def __init__(self, dim: int, channels: int, rates: Sequence[int], activation: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.rates, self.hop = tuple(rates), math.prod(rates)
        self.first = convolution(1, channels, UNIT_KERNEL)
        self.stages = nn.ModuleList(Down(channels << i, rate, activation) for i, rate in enumerate(rates))
        self.last_activation = activation(channels << len(rates))
        self.last = convolution(channels << len(rates), dim, LAST_KERNEL)
        for end in (self.first, self.last):
            end.apply(small_start)
        samples, length = UNIT_KERNEL // 2, 1  # reach so far, and samples per step of the signal
        for stage in cast("Sequence[Down]", self.stages):
            samples, length = samples + stage.reach * length, length * stage.down.stride[0]
        samples += (LAST_KERNEL // 2 + cast("Activation", self.last_activation).reach) * length
        self.reach = math.ceil(samples / self.hop)

    def forward(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, frames * hop), mask (batch, frames) with True = real -> (batch, frames, dim), 0 where padded.

        Without a mask the sound may be of any length.
        """
        masks = _masks(mask, self.rates[::-1])[::-1]
        x = audio[:, None] if masks[0] is None else audio[:, None].masked_fill(~masks[0], 0.0)
        x = masked(self.first(x), masks[0])
        for stage, before, after in zip(self.stages, masks[:-1], masks[1:], strict=True):
            x = stage(x, before, after)
        return masked(self.last(self.last_activation(x, masks[-1])), masks[-1]).mT


class SoundDecoder(nn.Module):
    """Frames to sound: (batch, frames, dim) -> audio (batch, frames * hop) between -1 and 1.

    Args:
        dim: of the frames.
        channels: after the first convolution; each stage halves them.
        rates: how many times longer each stage makes the signal; their product is the hop.
        activation: for a number of channels, what stands before the convolutions.

    Attributes:
        hop: samples per frame.
        reach: how many frames before and after its own a sample depends on.
    """

    def __init__(self, dim: int, channels: int, rates: Sequence[int], activation: Callable[[int], nn.Module]) -> None:
        super().__init__()
        if channels % 2 ** len(rates):
            raise ValueError(
                f"{len(rates)} stages halve the channels {len(rates)} times: {channels} do not divide so often"
            )
        self.rates, self.hop = tuple(rates), math.prod(rates)
        self.first = convolution(dim, channels, UNIT_KERNEL)
        self.stages = nn.ModuleList(Up(channels >> i, rate, activation) for i, rate in enumerate(rates))
        self.last_activation = activation(channels >> len(rates))
        self.last = convolution(channels >> len(rates), 1, UNIT_KERNEL)
        for end in (self.first, self.last):
            end.apply(small_start)
        frames, length = float(UNIT_KERNEL // 2), 1  # reach so far, and steps of the signal per frame
        for stage in cast("Sequence[Up]", self.stages):
            length *= stage.up.stride[0]
            frames += stage.reach / length
        self.reach = math.ceil(frames + (UNIT_KERNEL // 2 + cast("Activation", self.last_activation).reach) / length)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames * hop), 0 where padded."""
        masks = _masks(mask, self.rates)
        y = x.mT if masks[0] is None else x.mT.masked_fill(~masks[0], 0.0)
        y = masked(self.first(y), masks[0])
        for stage, before, after in zip(self.stages, masks[:-1], masks[1:], strict=True):
            y = stage(y, before, after)
        return masked(self.last(self.last_activation(y, masks[-1])), masks[-1])[:, 0].float().tanh()


def small_start(module: nn.Module) -> None:
    """First weights of convolutions and linear layers: normal with deviation 0.02, cut at 2, and no bias."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        with torch.no_grad():
            module.weight = nn.init.trunc_normal_(
                torch.empty_like(module.weight, memory_format=torch.contiguous_format), std=0.02
            )
            assert module.bias is not None
            module.bias.zero_()


def _masks(mask: Tensor | None, rates: Sequence[int]) -> list[Tensor | None]:
    """The mask (batch, frames) of every signal from frames to samples, each (batch, 1, time); None where there is none.

    One more than there are rates.
    """
    if mask is None:
        return [None] * (len(rates) + 1)
    masks: list[Tensor | None] = [mask[:, None]]
    for rate in rates:
        masks.append(cast("Tensor", masks[-1]).repeat_interleave(rate, dim=2))
    return masks


def _reach(units: nn.ModuleList) -> int:
    return sum(cast("ResidualUnit", unit).reach for unit in units)


# ------------------------------------------------------------------------------------------------------ published names


def rename_official(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Renames the published state dict of an encoder ("block.0.weight_g") or a decoder ("model.0.weight_g") to ours.

    Args:
        state: keys of the one or the other alone, without the filters of anti-aliased activations.
        prefix: what to set before each of the renamed keys, such as "encoder.".
    """
    last = max((int(key.split(".")[1]) for key in state), default=0)
    ends = {0: "first", last - 1: "last_activation", last: "last"}
    inside = {
        "block": {"0": "units.0", "1": "units.1", "2": "units.2", "3": "activation", "4": "down"},
        "model": {"0": "activation", "1": "up", "2": "units.0", "3": "units.1", "4": "units.2"},
    }
    renamed = {}
    for key, value in state.items():
        kind, place, *rest = key.split(".")
        if int(place) in ends:
            name = [ends[int(place)], *rest]
        else:
            name = ["stages", str(int(place) - 1), inside[kind].get(rest[1], rest[1]), *rename_unit(rest[2:])]
        name = ["activation" if word == "act" else word for word in name]
        renamed[prefix + ".".join(name)] = value.flatten() if name[-1] in ("alpha", "beta") else value
    return modern_weight_norm(renamed)


def rename_unit(name: Sequence[str]) -> list[str]:
    """A published name within a residual unit ("block", "0", "act", "alpha") -> ours; other names stay as they are."""
    if not name or name[0] != "block":
        return list(name)
    parts = {"0": "before", "1": "wide", "2": "between", "3": "mix"}
    return [parts.get(name[1], name[1]), *("activation" if word == "act" else word for word in name[2:])]
