"""Spectral, a small codec for a CPU: sound (batch, samples) <-> codes (batch, frames, codebooks), frames of one hop.

Idea         Stay at the frame rate on both sides. The encoder reads the complex spectrum, its magnitudes brought near
             each other by a cube root; a stack of codebooks says the frame; the decoder answers with a complex spectrum
             and, for what the codes cannot say, the level of a noise in each bin. One inverse STFT makes the sound.
             Noise need not be learned wave by wave, so regression alone, without critics, gives a natural sound.
Objective    regression of the spectrum, with STFT and mel distances of the sound (aoide/objectives/regression.py)
Recipes      recipes/codec/spectral-folder.yaml
Code         Aoide's own. ConvNeXt blocks at the frame rate are those of Vocos (arXiv:2306.00814), the codebooks are
             those of SoundStream (arXiv:2107.03312); noise in the place of coefficients is an old tool of audio coding
             (perceptual noise substitution, Herre and Schulz 1998, AES preprint 4720)
Parity       none: there is no original
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.stft import stft
from aoide.models.codec import Numbers, check_codes, commitment, whole_frames
from aoide.nn.convnext import ConvNeXtBackbone
from aoide.nn.istft import InverseSTFT, exact
from aoide.nn.quantize import EuclideanVQ, ResidualVQ
from aoide.nn.stft_loss import MultiResolutionSTFTLoss, MultiScaleMelLoss
from aoide.objectives import Batch, regression

HIGHEST = 8.0  # of a coordinate of the spectrum under the cube root: far above full scale, guards early training
NOISES = 256  # frames of noise to choose from


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults give 6 kbit/s with 6 M parameters."""

    sample_rate: int = 24_000  # Hz
    hop: int = 320  # samples of a frame
    n_fft: int = 960  # samples of a transform
    dim: int = 256
    hidden: int = 768  # channels inside a ConvNeXt block
    encoder_layers: int = 4
    decoder_layers: int = 8
    codebooks: int = 8
    codes: int = 1024  # entries of a codebook
    code_dim: int = 64
    dropout: float = 0.5  # share of the items of a training batch that use fewer codebooks

    def __post_init__(self) -> None:
        if self.n_fft % 2 or (self.n_fft - self.hop) % 2 or not 0 < 2 * self.hop < self.n_fft:
            raise ValueError(f"n_fft and hop are even, n_fft above 2 * hop; got {self.n_fft} and {self.hop}")

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def bins(self) -> int:
        """Frequencies of a spectrum."""
        return self.n_fft // 2 + 1


class Output(NamedTuple):
    audio: Tensor  # (batch, frames * hop)
    codes: Tensor  # (batch, frames, codebooks)
    commitment: Tensor  # (batch, codebooks)
    codebook: Tensor  # (batch, codebooks), 0: the codes follow the encoder by themselves
    spectrum: Tensor  # (batch, frames, 2 * bins): real parts, imaginary parts, under the cube root, without the noise


# ---------------------------------------------------------------------------------------------------------------- parts


def compress(spectrum: Tensor) -> Tensor:
    """(batch, frames, bins, 2) -> real and imaginary parts (batch, frames, 2 * bins) of z with z |z|^2 = spectrum."""
    power = spectrum.square().sum(-1, keepdim=True)
    return (spectrum * (power + 1e-6) ** (-1 / 3)).mT.flatten(2)


class Analysis(nn.Module):
    """Sound (batch, frames * hop) -> its compressed spectrum (batch, frames, 2 * bins), one a hop, in its middle."""

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    def forward(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, frames * hop), mask (batch, frames) with True = real -> (batch, frames, 2 * bins)."""
        c = self.config
        lengths = None if mask is None else mask.sum(1) * c.hop
        return compress(torch.view_as_real(stft(audio.float(), c.n_fft, c.hop, self.window, "same", lengths)))


class Head(nn.Module):
    """hidden (batch, frames, dim) and the codes -> spectrum, with and without the noise.

    The noise has the phases of one of a few frames of noise that never change; which one, the codes say. So the same
    codes give the same sound, wherever they stand and in pieces of any length.
    """

    phases: Tensor
    steps: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bins = config.bins
        self.out = nn.Linear(config.dim, 3 * config.bins)
        angle = 2 * math.pi * torch.rand(NOISES, config.bins, generator=torch.Generator().manual_seed(0))
        self.register_buffer("phases", torch.cat([angle.cos(), angle.sin()], dim=1), persistent=False)
        steps = torch.tensor([1, 3, 7, 31, 127, 89, 57, 211])  # odd: a change of one code changes the frame of noise
        self.register_buffer("steps", steps[torch.arange(config.codebooks) % 8], persistent=False)

    def forward(self, hidden: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """-> compressed spectrum without noise, and full spectrum with noise, both (batch, frames, 2 * bins)."""
        out = exact(self.out, hidden)
        plain = out[..., : 2 * self.bins].clamp(-HIGHEST, HIGHEST)
        level = out[..., 2 * self.bins :].clamp(max=math.log(HIGHEST**3)).exp()
        trace.report("spectral/noise", level)
        power = plain.unflatten(2, (2, self.bins)).square().sum(2).repeat(1, 1, 2)
        chosen = (codes * self.steps[: codes.shape[2]]).sum(2) % NOISES
        noise = functional.embedding(chosen, self.phases)
        return plain, plain * power + level.repeat(1, 1, 2) * noise


# ---------------------------------------------------------------------------------------------------------------- model


class Model(Numbers, nn.Module):
    """Sound -> codes -> sound; see `aoide.models.codec.Codec`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, hidden = config.dim, config.hidden
        self.analysis = Analysis(config)
        self.embed = nn.Linear(2 * config.bins, dim)
        self.encoder = ConvNeXtBackbone(dim, dim, hidden, config.encoder_layers)
        self.narrow = nn.Linear(dim, config.code_dim)
        self.quantiser = ResidualVQ(
            (EuclideanVQ(config.code_dim, config.codes) for _ in range(config.codebooks)), config.dropout
        )
        self.decoder = ConvNeXtBackbone(config.code_dim, dim, hidden, config.decoder_layers)
        self.head = Head(config)
        self.istft = InverseSTFT(config.n_fft, config.hop, "same")

    @property
    def context(self) -> int:
        window = math.ceil(self.config.n_fft / self.config.hop / 2) + 1  # frames that a transform reaches
        return max(self.encoder.reach, self.decoder.reach) + window

    def forward(self, audio: Tensor, frame_mask: Tensor | None = None) -> Output:
        """audio (batch, samples), frame_mask (batch, frames) with True = real -> see `Output`."""
        quantised = self.quantiser(self.latents(whole_frames(audio, self), frame_mask), frame_mask)
        trace.report("spectral/codes", quantised.codes)
        sound, spectrum = self.synthesise(quantised.vectors, quantised.codes, frame_mask)
        return Output(sound, quantised.codes, quantised.commitment, quantised.codebook, spectrum)

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) with True = real -> codes (batch, frames, codebooks) int64."""
        return self.quantiser.encode(self.latents(whole_frames(audio, self), mask), mask)

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or the first few of them) -> audio (batch, frames * hop).

        Raises:
            UserError: codes that are not of this codec.
        """
        check_codes(codes, self)
        return self.synthesise(self.quantiser.decode(codes, mask), codes, mask)[0]

    def latents(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sound (batch, frames * hop) -> what the codebooks read (batch, frames, code_dim)."""
        return self.narrow(self.encoder(self.embed(self.analysis(audio, mask)), mask))

    def synthesise(self, vectors: Tensor, codes: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Vectors of the codes (batch, frames, code_dim) -> sound, and the compressed spectrum without noise."""
        plain, full = self.head(self.decoder(vectors, mask), codes)
        spectrum = torch.complex(*full.chunk(2, dim=2))
        return self.istft(spectrum, mask), plain


# ------------------------------------------------------------------------------------------------------------- training


class SpectrumDistance(nn.Module):
    """The mean squared distance of compressed spectra, without the noise, each bin weighted by its width in mels.

    Squares, so that a bin is told as far as its phase is known: where it is not, the best answer is 0, and noise.
    """

    weight: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.analysis = Analysis(config)
        width = 1 / (700 + torch.linspace(0, config.sample_rate / 2, config.bins))
        self.register_buffer("weight", (width / width.mean()).sqrt().repeat(2), persistent=False)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        audio = batch["audio"][:, : output.audio.shape[1]]
        mask = batch.get("frame_mask")
        mask = torch.ones_like(output.codes[..., 0], dtype=torch.bool) if mask is None else mask
        recorded = self.analysis(audio, mask)
        return regression.masked_l2(self.weight * output.spectrum, self.weight * recorded, mask)


class STFTDistance(nn.Module):
    """Spectral convergence and L1 of log magnitudes at three resolutions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MultiResolutionSTFTLoss()

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"][:, : output.audio.shape[1]])


class MelDistance(nn.Module):
    """L1 between log-mels at four scales."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MultiScaleMelLoss(config.sample_rate, n_mels=(20, 40, 80, 160), windows=(256, 512, 1024, 2048))

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"][:, : output.audio.shape[1]])


LOSSES: dict[str, Any] = {
    "spectrum": SpectrumDistance,
    "stft": STFTDistance,
    "mel": MelDistance,
    "commitment": commitment,
}
TRAINING = regression.Config(weights={"spectrum": 10.0, "stft": 0.5, "mel": 0.5, "commitment": 0.25})
NEEDS = ("audio",)
TOY = Config(
    sample_rate=8_000,
    hop=16,
    n_fft=48,
    dim=16,
    hidden=24,
    encoder_layers=1,
    decoder_layers=2,
    codebooks=3,
    codes=12,
    code_dim=8,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of noise of 80 frames."""
    frames = 80
    return {
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }


# --------------------------------------------------------------------------------------------------------------- export


class ExportedEncoder(nn.Module):
    """The encoder as a graph of plain operators: the transform is a convolution with its waves, no complex numbers."""

    waves: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("waves", waves(model.config)[:, None])

    def forward(self, audio: Tensor) -> Tensor:
        """audio (batch, frames * hop), at least three frames -> codes (batch, frames, codebooks) int64."""
        c = self.model.config
        margin = (c.n_fft - c.hop) // 2
        padded = functional.pad(audio[:, None], (margin, margin), mode="reflect")
        spectrum = functional.conv1d(padded, self.waves, stride=c.hop).unflatten(1, (2, c.bins)).permute(0, 3, 2, 1)
        return self.model.quantiser.encode(self.model.narrow(self.model.encoder(self.model.embed(compress(spectrum)))))


class ExportedDecoder(nn.Module):
    """The decoder as a graph of plain operators: the inverse transform is a transposed convolution."""

    waves: Tensor
    power: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        window = model.analysis.window
        scale = torch.full(
            (model.config.bins,), 2.0 / model.config.n_fft
        )  # a frequency stands for two, but for the ends
        scale[0] = scale[-1] = 1.0 / model.config.n_fft
        self.register_buffer("waves", waves(model.config)[:, None] * scale.repeat(2)[:, None, None])
        self.register_buffer("power", window.square()[None, None])

    def forward(self, codes: Tensor) -> Tensor:
        """codes (batch, frames, codebooks) int64, -1 for codebooks that are left out -> audio (batch, frames * hop)."""
        c, quantiser = self.model.config, self.model.quantiser
        known = codes.clamp(min=0)
        parts = [quantiser.lookup(known[..., i], i) * (codes[..., i : i + 1] >= 0) for i in range(c.codebooks)]
        hidden = self.model.decoder(torch.stack(parts).sum(0))
        spectrum = self.model.head(hidden, known)[1].mT
        margin = (c.n_fft - c.hop) // 2
        added = functional.conv_transpose1d(spectrum, self.waves, stride=c.hop, padding=margin)
        envelope = functional.conv_transpose1d(
            torch.ones_like(spectrum[:1, :1]), self.power, stride=c.hop, padding=margin
        )
        return (added / envelope)[:, 0]


def waves(config: Config) -> Tensor:
    """Windowed cosines and negative sines of all bins, (2 * bins, n_fft): a spectrum is their product with a frame."""
    time = torch.arange(config.n_fft, dtype=torch.float64)
    turns = torch.outer(torch.arange(config.bins, dtype=torch.float64), time) / config.n_fft
    angle = 2 * math.pi * (turns - turns.round())
    return (torch.cat([angle.cos(), -angle.sin()]) * torch.hann_window(config.n_fft, dtype=torch.float64)).float()
