"""A WaveNet that listens to answers: what a few learned questions found out about a prompt, and not the prompt itself.

So it takes from a recording the voice and not the words. Every few layers attend to the answers, and what is found
scales and shifts what the layer computed (FiLM).

    questions = Questions(32, dim, heads);  answers = questions(prompt, mask)           # (batch, 32, dim)
    network = AskingWaveNet(Sizes(bins=80, dim=512, heads=8, layers=40))
    network(x, time, condition, answers, mask)                                          # (batch, frames, bins)

Sources: Shen et al. 2023, arXiv:2304.09116 (NaturalSpeech 2, section 3.2); Perez et al. 2018, arXiv:1709.07871 (FiLM).
Known from Amphion's code (MIT), whose keys `official` renames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aoide.nn.conv import Conv1d
from aoide.nn.denoise import TimeEmbedding


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of an `AskingWaveNet`."""

    bins: int  # values of a frame
    dim: int
    heads: int
    layers: int
    cycle: int = 2  # dilations 1, 2, 1, 2 ...
    every: int = 3  # layers of which one attends
    dropout: float = 0.1  # on what attention looks at


class Listen(nn.Module):
    """Attention from one sequence to another."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)

    def forward(self, x: Tensor, other: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, time, dim), other (batch, places, dim), mask (batch, places) -> (batch, time, dim)."""
        unseen = None if mask is None else ~mask
        return self.heads(x, other, other, key_padding_mask=unseen, need_weights=False)[0]


class Questions(nn.Module):
    """Learned questions, put to a sequence of any length: (batch, places, dim) -> (batch, questions, dim)."""

    def __init__(self, count: int, dim: int, heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(count, dim))
        self.listen = Listen(dim, heads)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, places, dim), mask (batch, places) with True = real."""
        return self.listen(self.table.expand(len(x), -1, -1), x, mask)


class Layer(nn.Module):
    """One layer of the WaveNet, which may attend to the answers."""

    def __init__(self, sizes: Sizes, number: int) -> None:
        super().__init__()
        dim = sizes.dim
        attends = number % sizes.every == 0
        self.conv = Conv1d(dim, 2 * dim, 3, 2 ** (number % sizes.cycle))
        self.time, self.condition = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, 2 * dim)
        for layer in (self.conv, self.time, self.condition, self.out):
            nn.init.normal_(layer.weight, std=0.02)
        self.norm = nn.LayerNorm(dim) if attends else None
        self.listen = Listen(dim, sizes.heads, sizes.dropout) if attends else None
        self.gain = nn.Linear(dim, 2 * dim) if attends else None
        self.bias = nn.Linear(dim, 2 * dim) if attends else None
        if self.gain is not None:
            nn.init.ones_(self.gain.bias)

    def forward(
        self, x: Tensor, mask: Tensor | None, condition: Tensor, time: Tensor, answers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x, condition (batch, frames, dim), time (batch, dim), answers (batch, questions, dim) -> x, what is kept."""
        y = _masked(x + self.time(time)[:, None], mask)
        inside = self.conv(y, mask) + self.condition(condition)
        if self.norm is not None and self.listen is not None and self.gain is not None and self.bias is not None:
            found = self.listen(self.norm(y), answers)
            inside = inside * self.gain(found) + self.bias(found)
        gate, value = inside.chunk(2, dim=2)
        residual, kept = _masked(self.out(gate.sigmoid() * value.tanh()), mask).chunk(2, dim=2)
        return (x + residual) / math.sqrt(2), kept


class AskingWaveNet(nn.Module):
    """What is noisy, a time, a condition a frame and answers -> (batch, frames, bins)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        dim = sizes.dim
        self.embed = nn.Linear(sizes.bins, dim)
        self.time = TimeEmbedding(dim, nn.Mish())
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(Layer(sizes, number) for number in range(sizes.layers))
        self.skip, self.out = nn.Linear(dim, dim), nn.Linear(dim, sizes.bins)
        nn.init.zeros_(self.out.weight)

    def forward(
        self, x: Tensor, time: Tensor, condition: Tensor, answers: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, frames, bins), time (batch,), condition (batch, frames, dim), answers (batch, questions, dim)."""
        x, when, condition = self.embed(x).relu(), self.time(time), self.norm(condition)
        total = torch.zeros_like(x)
        for layer in self.layers:
            x, kept = layer(x, mask, condition, when, answers)
            total = total + kept
        return self.out(self.skip(total / math.sqrt(len(self.layers))).relu())


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.masked_fill(~mask[..., None], 0.0)


# ---------------------------------------------------------------------------------------------------- published weights

_NAMES = {
    "in_proj": "embed",
    "mlp": "time.mlp",
    "cond_ln": "norm",
    "skip_proj": "skip",
    "out_proj": "out",
    "dilated_conv": "conv",
    "diffusion_proj": "time",
    "cond_proj": "condition",
    "ln": "norm",
}


def official(key: str, value: Tensor) -> tuple[str, Tensor]:
    """A key of Amphion's DiffWaveNet, below its head, and its value -> ours.

    Its convolutions of one frame are linear layers here.
    """
    words = key.split(".")
    place = 2 if words[0] == "layers" else 0
    if words[place] == "attn":
        words[place] = "listen.heads"
    elif words[place] == "film":
        del words[place]
    else:
        words[place] = _NAMES.get(words[place], words[place])
    flat = value.ndim == 3 and words[place] != "conv"
    return ".".join(words), value[..., 0] if flat else value
