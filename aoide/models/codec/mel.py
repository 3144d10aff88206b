"""Mel codec: sound (batch, samples) -> codes (batch, frames, codebooks) -> log-mel (batch, frames * stride, mels).

Idea         Waves are dear and mels are cheap: what a mel does not say, a vocoder makes up. Two frames of the mel side
             by side are one frame of the codec; their principal components are said by a stack of small codebooks, and
             a decoder, which hears the frames around, takes out of the mel what the codebooks got wrong. Components and
             codebooks are found in the first batches, by eigenvectors and k-means, so that training begins where
             gradients would be after hours; then the codebooks follow the data as running means, and gradients move the
             decoder alone. Codebooks of 256 codes make one byte of each code.
Objective    regression of the mel, where it can be heard (aoide/objectives/regression.py)
Recipes      recipes/codec/mel-24k.yaml
Code         Aoide's own. Transform coding by principal components is classical (Huang and Schultheiss 1963, IEEE Trans.
             Commun. Syst. 11(3)), and so is k-means for codebooks of spectra (Linde, Buzo and Gray 1980, IEEE Trans.
             Commun. 28(1)); codebooks in a stack, some of them dropped in training, are SoundStream's
             (arXiv:2107.03312), the decoder's blocks those of Vocos (arXiv:2306.00814)
Parity       none: there is no original
Differs      from the other codecs (see aoide.models.codec.Codec): `decode` gives a mel of `Model.mel`, not sound
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.models.codec import Numbers, check_codes, whole_frames
from aoide.nn.convnext import ConvNeXtBackbone
from aoide.nn.quantize import EuclideanVQ, ResidualVQ
from aoide.objectives import Batch, regression

GAINS = (-3.0, 1.0)  # nats by which training makes a recording quieter or louder
START = 30_000  # frames of the codec in which components and codebooks are found
AUDIBLE = 8.0  # nats below the loudest band around: 70 dB
FAINT = 0.1  # what a band counts that nobody hears, beside one that is heard
AROUND = 9  # frames to each side in which the loudest band is looked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults give 7.5 kbit/s with 1.2 M parameters."""

    mel: MelConfig = field(default_factory=MelConfig)
    stride: int = 2  # frames of the mel that are one of the codec
    code_dim: int = 80  # components of a frame that are kept
    codebooks: int = 20
    codes: int = 256  # entries of a codebook
    dropout: float = 0.35  # share of the items of a training batch that use fewer codebooks
    dim: int = 192
    hidden: int = 576  # channels inside a ConvNeXt block
    layers: int = 4

    def __post_init__(self) -> None:
        if min(self.stride, self.dim, self.hidden, self.layers) < 1:
            raise ValueError("stride, dim, hidden and layers are 1 or more")
        if not 1 <= self.code_dim <= self.stride * self.mel.n_mels:
            raise ValueError(f"a frame has {self.stride * self.mel.n_mels} components, code_dim is {self.code_dim}")
        if self.mel.log != "ln":
            raise ValueError("the levels of this codec are in nats: mel.log is ln")

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.mel.sample_rate

    @property
    def hop(self) -> int:
        """Samples of a frame of the codec."""
        return self.stride * self.mel.hop


class Output(NamedTuple):
    mel: Tensor  # (batch, frames, mels), as long as what came in
    codes: Tensor  # (batch, frames / stride, codebooks)
    commitment: Tensor  # (batch, codebooks): how far the codes are from what they say
    codebook: Tensor  # (batch, codebooks), 0: the codes follow by themselves


class Model(Numbers, nn.Module):
    """Sound -> codes -> log-mel; see `aoide.models.codec.Codec`, and `mel` for what comes out."""

    middle: Tensor
    components: Tensor
    started: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        patch = config.stride * config.mel.n_mels
        self.spectrogram = MelSpectrogram(config.mel)
        self.register_buffer("middle", torch.full((patch,), -4.0))
        self.register_buffer("components", torch.linalg.qr(torch.randn(patch, config.code_dim))[0].contiguous())
        self.register_buffer("started", torch.tensor(False))
        self.quantiser = ResidualVQ(
            (EuclideanVQ(config.code_dim, config.codes) for _ in range(config.codebooks)), config.dropout
        )
        self.decoder = ConvNeXtBackbone(config.code_dim, config.dim, config.hidden, config.layers)
        self.outward = nn.Linear(config.dim, patch)
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)
        self._waiting: list[Tensor] = []  # frames of the first batches

    @property
    def mel(self) -> MelConfig:
        """What `decode` gives: a vocoder of this mel makes the sound."""
        return self.config.mel

    @property
    def context(self) -> int:
        window = math.ceil(self.mel.n_fft / 2 / self.hop)  # frames that a transform reaches
        return max(window, self.decoder.reach)

    def forward(self, mel: Tensor, frame_mask: Tensor | None = None) -> Output:
        """mel (batch, frames, mels), frame_mask (batch, frames) with True = real -> see `Output`.

        In training each item is made quieter or louder, and what comes out is brought back: the level of a recording
        is chance. The first frames that are heard in training are kept until there are enough to `start`.
        """
        gain = mel.new_zeros(len(mel), 1, 1)
        if self.training:
            gain = gain.uniform_(*GAINS)
        frames, mask = self.side_by_side(mel + gain, frame_mask)
        if self.training and not self.started:
            self._wait(frames.detach() if mask is None else frames.detach()[mask])
        quantised = self.quantiser(self.analyse(frames), mask)
        trace.report("mel/codes", quantised.codes)
        made = self.synthesise(quantised.vectors, mask)[:, : mel.shape[1]] - gain
        return Output(made, quantised.codes, quantised.commitment, quantised.codebook)

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) with True = real -> codes (batch, frames, codebooks) int64."""
        lengths = None if mask is None else mask.sum(1) * self.hop
        mel = self.spectrogram(whole_frames(audio, self), lengths)
        return self.encode_mel(mel, None if mask is None else mask.repeat_interleave(self.config.stride, dim=1))

    def encode_mel(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels), frame_mask (batch, frames) -> codes (batch, frames / stride, codebooks) int64."""
        frames, mask = self.side_by_side(mel, frame_mask)
        return self.quantiser.encode(self.analyse(frames), mask)

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or the first few of them) -> mel (batch, frames * stride, mels).

        Raises:
            UserError: codes that are not of this codec.
        """
        check_codes(codes, self)
        return self.synthesise(self.quantiser.decode(codes, mask), mask)

    # ------------------------------------------------------------------------------------------------------------ parts

    def side_by_side(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """mel (batch, frames, mels) -> (batch, frames / stride, stride * mels) and its mask; silence fills the last."""
        stride, silence = self.config.stride, self.mel.silence
        if frame_mask is not None:
            mel = mel.masked_fill(~frame_mask[..., None], silence)
        mel = functional.pad(mel, (0, 0, 0, -mel.shape[1] % stride), value=silence)
        return mel.unflatten(1, (-1, stride)).flatten(2), None if frame_mask is None else frame_mask[:, ::stride]

    def analyse(self, frames: Tensor) -> Tensor:
        """Frames of the mel side by side (batch, frames, stride * mels) -> components (batch, frames, code_dim)."""
        return (frames.clamp(min=self.mel.silence) - self.middle) @ self.components

    def widen(self, components: Tensor, spread: Tensor, mask: Tensor | None = None) -> Tensor:
        """Components as the codes say them (batch, frames, code_dim) -> (batch, frames, stride * mels)."""
        mended = self.outward(self.decoder(components / spread, mask))
        return components @ self.components.mT + self.middle + mended

    def spread(self) -> Tensor:
        """The deviation of each component as the codebooks have it, (code_dim,): that of the first is fifty times that
        of the last, which a decoder would not hear beside it.
        """
        everything = torch.arange(self.cardinality, device=self.middle.device)
        tables = [self.quantiser.lookup(everything, i) for i in range(self.codebooks)]
        return torch.stack([table.var(0) for table in tables]).sum(0).sqrt()

    def synthesise(self, components: Tensor, mask: Tensor | None = None) -> Tensor:
        """The same, frame after frame: (batch, frames * stride, mels); silence where padded."""
        frames = self.widen(components, self.spread(), mask)
        if mask is not None:
            frames = frames.masked_fill(~mask[..., None], self.mel.silence)
        return frames.unflatten(2, (self.config.stride, -1)).flatten(1, 2)

    # ------------------------------------------------------------------------------------------------------------ start

    def _wait(self, frames: Tensor) -> None:
        """Keeps frames (..., stride * mels) until there are enough to start with."""
        self._waiting.append(frames.flatten(0, -2))
        if sum(map(len, self._waiting)) >= START:
            self.start(torch.cat(self._waiting))
            self._waiting = []

    @torch.no_grad()
    def start(self, frames: Tensor) -> None:
        """Finds components and codebooks in frames of mels side by side (frames, stride * mels); resets the decoder's
        last layer, which has learned to mend others.
        """
        frames = frames.clamp(min=self.mel.silence)
        self.middle.copy_(frames.mean(0))
        strongest = torch.linalg.eigh(torch.cov((frames - self.middle).mT))[1].flip(1)
        self.components.copy_(strongest[:, : self.config.code_dim])
        self.quantiser.start(self.analyse(frames))
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)
        self.started.fill_(True)


# ------------------------------------------------------------------------------------------------------------- training


def heard(output: Output, batch: Batch) -> Tensor:
    """L1 between log-mels. A band far below the loudest around it, which nobody hears, counts little."""
    mel = batch["mel"]
    mask = batch.get("frame_mask")
    mask = torch.ones_like(mel[..., 0], dtype=torch.bool) if mask is None else mask
    loudest = mel.amax(-1).masked_fill(~mask, -math.inf)
    loudest = functional.max_pool1d(loudest[:, None], 2 * AROUND + 1, stride=1, padding=AROUND)[:, 0, :, None]
    weight = FAINT + (1 - FAINT) * torch.sigmoid(mel - loudest + AUDIBLE)
    return regression.masked_l1(weight * output.mel, weight * mel, mask)


LOSSES: dict[str, Any] = {"mel": heard}
TRAINING = regression.Config(weights={"mel": 1.0})
NEEDS = ("mel",)
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000),
    code_dim=8,
    codebooks=3,
    codes=12,
    dim=16,
    hidden=24,
    layers=2,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels of 80 frames."""
    frames = 80
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 4,
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }


# --------------------------------------------------------------------------------------------------------------- export


class ExportedEncoder(nn.Module):
    """mel, its frames side by side (batch, frames, stride * mels) -> codes (batch, frames, codebooks) int64."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.tables = tables(model)

    def forward(self, mel: Tensor) -> Tensor:
        rest, codes = self.model.analyse(mel), []
        for table in self.tables:
            assert isinstance(table, nn.Embedding)
            nearness = rest @ table.weight.T - table.weight.square().sum(1) / 2
            codes.append(nearness.argmax(-1))
            rest = rest - table(codes[-1])
        return torch.stack(codes, dim=-1)


class ExportedDecoder(nn.Module):
    """codes (batch, frames, codebooks) int64, -1 where left out -> mel, as `ExportedEncoder` reads it."""

    spread: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.tables = tables(model)
        self.register_buffer("spread", model.spread())

    def forward(self, codes: Tensor) -> Tensor:
        known = codes.clamp(min=0)
        parts = [table(known[..., i]) * (codes[..., i : i + 1] >= 0) for i, table in enumerate(self.tables)]
        return self.model.widen(torch.stack(parts).sum(0), self.spread)


def tables(model: Model) -> nn.ModuleList:
    """The codebooks as embeddings, which can be stored in 8 bits."""
    everything = torch.arange(model.cardinality)
    lookup = model.quantiser.lookup
    return nn.ModuleList(nn.Embedding.from_pretrained(lookup(everything, i)) for i in range(model.codebooks))
