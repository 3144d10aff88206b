"""The band critic: looks at the complex spectrogram at several resolutions, each band with its own convolutions.

Source: the Descript codec (Kumar et al. 2023, arXiv:2306.06546, section 3.3), in the form of Vocos (Siuzdak 2023,
arXiv:2306.00814), which calls it multi-resolution discriminator, and of BigVGAN v2, which calls it multi-band
discriminator; they are the same. Parity: tests/parity/test_discriminators.py (BigVGAN), tests/parity/test_vocos.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from aoide.audio.stft import stft
from aoide.nn.discriminators.official import rename, shape, uses_spectral_norm
from aoide.nn.discriminators.parts import Judgement, Norm, judge, normed, through
from aoide.nn.official import adopt


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Settings of `BandCritic`."""

    windows: tuple[int, ...] = (2048, 1024, 512)  # samples; each hops by a quarter
    channels: int = 32
    bands: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # edges, as parts of the bins
    first_map: bool = False  # whether the first layer's maps are compared too, as the Descript codec does
    norm: Norm = "weight"

    def __post_init__(self) -> None:
        if len(self.bands) < 2 or self.bands[0] != 0.0 or self.bands[-1] != 1.0:
            raise ValueError(f"bands are edges that rise from 0 to 1, got {self.bands}")
        if not self.windows or any(b <= a for a, b in pairwise(self.edges(min(self.windows)))):
            raise ValueError(f"windows {self.windows} leave a band of {self.bands} without a bin: take longer windows")

    def edges(self, window: int) -> list[int]:
        """The bins at which the bands of one window begin and end."""
        return [int(edge * (window // 2 + 1)) for edge in self.bands]

    def critic(self, sample_rate: int) -> BandCritic:
        """The network of these settings; at any sample rate it is the same."""
        return BandCritic(self)


class BandCritic(nn.Module):
    """One part a resolution; see the top of this file."""

    def __init__(self, config: Band) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleList(_Part(window, config) for window in config.windows)

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> a judgement with one part a resolution; loudness and offset do not count.

        Its maps are (batch, channels, frames, bins), band after band, and last the score, which spans all bands.
        """
        return judge(self.parts, audio)


class _Part(nn.Module):
    window: Tensor

    def __init__(self, window: int, config: Band) -> None:
        super().__init__()
        self.edges = config.edges(window)
        self.first_map = config.first_map
        self.stacks = nn.ModuleList(_stack(config) for _ in self.edges[1:])
        self.post = normed(nn.Conv2d(config.channels, 1, (3, 3), padding=1), config.norm)
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self._spectrogram(audio)
        features: list[Tensor] = []
        tops = []
        for stack, (low, high) in zip(self.stacks, pairwise(self.edges), strict=True):
            assert isinstance(stack, nn.ModuleList)
            maps = through(stack, x[..., low:high])
            features += maps if self.first_map else maps[1:]
            tops.append(maps[-1])
        score = self.post(torch.cat(tops, dim=-1))
        return score, [*features, score]

    def _spectrogram(self, audio: Tensor) -> Tensor:
        """(batch, samples) at the same peak and without offset -> (batch, 2, frames, bins), real and imaginary part."""
        size, hop = len(self.window), len(self.window) // 4
        spectrum = stft(centred_at_peak(audio), size, hop, self.window, frames=audio.shape[1] // hop + 1)
        return torch.view_as_real(spectrum).permute(0, 3, 1, 2)


def centred_at_peak(audio: Tensor) -> Tensor:
    """(batch, samples) without offset and brought to a peak of 0.8."""
    audio = audio - audio.mean(-1, keepdim=True)
    return 0.8 * audio / (audio.abs().amax(-1, keepdim=True) + 1e-9)


def _stack(config: Band) -> nn.ModuleList:
    """Five convolutions over (frames, bins); three of them halve the bins."""
    width = config.channels
    convs = [nn.Conv2d(2 if i == 0 else width, width, (3, 9), (1, 1 if i == 0 else 2), (1, 4)) for i in range(4)]
    convs.append(nn.Conv2d(width, width, (3, 3), padding=1))
    return nn.ModuleList(normed(conv, config.norm) for conv in convs)


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> BandCritic:
    """Vocos' published multi-resolution discriminator, or BigVGAN's multi-band discriminator.

    Args:
        state: keys `discriminators.<i>. ...`, under any prefix; the windows are read off its tables.
        config: the published configuration, which says nothing more.

    Raises:
        UserError: keys that are missing or extra.
    """
    ours = rename(state)
    tables = {key: len(table) for key, table in state.items() if key.endswith(".spec_fn.window")}
    settings = Band(
        windows=tuple(tables[key] for key in sorted(tables, key=lambda key: int(key.split(".")[-3]))),
        channels=shape(ours, "parts.0.stacks.0.0")[0],
        norm="spectral" if uses_spectral_norm(ours) else "weight",
    )
    return adopt(BandCritic(settings), ours, "multi-band discriminator")
