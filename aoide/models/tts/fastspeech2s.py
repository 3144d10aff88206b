"""FastSpeech 2s with a source-filter head: phonemes -> waveform in one network, no mel and no vocoder between.

    tokens (batch, tokens) -> durations (batch, tokens) frames, f0 (batch, frames) Hz, spectra (batch, frames, 4, bins)
    synthesize(spectra, f0) -> waveform (batch, frames * hop)

Idea      FastSpeech 2 expands encoded phonemes by predicted durations and adds predicted pitch. Its variant "2s" skips
          the mel and makes the waveform directly. Here the decoder predicts, frame by frame, the four spectra of
          `nn/sourcefilter.py` (log magnitude and phase of the harmonics, log magnitude and phase of the rest), and one
          inverse STFT makes the sound. The spectra of a teacher voice are a deterministic function of its text, so
          plain regression towards them does not blur and no critic is needed.
Trained   regression, objectives/regression.py      Recipe  recipes/tts/en-heart.yaml
          a trained voice learns another from recordings, which have no spectra, by its loss `sound`, the distance of
          the sounds' mels at three resolutions: recipes/tts/en-heart-adapt.yaml
Paper     FastSpeech 2, Ren et al. 2020, arXiv:2006.04558 (section 2.4 for "2s"); ConvNeXt decoder after Vocos,
          arXiv:2306.00814
Official  none published
Differs   from FastSpeech 2s: source-filter inverse STFT instead of WaveNet and adversarial loss; ConvNeXt instead of
          Transformer at frame rate; F0 in Hz by regression instead of a pitch spectrogram; no energy (the spectra hold
          it).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.nn import sourcefilter
from aoide.nn.attention import AttentionBlock
from aoide.nn.convnext import ConvNeXtBlock
from aoide.nn.lengths import longest, mask_from_lengths, token_of_frame
from aoide.nn.stft_loss import MultiScaleMelLoss
from aoide.objectives import regression
from aoide.objectives.regression import masked_l1

F0_CENTRE = 200.0  # Hz; log F0 is predicted and fed relative to it
QUIET = math.exp(-5.0)  # about -80 dB below a loud harmonic: what is quieter need not be learned
NEEDS = ("tokens", "durations", "f0", "spectra")
OF_SPECTRA = ("harmonics", "harmonics_phase", "rest", "rest_phase")  # the losses that need a teacher's spectra


def needs(objective: regression.Config) -> tuple[str, ...]:
    """What the data must give for the losses that have a weight: spectra of a teacher, a recorded sound, or both."""
    spectra = any(objective.weights.get(name) for name in OF_SPECTRA)
    sound = bool(objective.weights.get("sound"))
    return ("tokens", "durations", "f0", *(["spectra"] if spectra else []), *(["audio"] if sound else []))


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    symbols: int = 178  # size of the phoneme table, with padding
    sample_rate: int = 24_000  # Hz
    hop: int = 300  # samples between frames
    n_fft: int = 1200  # samples
    encoder_dim: int = 192
    encoder_stages: int = 2  # each: two ConvNeXt blocks and one attention block
    heads: int = 4
    pitch_dim: int = 160
    pitch_layers: int = 4
    decoder_dim: int = 256
    decoder_hidden: int = 768
    decoder_layers: int = 7

    def __post_init__(self) -> None:
        if self.n_fft % self.hop or self.n_fft < 2 * self.hop:
            raise ValueError(
                f"n_fft must be a multiple of hop and at least twice as large, got {self.n_fft} and {self.hop}"
            )
        if self.encoder_dim % self.heads:
            raise ValueError(f"encoder_dim must be a multiple of heads, got {self.encoder_dim} and {self.heads}")

    @property
    def bins(self) -> int:
        return self.n_fft // 2 + 1

    @property
    def frame_rate(self) -> float:  # frames per second
        return self.sample_rate / self.hop


class Output(NamedTuple):
    log_durations: Tensor  # (batch, tokens), log(1 + frames)
    durations: Tensor  # (batch, tokens) frames: those given, or those predicted
    log_f0: Tensor  # (batch, frames), ln(F0 / 200 Hz)
    voicing: Tensor  # (batch, frames), logit
    f0: Tensor  # (batch, frames) Hz, 0 = unvoiced: the one given, or the one predicted
    spectra: Tensor  # (batch, frames, 4, bins): lh, theta, lr, phi
    frame_mask: Tensor  # (batch, frames)


class Stack(nn.ModuleList):
    """Blocks one after the other, each of them told which places are real."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for block in self:
            x = block(x, mask)
        return x


def convnext(dim: int, hidden: int, count: int) -> list[ConvNeXtBlock]:
    return [ConvNeXtBlock(dim, hidden, layer_scale=0.3) for _ in range(count)]


def expand(x: Tensor, durations: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat each token for its duration: (batch, tokens, dim), (batch, tokens) -> (batch, frames, dim + 3), mask
    (batch, frames).

    Three numbers tell a frame where in its token it stands: the fraction passed, frames since its start, and the
    token's length.
    """
    ends = durations.cumsum(dim=1)  # (batch, tokens)
    count = longest(durations)
    frames = torch.arange(count, device=x.device)
    mask = frames < ends[:, -1:]
    owner = token_of_frame(durations, count).clamp(max=durations.shape[1] - 1)  # (batch, frames)
    length = durations.gather(1, owner)
    since = frames - (ends - durations).gather(1, owner)
    place = torch.stack(
        [(since + 0.5) / length.clamp(min=1) - 0.5, since.clamp(max=20) / 10 - 0.5, length.clamp(min=1).log() - 1.5],
        dim=-1,
    ).to(x.dtype)
    repeated = x.gather(1, owner[..., None].expand(-1, -1, x.shape[-1]))
    return torch.cat([repeated, place], dim=-1) * mask[..., None], mask


class Model(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, pitch_dim = config.encoder_dim, config.pitch_dim
        self.embed = nn.Embedding(config.symbols, dim)
        self.encoder = Stack(
            block
            for _ in range(config.encoder_stages)
            for block in (*convnext(dim, 2 * dim, 2), AttentionBlock(dim, config.heads, 2 * dim))
        )
        self.encoder_norm = nn.LayerNorm(dim)
        self.duration = Stack(convnext(dim, 2 * dim, 2))
        self.duration_out = nn.Linear(dim, 1)
        self.pitch_in = nn.Linear(dim + 3, pitch_dim)
        self.pitch = Stack(convnext(pitch_dim, 2 * pitch_dim, config.pitch_layers))
        self.pitch_out = nn.Linear(pitch_dim, 2)
        self.decoder_in = nn.Linear(dim + 3 + 2, config.decoder_dim)
        self.decoder = Stack(convnext(config.decoder_dim, config.decoder_hidden, config.decoder_layers))
        self.decoder_norm = nn.LayerNorm(config.decoder_dim)
        self.head = nn.Linear(config.decoder_dim, 4 * config.bins)

    def forward(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        durations: Tensor | None = None,
        f0: Tensor | None = None,
        speed: Tensor | None = None,
        pitch: Tensor | None = None,
    ) -> Output:
        """tokens, token_mask (batch, tokens) -> Output. What is not given is predicted.

        durations (batch, tokens) frames; f0 (batch, frames) Hz with 0 = unvoiced; speed (batch,) > 1 is faster; pitch
        (batch,) semitones. speed acts on predicted durations and pitch on predicted F0 only.
        """
        text = self.encoder_norm(self.encoder(self.embed(tokens), token_mask))
        log_durations = self.duration_out(self.duration(text, token_mask)).squeeze(-1)
        if durations is None:
            frames = log_durations.exp() - 1
            if speed is not None:
                frames = frames / speed[:, None]
            durations = frames.round().clamp(min=1).long() * token_mask
        x, mask = expand(text, durations)  # (batch, frames, dim + 3)
        log_f0, voicing = self.pitch_out(self.pitch(self.pitch_in(x), mask)).unbind(dim=-1)
        if f0 is None:
            f0 = torch.where((voicing > 0) & mask, F0_CENTRE * log_f0.exp(), 0.0)
            if pitch is not None:
                f0 = f0 * torch.exp2(pitch[:, None] / 12)
        spectra = self.decode(x, f0, mask)
        trace.report("durations", durations)
        trace.report("f0", f0)
        return Output(log_durations, durations, log_f0, voicing, f0, spectra, mask)

    def decode(self, x: Tensor, f0: Tensor, mask: Tensor) -> Tensor:
        """Expanded text (batch, frames, dim + 3) and f0 (batch, frames) -> spectra (batch, frames, 4, bins)."""
        voiced = (f0 > sourcefilter.VOICED_ABOVE).to(x.dtype)
        relative = 2 * voiced * (f0.clamp(min=sourcefilter.VOICED_ABOVE) / F0_CENTRE).log()
        y = self.decoder_in(torch.cat([x, relative[..., None], voiced[..., None]], dim=-1))
        y = self.decoder_norm(self.decoder(y, mask))
        return self.head(y).unflatten(-1, (4, self.config.bins))

    def waveform(self, output: Output) -> Tensor:
        """Output -> (batch, samples); an item's own samples are its frames times hop."""
        lh, theta, lr, phi = output.spectra.unbind(dim=2)
        settings = {"hop": self.config.hop, "sample_rate": self.config.sample_rate}
        return sourcefilter.synthesize(lh, theta, lr, phi, output.f0, **settings)


# ---------------------------------------------------------------- losses: each compares an Output with the batch


def weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def audible(log_magnitude: Tensor) -> Tensor:
    """Log magnitude with a floor that bends softly at QUIET, so that differences below hearing weigh nothing."""
    return (log_magnitude.clamp(max=sourcefilter.MAX_LOG_MAGNITUDE).exp() + QUIET).log()


def by_ear(bins: int, like: Tensor) -> Tensor:
    """Weight of each bin (bins,): half even, half as dense as the mel scale, so that low bins are not outvoted by the
    many high ones.

    The mel scale bends at 700 Hz; the highest bin is taken to be at 12 kHz, as in every teacher so far.
    """
    density = 1 / (torch.linspace(0, 12_000, bins, device=like.device) + 700)
    return 0.5 + 0.5 * density / density.mean()


def weights(output: Output, batch: Mapping[str, Tensor], part: int) -> Tensor:
    """(batch, frames, bins): where the harmonics (part 0, 1) or the rest (part 2, 3) can be heard at all."""
    where = output.frame_mask
    if part < 2:  # windows overlap: a pulse is heard two frames to both sides
        voiced = (batch["f0"] > sourcefilter.VOICED_ABOVE).to(output.spectra.dtype)
        where = where & (nn.functional.max_pool1d(voiced[:, None], 5, stride=1, padding=2)[:, 0] > 0)
    return where[..., None] * by_ear(output.spectra.shape[-1], output.spectra)


def magnitude_loss(part: int) -> Callable[[Output, Mapping[str, Tensor]], Tensor]:
    def loss(output: Output, batch: Mapping[str, Tensor]) -> Tensor:
        error = (audible(output.spectra[:, :, part]) - audible(batch["spectra"][:, :, part])).abs()
        return weighted_mean(error, weights(output, batch, part))

    return loss


def phase_loss(part: int, angle: Callable[[Tensor], Tensor]) -> Callable[[Output, Mapping[str, Tensor]], Tensor]:
    """1 - cos of the angle between, which is what is heard, plus a little of the plain distance, whose gradient reaches
    further.
    """

    def loss(output: Output, batch: Mapping[str, Tensor]) -> Tensor:
        error = angle(output.spectra[:, :, part]) - angle(batch["spectra"][:, :, part])
        loudness = (audible(batch["spectra"][:, :, part - 1]) - math.log(QUIET)).clamp(0, 8) / 8
        return weighted_mean(1 - error.cos() + 0.1 * error.abs(), loudness * weights(output, batch, part))

    return loss


def duration_loss(output: Output, batch: Mapping[str, Tensor]) -> Tensor:
    return masked_l1(
        output.log_durations, batch["durations"].to(output.log_durations.dtype).log1p(), batch["token_mask"]
    )


def pitch_loss(output: Output, batch: Mapping[str, Tensor]) -> Tensor:
    voiced = batch["f0"] > sourcefilter.VOICED_ABOVE
    target = (batch["f0"].clamp(min=sourcefilter.VOICED_ABOVE) / F0_CENTRE).log()
    return masked_l1(output.log_f0, target, voiced & output.frame_mask)


def voicing_loss(output: Output, batch: Mapping[str, Tensor]) -> Tensor:
    voiced = (batch["f0"] > sourcefilter.VOICED_ABOVE).to(output.voicing.dtype)
    error = nn.functional.binary_cross_entropy_with_logits(output.voicing, voiced, reduction="none")
    return weighted_mean(error, output.frame_mask)


class SoundLoss(nn.Module):
    """The distance of the sound from a recording: L1 of log-mels, in decades, at three resolutions.

    It does not look at phases, so a model that has learned those from a teacher keeps them.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.distance = MultiScaleMelLoss(config.sample_rate, n_mels=(40, 80, 160), windows=(512, 1024, 2048))

    def forward(self, output: Output, batch: Mapping[str, Tensor]) -> Tensor:
        lh, theta, lr, phi = output.spectra.float().unbind(dim=2)
        settings = {"hop": self.config.hop, "sample_rate": self.config.sample_rate}
        sound = sourcefilter.synthesize(lh, theta, lr, phi, output.f0, **settings)
        real = output.frame_mask.repeat_interleave(self.config.hop, dim=1)
        length = min(sound.shape[1], batch["audio"].shape[1])
        return self.distance(*((x[:, :length] * real[:, :length]) for x in (sound, batch["audio"])))


LOSSES = {
    "duration": duration_loss,
    "pitch": pitch_loss,
    "voicing": voicing_loss,
    "harmonics": magnitude_loss(0),
    "harmonics_phase": phase_loss(1, lambda theta: math.pi * torch.tanh(theta)),
    "rest": magnitude_loss(2),
    "rest_phase": phase_loss(3, lambda phi: phi),
    "sound": SoundLoss,
}
TRAINING = regression.Config(
    weights={
        "duration": 1.0,
        "pitch": 2.0,
        "voicing": 0.5,
        "harmonics": 2.0,
        "harmonics_phase": 0.7,
        "rest": 2.0,
        "rest_phase": 0.7,
    }
)
TOY = Config(
    symbols=20, hop=30, n_fft=120, sample_rate=2400, encoder_dim=16, encoder_stages=1, heads=2, pitch_dim=16,
    pitch_layers=1, decoder_dim=16, decoder_hidden=32, decoder_layers=1,
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
        "spectra": torch.randn(batch, frames, 4, config.bins, generator=generator),
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
    }


class Exported(nn.Module):
    """The graph of an exported voice: what `generate/voice.py` calls (kind `sourcefilter`)."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, lengths: Tensor, speed: Tensor, pitch: Tensor) -> tuple[Tensor, ...]:
        """tokens (batch, tokens), lengths, speed, pitch (batch,) -> lh, theta, lr, phi (batch, frames, bins), f0,
        durations.
        """
        output = self.model(tokens, mask_from_lengths(lengths, tokens.shape[1]), speed=speed, pitch=pitch)
        return (*output.spectra.unbind(dim=2), output.f0, output.durations)
