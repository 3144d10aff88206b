"""XiaoiceSing: phonemes, their durations and F0 -> spectral envelope and aperiodicity -> singing by source and filter.

    tokens, durations (batch, tokens), f0 (batch, frames) Hz -> envelope (batch, frames, bands),
                                                                aperiodicity (batch, frames, noise_bands)

Idea         A singer of FastSpeech's form that predicts what a vocoder of the WORLD kind needs: how loud each band is,
             and how much of it is noise. F0 comes from the score and goes into the sound as it is, so the singer is as
             much in tune as its score. Envelope and aperiodicity of a teacher that computes its voice follow from its
             score, so plain regression does not blur them.
Objective    regression (aoide/objectives/regression.py)
Recipe       recipes/svs/ja-f001-song.yaml
Paper        Lu et al. 2020, arXiv:2006.06261; WORLD: Morise et al. 2016; minimum phase from a warped cepstrum: Tokuda
             et al. 1994
Code         none published
Checkpoints  none published; ours is the voice ja-f001-song
Differs      ConvNeXt blocks instead of Transformers, so that a phrase is sung alike wherever it stands; the length of a
             phoneme goes in, since scores give it; F0 is not predicted but asked for; the envelope on points of a
             warped scale (aoide/audio/warped.py) instead of a cepstrum, and one inverse STFT (generate/synthesis.py)
             instead of WORLD's synthesis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio import warped, world
from aoide.audio.sound import Sound
from aoide.nn.convnext import ConvNeXtBlock
from aoide.nn.lengths import token_of_frame
from aoide.nn.sourcefilter import VOICED_ABOVE
from aoide.objectives import regression
from aoide.objectives.regression import masked_l1

F0_CENTRE = 300.0  # Hz; log F0 is fed relative to it
CENTRE, SPREAD = -6.0, 3.0  # of the log envelope, so that the network gives numbers of about 1
FLOOR = -11.0  # of the log envelope: what is quieter need not be learned
EDGE = 30  # frames from both ends of a phoneme that are told apart
NEEDS = ("tokens", "durations", "f0", "envelope", "aperiodicity")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    symbols: int = 178  # size of the phoneme table, with padding
    sample_rate: int = 24_000  # Hz
    hop: int = 240  # samples between frames
    n_fft: int = 960  # samples, of the synthesis
    bands: int = 80  # points of the envelope
    noise_bands: int = 12  # points of the aperiodicity
    encoder_dim: int = 160
    encoder_layers: int = 4
    dim: int = 224
    hidden: int = 672  # channels inside a block of the decoder
    layers: int = 6

    def __post_init__(self) -> None:
        if self.n_fft % self.hop or self.n_fft < 2 * self.hop:
            raise ValueError(f"n_fft is a multiple of hop, twice or more, got {self.n_fft} and {self.hop}")
        if min(self.bands, self.noise_bands) < 2:
            raise ValueError("bands and noise_bands are 2 or more")

    @property
    def frame_rate(self) -> float:  # frames per second
        return self.sample_rate / self.hop


class Output(NamedTuple):
    envelope: Tensor  # (batch, frames, bands), natural log of the amplitude of a source of unit power, filtered
    aperiodicity: Tensor  # (batch, frames, noise_bands), natural log of the share of noise in it, at most 0
    frame_mask: Tensor  # (batch, frames)


class Model(nn.Module):
    """Phonemes with durations, F0 -> envelope and aperiodicity."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        small, dim = config.encoder_dim, config.dim
        self.embed = nn.Embedding(config.symbols, small)
        self.length = nn.Linear(1, small)
        self.encoder = nn.ModuleList(
            ConvNeXtBlock(small, 2 * small, layer_scale=0.3) for _ in range(config.encoder_layers)
        )
        self.encoder_norm = nn.LayerNorm(small)
        self.into = nn.Linear(small + 6, dim)
        self.decoder = nn.ModuleList(ConvNeXtBlock(dim, config.hidden, layer_scale=0.3) for _ in range(config.layers))
        self.decoder_norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, config.bands + config.noise_bands)

    def forward(self, tokens: Tensor, token_mask: Tensor, durations: Tensor, f0: Tensor) -> Output:
        """tokens, token_mask, durations (batch, tokens), durations in frames; f0 (batch, frames) Hz, 0 = unvoiced."""
        lengths = (1 + durations.to(f0.dtype)).log()[..., None]
        text = self.embed(tokens) + self.length(lengths - 2.5)
        for block in self.encoder:
            text = block(text, token_mask)
        x, mask = self._spread(self.encoder_norm(text), durations, f0)
        for block in self.decoder:
            x = block(x, mask)
        x = self.head(self.decoder_norm(x))
        envelope, noise = x.split([self.config.bands, self.config.noise_bands], dim=-1)
        envelope, noise = CENTRE + SPREAD * envelope, -nn.functional.softplus(noise)
        trace.report("envelope", envelope)
        return Output(envelope, noise, mask)

    def vocode(self, output: Output, f0: Tensor) -> list[Sound]:
        """The sound of each item by WORLD (`audio/world.py`), as long as it is: f0 (batch, frames) Hz, 0 = unvoiced.

        Raises:
            MissingExtra: WORLD is not installed.
        """
        config, sounds = self.config, []
        for envelope, noise, line, mask in zip(
            output.envelope, output.aperiodicity, f0, output.frame_mask, strict=True
        ):
            parts = (x[mask].detach().cpu().numpy() for x in (line, envelope, noise))
            samples = world.synthesise(*parts, sample_rate=config.sample_rate, hop=config.hop)
            sounds.append(Sound(samples, config.sample_rate))
        return sounds

    def _spread(self, text: Tensor, durations: Tensor, f0: Tensor) -> tuple[Tensor, Tensor]:
        """Phonemes for each of their frames, with its place in the phoneme and F0: (batch, frames, dim), mask."""
        frames = torch.arange(f0.shape[1], device=f0.device)
        ends = durations.cumsum(dim=1)
        token = token_of_frame(durations, f0.shape[1])
        mask = token < durations.shape[1]
        owner = token.clamp(max=durations.shape[1] - 1)
        length = durations.gather(1, owner)
        since = frames - (ends - durations).gather(1, owner)
        left = length - since - 1
        voiced = (f0 > VOICED_ABOVE).to(text.dtype)
        place = torch.stack(
            [
                (since + 0.5) / length.clamp(min=1) - 0.5,
                since.clamp(0, EDGE) / EDGE * 2 - 1,
                left.clamp(0, EDGE) / EDGE * 2 - 1,
                length.clamp(min=1).log() - 2.5,
                2 * voiced * (f0.clamp(min=VOICED_ABOVE) / F0_CENTRE).log(),
                voiced,
            ],
            dim=-1,
        ).to(text.dtype)
        repeated = text.gather(1, owner[..., None].expand(-1, -1, text.shape[-1]))
        return self.into(torch.cat([repeated, place], dim=-1)) * mask[..., None], mask


# -------------------------------------------------------------------------------------------------------------- losses


def envelope_loss(output: Output, batch: Mapping[str, Tensor]) -> Tensor:
    """L1 in nats, of what can be heard."""
    target = batch["envelope"].to(output.envelope.dtype).clamp(min=FLOOR)
    return masked_l1(output.envelope.clamp(min=FLOOR - 1), target, output.frame_mask)


def motion_loss(output: Output, batch: Mapping[str, Tensor]) -> Tensor:
    """L1 of how the envelope changes from frame to frame: consonants are short."""
    target = batch["envelope"].to(output.envelope.dtype).clamp(min=FLOOR)
    made = output.envelope.clamp(min=FLOOR - 1)
    return masked_l1(made.diff(dim=1), target.diff(dim=1), output.frame_mask[:, 1:])


def aperiodicity_loss(output: Output, batch: Mapping[str, Tensor]) -> Tensor:
    """L1 in nats where there are pulses that noise could be compared with."""
    voiced = (batch["f0"] > VOICED_ABOVE) & output.frame_mask
    return masked_l1(output.aperiodicity, batch["aperiodicity"].to(output.aperiodicity.dtype), voiced)


LOSSES = {"envelope": envelope_loss, "motion": motion_loss, "aperiodicity": aperiodicity_loss}
TRAINING = regression.Config(weights={"envelope": 1.0, "motion": 1.0, "aperiodicity": 0.3})
TOY = Config(
    symbols=20, sample_rate=2400, hop=30, n_fft=120, bands=9, noise_bands=3, encoder_dim=16, encoder_layers=1, dim=16,
    hidden=32, layers=1,
)  # fmt: skip


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the data layer makes it, of random numbers; the last item is shorter than the others."""
    tokens, most = 7, 5
    token_mask = torch.arange(tokens) < torch.tensor([tokens] * (batch - 1) + [tokens - 2])[:, None]
    durations = torch.randint(1, most, (batch, tokens), generator=generator) * token_mask
    frames = int(durations.sum(dim=1).max())
    f0 = 100 + 200 * torch.rand(batch, frames, generator=generator)
    return {
        "tokens": torch.randint(1, config.symbols, (batch, tokens), generator=generator) * token_mask,
        "token_mask": token_mask,
        "durations": durations,
        "frame_mask": torch.arange(frames) < durations.sum(dim=1, keepdim=True),
        "f0": torch.where(torch.rand(batch, frames, generator=generator) > 0.3, f0, 0.0),
        "envelope": CENTRE + SPREAD * torch.randn(batch, frames, config.bands, generator=generator),
        "aperiodicity": -torch.rand(batch, frames, config.noise_bands, generator=generator),
    }


# -------------------------------------------------------------------------------------------------------------- export


class Sung(nn.Module):
    """The graph of an exported singer: see `generate/singer.py`."""

    magnitude: Tensor
    phase: Tensor
    noise: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        config, bins = model.config, model.config.n_fft // 2 + 1
        magnitude, phase = warped.basis(config.bands, bins)
        self.register_buffer("magnitude", torch.from_numpy(magnitude), persistent=False)
        self.register_buffer("phase", torch.from_numpy(phase), persistent=False)
        points = warped.grid(config.noise_bands)
        lines = torch.tensor([[float(k == i) for i in range(len(points))] for k in range(len(points))])
        self.register_buffer("noise", _between(points.tolist(), lines, bins), persistent=False)

    def forward(self, tokens: Tensor, durations: Tensor, f0: Tensor) -> tuple[Tensor, ...]:
        """tokens, durations (1, tokens), f0 (1, frames) -> lh, theta, lr, phi (1, frames, bins), drawn (1, frames).

        A pulse train has a line every F0 where noise has a little everywhere: lines of amplitude 2 sqrt(F0 / rate) have
        the power of noise of power 1.
        """
        config = self.model.config
        output = self.model(tokens, torch.ones_like(tokens, dtype=torch.bool), durations, f0)
        envelope = output.envelope @ self.magnitude
        voiced = (f0 > VOICED_ABOVE)[..., None]
        share = torch.where(voiced, output.aperiodicity @ self.noise, 0.0)
        lines = math.log(2 * config.n_fft / 4) + 0.5 * (f0.clamp(min=VOICED_ABOVE) / config.sample_rate).log()
        lh = envelope + lines[..., None] + 0.5 * (1 - (2 * share).exp()).clamp(min=1e-2).log()
        turns = (output.envelope @ self.phase) / math.pi
        turns = turns - 2 * (turns / 2).round()
        # neighbouring frames whose phases are drawn do not agree: of four that overlap, half the amplitude is left
        lr = envelope + share + 0.5 * math.log(3 / 8 * config.n_fft) + math.log(2)
        return lh, turns.clamp(-0.9999, 0.9999).atanh(), lr, torch.zeros_like(lr), torch.ones_like(f0)


def _between(points: list[float], values: Tensor, bins: int) -> Tensor:
    """Values (points, n) drawn through with straight lines: the matrix (n, bins) of what they are at bins."""
    at = torch.linspace(0, 1, bins)
    right = torch.bucketize(at, torch.tensor(points)).clamp(1, len(points) - 1)
    left_point, right_point = torch.tensor(points)[right - 1], torch.tensor(points)[right]
    share = (at - left_point) / (right_point - left_point)
    return values[:, right - 1] * (1 - share) + values[:, right] * share
