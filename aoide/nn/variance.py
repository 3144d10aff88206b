"""The variance adaptor of FastSpeech 2: what the text does not say is predicted, one number a token, and added.

A `Scale` says how a measured quantity (F0 in Hz, energy) becomes that number, `Predictor` predicts it from the encoded
text, `Variance` adds it to the text: the measured one in training, the predicted or a given one in use. That is
how it is steered.

Ren et al. 2020, arXiv:2006.04558 (section 2.3); one value a token, not a frame, after FastPitch (Lancucki 2020,
arXiv:2006.06873). Parity with Amphion: tests/parity/test_fastspeech2.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aoide.nn.conv import Conv1d
from aoide.nn.lengths import token_means

_SMALLEST = 1e-2  # below this a quantity is not told from nothing: logarithms stay finite


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How a quantity becomes a number around 0, and how that number is heard by the network.

    The defaults of `mean` and `deviation` fit nothing: name the quantity's own. They need not be exact.
    """

    mean: float = 0.0  # of the quantity, or of its logarithm
    deviation: float = 1.0
    log: bool = True  # take the natural logarithm first
    bins: int | None = None  # null: the number itself goes in; else it is rounded to one of so many embeddings
    low: float = -3.0  # the lowest boundary of the bins, in deviations from the mean
    high: float = 3.0  # the highest

    def __post_init__(self) -> None:
        if self.deviation <= 0:
            raise ValueError(f"deviation must be above 0, got {self.deviation}")
        if self.bins is not None and (self.bins < 3 or self.low >= self.high):
            raise ValueError(f"needs 3 bins or more and low < high, got {self.bins}, {self.low} and {self.high}")

    def normalise(self, values: Tensor) -> Tensor:
        """Measured values, any shape, as numbers around 0."""
        values = values.clamp(min=_SMALLEST).log() if self.log else values
        return (values - self.mean) / self.deviation

    def shift(self, numbers: Tensor, semitones: Tensor | float) -> Tensor:
        """The numbers of a frequency so many semitones higher."""
        if self.log:
            return numbers + semitones * (math.log(2) / 12 / self.deviation)
        factor = 2.0 ** (semitones / 12)
        return numbers * factor + (factor - 1) * (self.mean / self.deviation)

    def of_pitch(self, f0: Tensor, durations: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """The number of each token's pitch: f0 (batch, frames) Hz, 0 = unvoiced -> (batch, tokens).

        Unvoiced frames take what a straight line from voiced to voiced frame would have there, so that each token has a
        pitch; in an item without a voiced frame all have 0.
        """
        voiced = f0 > 0 if frame_mask is None else (f0 > 0) & frame_mask
        return token_means(bridge(self.normalise(f0), voiced), durations, frame_mask)

    def of_energy(self, energy: Tensor, durations: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """The number of each token's energy: energy (batch, frames) -> (batch, tokens)."""
        return token_means(self.normalise(energy), durations, frame_mask)


def bridge(values: Tensor, known: Tensor) -> Tensor:
    """Draws straight lines over the gaps: values (batch, frames), known (batch, frames) bool -> (batch, frames).

    Before the first known value and after the last it stays level; where none is known all is 0.
    """
    frames = values.shape[1]
    place = torch.arange(frames, device=values.device).expand_as(values)
    before = torch.where(known, place, -1).cummax(1).values
    after = torch.where(known, place, frames).flip(1).cummin(1).values.flip(1)
    left = values.gather(1, before.clamp(min=0))
    right = values.gather(1, after.clamp(max=frames - 1))
    left, right = torch.where(before < 0, right, left), torch.where(after == frames, left, right)
    share = (place - before) / (after - before).clamp(min=1)
    return torch.where(known.any(1, keepdim=True), left + share * (right - left), 0.0)


class Predictor(nn.Module):
    """Two convolutions with ReLU, normalisation and dropout, then one number a token.

    Args:
        dim: width of the text.
        hidden: width inside.
        kernel: tokens that a convolution sees.
        leaky: do as the published code: what the first convolution makes of padding is seen by the second.
    """

    def __init__(self, dim: int, hidden: int, kernel: int, dropout: float, leaky: bool = False) -> None:
        super().__init__()
        self.convs = nn.ModuleList([Conv1d(dim, hidden, kernel), Conv1d(hidden, hidden, kernel)])
        self.norms = nn.ModuleList([nn.LayerNorm(hidden), nn.LayerNorm(hidden)])
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, 1)
        self.leaky = leaky

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (batch, tokens, dim), mask (batch, tokens) with True = real -> (batch, tokens), 0 at padded tokens."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.dropout(norm(conv(x, None if self.leaky else mask).relu()))
        return self.out(x).squeeze(2).masked_fill(~mask, 0.0)


class Variance(nn.Module):
    """One quantity: predicted from the text, and added to it.

    Args:
        dim: width of the text.
        scale: of the quantity.
        predictor: reads that text.
    """

    def __init__(self, dim: int, scale: Scale, predictor: Predictor) -> None:
        super().__init__()
        self.scale = scale
        self.predictor = predictor
        self.embed = Line(dim) if scale.bins is None else Bins(dim, scale.bins, scale.low, scale.high)

    def forward(
        self, x: Tensor, mask: Tensor, given: Tensor | None = None, semitones: Tensor | float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Adds the quantity to the text.

        Args:
            x: (batch, tokens, dim).
            mask: (batch, tokens), True = real.
            given: (batch, tokens) numbers of the scale to add instead of the predicted ones.
            semitones: a number or (batch, 1) by which a predicted frequency is raised.

        Returns:
            The text with it (batch, tokens, dim), and the predicted numbers (batch, tokens).
        """
        predicted = self.predictor(x, mask)
        if semitones is not None:
            predicted = self.scale.shift(predicted, semitones)
        return x + self.embed(predicted if given is None else given, mask), predicted


class Line(nn.Module):
    """A number as a direction in the text's space, heard a token to both sides: nothing is rounded."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = Conv1d(1, dim, 3)

    def forward(self, numbers: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens), mask (batch, tokens) -> (batch, tokens, dim)."""
        return self.conv(numbers[..., None], mask)


class Bins(nn.Module):
    """A number rounded to one of `bins` learned vectors; their boundaries lie evenly from `low` to `high`."""

    def __init__(self, dim: int, bins: int, low: float, high: float) -> None:
        super().__init__()
        self.vectors = nn.Embedding(bins, dim)
        self.register_buffer("boundaries", torch.linspace(low, high, bins - 1))

    def forward(self, numbers: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens), mask (batch, tokens) -> (batch, tokens, dim)."""
        return self.vectors(torch.bucketize(numbers, self.get_buffer("boundaries")))
