"""The period critic (MPD): looks at every p-th sample, for several p, so that what is periodic becomes a row.

Source: HiFi-GAN (Kong et al. 2020, arXiv:2010.05646, section 2.3). The forms in use, by settings:

    HiFi-GAN, BigVGAN, VITS, JETS   Period(first_map=True)
    Amphion's vocoders              Period(first_map=True, last_stride=3)
    Vocos                           Period()

Parity: tests/parity/test_discriminators.py (HiFi-GAN, BigVGAN, VITS, JETS, Amphion), tests/parity/test_vocos.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.discriminators.official import rename, shape, uses_spectral_norm
from aoide.nn.discriminators.parts import Judgement, Norm, judge, normed, through
from aoide.nn.official import adopt, count


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """Settings of `PeriodCritic`."""

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)  # samples; primes, so that two share as little as they can
    channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)
    last_stride: int = 1  # of the last of these layers; the others stride by 3
    first_map: bool = False  # whether the first layer's map is compared too
    norm: Norm = "weight"

    def __post_init__(self) -> None:
        if not self.periods or min(self.periods) < 2:
            raise ValueError(f"periods are 2 samples or more, got {self.periods}")
        if len(self.channels) < 2:
            raise ValueError(f"channels needs two layers or more, got {self.channels}")
        if self.last_stride < 1:
            raise ValueError(f"last_stride must be at least 1, got {self.last_stride}")

    def critic(self, sample_rate: int) -> PeriodCritic:
        """The network of these settings; at any sample rate it is the same."""
        return PeriodCritic(self)


class PeriodCritic(nn.Module):
    """One part a period; see the top of this file."""

    def __init__(self, config: Period) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleList(_Part(period, config) for period in config.periods)

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> a judgement with one part a period; its maps are (batch, channels, period, time).

        Scores are (batch, period * time).
        """
        return judge(self.parts, audio)


class _Part(nn.Module):
    """Time is the last axis, so that convolutions over it read memory in order; in the papers' code the period is."""

    def __init__(self, period: int, config: Period) -> None:
        super().__init__()
        self.period = period
        self.first_map = config.first_map
        strides = [3] * (len(config.channels) - 1) + [config.last_stride]
        sizes = zip((1, *config.channels[:-1]), config.channels, strides, strict=True)
        self.convs = nn.ModuleList(
            normed(nn.Conv2d(a, b, (1, 5), (1, stride), padding=(0, 2)), config.norm) for a, b, stride in sizes
        )
        self.post = normed(nn.Conv2d(config.channels[-1], 1, (1, 3), padding=(0, 1)), config.norm)

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        missing = -audio.shape[-1] % self.period
        x = functional.pad(audio[:, None], (0, missing), mode="reflect")
        x = x.unflatten(-1, (-1, self.period)).mT  # (batch, 1, period, time)
        features = through(self.convs, x)
        features.append(self.post(features[-1]))
        return features[-1].flatten(1), features if self.first_map else features[1:]


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> PeriodCritic:
    """A published multi-period discriminator, in HiFi-GAN's, BigVGAN's, Amphion's or Vocos' form.

    Args:
        state: keys `discriminators.<i>. ...`, under any prefix.
        config: the published configuration; where it names no periods they are the first of 2, 3, 5, 7, 11.

    Raises:
        UserError: keys that are missing or extra.
    """
    ours = {key: value.mT if value.ndim == 4 else value for key, value in rename(state).items()}
    amphion = config.get("model", {}).get("mpd", {})
    periods = amphion.get("mpd_reshapes") or config.get("mpd_reshapes") or Period().periods
    settings = Period(
        periods=tuple(periods)[: count(ours, "parts.")],
        channels=tuple(shape(ours, f"parts.0.convs.{i}")[0] for i in range(count(ours, "parts.0.convs."))),
        last_stride=3 if amphion else 1,
        first_map=not any("multiperioddisc" in key for key in state),
        norm="spectral" if uses_spectral_norm(ours) else "weight",
    )
    return adopt(PeriodCritic(settings), ours, "multi-period discriminator")
