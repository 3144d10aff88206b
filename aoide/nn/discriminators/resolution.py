"""The resolution critic (MRD): looks at the magnitude spectrogram at several resolutions.

Source: UnivNet (Jang et al. 2021, arXiv:2106.07889, section 2.2), in the form of BigVGAN (Lee et al. 2023,
arXiv:2206.04658), whose STFT has a rectangular window. APNet and BigVGAN v1 train with it. What the Descript codec and
Vocos call by the same name is the band critic here. Parity: tests/parity/test_discriminators.py (BigVGAN, Amphion).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aoide.audio.stft import magnitude, stft
from aoide.nn.discriminators.official import rename, shape, uses_spectral_norm
from aoide.nn.discriminators.parts import Judgement, Norm, judge, normed, through
from aoide.nn.official import adopt


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """Settings of `ResolutionCritic`."""

    # Fourier size, hop and window of each, in samples
    resolutions: tuple[tuple[int, int, int], ...] = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
    channels: int = 32
    norm: Norm = "weight"

    def __post_init__(self) -> None:
        if not self.resolutions or any(not 0 < hop <= window <= n_fft for n_fft, hop, window in self.resolutions):
            raise ValueError(f"resolutions are (n_fft, hop, window), hop <= window <= n_fft, got {self.resolutions}")

    def critic(self, sample_rate: int) -> ResolutionCritic:
        """The network of these settings; at any sample rate it is the same."""
        return ResolutionCritic(self)


class ResolutionCritic(nn.Module):
    """One part a resolution; see the top of this file."""

    def __init__(self, config: Resolution) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleList(_Part(*resolution, config) for resolution in config.resolutions)

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> a judgement with one part a resolution; its maps are (batch, channels, bins, time).

        Scores are (batch, bins * time).
        """
        return judge(self.parts, audio)


class _Part(nn.Module):
    window: Tensor

    def __init__(self, n_fft: int, hop: int, window: int, config: Resolution) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        width = config.channels
        convs = [nn.Conv2d(1 if i == 0 else width, width, (3, 9), (1, 1 if i == 0 else 2), (1, 4)) for i in range(4)]
        convs.append(nn.Conv2d(width, width, 3, padding=1))
        self.convs = nn.ModuleList(normed(conv, config.norm) for conv in convs)
        self.post = normed(nn.Conv2d(width, 1, 3, padding=1), config.norm)
        self.register_buffer("window", torch.ones(window), persistent=False)

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        margin = (self.n_fft - self.hop) // 2  # mirrored at each end
        frames = (audio.shape[1] + 2 * margin - self.n_fft) // self.hop + 1
        spectra = stft(audio, self.n_fft, self.hop, self.window, "same", frames=max(1, frames))
        features = through(self.convs, magnitude(spectra).mT[:, None])
        features.append(self.post(features[-1]))
        return features[-1].flatten(1), features


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> ResolutionCritic:
    """A published multi-resolution discriminator in BigVGAN's or Amphion's form.

    Args:
        state: keys `discriminators.<i>. ...`, under any prefix.
        config: the published configuration; its `resolutions` are read, or else they are those of `Resolution`.

    Raises:
        UserError: keys that are missing or extra.
    """
    ours = rename(state)
    section = config.get("model", {}).get("mrd", config)
    settings = Resolution(
        resolutions=tuple(map(tuple, section.get("resolutions", Resolution().resolutions))),
        channels=shape(ours, "parts.0.convs.0")[0],
        norm="spectral" if uses_spectral_norm(ours) else "weight",
    )
    return adopt(ResolutionCritic(settings), ours, "multi-resolution discriminator")
