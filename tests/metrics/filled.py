"""Networks without their published weights: filled by a formula, so that theirs and ours can be compared anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

_FIXED = ("window_", "n_", "flipped_filter", "num_batches_tracked")  # follow from the architecture


def state_of(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, Tensor]:
    """Values for tensors by name and shape: waves, scaled so that the sound survives all layers."""
    state = {}
    for place, (name, shape) in enumerate(sorted(shapes)):
        count = math.prod(shape)
        wave = torch.cos(1.7 * torch.arange(count, dtype=torch.float64) ** 1.1 + place)
        fan = count // shape[0] if shape else 1
        if name.endswith("running_var"):
            wave = 1.0 + 0.5 * wave
        elif name.endswith(("weight", "weight_v")) and len(shape) > 1:
            wave = wave * math.sqrt(2.0 / fan)
        elif name.endswith(("weight", "weight_g")):
            wave = 1.0 + 0.3 * wave
        elif name.endswith(("low_hz_", "band_hz_")):
            wave = 2000.0 * (1.0 + wave)
        else:
            wave = 0.1 * wave
        state[name] = wave.reshape(shape).float()
    return state


def fill(network: torch.nn.Module) -> dict[str, Tensor]:
    """The state dict of a network, filled; what follows from the architecture stays as it is."""
    own = network.state_dict()
    filled = state_of((name, tuple(value.shape)) for name, value in own.items() if not name.endswith(_FIXED))
    return own | filled
