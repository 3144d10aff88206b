"""Harmonic conversion: content, F0, energy, singer -> log-mel (batch, frames, mels), in one pass.

Idea         Where the harmonics of a voice stand in a mel follows from F0; no network need learn it. One table says,
             for each F0, by how much the mel of bare harmonics differs from that of flat noise as strong. The network
             says how the singer's throat colours both (an envelope), and band by band how much of the voice is
             harmonics and how much breath. So a voice that was heard speaking can sing, also where it never spoke,
             and what is sung is the F0 that was asked for. How loud each sound of a word is beside the next belongs to
             a voice and to its room: with `loudness` the network hears how loud the song is over a time, and says the
             rest itself.
Objective    regression (aoide/objectives/regression.py) of the mel; nothing is drawn
Recipes      recipes/svc/harmonic-folder.yaml; tools/make_converter.py trains it beside its partner
Code         Aoide's own. Harmonics plus noise: Serra and Smith 1990, Spectral modeling synthesis (Computer Music
             Journal 14(4)); conditions as in Zhang et al. 2023, arXiv:2310.11160; the blocks are those of Vocos
             (arXiv:2306.00814)
Parity       none: there is no original
Differs      from svc/transformersvc: a million parameters, of which it hears a quarter of a second to each side, so
             that long sound is converted in pieces; `energy` is the length of what it is trained with, spectrum
             (`aoide train`) or bands of the mel (tools/make_converter.py), see aoide/audio/energy.py
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.dynamics import window
from aoide.audio.mel_config import MelConfig, filterbank
from aoide.config import UserError
from aoide.nn.convnext import ConvNeXtBackbone
from aoide.objectives import Batch, regression

CENTS = 10.0  # between two rows of the table of harmonics
DEEP = 9.0  # nats below noise as strong where the table ends
HIGHEST = 11_000.0  # Hz of the highest harmonic
FAINTEST = 1e-3  # energy that is not told from silence
PEAK = 8.0  # bands, deviation of the mean above which formants are made higher
FLOORS, NOISY = (-9.0, 1.0), 0.5  # nats of the noise above which training hears some items, and their share
START = -6.0, 1.0  # nats of the envelope, and how voiced before training, before the sigmoid


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults have 1.2 M parameters."""

    mel: MelConfig = field(default_factory=MelConfig)
    content: int = 64  # numbers a frame that say what is said; 64 for content/phonemes
    speakers: int = 2  # rows of the table of singers
    f0_low: float = 50.0  # Hz, between which there are harmonics; beyond, those of the nearer end
    f0_high: float = 1100.0
    dim: int = 192
    hidden: int = 384  # channels inside a ConvNeXt block
    layers: int = 6
    loudness: float = 0.0  # seconds, deviation of the window over which energy is heard; 0: frame by frame
    peaks: float = 0.0  # by how much formants are made higher in use, not in training: a learned mean is flat

    def __post_init__(self) -> None:
        if min(self.content, self.speakers, self.dim, self.hidden, self.layers) < 1:
            raise ValueError("content, speakers, dim, hidden and layers are 1 or more")
        if not 0 < self.f0_low < self.f0_high:
            raise ValueError(f"f0_low {self.f0_low} is above 0 and below f0_high {self.f0_high}")
        if not self.loudness >= 0:
            raise ValueError(f"loudness is 0 or more seconds, got {self.loudness}")
        if self.mel.log != "ln":
            raise ValueError("the levels of this network are in nats: mel.log is ln")


class Output(NamedTuple):
    mel: Tensor  # (batch, frames, mels)


class Harmonics(nn.Module):
    """F0 (batch, frames) Hz -> the mel of its harmonics above that of noise as strong, (batch, frames, mels) nats."""

    table: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.low, self.high = config.f0_low, config.f0_high
        rows = torch.from_numpy(harmonics(config.mel, self._f0(config))).float()
        self.register_buffer("table", rows, persistent=False)

    @staticmethod
    def _f0(config: Config) -> np.ndarray:
        steps = math.ceil(1200 / CENTS * math.log2(config.f0_high / config.f0_low)) + 2
        return config.f0_low * 2.0 ** (np.arange(steps) * CENTS / 1200)

    def forward(self, f0: Tensor) -> Tensor:
        place = (f0.clamp(self.low, self.high) / self.low).log2() * (1200 / CENTS)
        below = place.long()
        share = (place - below)[..., None]
        return self.table[below] * (1 - share) + self.table[below + 1] * share


def harmonics(mel: MelConfig, f0: np.ndarray) -> np.ndarray:
    """The table: f0 (rows,) Hz -> (rows, mels) nats, of pulses, one in the middle of the window, above flat noise."""
    time = np.arange(mel.n_fft) - mel.n_fft // 2
    phase = 2 * np.pi * f0[:, None] * time / mel.sample_rate
    count = np.floor(min(HIGHEST, 0.46 * mel.sample_rate) / f0)[:, None]
    half = np.sin(phase / 2)
    near = np.abs(half) < 1e-9
    pulses = np.where(near, count, np.sin((count + 0.5) * phase) / np.where(near, 1.0, 2 * half) - 0.5)
    window = np.zeros(mel.n_fft)
    left = (mel.n_fft - mel.win) // 2
    window[left : left + mel.win] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(mel.win) / mel.win)
    bands = (np.abs(np.fft.rfft(pulses * window)) ** mel.power) @ filterbank(mel).T.astype(np.float64)
    # noise of the same power per Hz, 1 / (2 F0), through the same window and filters
    flat = np.sqrt(mel.sample_rate * np.square(window).sum() / (4 * f0[:, None])) ** mel.power
    noise = flat * np.maximum(filterbank(mel).sum(1, dtype=np.float64), 1e-3)
    return np.maximum(np.log(np.maximum(bands, 1e-12) / noise), -DEEP)


class Model(nn.Module):
    """Content, F0, energy, singer -> mel; see `aoide.models.svc.Converter`."""

    around: Tensor
    over: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mels = config.mel.n_mels
        over = torch.from_numpy(window(config.loudness * config.mel.frame_rate)).float()
        self.register_buffer("over", over[None, None], persistent=False)
        near = (-0.5 * ((torch.arange(mels)[:, None] - torch.arange(mels)) / PEAK).square()).exp()
        self.register_buffer("around", near / near.sum(0), persistent=False)
        self.harmonics = Harmonics(config)
        self.content = nn.Linear(config.content, config.dim)
        self.how = nn.Linear(3, config.dim)  # how loud, how high, voiced or not
        self.speakers = nn.Embedding(config.speakers, config.dim)
        self.backbone = ConvNeXtBackbone(config.dim, config.dim, config.hidden, config.layers)
        self.envelope = nn.Linear(config.dim, mels)
        self.voiced = nn.Linear(config.dim, mels)
        for layer, level in zip((self.envelope, self.voiced), START, strict=True):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.constant_(layer.bias, level)

    @property
    def context(self) -> int:
        """Frames before and after a frame on which its mel depends."""
        return self.backbone.reach + self.over.shape[-1] // 2

    def forward(
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor,
        speaker: Tensor | None = None,
        mixture: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Output:
        """The mel.

        Args:
            content: (batch, frames, values). f0: (batch, frames) Hz, 0 = unvoiced.
            energy: (batch, frames), of which `loudness` seconds are heard at once.
            speaker: (batch,), rows of the table; or mixture, (batch, speakers) or (batch, frames, speakers), shares of
                them. Neither: the first singer.
            frame_mask: (batch, frames), True = real.
        """
        voiced = f0 > 0
        height = torch.where(voiced, (f0.clamp(min=self.config.f0_low) / 220.0).log2(), 0.0)
        loud = (self._over_time(energy, frame_mask).clamp(min=FAINTEST).log() - 1.0) / 2.0
        x = self.content(content) + self.how(torch.stack([loud, height, voiced.to(loud.dtype)], dim=-1))
        x = self.backbone(x + self._who(x, speaker, mixture), frame_mask)
        envelope, share = self.envelope(x), self.voiced(x)
        trace.report("harmonic/envelope", envelope)
        trace.report("harmonic/voiced", share)
        # the logarithm of a mean, weighted by the sigmoid of the share, of harmonics and of noise
        sung, breath = self.harmonics(f0) - functional.softplus(-share), -functional.softplus(share)
        both = sung + functional.softplus(breath - sung)
        if self.config.peaks and not self.training:
            envelope = envelope + self.config.peaks * (envelope - envelope @ self.around)
        mel = envelope + both.masked_fill(~voiced[..., None], 0.0)
        return Output(mel if frame_mask is None else mel.masked_fill(~frame_mask[..., None], self.config.mel.silence))

    @torch.no_grad()
    def convert(
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        *,
        mixture: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """Sings in another voice: (batch, frames, mels) of `config.mel`; arguments as of `forward`.

        Raises:
            UserError: no energy.
        """
        if energy is None:
            raise UserError("this model is steered by energy: give it")
        return self(content, f0, energy, speaker, mixture, frame_mask).mel

    def _over_time(self, energy: Tensor, mask: Tensor | None) -> Tensor:
        """Energy in the window of `loudness`, (batch, frames); in training of some items above noise as of a room."""
        if not self.config.loudness:
            return energy
        real = torch.ones_like(energy) if mask is None else mask.to(energy.dtype)
        both, reach = torch.stack([energy.square() * real, real], dim=1).flatten(0, 1), self.over.shape[-1] // 2
        sums = functional.conv1d(both[:, None], self.over, padding=reach).unflatten(0, (-1, 2))[..., 0, :]
        power = sums[:, 0] / sums[:, 1].clamp(min=1e-6)
        if self.training:
            floor = torch.empty_like(power[:, :1]).uniform_(*FLOORS).mul(2).exp()
            power = power + floor * (torch.rand_like(floor) < NOISY)
        return power.clamp(min=FAINTEST**2).sqrt()

    def _who(self, x: Tensor, speaker: Tensor | None, mixture: Tensor | None) -> Tensor:
        """(batch, 1 or frames, dim)."""
        if mixture is not None:
            return (mixture if mixture.ndim == 3 else mixture[:, None]) @ self.speakers.weight
        if speaker is None:
            speaker = torch.zeros(len(x), dtype=torch.long, device=x.device)
        return self.speakers(speaker)[:, None]


# ------------------------------------------------------------------------------------------------------------- training


def mel_loss(output: Output, batch: Batch) -> Tensor:
    """The mean absolute difference of log-mels."""
    mask = batch.get("frame_mask")
    mask = torch.ones_like(batch["f0"], dtype=torch.bool) if mask is None else mask
    return regression.masked_l1(output.mel, batch["mel"], mask)


LOSSES: dict[str, Any] = {"mel": mel_loss}
TRAINING = regression.Config(weights={"mel": 1.0})
NEEDS = ("content", "f0", "energy", "mel", "speaker")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000),
    content=6,
    speakers=3,
    dim=16,
    hidden=24,
    layers=2,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 20 frames, a third of them unvoiced."""

    def drawn(*shape: int) -> Tensor:
        return torch.rand(batch, 20, *shape, generator=generator)

    f0 = 100 + 400 * drawn()
    return {
        "content": drawn(config.content) - 0.5,
        "f0": f0.masked_fill(drawn() < 0.33, 0.0),
        "energy": 5 * drawn(),
        "speaker": torch.arange(batch) % config.speakers,
        "mel": 2 * drawn(config.mel.n_mels) - 5,
        "frame_mask": torch.ones(batch, 20, dtype=torch.bool),
    }


# --------------------------------------------------------------------------------------------------------------- export


class Exported(nn.Module):
    """content, f0, energy, mixture (batch, frames, speakers) -> mel: what becomes a graph."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, content: Tensor, f0: Tensor, energy: Tensor, mixture: Tensor) -> Tensor:
        return self.model(content, f0, energy, mixture=mixture).mel
