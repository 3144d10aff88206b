"""A WaveNet stack made ready for many calls with one condition, as diffusion makes them: the same numbers, sooner.

- The condition is projected once for all layers and calls; the biases are in it.
- Time stands before channels in memory, so every 1x1 convolution is one matrix product, and adding its result to what
  goes on is part of that product.
- A dilated convolution of three taps gives two outputs by four products instead of six (Winograd's F(2, 3)): with
  inputs i0 to i3, a dilation apart, and taps g0 to g2,

      m0 = (i0 - i2) g0,  m1 = (i1 + i2) (g0 + g1 + g2) / 2,  m2 = (i2 - i1) (g0 - g1 + g2) / 2,  m3 = (i1 - i3) g2
      out of i1 = m0 + m1 + m2,    out of i2 = m1 - m2 - m3

- Biases of what is passed on are one number a channel: they wait, and join where the next layer reads.

Source: Lavin and Gray 2015, arXiv:1509.09308.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn.wavenet import Layer, WaveNet


class Settled:
    """A stack that looks both ways with kernels of three, without gradients; see the head of this file.

    Args:
        stack: its weights are read now.
        condition: (batch, frames, condition), or with 1 frame for all.
        mask: (batch, frames), True = real.
    """

    def __init__(self, stack: WaveNet, condition: Tensor, mask: Tensor | None = None) -> None:
        shape = stack.shape
        assert not shape.causal and shape.kernel == 3, "only for stacks that look a frame to each side"
        self.shape = shape
        self.mask = None if mask is None or bool(mask.all()) else mask[..., None]
        self.layers = [_Layer(layer, condition, shape.scaled) for layer in stack.layers]  # type: ignore[arg-type]
        self.scale = math.sqrt(1 / len(self.layers)) if shape.scaled else 1.0
        self.bias = torch.stack([layer.skip_bias for layer in self.layers]).sum(0) * self.scale

    def __call__(self, x: Tensor, step: Tensor | None) -> Tensor:
        """x (batch, frames, dim), which may be changed, and the embedded step (batch, ...) -> (batch, frames, skip)."""
        batch, frames, dim = x.shape
        total = self.bias.repeat(batch * frames, 1)
        waits = x.new_zeros(dim)  # biases that have not been added to x
        x = x.reshape(-1, dim)
        for number, layer in enumerate(self.layers):
            more = waits.expand(batch, dim) if step is None else waits + layer.step(step)
            gate = layer.gate(x.view(batch, frames, dim), more, self.mask)
            total.addmm_(gate, layer.skip, alpha=self.scale)
            if layer.passed is not None:
                x = torch.addmm(x, gate, layer.passed, beta=layer.keeps)
                waits = waits * layer.keeps + layer.passed_bias
            trace.layer(number, len(self.layers), x.view(batch, frames, dim))
        return total.view(batch, frames, -1)


class _Layer:
    """What one layer needs, laid out for products; x (..., channels)."""

    def __init__(self, layer: Layer, condition: Tensor, scaled: bool) -> None:
        convolution = layer.dilated
        assert isinstance(convolution, nn.Conv1d) and convolution.bias is not None
        self.project = layer.step
        self.dilation = convolution.dilation[0]
        g0, g1, g2 = convolution.weight.detach().permute(2, 1, 0)
        self.taps = torch.stack([g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2])  # (products, dim, 2 hidden)
        given = convolution.bias.detach()
        if layer.condition is not None:
            given = functional.linear(condition, layer.condition.weight.detach().squeeze(-1), given)
        self.given = given.expand(len(condition), -1, -1)
        self.keeps = math.sqrt(0.5) if scaled else 1.0
        weight = layer.out.weight.detach().squeeze(-1).mT
        bias = layer.out.bias.detach()  # type: ignore[union-attr]
        passed = layer.passed
        self.passed = (weight[:, :passed] * self.keeps).contiguous() if passed else None
        self.passed_bias = bias[:passed] * self.keeps
        self.skip, self.skip_bias = weight[:, passed:].contiguous(), bias[passed:]

    def step(self, step: Tensor) -> Tensor:
        return step if self.project is None else self.project(step)

    def gate(self, x: Tensor, more: Tensor, mask: Tensor | None) -> Tensor:
        """tanh of one half times sigmoid of the other: (batch, frames, dim) -> (batch * frames, hidden).

        Args:
            more: (batch, dim), added to x before it is read.
            mask: (batch, frames, 1), True = real.
        """
        batch, frames, dim = x.shape
        apart = self.dilation
        pairs = -(-frames // (2 * apart))
        padded = x.new_zeros(batch, (pairs + 1) * 2 * apart, dim)
        inside = padded[:, apart : apart + frames]
        torch.add(x, more[:, None], out=inside)
        if mask is not None:
            inside.mul_(mask)
        even, odd = padded.view(batch, pairs + 1, 2, apart, dim).unbind(2)
        first, second, third, fourth = even[:, :-1], odd[:, :-1], even[:, 1:], odd[:, 1:]
        sums = x.new_empty(4, batch, pairs, apart, dim)
        torch.sub(first, third, out=sums[0])
        torch.add(second, third, out=sums[1])
        torch.sub(third, second, out=sums[2])
        torch.sub(second, fourth, out=sums[3])
        products = torch.bmm(sums.view(4, -1, dim), self.taps).view(4, batch, pairs, apart, -1)
        y = x.new_empty(batch, pairs, 2, apart, products.shape[-1])
        torch.add(products[0], products[1], out=y[:, :, 0]).add_(products[2])
        torch.sub(products[1], products[2], out=y[:, :, 1]).sub_(products[3])
        y = y.view(batch, -1, y.shape[-1])[:, :frames].add_(self.given)
        value, gate = y.reshape(batch * frames, -1).chunk(2, dim=1)
        return value.tanh().mul_(gate.sigmoid())
