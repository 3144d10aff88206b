"""Vocos with Griffin-Lim layers: log-mel (batch, frames, mels) -> waveform (batch, frames * hop), on any kind of sound.

Idea         What a mel says of the spectrum need not be learned: the pseudo-inverse of its filters gives a first
             magnitude, and after the network has drawn in the detail, multiplicative updates make the magnitude agree
             with the mel again. The network (ConvNeXt at the frame rate, as in Vocos) also gives a first phase; a few
             Griffin-Lim steps in their ADMM form, which are two Fourier transforms each and have no weights, make phase
             and magnitude fit each other across frames. So a small network that never met a critic copies
             speech, singing and music well, after an hour of training on one core.
Objective    regression (aoide/objectives/regression.py): log magnitude before, STFT at several resolutions after the
             Griffin-Lim steps; or critics on top (aoide/objectives/gan.py)
Recipes      recipes/vocoder/universal-24k.yaml
Papers       Siuzdak 2023, arXiv:2306.00814 (the backbone); Lv et al. 2024, arXiv:2406.08196 (the pseudo-inverse as a
             start); Lee and Seung 2001 (the multiplicative updates); Masuyama, Yatabe and Oikawa 2019, Griffin-Lim like
             phase recovery via ADMM (the steps); Masuyama et al. 2019, arXiv:1903.03971 (as layers of a network)
Code         none but ours; the combination is our own
Differs      from Vocos: all of the above. Above 4 kHz the magnitudes fluctuate as those of noise do (not in training).
             A mel is heard relative to its loudest band within a fifth of a second, so that a quiet recording is
             copied as well as a loud one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.audio.mel import MelConfig, filterbank
from aoide.audio.stft import stft
from aoide.models.vocoder import check_mel
from aoide.nn.convnext import ConvNeXtBackbone
from aoide.nn.istft import InverseSTFT, exact
from aoide.nn.stft_loss import MultiResolutionSTFTLoss
from aoide.objectives import Batch, regression

LEVEL_REACH = 9  # frames to each side in which the loudest band is looked for
TRUST = 0.2  # in the spectrum that was tried, against what was heard of it
TEXTURE_ABOVE = 4_000.0  # Hz
TEXTURES = 64  # frames of noise to choose from
GROUP = 10  # bands of which the loudest is looked for
TINY = 1e-7  # keeps divisions by the magnitude of silence finite


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the vocoder in the package (2.8 M parameters)."""

    mel: MelConfig = field(default_factory=MelConfig)
    dim: int = 256
    layers: int = 6
    hidden: int = 768  # channels inside a ConvNeXt block
    projections: int = 3  # multiplicative updates that bring the magnitude back to the mel
    polish: int = 1  # Griffin-Lim steps in training; `vocode` may take more

    def __post_init__(self) -> None:
        if min(self.dim, self.layers, self.hidden) < 1 or min(self.projections, self.polish) < 0:
            raise ValueError("dim, layers and hidden are 1 or more, projections and polish 0 or more")
        if self.mel.win != self.mel.n_fft or self.mel.power != 1.0 or self.mel.log != "ln":
            raise ValueError("the spectrum comes out as it went in: mel.win = n_fft, mel.power 1, mel.log ln")


class Output(NamedTuple):
    audio: Tensor  # (batch, samples)
    magnitude: Tensor  # (batch, frames, bins), as predicted


class Model(nn.Module):
    """Log-mel -> spectrum -> waveform."""

    bands: Tensor
    inverse: Tensor
    share: Tensor
    textures: Tensor
    steps: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mel = config.mel
        self.backbone = ConvNeXtBackbone(mel.n_mels, config.dim, config.hidden, config.layers)
        self.out = nn.Linear(config.dim, 2 * mel.bins)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)
        self.istft = InverseSTFT(mel.n_fft, mel.hop, mel.padding)
        self.low = InverseSTFT(mel.n_fft // 2, mel.hop // 2, mel.padding)  # of the lower half of the spectrum
        bands = torch.from_numpy(filterbank(mel).copy())
        self.register_buffer("bands", bands.mT.contiguous(), persistent=False)  # (bins, mels)
        self.register_buffer("inverse", torch.linalg.pinv(bands).mT.contiguous(), persistent=False)  # (mels, bins)
        self.register_buffer("textures", textures(mel), persistent=False)
        self.register_buffer("steps", torch.arange(1, mel.n_mels + 1) * 7 + 4, persistent=False)
        self.register_buffer("share", bands / (bands.sum(0) + TINY), persistent=False)  # (mels, bins)

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on; see `aoide.models.vocoder.Vocoder`."""
        overlap = math.ceil(self.config.mel.n_fft / self.config.mel.hop)
        return self.backbone.reach + LEVEL_REACH + (1 + self.config.polish) * overlap

    def forward(self, mel: Tensor, frame_mask: Tensor | None = None) -> Output:
        """mel (batch, frames, mels) of `config.mel`, frame_mask (batch, frames) -> waveform and magnitude.

        Raises:
            UserError: a mel of another number of bands.
        """
        magnitudes, phase = self.spectrum(mel, frame_mask)
        return Output(self.polish(magnitudes, phase, frame_mask, self.config.polish), magnitudes)

    def vocode(
        self, mel: Tensor, frame_mask: Tensor | None = None, *, polish: int | Sequence[int] | None = None
    ) -> Tensor:
        """mel -> waveform (batch, frames * hop).

        polish: Griffin-Lim steps, in turn of the whole spectrum and of its lower half, the whole first and last; None:
        as in training.
        """
        steps = self.config.polish if polish is None else polish
        return self.polish(*self.spectrum(mel, frame_mask), frame_mask, steps)

    def spectrum(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mel -> magnitude, phase (radians, unwrapped), each (batch, frames, bins); as for `FourierHead.spectrum`."""
        check_mel(mel, self.config.mel)
        if frame_mask is not None:
            mel = mel.masked_fill(~frame_mask[..., None], self.config.mel.silence)
        linear = mel.exp()
        start = (linear @ self.inverse).clamp(min=TINY)
        hidden = self.backbone(mel - self._level(mel), frame_mask)
        detail, phase = exact(self.out, hidden).chunk(2, dim=-1)
        magnitudes = start * detail.clamp(-12.0, 12.0).exp()
        if not self.training:
            magnitudes = magnitudes * self._texture(mel)
        for _ in range(self.config.projections):
            magnitudes = magnitudes * ((linear / (magnitudes @ self.bands + TINY)) @ self.share)
        return magnitudes, phase

    def polish(
        self, magnitudes: Tensor, phase: Tensor, frame_mask: Tensor | None, steps: int | Sequence[int]
    ) -> Tensor:
        """Griffin-Lim: to and fro between spectra of this magnitude and spectra that a sound can have -> waveform.

        `generate/synthesis.py` has the same steps in numpy, and says more.
        """
        spectrum = tried = torch.polar(magnitudes, phase)
        half = self.low.n_fft // 2 + 1
        for number, count in enumerate([steps] if isinstance(steps, int) else steps):
            if number % 2 == 0:
                tried, spectrum = self._mend(self.istft, magnitudes, tried, spectrum, frame_mask, count)
            else:
                parts = (magnitudes[..., :half], tried[..., :half], spectrum[..., :half])
                low, heard = self._mend(self.low, *parts, frame_mask, count)
                tried = torch.cat([low, tried[..., half:]], dim=-1)
                spectrum = torch.cat([heard, spectrum[..., half:]], dim=-1)
        return self.istft(spectrum, frame_mask)

    @staticmethod
    def _mend(
        istft: InverseSTFT, magnitudes: Tensor, tried: Tensor, spectrum: Tensor, mask: Tensor | None, steps: int
    ) -> tuple[Tensor, Tensor]:
        lengths = None if mask is None else mask.sum(1) * istft.hop
        for _ in range(steps):
            sound = istft(tried, mask)
            heard = stft(sound, istft.n_fft, istft.hop, istft.window, istft.padding, lengths)
            agreed = (TRUST * tried + heard) / (1 + TRUST)
            disagreement = tried - agreed
            leap = agreed - disagreement
            spectrum = leap * (magnitudes / (leap.abs() + TINY))
            tried = spectrum + disagreement
        return tried, spectrum

    def _texture(self, mel: Tensor) -> Tensor:
        """Factors (batch, frames, bins) by which magnitudes above TEXTURE_ABOVE fluctuate, as those of noise do.

        There a mel band is several bins wide and says nothing of the single bin; the network, which is asked for the
        middle of what it may be, answers with a magnitude so even that it rings. Which of the frames of noise is taken,
        the loudest bands of the mel say: the same mel gives the same sound, wherever it stands.
        """
        groups = mel.shape[-1] // GROUP
        loudest = mel[..., : groups * GROUP].unflatten(-1, (groups, GROUP)).argmax(dim=-1)
        chosen = (loudest * self.steps[:groups]).sum(dim=-1) % TEXTURES
        return functional.embedding(chosen, self.textures)

    def _level(self, mel: Tensor) -> Tensor:
        """The loudest band around each frame: (batch, frames, 1).

        The maximum of a window of 19 is that of two windows of 16, and so on down; max_pool1d would fix the number of
        frames in an exported graph.
        """
        widest = functional.pad(mel.amax(dim=-1), (LEVEL_REACH, LEVEL_REACH), value=-math.inf)
        for shift in (1, 2, 4, 8, 2 * LEVEL_REACH + 1 - 16):
            widest = torch.maximum(widest[:, :-shift], widest[:, shift:])
        return widest[..., None]


def textures(mel: MelConfig) -> Tensor:
    """(TEXTURES, bins): 1 at low frequencies, above them magnitudes of noise (Rayleigh) relative to their median."""
    chance = torch.rand(TEXTURES, mel.bins, generator=torch.Generator().manual_seed(0)).clamp(1e-6, 1 - 1e-6)
    noise = (-chance.log() / math.log(2)).sqrt()
    high = torch.linspace(0, mel.sample_rate / 2, mel.bins) > TEXTURE_ABOVE
    return torch.where(high, noise, 1.0)


# ------------------------------------------------------------------------------------------------------------- training


class MagnitudeDistance(nn.Module):
    """L1 between log magnitudes plus spectral convergence, before any waveform."""

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.mel = config.mel
        self.register_buffer("window", torch.hann_window(config.mel.n_fft), persistent=False)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        mel, got = self.mel, output.magnitude
        frames = got.shape[1]
        want = stft(batch["audio"], mel.n_fft, mel.hop, self.window, mel.padding, frames=frames).abs()
        floor = mel.floor
        log_distance = (got.clamp(min=floor).log() - want.clamp(min=floor).log()).abs().mean()
        norm = torch.linalg.vector_norm
        return log_distance + norm(got - want) / norm(want).clamp(min=floor)


class STFTDistance(nn.Module):
    """Multi-resolution STFT distance between generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        n_fft = config.mel.n_fft
        sizes = (n_fft // 2, n_fft, 2 * n_fft)
        self.distance = MultiResolutionSTFTLoss([(size, size // 4, size) for size in sizes])

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"][:, : output.audio.shape[1]])


TRAINING = regression.Config(weights={"magnitude": 1.0, "stft": 2.0})
LOSSES = {"magnitude": MagnitudeDistance, "stft": STFTDistance}
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000),
    dim=16,
    layers=2,
    hidden=32,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels and sounds of 80 frames."""
    frames = 80
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 3,
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
    }
