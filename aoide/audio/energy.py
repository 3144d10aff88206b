"""How loud each frame is: the length (L2 norm) of its spectrum, as FastSpeech 2 and JETS define it.

There are two sources, with two different scales; a model is trained and used with the same one. The data layer takes
the linear spectrum.
"""

from __future__ import annotations

import torch
from torch import Tensor


def from_magnitude(spectrum: Tensor) -> Tensor:
    """Linear magnitudes (batch, frames, bins), as `MelSpectrogram.magnitude` gives them, -> energy (batch, frames)."""
    return torch.linalg.vector_norm(spectrum, dim=-1)


def from_bands(bands: Tensor) -> Tensor:
    """Mel bands before the logarithm (batch, frames, mels), see `MelSpectrogram.linear`, -> energy (batch, frames)."""
    return torch.linalg.vector_norm(bands, dim=-1)
