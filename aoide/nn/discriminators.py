"""Critics: networks that tell recorded from generated sound, each made of parts that listen in their own way.

A critic takes a waveform (batch, samples) and gives a `Judgement`: one score map a part, and the activations on the way
(the feature maps that feature matching compares). `CRITICS` names them; `Critics` holds any set. A further critic is a
config, a class and a line in `CRITICS`.

Sources: the periods are HiFi-GAN's (Kong et al. 2020, arXiv:2010.05646), the resolutions with bands those of the
Descript codec (Kumar et al. 2023, arXiv:2306.06546), both in the form of Vocos (Siuzdak 2023, arXiv:2306.00814): the
first convolution of a stack gives no feature map. Parity: tests/parity/test_vocos.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aoide.config import UserError
from aoide.nn.official import adopt, modern_weight_norm

SLOPE = 0.1  # of the leaky ReLU, everywhere


class Judgement(NamedTuple):
    """What a critic says of a batch of sounds, a list entry for each of its parts."""

    scores: list[Tensor]  # each (batch, ...): high for recorded sound
    features: list[list[Tensor]]  # each part's maps, shallow to deep; the last one is the score map


# -------------------------------------------------------------------------------------------------------------- periods


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """Settings of `PeriodCritic`."""

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)  # samples; primes, so that two share as little as they can
    channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)

    def __post_init__(self) -> None:
        if not self.periods or min(self.periods) < 2:
            raise ValueError(f"periods are 2 samples or more, got {self.periods}")
        if len(self.channels) < 2:
            raise ValueError(f"channels needs two layers or more, got {self.channels}")


class PeriodCritic(nn.Module):
    """Looks at every p-th sample, for several p: what is periodic becomes a column."""

    def __init__(self, config: Period) -> None:
        super().__init__()
        self.parts = nn.ModuleList(_PeriodPart(period, config.channels) for period in config.periods)

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> a judgement with one part a period."""
        return _judge(self.parts, audio)


class _PeriodPart(nn.Module):
    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.period = period
        strides = [3] * (len(channels) - 1) + [1]
        pairs = zip((1, *channels[:-1]), channels, strides, strict=True)
        self.convs = nn.ModuleList(weight_norm(nn.Conv2d(a, b, (5, 1), (s, 1), padding=(2, 0))) for a, b, s in pairs)
        self.post = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        missing = -audio.shape[-1] % self.period
        x = functional.pad(audio[:, None], (0, missing), mode="reflect")
        x = x.unflatten(-1, (-1, self.period))  # (batch, 1, samples / period, period)
        features = _through(self.convs, x)
        features.append(self.post(features[-1]))
        return features[-1].flatten(1), features


# ---------------------------------------------------------------------------------------------------------- resolutions


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """Settings of `ResolutionCritic`."""

    windows: tuple[int, ...] = (2048, 1024, 512)  # samples; each hops by a quarter
    channels: int = 32
    bands: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # edges, as parts of the bins

    def __post_init__(self) -> None:
        if len(self.bands) < 2 or self.bands[0] != 0.0 or self.bands[-1] != 1.0:
            raise ValueError(f"bands are edges that rise from 0 to 1, got {self.bands}")
        if not self.windows or any(b <= a for a, b in pairwise(self.edges(min(self.windows)))):
            raise ValueError(f"windows {self.windows} leave a band of {self.bands} without a bin: take longer windows")

    def edges(self, window: int) -> list[int]:
        """The bins at which the bands of one window begin and end."""
        return [int(edge * (window // 2 + 1)) for edge in self.bands]


class ResolutionCritic(nn.Module):
    """Looks at the complex spectrogram at several resolutions, each frequency band with its own convolutions."""

    def __init__(self, config: Resolution) -> None:
        super().__init__()
        self.parts = nn.ModuleList(_ResolutionPart(window, config) for window in config.windows)

    def forward(self, audio: Tensor) -> Judgement:
        """audio (batch, samples) -> a judgement with one part a resolution; loudness and offset do not count."""
        return _judge(self.parts, audio)


class _ResolutionPart(nn.Module):
    window: Tensor

    def __init__(self, window: int, config: Resolution) -> None:
        super().__init__()
        self.edges = config.edges(window)
        self.stacks = nn.ModuleList(_band_stack(config.channels) for _ in self.edges[1:])
        self.post = weight_norm(nn.Conv2d(config.channels, 1, (3, 3), padding=1))
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self._spectrogram(audio)
        features: list[Tensor] = []
        tops = []
        for stack, (low, high) in zip(self.stacks, pairwise(self.edges), strict=True):
            assert isinstance(stack, nn.ModuleList)
            features += _through(stack, x[..., low:high])
            tops.append(features[-1])
        score = self.post(torch.cat(tops, dim=-1))
        return score, [*features, score]

    def _spectrogram(self, audio: Tensor) -> Tensor:
        """(batch, samples) at the same peak and without offset -> (batch, 2, frames, bins), real and imaginary part."""
        audio = audio - audio.mean(-1, keepdim=True)
        audio = 0.8 * audio / (audio.abs().amax(-1, keepdim=True) + 1e-9)
        size = len(self.window)
        spectrum = torch.stft(audio, size, size // 4, window=self.window, return_complex=True)
        return torch.view_as_real(spectrum).permute(0, 3, 2, 1)


def _band_stack(channels: int) -> nn.ModuleList:
    """Five convolutions over (frames, bins); three of them halve the bins."""
    wide = [
        weight_norm(nn.Conv2d(2 if i == 0 else channels, channels, (3, 9), (1, 1 if i == 0 else 2), padding=(1, 4)))
        for i in range(4)
    ]
    return nn.ModuleList([*wide, weight_norm(nn.Conv2d(channels, channels, (3, 3), padding=1))])


# ---------------------------------------------------------------------------------------------------------------- a set

CRITICS: dict[str, tuple[type, type[nn.Module]]] = {
    "period": (Period, PeriodCritic),
    "resolution": (Resolution, ResolutionCritic),
}


class Critics(nn.Module):
    """The chosen critics, by name; asked together they give a judgement each.

    Args:
        configs: the settings of each critic, by its name in `CRITICS`.
    """

    def __init__(self, configs: Mapping[str, Any]) -> None:
        super().__init__()
        self.by_name = nn.ModuleDict({name: CRITICS[name][1](config) for name, config in configs.items()})

    def forward(self, audio: Tensor) -> dict[str, Judgement]:
        """audio (batch, samples) -> name of the critic: its judgement."""
        return {name: critic(audio) for name, critic in self.by_name.items()}


def from_official(state: Mapping[str, Tensor]) -> Critics:
    """The critics in a training checkpoint of github.com/gemelo-ai/vocos: keys of multiperioddisc and multiresddisc.

    Sizes are read off the tensors; the periods, which are not in a checkpoint, are the first of 2, 3, 5, 7, 11.

    Raises:
        UserError: no critics in it, or critics of another form.
    """
    words = {
        "multiperioddisc": "by_name.period",
        "multiresddisc": "by_name.resolution",
        "discriminators": "parts",
        "band_convs": "stacks",
        "conv_post": "post",
    }
    ours = modern_weight_norm({".".join(words.get(word, word) for word in key.split(".")): state[key] for key in state})
    ours = {key: value for key, value in ours.items() if key.startswith("by_name.")}
    if not ours or any(".emb." in key for key in ours):
        raise UserError(
            f"this checkpoint has {'critics that are told the bandwidth' if ours else 'no critics of Vocos'}"
        )
    windows = {key: len(ours.pop(key)) for key in list(ours) if key.endswith(".spec_fn.window")}
    configs: dict[str, Any] = {}
    if parts := _length(ours, "by_name.period.parts."):
        layers = _length(ours, "by_name.period.parts.0.convs.")
        widths = tuple(ours[f"by_name.period.parts.0.convs.{i}.bias"].numel() for i in range(layers))
        configs["period"] = Period(periods=Period().periods[:parts], channels=widths)
    if parts := _length(ours, "by_name.resolution.parts."):
        configs["resolution"] = Resolution(
            windows=tuple(windows[f"by_name.resolution.parts.{i}.spec_fn.window"] for i in range(parts)),
            channels=ours["by_name.resolution.parts.0.stacks.0.0.bias"].numel(),
        )
    return adopt(Critics(configs), ours, "set of critics")


def _length(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many entries the list has whose keys are `<prefix><index>.<more>`."""
    return len({key.removeprefix(prefix).partition(".")[0] for key in state if key.startswith(prefix)})


def _judge(parts: Iterable[nn.Module], audio: Tensor) -> Judgement:
    scores, features = zip(*(part(audio) for part in parts), strict=True)
    return Judgement(list(scores), list(features))


def _through(stack: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Runs a stack of convolutions and gives the activations after all but the first, in order."""
    features = []
    for layer in stack:
        x = functional.leaky_relu(layer(x), SLOPE)
        features.append(x)
    return features[1:]
