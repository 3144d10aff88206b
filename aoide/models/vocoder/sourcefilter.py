"""Source and filter in one inverse STFT: log-mel (batch, frames, mels) -> F0 and waveform (batch, frames * hop).

Idea         Pulses at F0 and noise exist already; what a voice does to them is slow. So the network stays at the frame
             rate, as Vocos does: from the mel it predicts F0 and voicing, and how pulses and noise are filtered (log
             magnitude and phase a bin for each). Both are filtered in the spectrum and made into sound by one inverse
             STFT. Harmonics need not be drawn by the network, so regression alone gives clean ones, and pitch can be
             moved: give `vocode` another F0.

                 S = exp(lh) e^{i pi tanh(theta)} STFT(pulses(f0)) + exp(lr) e^{i phi} STFT(noise)

Objective    regression (aoide/objectives/regression.py) of F0, voicing, multi-resolution STFT and mel; or adversarial,
             by `objective.name=gan`
Recipes      recipes/vocoder/sourcefilter-asterisk.yaml
Paper        this combination in none: pulses and noise through a filter Wang et al. 2019, arXiv:1904.12088; the losses
             Yamamoto et al. 2020, arXiv:1910.11480; backbone and inverse STFT Siuzdak 2023, arXiv:2306.00814
Code         none; the same head in models/tts/fastspeech2s.py, in numpy in generate/synthesis.py
Checkpoints  none published
Differs      from fastspeech2s: the free part filters noise that is drawn, since no phase of real breath can be learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.audio.stft import stft
from aoide.config import UserError
from aoide.models.vocoder import Source, check_mel
from aoide.nn import sourcefilter
from aoide.nn.convnext import ConvNeXtBackbone
from aoide.nn.istft import InverseSTFT, exact
from aoide.nn.stft_loss import MelLoss, MultiResolutionSTFTLoss
from aoide.objectives import Batch, regression

F0_CENTRE = 200.0  # Hz; log F0 is predicted and fed relative to it
FIRST_LOG_MAGNITUDE = -4.0  # of both filters before training, so that it begins quietly


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; by default it reads the mel of the published Vocos and has 8.6 M parameters."""

    mel: MelConfig = field(default_factory=lambda: MelConfig(floor=1e-7))
    dim: int = 384
    layers: int = 8
    hidden: int = 1152  # channels inside a ConvNeXt block
    pitch_dim: int = 128  # of the network that predicts F0 and voicing
    pitch_layers: int = 4

    def __post_init__(self) -> None:
        if min(self.dim, self.layers, self.hidden, self.pitch_dim, self.pitch_layers) < 1:
            raise ValueError("dim, layers, hidden, pitch_dim and pitch_layers are 1 or more")
        if self.mel.win != self.mel.n_fft:
            raise ValueError(f"mel.win must be mel.n_fft, got {self.mel.win} and {self.mel.n_fft}")


class Output(NamedTuple):
    """The sound and what was heard in the mel."""

    audio: Tensor  # (batch, frames * hop)
    log_f0: Tensor  # (batch, frames), ln(F0 / 200 Hz), as if voiced everywhere
    voicing: Tensor  # (batch, frames), logit


class Model(nn.Module):
    """Log-mel -> F0 -> filters of pulses and noise -> waveform."""

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mel = config.mel
        self.pitch = ConvNeXtBackbone(mel.n_mels, config.pitch_dim, 2 * config.pitch_dim, config.pitch_layers)
        self.pitch_out = nn.Linear(config.pitch_dim, 2)
        self.backbone = ConvNeXtBackbone(mel.n_mels + 2, config.dim, config.hidden, config.layers)
        self.head = nn.Linear(config.dim, 4 * mel.bins)
        self.istft = InverseSTFT(mel.n_fft, mel.hop, mel.padding)
        self.register_buffer("window", torch.hann_window(mel.n_fft), persistent=False)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.unflatten(0, (4, -1))[::2] = FIRST_LOG_MAGNITUDE  # of lh and lr

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on, once the source is given."""
        overlap = -(-self.config.mel.n_fft // self.config.mel.hop // 2) + 1
        return max(self.backbone.reach, overlap) + overlap + 1

    # ---------------------------------------------------------------------------------------------------------- source

    def predict(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mel (batch, frames, mels) -> log F0, ln(F0 / 200 Hz), and the logit of voicing, both (batch, frames)."""
        check_mel(mel, self.config.mel)
        log_f0, voicing = exact(self.pitch_out, self.pitch(mel, frame_mask)).unbind(dim=-1)
        return log_f0, voicing

    def f0(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """The F0 that the model hears: mel (batch, frames, mels) -> (batch, frames) Hz, 0 = unvoiced."""
        return _hertz(*self.predict(mel, frame_mask))

    @property
    def source_form(self) -> Source:
        """What `source` makes, for those who make it without torch."""
        return Source(kind="pulses", hop=self.config.mel.hop)

    def source(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        frame_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        after: Tensor | None = None,
    ) -> Tensor:
        """What runs through the whole sound and must be made before it is cut: the phase of the pulses, and noise.

        Args:
            mel: (batch, frames, mels).
            f0: (batch, frames) Hz, 0 = unvoiced; None: as the model hears it.
            frame_mask: (batch, frames), True = real.
            generator: what to draw from, on the device of the mel; None: torch's own.
            after: (batch, frames, 2 + hop) the source of the frames before, where the sound goes on.

        Returns:
            (batch, frames, 2 + hop): the phase at the centre of the frame in cycles, its F0 in Hz, noise.
        """
        if f0 is None:
            f0 = self.f0(mel, frame_mask)
        hop, rate = self.config.mel.hop, self.config.mel.sample_rate
        centres = sourcefilter.pulse_centres(f0, hop, rate, None if after is None else after[:, -1, :2])
        noise = sourcefilter.drawn(torch.randn, (*f0.shape, hop), f0, generator)
        return torch.cat([centres[..., None].to(f0.dtype), f0[..., None], noise], dim=2)

    # ----------------------------------------------------------------------------------------------------------- sound

    def forward(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        frame_mask: Tensor | None = None,
        source: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Output:
        """mel (batch, frames, mels) of `config.mel` -> sound, F0 and voicing.

        Args:
            f0: (batch, frames) Hz, 0 = unvoiced, that the sound shall have; None: what the model hears in the mel.
            frame_mask: (batch, frames), True = real.
            source: of the method `source`, cut like the mel; it takes the place of f0.
            generator: for `source`.

        Raises:
            UserError: a mel of another number of bands, or an F0 of another length.
        """
        log_f0, voicing = self.predict(mel, frame_mask)
        if f0 is not None and f0.shape != mel.shape[:2]:
            raise UserError(f"a mel {tuple(mel.shape)} needs F0 {tuple(mel.shape[:2])}, not {tuple(f0.shape)}")
        if source is None:
            source = self.source(mel, _hertz(log_f0, voicing) if f0 is None else f0, frame_mask, generator)
        return Output(self._sound(mel, source, frame_mask), log_f0, voicing)

    def vocode(
        self,
        mel: Tensor,
        frame_mask: Tensor | None = None,
        *,
        f0: Tensor | None = None,
        source: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The sound alone: mel (batch, frames, mels) -> waveform (batch, frames * hop); arguments as in `forward`."""
        if source is None:
            source = self.source(mel, f0, frame_mask, generator)
        return self._sound(mel, source, frame_mask)

    def _sound(self, mel: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """mel (batch, frames, mels) and source (batch, frames, 2 + hop) -> waveform (batch, frames * hop)."""
        state, noise = source.split([2, self.config.mel.hop], dim=2)
        centres, f0 = state.unbind(2)
        if mask is not None:  # beyond its end an item goes on with its last F0, as a lone one does
            last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
            f0 = torch.where(mask, f0, f0.gather(1, last))
        filters = self.filters(mel, f0, mask)
        trace.report("sourcefilter/f0", f0)
        trace.report("sourcefilter/filters", filters)
        lengths = None if mask is None else mask.sum(1) * self.config.mel.hop
        with torch.autocast(mel.device.type, enabled=False):
            pulses = sourcefilter.pulses(f0.float(), self.config.mel.hop, self.config.mel.sample_rate, centres)
            return self.istft(self._spectrum(filters, pulses, noise.flatten(1).float(), lengths), mask)

    def filters(self, mel: Tensor, f0: Tensor, mask: Tensor | None = None) -> Tensor:
        """How pulses and noise are filtered: mel (batch, frames, mels), f0 (batch, frames) Hz -> lh, theta, lr and phi
        (batch, frames, 4, bins).
        """
        voiced = (f0 > sourcefilter.VOICED_ABOVE).to(mel.dtype)
        relative = voiced * (f0.clamp(min=sourcefilter.VOICED_ABOVE) / F0_CENTRE).log()
        hidden = self.backbone(torch.cat([mel, relative[..., None], voiced[..., None]], dim=-1), mask)
        return exact(self.head, hidden).unflatten(-1, (4, -1))

    def _spectrum(self, filters: Tensor, pulses: Tensor, noise: Tensor, lengths: Tensor | None) -> Tensor:
        """filters (batch, frames, 4, bins), pulses and noise (batch, samples) -> complex (batch, frames, bins)."""
        n_fft, hop, padding = self.config.mel.n_fft, self.config.mel.hop, self.config.mel.padding
        lh, theta, lr, phi = filters.unbind(dim=2)
        voice = stft(pulses, n_fft, hop, self.window / (n_fft / 4), padding, lengths)  # a unit cosine peaks near 2
        breath = stft(noise, n_fft, hop, self.window / math.sqrt(3 / 8 * n_fft), padding, lengths)  # of unit power
        louder = sourcefilter.MAX_LOG_MAGNITUDE
        harmonic = torch.polar(lh.clamp(max=louder).exp(), math.pi * torch.tanh(theta))
        return harmonic * voice + torch.polar(lr.clamp(max=louder).exp(), phi) * breath


def _hertz(log_f0: Tensor, voicing: Tensor) -> Tensor:
    """ln(F0 / 200 Hz) and the logit of voicing -> Hz, 0 = unvoiced, nowhere beyond what a voice can do."""
    return torch.where(voicing > 0, F0_CENTRE * log_f0.clamp(-1.6, 2.3).exp(), 0.0)


# ------------------------------------------------------------------------------------------------------------- training


class STFTDistance(nn.Module):
    """Spectral convergence and log magnitude at three resolutions, between generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MultiResolutionSTFTLoss()

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"][:, : output.audio.shape[1]])


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"][:, : output.audio.shape[1]])


def f0_distance(output: Output, batch: Batch) -> Tensor:
    """L1 of log F0 where the recording is voiced."""
    voiced = _real(batch) & (batch["f0"] > sourcefilter.VOICED_ABOVE)
    target = (batch["f0"].clamp(min=sourcefilter.VOICED_ABOVE) / F0_CENTRE).log()
    return regression.masked_l1(output.log_f0, target, voiced)


def voicing_distance(output: Output, batch: Batch) -> Tensor:
    """Cross-entropy of voicing."""
    real = _real(batch)
    voiced = (batch["f0"] > sourcefilter.VOICED_ABOVE).to(output.voicing.dtype)
    error = functional.binary_cross_entropy_with_logits(output.voicing, voiced, reduction="none")
    return (error * real).sum() / real.sum().clamp(min=1)


def _real(batch: Batch) -> Tensor:
    mask = batch.get("frame_mask")
    return torch.ones_like(batch["f0"], dtype=torch.bool) if mask is None else mask


TRAINING = regression.Config(weights={"stft": 1.0, "mel": 1.0, "f0": 1.0, "voicing": 0.5})
LOSSES = {"stft": STFTDistance, "mel": MelDistance, "f0": f0_distance, "voicing": voicing_distance}
NEEDS = ("mel", "f0", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, floor=1e-7),
    dim=16,
    layers=2,
    hidden=32,
    pitch_dim=8,
    pitch_layers=1,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels, F0, sources and sounds of 80 frames; a third of the frames has no voice."""
    frames = 80
    f0 = 100 + 200 * torch.rand(batch, frames, 1, generator=generator)
    f0 = f0.masked_fill(torch.rand(batch, frames, 1, generator=generator) < 0.3, 0.0)
    centres = sourcefilter.pulse_centres(f0[..., 0], config.mel.hop, config.mel.sample_rate)
    noise = torch.randn(batch, frames, config.mel.hop, generator=generator)
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 3,
        "f0": f0[..., 0],
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "source": torch.cat([centres[..., None].float(), f0, noise], dim=2),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
    }
