"""Weights by a formula, for originals of which no pack was recorded: only their outputs must then be kept.

`fill` gives every tensor of a state dict numbers that follow from its name's place in the alphabet and its shape. Who
runs the original with them gets what tests/fixtures/official_speech.json holds; ours must give the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def fill(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same names and shapes; matrices about as large as after initialisation, norms around 1, biases around 0."""
    filled = {}
    for number, name in enumerate(sorted(state)):
        value = state[name]
        wave = wavy(value.shape, number)
        if value.ndim >= 2:
            filled[name] = wave * math.sqrt(2 * len(value) / value.numel())
        else:
            filled[name] = 0.1 * wave + (1.0 if name.endswith("weight") else 0.0)
    return filled


def wavy(shape: tuple[int, ...] | torch.Size, number: int) -> Tensor:
    """Numbers from -1 to 1 without a pattern that is easily seen, float32: they are the same everywhere."""
    count = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(number + 1 + count * 12.9898 + 0.01 * (count % 97).square()).float().reshape(shape)
