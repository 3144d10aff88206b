"""The STFT critic (MS-STFTD): looks at the complex spectrogram at several resolutions, far along time.

Source: EnCodec (Defossez et al. 2022, arXiv:2210.13438, section 3.4). Parity: tests/parity/test_discriminators.py
(Amphion, whose code is EnCodec's).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.nn.discriminators.official import rename, shape
from aoide.nn.discriminators.parts import ComplexStack, Judgement, judge
from aoide.nn.official import adopt


@dataclass(frozen=True, kw_only=True, slots=True)
class Stft:
    """Settings of `StftCritic`."""

    windows: tuple[int, ...] = (1024, 2048, 512)  # samples
    hops: tuple[int, ...] = (256, 512, 256)  # samples, one for each window
    channels: int = 32
    dilations: tuple[int, ...] = (1, 2, 4)  # frames, of the layers that halve the bins

    def __post_init__(self) -> None:
        if not self.windows or len(self.windows) != len(self.hops):
            raise ValueError(f"windows and hops are lists of one length, got {self.windows} and {self.hops}")
        if any(not 0 < hop <= window for window, hop in zip(self.windows, self.hops, strict=True)):
            raise ValueError(f"hops are at most the windows, got {self.hops} and {self.windows}")

    def critic(self, sample_rate: int) -> StftCritic:
        """The network of these settings; at any sample rate it is the same."""
        return StftCritic(self)


class StftCritic(nn.Module):
    """One part a window; see the top of this file."""

    def __init__(self, config: Stft) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleList(
            _Part(window, hop, config) for window, hop in zip(config.windows, config.hops, strict=True)
        )

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> a judgement with one part a window; its maps are (batch, channels, frames, bins).

        Raises:
            UserError: sound shorter than a window.
        """
        return judge(self.parts, audio)


class _Part(ComplexStack):
    window: Tensor

    def __init__(self, window: int, hop: int, config: Stft) -> None:
        super().__init__(config.channels, config.dilations, slope=0.2)
        self.hop = hop
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        size = len(self.window)
        if audio.shape[1] < size:
            raise UserError(f"the stft critic hears {size} samples at once, and the sound has {audio.shape[1]}")
        spectra = torch.stft(audio, size, self.hop, window=self.window, center=False, return_complex=True)
        image = torch.view_as_real(spectra).permute(0, 3, 2, 1) / self.window.square().sum().sqrt()
        return super().forward(image)


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> StftCritic:
    """A published multi-scale STFT discriminator in EnCodec's or Amphion's form.

    Args:
        state: keys `discriminators.<i>. ...`, under any prefix; the windows are read off its tables.
        config: the published configuration; its `hop_lengths` are read, or else they are those of `Stft`.

    Raises:
        UserError: keys that are missing or extra.
    """
    ours = rename(state)
    tables = {key: len(table) for key, table in state.items() if key.endswith(".spec_transform.window")}
    settings = Stft(
        windows=tuple(tables[key] for key in sorted(tables, key=lambda key: int(key.split(".")[-3]))),
        hops=tuple(config.get("hop_lengths", Stft().hops)),
        channels=shape(ours, "parts.0.convs.0")[0],
    )
    return adopt(StftCritic(settings), ours, "multi-scale STFT discriminator")
