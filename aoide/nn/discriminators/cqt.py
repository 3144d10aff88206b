"""The CQT critic (MS-SB-CQTD): looks at the complex constant-Q transform at several resolutions, made for singing.

Each octave first goes through a small convolution of its own, which brings octaves that were computed at different
rates into step. Source: Gu et al. 2024, arXiv:2311.14957; BigVGAN v2 trains with it.
Parity: tests/parity/test_discriminators.py (Amphion, BigVGAN).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.nn.cqt import ConstantQ, Doubler
from aoide.nn.discriminators.band import centred_at_peak
from aoide.nn.discriminators.official import rename, shape
from aoide.nn.discriminators.parts import ComplexStack, Judgement, judge
from aoide.nn.official import adopt


@dataclass(frozen=True, kw_only=True, slots=True)
class Cqt:
    """Settings of `CqtCritic`."""

    hops: tuple[int, ...] = (512, 256, 256)  # samples at twice the rate; multiples of 2^(octaves - 1)
    bins: tuple[int, ...] = (24, 36, 48)  # an octave, one for each hop
    octaves: int = 9  # from C1 (32.7 Hz) up
    channels: int = 32  # BigVGAN v2: 128
    dilations: tuple[int, ...] = (1, 2, 4)  # frames, of the layers that halve the bins
    normalise: bool = False  # brings the sound to one peak, without offset, first

    def __post_init__(self) -> None:
        if not self.hops or len(self.hops) != len(self.bins):
            raise ValueError(f"hops and bins are lists of one length, got {self.hops} and {self.bins}")
        if self.octaves < 1 or any(hop < 1 or hop % 2 ** (self.octaves - 1) for hop in self.hops):
            raise ValueError(f"hops are multiples of {2 ** (self.octaves - 1)}, got {self.hops}")
        if min(self.bins) < 1:
            raise ValueError(f"bins an octave are 1 or more, got {self.bins}")

    def critic(self, sample_rate: int) -> CqtCritic:
        """The network of these settings for sound at `sample_rate` Hz."""
        return CqtCritic(self, sample_rate)


class CqtCritic(nn.Module):
    """One part a resolution; see the top of this file.

    Raises:
        UserError: the octaves reach above the sample rate.
    """

    def __init__(self, config: Cqt, sample_rate: int) -> None:
        super().__init__()
        self.config = config
        self.doubler = Doubler()
        self.parts = nn.ModuleList(
            _Part(hop, bins, config, 2 * sample_rate) for hop, bins in zip(config.hops, config.bins, strict=True)
        )

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> a judgement with one part a resolution; maps (batch, channels, frames, bins)."""
        return judge(self.parts, self.doubler(centred_at_peak(audio) if self.config.normalise else audio))


class _Part(ComplexStack):
    def __init__(self, hop: int, bins: int, config: Cqt, sample_rate: int) -> None:
        super().__init__(config.channels, config.dilations, slope=0.1)
        self.transform = ConstantQ(sample_rate, hop, config.octaves, bins)
        self.pres = nn.ModuleList(nn.Conv2d(2, 2, (3, 9), padding=(1, 4)) for _ in range(config.octaves))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        octaves = self.transform(audio).chunk(len(self.pres), dim=-1)
        image = torch.cat([pre(octave) for pre, octave in zip(self.pres, octaves, strict=True)], dim=-1)
        return super().forward(image)


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> CqtCritic:
    """A published multi-scale sub-band CQT discriminator in BigVGAN's or Amphion's form.

    Args:
        state: keys `discriminators.<i>. ...`, under any prefix.
        config: the published configuration, with the sampling rate.

    Raises:
        UserError: keys that are missing or extra, or no sampling rate.
    """
    ours = rename(state)
    amphion = config.get("model", {}).get("mssbcqtd")
    section = amphion or {key.removeprefix("cqtd_"): value for key, value in config.items()}
    rate = config.get("preprocess", {}).get("sample_rate") if amphion else config.get("sampling_rate")
    paper = Cqt()
    octaves = set(section.get("n_octaves", [paper.octaves]))
    if rate is None or len(octaves) > 1:
        raise UserError("a CQT discriminator needs a configuration with the sampling rate and one number of octaves")
    settings = Cqt(
        hops=tuple(section.get("hop_lengths", paper.hops)),
        bins=tuple(section.get("bins_per_octaves", paper.bins)),
        octaves=octaves.pop(),
        channels=shape(ours, "parts.0.convs.0")[0],
        dilations=tuple(section.get("dilations", paper.dilations)),
        normalise=section.get("normalize_volume", False),
    )
    return adopt(CqtCritic(settings, rate), ours, "multi-scale sub-band CQT discriminator")
