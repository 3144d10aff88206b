"""WaveNet's stack: gated dilated convolutions that each give something to the next layer and something to the output.

    y    = dilated convolution of (x + step) + projection of the condition
    gate = tanh(first half of y) * sigmoid(second half of y)
    r, s = 1x1 convolution of gate
    x    = x + r                                                    to the next layer
    out  = sum of all s

One block for the WaveNet vocoder (causal), DiffWave and the denoisers of diffusion singing (step), the couplings of
WaveGlow and VITS (not scaled), Parallel WaveGAN. `Shape` says which. Originals differ in how they lay the weights out
(gate before filter, r and s from two convolutions, one projection of the condition for all layers); `from_official` of
a model brings them into this one form, which computes the same. Two things are left out since they do nothing: the last
layer's r, and a bias of the condition beside that of the dilated convolution.

`Cached` runs a causal stack sample by sample, `Stretch` brings frames to the rate of samples.

Sources: van den Oord et al. 2016, arXiv:1609.03499; cached sampling Le Paine et al. 2016, arXiv:1611.09482.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a stack looks like."""

    dim: int  # channels from layer to layer
    hidden: int  # channels of a gate
    skip: int  # channels of the output
    kernel: int = 3
    dilations: tuple[int, ...]  # one a layer
    condition: int = 0  # channels of the condition, 0 = none
    step: int = 0  # channels of the embedded diffusion step, which each layer projects; 0 = none, or added as it is
    causal: bool = False  # sees the past and the present alone
    scaled: bool = True  # (x + r) * sqrt(1/2) and out * sqrt(1/layers), so that variances stay as they are
    normalised: bool = True  # weight normalisation
    dropout: float = 0.0  # of what a dilated convolution reads
    separable: bool = False  # a dilated convolution is one of each channel, then one of each frame: fewer weights

    @property
    def reach(self) -> int:
        """How many frames back an output sees; as many ahead, if the stack is not causal."""
        return sum((self.kernel - 1) * dilation for dilation in self.dilations) // (1 if self.causal else 2)


def cycles(layers: int, length: int) -> tuple[int, ...]:
    """Dilations 1, 2, 4, ... that start anew every `length` layers."""
    return tuple(2 ** (layer % length) for layer in range(layers))


class Layer(nn.Module):
    """One layer of the stack. Inside the stack channels stand before time: no layer transposes."""

    def __init__(self, shape: Shape, dilation: int, last: bool) -> None:
        super().__init__()
        self.before = (shape.kernel - 1) * dilation if shape.causal else 0
        padding = 0 if shape.causal else (shape.kernel - 1) * dilation // 2
        self.dilated = (Separable if shape.separable else nn.Conv1d)(
            shape.dim, 2 * shape.hidden, shape.kernel, dilation=dilation, padding=padding
        )
        self.condition = nn.Conv1d(shape.condition, 2 * shape.hidden, 1, bias=False) if shape.condition else None
        self.step = nn.Linear(shape.step, shape.dim) if shape.step else None
        self.out = nn.Conv1d(shape.hidden, shape.skip + (0 if last else shape.dim), 1)
        self.passed = 0 if last else shape.dim  # channels for the next layer, which stand first in `out`
        self.dropout = shape.dropout
        self.scale = math.sqrt(0.5) if shape.scaled else 1.0

    def forward(
        self, x: Tensor, condition: Tensor | None, step: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """x (batch, dim, frames) -> what the next layer reads, and (batch, skip, frames) for the output."""
        y = x if step is None else x + (step if self.step is None else self.step(step))[..., None]
        if self.dropout:
            y = functional.dropout(y, self.dropout, self.training)
        if mask is not None:
            y = y.masked_fill(~mask, 0.0)
        y = self.dilated(functional.pad(y, (self.before, 0)) if self.before else y)
        if self.condition is not None and condition is not None:
            y = y + self.condition(condition)
        value, gate = y.chunk(2, dim=1)
        y = self.out(value.tanh() * gate.sigmoid())
        if not self.passed:
            return x, y
        x = x + y[:, : self.passed]
        return (x * self.scale if self.scale != 1.0 else x), y[:, self.passed :]


class Separable(nn.Module):
    """A convolution in two steps, over time and then over channels: (batch, dim_in, time) -> (batch, dim_out, time)."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int, dilation: int, padding: int) -> None:
        super().__init__()
        self.depth = nn.Conv1d(dim_in, dim_in, kernel, dilation=dilation, padding=padding, groups=dim_in)
        self.point = nn.Conv1d(dim_in, dim_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.point(self.depth(x))


class WaveNet(nn.Module):
    """The stack: x (batch, frames, dim) -> (batch, frames, skip)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        assert shape.causal or shape.kernel % 2 == 1, f"an even kernel ({shape.kernel}) has no middle frame"
        self.shape = shape
        last = len(shape.dilations) - 1
        self.layers = nn.ModuleList(Layer(shape, dilation, i == last) for i, dilation in enumerate(shape.dilations))
        self.scale = math.sqrt(1 / len(shape.dilations)) if shape.scaled else 1.0
        if shape.scaled:  # the first weights that keep the variance, as the originals of these stacks have them
            self.apply(keep_variance)
        if shape.normalised:
            for module in [m for m in self.modules() if isinstance(m, nn.Conv1d)]:
                weight_norm(module)

    def forward(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        step: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Runs all layers.

        Args:
            x: (batch, frames, dim).
            condition: (batch, frames, condition); with 1 frame it holds for all.
            step: (batch, step), the embedded diffusion step; (batch, dim) where no layer projects it.
            mask: (batch, frames), True = real; padded frames are read as the zeros beyond the ends of a lone sequence.

        Returns:
            (batch, frames, skip)
        """
        x, condition = x.mT.contiguous(), None if condition is None else condition.mT
        mask = None if mask is None else mask[:, None]
        total: Tensor | None = None
        for number, layer in enumerate(self.layers):
            x, skip = layer(x, condition, step, mask)
            total = skip if total is None else total + skip
            trace.layer(number, len(self.layers), x.mT)
        assert total is not None
        return (total * self.scale if self.scale != 1.0 else total).mT


def keep_variance(module: nn.Module) -> None:
    """Kaiming's first weights for a convolution, and no bias."""
    if isinstance(module, nn.Conv1d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# ---------------------------------------------------------------------------------------------------- frames -> samples


class Stretch(nn.Module):
    """Frames to samples: repeat each frame `scale` times, smooth by a learned kernel of 2 * scale + 1 samples; for each
    of `scales`. (batch, frames, dim) -> (batch, frames * product of scales, dim), all channels alike.

    Of the repeated frames such a kernel sees three different ones, so their three weights for each place in a frame are
    summed first, and nothing is ever repeated. Beyond the ends stand zeros.
    """

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__()
        self.scales = scales
        self.kernels = nn.ParameterList(torch.full((2 * scale + 1,), 1 / (2 * scale + 1)) for scale in scales)

    @property
    def factor(self) -> int:
        """Samples per frame."""
        return math.prod(self.scales)

    def forward(self, x: Tensor) -> Tensor:
        for scale, kernel in zip(self.scales, self.kernels, strict=True):
            place = torch.arange(scale, device=x.device)[:, None] + torch.arange(2 * scale + 1, device=x.device)
            weights = kernel.new_zeros(scale, 3).index_put(
                (torch.arange(scale, device=x.device)[:, None], place // scale),
                kernel.expand(scale, -1),
                accumulate=True,
            )  # (scale, 3): of the frame before, this one, the one after
            frames = functional.pad(x, (0, 0, 1, 1)).unfold(1, 3, 1)  # (batch, frames, dim, 3)
            x = (weights @ frames.mT).flatten(1, 2)
        return x


def beyond_the_ends(x: Tensor, frames: int, mask: Tensor | None = None) -> Tensor:
    """Frames before and after the real ones, which are as the first and the last of them.

    x (batch, length, dim), mask (batch, length) -> (batch, frames + length + frames, dim).
    """
    length = x.shape[1]
    position = torch.arange(-frames, length + frames, device=x.device)
    if mask is None:
        return x[:, position.clamp(0, length - 1)]
    last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
    index = torch.minimum(position.clamp(min=0)[None], last)
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


# ----------------------------------------------------------------------------------------------------- sample by sample


class Cached:
    """A causal stack that is given one sample after the other and keeps what its layers will read again.

    It computes on the CPU in numpy, whose calls cost a third of PyTorch's where vectors are short; a step of a layer is
    two products and a few vectors. Scales, the halving in sigmoid(x) = tanh(x / 2) / 2 + 1 / 2 and biases are folded
    into the weights.

    Args:
        stack: in evaluation mode; its weights are copied.
        batch: sounds that are made side by side.
    """

    def __init__(self, stack: WaveNet, batch: int) -> None:
        shape = stack.shape
        assert shape.causal and not shape.step, "only a causal stack can go on from the past alone"
        dim, hidden, self.skip, self._time = shape.dim, shape.hidden, shape.skip, 0
        self._project: list[tuple[np.ndarray, np.ndarray]] = []  # of the condition: weights and bias, one a layer
        self._layers: list[tuple[np.ndarray, ...]] = []
        halve = np.concatenate([np.ones(hidden), np.full(hidden, 0.5)]).astype(np.float32)
        for number, layer in enumerate(stack.layers):
            assert isinstance(layer, Layer)
            assert isinstance(layer.dilated, nn.Conv1d), "a separable convolution is not one product"
            shrunk = layer.scale**number  # x is kept free of the scales that it went through
            dilated = _array(layer.dilated.weight).transpose(2, 1, 0).reshape(-1, 2 * hidden) * halve * shrunk
            condition = (
                np.zeros((0, 2 * hidden)) if layer.condition is None else _array(layer.condition.weight)[..., 0].T
            )
            self._project.append(((condition * halve).astype(np.float32), _array(layer.dilated.bias) * halve))
            share = np.full(layer.passed + shape.skip, stack.scale)
            share[: layer.passed] = 1 / shrunk
            out = np.concatenate([_array(layer.out.weight)[..., 0].T / 2, _array(layer.out.bias)[None]]) * share
            self._layers.append(
                (
                    np.ascontiguousarray(dilated, np.float32),
                    np.ascontiguousarray(out, np.float32),
                    np.zeros(((shape.kernel - 1) * layer.dilated.dilation[0], batch, dim), np.float32),  # the queue
                    np.zeros((batch, shape.kernel * dim), np.float32),  # what the kernel sees
                    np.empty((batch, 2 * hidden), np.float32),
                    np.ones((batch, hidden + 1), np.float32),  # the gate; its last column stays 1, for the bias
                    np.empty((batch, layer.passed + shape.skip), np.float32),
                )
            )

    def conditions(self, condition: np.ndarray) -> np.ndarray:
        """condition (batch, frames, condition) -> (frames, layers, batch, 2 * hidden): what `step` wants a frame of."""
        return np.stack([condition @ weight + bias for weight, bias in self._project]).transpose(2, 0, 1, 3).copy()

    def step(self, x: np.ndarray, conditions: np.ndarray) -> np.ndarray:
        """The next sample: x (batch, dim), conditions (layers, batch, 2 * hidden) -> (batch, skip). Changes x."""
        total = np.zeros((len(x), self.skip), np.float32)
        dim, time = x.shape[1], self._time
        for (dilated, out, queue, window, both, gate, given), condition in zip(self._layers, conditions, strict=True):
            taps = window.shape[1] // dim - 1
            for tap in range(taps):  # the oldest first; it stands where x will
                window[:, tap * dim : (tap + 1) * dim] = queue[(time + tap * (len(queue) // taps)) % len(queue)]
            window[:, taps * dim :] = x
            if taps:
                queue[time % len(queue)] = x
            np.dot(window, dilated, out=both)
            np.add(both, condition, out=both)
            np.tanh(both, out=both)
            hidden = gate.shape[1] - 1
            value = both[:, :hidden]
            np.multiply(value, both[:, hidden:], out=gate[:, :hidden])
            gate[:, :hidden] += value
            np.dot(gate, out, out=given)
            passed = given.shape[1] - self.skip
            if passed:
                x += given[:, :passed]
            total += given[:, passed:]
        self._time += 1
        return total


def _array(weight: Tensor | None) -> np.ndarray:
    assert weight is not None
    return weight.detach().float().cpu().numpy()


# ---------------------------------------------------------------------------------------------------- published weights


def swap_halves(weight: Tensor) -> Tensor:
    """Weights whose first half of outputs is the gate -> ours, whose second half is."""
    first, second = weight.chunk(2)
    return torch.cat([second, first])


def with_norm(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Splits weights whose normalisation was removed into length and direction again, where `model` has them so."""
    result = dict(state)
    for key in model.state_dict():
        stem, found, _ = key.partition(".parametrizations.weight.original1")
        if found and f"{stem}.weight" in result:
            weight = result.pop(f"{stem}.weight")
            result[f"{stem}.parametrizations.weight.original0"] = torch.linalg.vector_norm(
                weight, dim=tuple(range(1, weight.ndim)), keepdim=True
            )
            result[f"{stem}.parametrizations.weight.original1"] = weight
    return result


def split_condition(state: Mapping[str, Tensor], key: str, stack: str, layers: int) -> dict[str, Tensor]:
    """One projection of the condition for all layers, `key`, -> one a layer of ours; its bias goes elsewhere."""
    found = {name.removeprefix(f"{key}."): value for name, value in state.items() if name.startswith(f"{key}.")}
    return {
        f"{stack}.layers.{layer}.condition.{name}": part
        for name, value in found.items()
        if name != "bias"
        for layer, part in enumerate(value.chunk(layers))
    }
