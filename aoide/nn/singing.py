"""What models of singing read a score with: Transformer blocks over phonemes, how far a frame is into its phoneme, and
notes as numbers and as lines.

The blocks are those of openvpi's DiffSinger (github.com/openvpi/DiffSinger, Apache-2.0), after FastSpeech 2 (Ren et al.
2020, arXiv:2006.04558): pre-norm, rotary positions, a convolution in the second half.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.attention import SelfAttention
from aoide.nn.conv import Conv1d
from aoide.nn.denoise import TimeEmbedding
from aoide.nn.lengths import token_means, token_of_frame
from aoide.nn.rotary import Pairs
from aoide.nn.variance import bridge

Positions = Literal["halves", "neighbours", "backwards", "forwards", "none"]
Activation = Literal["gelu", "relu", "swish", "swiglu", "atanglu"]
MOST_TOKENS = 5000  # from which positions are counted backwards


class Sizes(NamedTuple):
    """What an encoder looks like: fields that the `Config` of a model has."""

    dim: int
    heads: int
    layers: int
    kernel: int
    activation: Activation
    dropout: float
    positions: Positions
    leaky_padding: bool

    @classmethod
    def of(cls, config: Any) -> Sizes:
        return cls(*(getattr(config, name) for name in cls._fields))


class Block(nn.Module):
    """Pre-norm Transformer block whose second half is a convolution and a linear layer: (batch, tokens, dim)."""

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        dim, gated = config.dim, config.activation.endswith("glu")
        rotary: Pairs | None = None
        if config.positions == "halves" or config.positions == "neighbours":
            rotary = config.positions
        self.activation, self.dropout, self.leaky = config.activation, config.dropout, config.leaky_padding
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, config.heads, bias=False, rotary=rotary)
        self.conv_norm = nn.LayerNorm(dim)
        self.expand = Conv1d(dim, (2 if gated else 1) * 4 * dim, config.kernel)
        self.contract = nn.Linear(4 * dim, dim)
        self.scale = config.kernel**-0.5

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = (x + self._drop(self.attention(self.attention_norm(x), mask))).masked_fill(~mask[..., None], 0.0)
        y = self._activate(self.expand(self.conv_norm(x), None if self.leaky else mask) * self.scale)
        return x + self._drop(self.contract(self._drop(y)))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)

    def _activate(self, x: Tensor) -> Tensor:
        if self.activation.endswith("glu"):
            value, gate = x.chunk(2, dim=-1)
            return value * (functional.silu(gate) if self.activation == "swiglu" else gate.atan())
        if self.activation == "gelu":
            return functional.gelu(x)
        return x.relu() if self.activation == "relu" else functional.silu(x)


class Encoder(nn.Module):
    """Embedded phonemes, and what else is known of each, through Transformer blocks: (batch, tokens, dim)."""

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        self.dim, self.positions, self.dropout = config.dim, config.positions, config.dropout
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, text: Tensor, more: Tensor, mask: Tensor) -> Tensor:
        x = math.sqrt(self.dim) * text + more
        if self.positions == "backwards":
            x = math.sqrt(self.dim) * x
        if self.positions in ("backwards", "forwards"):
            x = x + self._code(x)
        x = functional.dropout(x, self.dropout, self.training).masked_fill(~mask[..., None], 0.0)
        for block in self.blocks:
            x = block(x, mask).masked_fill(~mask[..., None], 0.0)
        return self.norm(x).masked_fill(~mask[..., None], 0.0)

    def _code(self, x: Tensor) -> Tensor:
        """Sinusoids of the place: counted down from MOST_TOKENS with sines and cosines in turn, or up from 1 with the
        sines first, as the two codes of the original have it.
        """
        if self.positions == "forwards":
            return counted(x)
        tokens = torch.arange(x.shape[1], device=x.device)
        rates = torch.exp(torch.arange(0, self.dim, 2, device=x.device) * (-math.log(10_000) / self.dim))
        angles = (MOST_TOKENS - 1 - tokens)[:, None] * rates
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2).to(x.dtype)


class Stretch(nn.Module):
    """Adds to each frame how far it is into its phoneme, and what a GRU makes of the frames so far."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.embed = TimeEmbedding(dim, nn.GELU())
        self.gru = nn.GRU(dim, dim, batch_first=True)

    def forward(self, x: Tensor, durations: Tensor, token: Tensor) -> Tensor:
        """x (batch, frames, dim), durations (batch, tokens), token (batch, frames), which token a frame belongs to."""
        known = token < durations.shape[1]
        index = token.clamp(max=durations.shape[1] - 1)
        before = (durations.cumsum(1) - durations).gather(1, index)
        into = (torch.arange(x.shape[1], device=x.device) - before) / durations.gather(1, index).clamp(min=1)
        x = x + self.embed((1000 * into * known).round())
        return x + self.gru(x)[0]


def counted(x: Tensor) -> Tensor:
    """The code of places counted up from 1, sines first: x (batch, places, dim) -> (places, dim)."""
    places, half = torch.arange(1, x.shape[1] + 1, device=x.device), x.shape[2] // 2
    angles = places[:, None] * torch.exp(torch.arange(half, device=x.device) * (-math.log(10_000) / (half - 1)))
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(x.dtype)


# --------------------------------------------------------------------------------------------------------------- notes


def midi(f0: Tensor) -> Tensor:
    """Hz -> MIDI numbers with cents, any shape; what is unvoiced becomes low, and has no meaning."""
    return 69 + 12 * (f0.clamp(min=1.0) / 440).log2()


def hertz(notes: Tensor) -> Tensor:
    """The inverse of `midi`."""
    return 440 * 2 ** ((notes - 69) / 12)


def heard_notes(f0: Tensor, durations: Tensor) -> Tensor:
    """The note of each token where there is no score: f0 (batch, frames) Hz, 0 = unvoiced, durations (batch, tokens)
    frames -> (batch, tokens) MIDI numbers, whole, 0 where nothing is voiced.
    """
    voiced = f0 > 0
    return token_means(midi(f0), durations, voiced).round()


def note_line(notes: Tensor, durations: Tensor, frames: int) -> Tensor:
    """Notes drawn over their frames, with straight lines over rests.

    Args:
        notes: (batch, tokens) MIDI numbers, 0 = rest.
        durations: (batch, tokens) int64 frames.

    Returns:
        (batch, frames) MIDI numbers; 0 in an item without notes.
    """
    token = token_of_frame(durations, frames)
    line = functional.pad(notes, (0, 1)).to(torch.get_default_dtype()).gather(1, token)
    return bridge(line, line > 0)


def note_groups(words: Tensor, notes: Tensor, note_durations: Tensor, slurs: Tensor | None = None) -> Tensor:
    """Which note a token belongs to, counted from 0: (batch, tokens) int64.

    A note begins with a word, with another pitch or length, and where a syllable is slurred to the next.
    """
    changes = (words.diff(dim=1) != 0) | (notes.diff(dim=1) != 0) | (note_durations.diff(dim=1) != 0)
    if slurs is not None:
        changes = changes | (slurs[:, 1:] > 0)
    return functional.pad(changes.long().cumsum(1), (1, 0))


def in_group(values: Tensor, groups: Tensor) -> Tensor:
    """The sum over each token's note: values, groups (batch, tokens) -> (batch, tokens)."""
    return torch.zeros_like(values).scatter_add(1, groups, values).gather(1, groups)


def shared_out(weights: Tensor, groups: Tensor, totals: Tensor) -> Tensor:
    """The time of each note, `totals`, shared out among its phonemes by their weights: all (batch, tokens)."""
    return weights / in_group(weights, groups).clamp(min=1e-8) * totals


def whole_frames(lasts: Tensor) -> Tensor:
    """Durations in whole frames (batch, tokens) int64, from lasts (batch, tokens) that add up to whole ones, note by
    note: ends are rounded, not lengths, so nothing drifts.
    """
    ends = lasts.double().cumsum(1).round()
    return functional.pad(ends, (1, 0)).diff(dim=1).long()


class Told(NamedTuple):
    """What a model of singing tells of a score by itself; frames that are padded hold no meaning."""

    durations: Tensor  # (batch, tokens) int64 frames
    f0: Tensor  # (batch, frames) Hz, without gaps
    voiced: Tensor  # (batch, frames) bool
