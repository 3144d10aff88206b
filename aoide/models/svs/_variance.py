"""Parts of DiffSinger's variance model: what tells durations, what encodes notes, what brings curves to a denoiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn import denoise
from aoide.nn.conv import Conv1d
from aoide.nn.denoise import Denoiser
from aoide.nn.singing import Encoder, Sizes

MIDI_NOTES = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Durations:
    """The predictor of durations."""

    channels: int = 256
    layers: int = 5
    kernel: int = 3  # tokens; odd
    dropout: float = 0.1
    offset: float = 1.0  # log(frames + offset) is predicted
    residual: bool = True  # whether a layer adds to what came in (arch resnet), or replaces it (arch fs2)
    phoneme_weight: float = 0.3  # of the losses of phonemes, words and phrases
    word_weight: float = 1.0
    phrase_weight: float = 3.0

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0 or min(self.channels, self.layers) < 1:
            raise ValueError(f"kernel must be odd, channels and layers 1 or more, got {self.kernel}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Melody:
    """The encoder of the notes, where pitch follows them and not only a smoothed line."""

    dim: int = 128
    heads: int = 2
    layers: int = 4
    kernel: int = 3
    glides: int = 0  # kinds of glide that a note may have; 0 = none
    glide_scale: float = 11.31


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """How something is drawn by a denoiser: its numbers, and the denoiser."""

    low: tuple[float, ...]  # what is brought to -1, one a curve
    high: tuple[float, ...]  # and to 1
    floor: tuple[float, ...]  # the smallest that can be, one a curve
    ceiling: tuple[float, ...]  # and the largest
    bins: int  # over which each curve is repeated
    denoiser: Denoiser


class DurationPredictor(nn.Module):
    """Tokens -> durations in frames: (batch, tokens, dim) -> (batch, tokens)."""

    def __init__(self, settings: Durations, dim: int) -> None:
        super().__init__()
        self.settings = settings
        sizes = [dim] + settings.layers * [settings.channels]
        self.convs = nn.ModuleList(Conv1d(a, b, settings.kernel) for a, b in zip(sizes, sizes[1:], strict=False))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in (sizes[:-1] if settings.residual else sizes[1:]))
        for norm in self.norms:
            norm.eps = 1e-12  # type: ignore[assignment]
        self.mixers = nn.ModuleList(nn.Linear(size, size) for size in sizes[1:]) if settings.residual else None
        widen = settings.residual and dim != settings.channels
        self.widen = nn.Linear(dim, settings.channels) if widen else None
        self.out = nn.Linear(settings.channels, 1)

    def forward(self, x: Tensor, mask: Tensor, leaky: bool = False) -> Tensor:
        given = None if leaky else mask
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if self.mixers is None:
                x = self._drop(norm(conv(x, given).relu()))
            else:
                before = self.widen(x) if layer == 0 and self.widen is not None else x
                x = before + self._drop(self.mixers[layer](conv(norm(x), given).relu()))
            x = x.masked_fill(~mask[..., None], 0.0)
        logs = self.out(x)[..., 0].masked_fill(~mask, 0.0)
        return logs.exp() - self.settings.offset

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.settings.dropout, self.training)


class MelodyEncoder(nn.Module):
    """Notes -> what the pitch follows, a note: (batch, notes, dim of the model)."""

    def __init__(self, config: Any, melody: Melody) -> None:
        super().__init__()
        self.melody, self.scaled = melody, config.scaled
        self.pitch = nn.Linear(1, melody.dim)
        self.duration = nn.Linear(1, melody.dim)
        self.glide = nn.Embedding(melody.glides + 1, melody.dim, padding_idx=0) if melody.glides else None
        sizes = {"dim": melody.dim, "heads": melody.heads, "layers": melody.layers, "kernel": melody.kernel}
        self.encoder = Encoder(Sizes.of(config)._replace(**sizes))  # type: ignore[arg-type]
        self.out = nn.Linear(melody.dim, config.dim)

    def forward(self, notes: Tensor, rests: Tensor, durations: Tensor, glides: Tensor | None, mask: Tensor) -> Tensor:
        """notes (batch, notes) MIDI, rests and mask (batch, notes) bool, durations (batch, notes) frames."""
        lasting = durations[..., None].to(notes.dtype)
        pitch = self.pitch(notes[..., None] / (MIDI_NOTES if self.scaled else 1)).masked_fill(rests[..., None], 0.0)
        more = self.duration(lasting.log1p() if self.scaled else lasting)
        if self.glide is not None and glides is not None:
            more = more + self.melody.glide_scale * self.glide(glides)
        return self.out(self.encoder(pitch, more, mask))


class Drawer(nn.Module):
    """A denoiser with the numbers of what it draws: (batch, frames, curves) <-> (batch, frames, curves * bins)."""

    low: Tensor
    high: Tensor
    floor: Tensor
    ceiling: Tensor

    def __init__(self, drawn: Drawn, condition: int) -> None:
        super().__init__()
        self.count, self.bins = len(drawn.low), drawn.bins
        self.denoiser = denoise.build(drawn.denoiser, self.count * self.bins, condition)
        for name in ("low", "high", "floor", "ceiling"):
            self.register_buffer(name, torch.tensor(getattr(drawn, name)), persistent=False)

    @property
    def width(self) -> int:
        return self.count * self.bins

    def normalise(self, values: Tensor) -> Tensor:
        values = values.maximum(self.floor).minimum(self.ceiling)
        x = (values - self.low) / (self.high - self.low) * 2 - 1
        return x.repeat_interleave(self.bins, dim=-1)

    def denormalise(self, x: Tensor) -> Tensor:
        x = x.unflatten(-1, (self.count, self.bins))
        values = ((x + 1) / 2 * (self.high - self.low)[:, None] + self.low[:, None]).mean(dim=-1)
        return values.maximum(self.floor).minimum(self.ceiling)


def share_of_words(words: Tensor, durations: Tensor) -> Tensor:
    """How long the word of each phoneme lasts: words, durations (batch, tokens) -> (batch, tokens) frames."""
    total = durations.new_zeros(len(words), int(words.max()) + 1).scatter_add(1, words, durations)
    total[:, 0] = 0
    return total.gather(1, words)


def share_out(frames: Tensor, words: Tensor, word_durations: Tensor) -> Tensor:
    """Predicted durations (batch, tokens), stretched so that those of a word make up its time: int64 frames.

    What rounding adds or takes is not made up for, as in the original.
    """
    frames = frames * (words > 0)
    total = frames.new_zeros(len(words), word_durations.shape[1] + 1).scatter_add(1, words, frames)[:, 1:]
    stretch = word_durations / total.clamp(min=1e-5)
    return (frames * functional.pad(stretch, (1, 0)).gather(1, words)).round().long()
