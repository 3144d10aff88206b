"""VISinger: score -> waveform in one network, built on the parts of VITS; the score says how long, the network how.

    tokens, words, notes, note_durations (batch, tokens) -> durations (batch, tokens), f0 (batch, frames),
                                                            audio (batch, samples) in -1 to 1

Idea         An autoencoder of sound whose hidden frames are Gaussians, as in VITS. Where they should lie follows from
             the score: a Transformer reads phonemes with their notes, a predictor shares out each note's time among its
             phonemes, another tells frame by frame how F0 moves around the notes and where it is voiced, and a second
             Transformer, over the frames, makes Gaussians of all that; a flow takes the hidden frames there. What is in
             them must let the phonemes be read, so that words stay clear. The decoder hears F0, as sines and noise at
             each of its stages, so that the sound is as much in tune as F0 is.
Objective    adversarial with losses of mel, KL, durations, F0 and phonemes beside (aoide/objectives/gan.py)
Recipe       recipes/svs/visinger-folder.yaml
Papers       Zhang et al. 2021, arXiv:2110.08813 (VISinger); Zhang et al. 2022, arXiv:2211.02903 (VISinger 2)
Code         none of the first; github.com/zhangyongmao/VISinger2 (without a licence: nothing here is from it)
Checkpoints  none published with a licence
Differs      F0 is predicted as semitones from the notes, not as it is, so another key moves it as a whole. The sines
             of F0 are those of NSF (`nn/decoder.py`), of which VISinger 2 has a form whose amplitudes are predicted
             (DDSP); `decoder.partials` 0 is VISinger 1, which hears none. Blocks are those of VITS, which know how far
             apart frames are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.nn.decoder import Decoder, Waveform
from aoide.nn.discriminators import Period
from aoide.nn.discriminators.scale import VITS as ONE_SCALE
from aoide.nn.flow import Couplings, Flow
from aoide.nn.latent import Gaussian, PosteriorEncoder, gaussian, kl_divergence
from aoide.nn.lengths import expand
from aoide.nn.relative import RelativeEncoder
from aoide.nn.singing import (
    Told,
    heard_notes,
    hertz,
    in_group,
    midi,
    note_groups,
    note_line,
    shared_out,
    whole_frames,
)
from aoide.nn.stft_loss import MelLoss
from aoide.nn.variance import Predictor, bridge
from aoide.objectives import Batch, ctc, gan
from aoide.objectives.diffusion import draw
from aoide.objectives.regression import log_duration, masked_l1

NOTES = 128  # MIDI's
MIDDLE, OCTAVE = 60.0, 12.0  # what is brought to 0 and by how much to 1, of pitches in semitones
LEAST = 1e-3  # of a phoneme's weight in its note

NEEDS = ("tokens", "words", "notes", "note_durations", "slurs", "durations", "f0", "audio", "speaker")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; sizes are those of VITS, the frames those of VISinger, 10 ms at 24 kHz."""

    symbols: int = 178  # size of the phoneme table, with padding
    speakers: int | None = None  # singers told apart by an embedding; null = one
    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            n_fft=1024, hop=240, win=960, n_mels=80, scale="slaney", norm="slaney", eps=1e-6, padding="same"
        )
    )  # the posterior encoder reads the spectrum that it is made of, the loss compares mels
    latent: int = 192  # channels of the hidden frames
    dim: int = 192
    heads: int = 2
    hidden: int = 768  # channels inside a Transformer layer's convolutions
    layers: int = 6  # of the Transformer over phonemes
    pitch_layers: int = 4  # of the one that tells F0
    prior_layers: int = 4  # of the one over frames
    reader_layers: int = 2  # of the one that reads phonemes back
    kernel: int = 3
    dropout: float = 0.1
    posterior_layers: int = 16
    flow: Flow = field(default_factory=Flow)
    decoder: Waveform = field(default_factory=lambda: Waveform(rates=(10, 6, 2, 2), kernels=(20, 12, 4, 4), partials=8))
    condition: int = 256  # channels of a singer's vector
    duration_hidden: int = 256  # channels of the predictor of durations
    segment: int = 40  # frames of a slice that is decoded in training

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.latent % 2:
            raise ValueError(f"heads must divide dim and latent be even, got {self.heads}, {self.dim}, {self.latent}")
        if self.decoder.hop != self.mel.hop:
            raise ValueError(f"decoder.rates make {self.decoder.hop} samples of a frame, mel.hop is {self.mel.hop}")
        if self.segment < 1:
            raise ValueError(f"segment is a number of frames, got {self.segment}")


class Output(NamedTuple):
    """What training hears; frames that are padded hold no meaning."""

    audio: Tensor  # (batch, samples)
    start: Tensor | None  # (batch,) int64, the sample at which it begins, where it is a slice
    frame_mask: Tensor  # (batch, frames)
    hidden: Tensor  # (batch, frames, latent), what is decoded
    moved: Tensor  # the same on the other side of the flow
    prior: Gaussian  # of the score
    posterior: Gaussian  # of the recording
    lasts: Tensor  # (batch, tokens) frames, not rounded, as the time of its note is shared out
    melody: Tensor  # (batch, frames) MIDI numbers with cents, as predicted
    voicing: Tensor  # (batch, frames), logits
    scores: Tensor  # (batch, frames, symbols + 1), of what is sung; 0 = nothing, then the phonemes


class Sung(NamedTuple):
    """A performance; frames that are padded hold no meaning, and sound is silent there."""

    audio: Tensor  # (batch, samples)
    durations: Tensor  # (batch, tokens) int64 frames
    f0: Tensor  # (batch, frames) Hz, 0 = unvoiced
    frame_mask: Tensor  # (batch, frames)


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, condition = config.dim, config.condition if config.speakers else 0
        self.spectrum = MelSpectrogram(config.mel)
        self.speakers = nn.Embedding(config.speakers, condition) if config.speakers else None
        self.who = nn.Linear(condition, dim) if condition else None
        self.tokens = nn.Embedding(config.symbols, dim)
        self.notes = nn.Embedding(NOTES, dim)
        self.lasting = nn.Linear(1, dim)
        for table in (self.tokens, self.notes):
            nn.init.normal_(table.weight, std=dim**-0.5)
        self.encoder = self._stack(config.layers)
        self.rhythm = Predictor(dim, config.duration_hidden, 3, config.dropout)
        self.line = nn.Linear(1, dim)
        self.pitch = self._stack(config.pitch_layers)
        self.pitch_out = nn.Linear(dim, 2)
        nn.init.zeros_(self.pitch_out.weight)  # it begins by singing the notes as they are written
        nn.init.zeros_(self.pitch_out.bias)
        self.melody = nn.Linear(1, dim)
        self.voicing = nn.Embedding(2, dim)
        self.prior = self._stack(config.prior_layers)
        self.prior_out = nn.Linear(dim, 2 * config.latent)
        self.posterior = PosteriorEncoder(
            config.mel.bins, dim, config.latent, config.posterior_layers, condition=condition
        )
        self.flow = Couplings(config.flow, config.latent, dim, condition)
        self.decoder = Decoder(config.decoder, config.latent, condition, config.mel.sample_rate)
        self.read_in = nn.Linear(config.latent, dim)
        self.reader = self._stack(config.reader_layers)
        self.read_out = nn.Linear(dim, config.symbols + 1)

    def _stack(self, layers: int) -> RelativeEncoder:
        c = self.config
        return RelativeEncoder(c.dim, c.heads, c.hidden, layers, kernel=c.kernel, dropout=c.dropout)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        words: Tensor,
        notes: Tensor,
        note_durations: Tensor,
        durations: Tensor,
        f0: Tensor,
        audio: Tensor,
        slurs: Tensor | None = None,
        frame_mask: Tensor | None = None,
        speaker: Tensor | None = None,
        noise: Tensor | None = None,
        source_noise: Tensor | None = None,
    ) -> Output:
        """Hears how a score was sung, and sings it again; in training a slice of it.

        Args:
            tokens, token_mask: (batch, tokens).
            words: (batch, tokens), which word a phoneme belongs to, from 1; 0 = padding.
            notes: (batch, tokens) MIDI numbers, 0 = rest. note_durations: (batch, tokens) frames of that note.
            durations: (batch, tokens) int64 frames, as sung.
            f0: (batch, frames) Hz, 0 = unvoiced.
            audio: (batch, samples), samples = frames * hop.
            slurs: (batch, tokens), 1 where a syllable goes on to another note; None: nowhere.
            frame_mask: (batch, frames), True = real. speaker: (batch,).
            noise: (batch, frames, latent), of the hidden frames; None: torch's own draw.
            source_noise: (batch, frames, config.decoder.noise), likewise.

        Raises:
            ValueError: no speaker for a model of several.
        """
        frames = f0.shape[1]
        if frame_mask is None:
            frame_mask = torch.ones(f0.shape, dtype=torch.bool, device=f0.device)
        singer = self.voice(speaker)
        codes = self.read(tokens, token_mask, notes, note_durations, singer)
        groups = note_groups(words, notes, note_durations, slurs)
        sung = durations.to(codes.dtype).masked_fill(~token_mask, 0.0)
        lasts = self.share(codes, token_mask, groups, in_group(sung, groups))
        x = expand(codes, durations, frames)[0]
        melody, voicing = self.intonate(x, frame_mask, note_line(notes, durations, frames))
        voiced = (f0 > 0) & frame_mask
        prior = self.place(x, frame_mask, bridge(midi(f0), voiced), voiced)
        spectrum = self.spectrum.magnitude(audio.float(), frame_mask.sum(1) * self.config.mel.hop, frames)
        posterior = self.posterior(spectrum, frame_mask, singer)
        hidden = posterior.sample(noise).masked_fill(~frame_mask[..., None], 0.0)
        moved = self.flow(hidden, frame_mask, singer)
        scores = self.read_out(self.reader(self.read_in(moved), frame_mask))
        sound, start = self.decoder.learn(
            hidden, frame_mask, singer, f0 * voiced, source_noise, count=self.config.segment
        )
        return Output(sound, start, frame_mask, hidden, moved, prior, posterior, lasts, melody, voicing, scores)

    def read(
        self, tokens: Tensor, token_mask: Tensor, notes: Tensor, note_durations: Tensor, singer: Tensor | None
    ) -> Tensor:
        """Phonemes with their notes, encoded: (batch, tokens, dim). singer: of `voice`."""
        rows = notes.round().long().clamp(0, NOTES - 1)
        x = (self.tokens(tokens) + self.notes(rows)) * self.config.dim**0.5
        x = x + self.lasting(note_durations[..., None].to(x.dtype).log1p())
        x = x if self.who is None or singer is None else x + self.who(singer)
        return self.encoder(x.masked_fill(~token_mask[..., None], 0.0), token_mask)

    def share(self, codes: Tensor, token_mask: Tensor, groups: Tensor, totals: Tensor) -> Tensor:
        """How long each phoneme lasts, frames that are not rounded: (batch, tokens).

        Each has a weight, and its share of all weights of its note is its share of the note's time.

        Args:
            codes: of `read`; they are not taught by this.
            groups: of `note_groups`.
            totals: (batch, tokens) frames of each token's note.
        """
        weights = functional.softplus(self.rhythm(codes.detach(), token_mask)) + LEAST
        return shared_out(weights.masked_fill(~token_mask, 0.0), groups, totals)

    def intonate(self, x: Tensor, frame_mask: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
        """How F0 moves around the notes.

        Args:
            x: (batch, frames, dim), codes of each frame's phoneme; they are not taught by this.
            line: (batch, frames) MIDI numbers, of `note_line`.

        Returns:
            MIDI numbers with cents, and logits of being voiced: (batch, frames) each.
        """
        x = x.detach() + self.line((line[..., None] - MIDDLE) / OCTAVE)
        x = self.pitch(x.masked_fill(~frame_mask[..., None], 0.0), frame_mask)
        moves, voicing = self.pitch_out(x).unbind(-1)
        return line + moves, voicing

    def place(self, x: Tensor, frame_mask: Tensor, melody: Tensor, voiced: Tensor) -> Gaussian:
        """Where score and F0 say that the moved hidden frames are.

        Args:
            x: (batch, frames, dim), codes of each frame's phoneme.
            melody: (batch, frames) MIDI numbers, without gaps. voiced: (batch, frames) bool.
        """
        x = x + self.melody((melody[..., None] - MIDDLE) / OCTAVE) + self.voicing(voiced.long())
        x = self.prior(x.masked_fill(~frame_mask[..., None], 0.0), frame_mask)
        return gaussian(self.prior_out(x), frame_mask)

    def voice(self, speaker: Tensor | None) -> Tensor | None:
        """The singers' vectors (batch, 1, condition); None for a model of one."""
        if self.speakers is None:
            return None
        if speaker is None:
            raise ValueError(f"this model has {self.config.speakers} singers: say which one")
        return self.speakers(speaker)[:, None]

    @torch.no_grad()
    def tell(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        words: Tensor,
        notes: Tensor,
        note_durations: Tensor,
        *,
        slurs: Tensor | None = None,
        speaker: Tensor | None = None,
        durations: Tensor | None = None,
    ) -> Told:
        """Durations, unless they are given, and F0 of a score; arguments as in `forward`.

        Each note lasts as long as it is written, and its phonemes share its time.
        """
        codes = self.read(tokens, token_mask, notes, note_durations, self.voice(speaker))
        return self._tell(codes, token_mask, (words, notes, note_durations, slurs), durations)

    def _tell(
        self,
        codes: Tensor,
        token_mask: Tensor,
        score: tuple[Tensor, Tensor, Tensor, Tensor | None],
        durations: Tensor | None,
    ) -> Told:
        words, notes, note_durations, slurs = score
        if durations is None:
            groups = note_groups(words, notes, note_durations, slurs)
            durations = whole_frames(self.share(codes, token_mask, groups, note_durations.to(codes.dtype)))
        x, frame_mask = expand(codes, durations)
        melody, voicing = self.intonate(x, frame_mask, note_line(notes, durations, x.shape[1]))
        return Told(durations, hertz(melody), (voicing >= 0) & frame_mask)

    @torch.no_grad()
    def perform(  # noqa: PLR0913  (what steers a singer)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        words: Tensor,
        notes: Tensor,
        note_durations: Tensor,
        *,
        slurs: Tensor | None = None,
        speaker: Tensor | None = None,
        durations: Tensor | None = None,
        f0: Tensor | None = None,
        variety: float = 0.667,
        noise: Tensor | None = None,
        source_noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Sung:
        """Sings a score.

        Args:
            tokens, token_mask, words, notes, note_durations, slurs, speaker: as in `forward`.
            durations: (batch, tokens) int64 frames. f0: (batch, frames) Hz, 0 = unvoiced. None: those of `tell`.
            variety: of the draw of hidden frames; 0 draws nothing.
            noise: (batch, frames, latent), source_noise (batch, frames, config.decoder.noise): instead of drawing.
            generator: what to draw from; None: torch's own.
        """
        singer = self.voice(speaker)
        codes = self.read(tokens, token_mask, notes, note_durations, singer)
        if durations is None or f0 is None:
            told = self._tell(codes, token_mask, (words, notes, note_durations, slurs), durations)
            durations, f0 = told.durations, told.f0 * told.voiced if f0 is None else f0
        x, frame_mask = expand(codes, durations, f0.shape[1])
        voiced = (f0 > 0) & frame_mask
        f0 = f0 * voiced
        trace.report("f0", f0)
        prior = self.place(x, frame_mask, bridge(midi(f0), voiced), voiced)
        if noise is None:
            noise = draw((*f0.shape, self.config.latent), generator, f0.device)
        hidden = self.flow(prior.sample(noise, variety), frame_mask, singer, inverse=True)
        if source_noise is None and self.config.decoder.partials:
            source_noise = self.decoder.draw(f0, generator)
        return Sung(self.decoder(hidden, frame_mask, singer, f0, source_noise), durations, f0, frame_mask)

    def sing(  # noqa: PLR0913  (what steers a singer)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        durations: Tensor,
        f0: Tensor,
        *,
        words: Tensor | None = None,
        notes: Tensor | None = None,
        note_durations: Tensor | None = None,
        speaker: Tensor | None = None,
        variety: float = 0.667,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sings with durations and F0 that are given: samples (batch, frames * hop).

        Args:
            tokens, token_mask, durations, f0: as in `aoide.models.svs`.
            words, notes, note_durations, speaker, variety, generator: as in `perform`; without notes those heard in F0
                are sung, as long as their phonemes.
        """
        if (notes is None) != (note_durations is None):
            raise UserError("notes and note_durations go together: give both, or neither")
        if notes is None or note_durations is None:
            notes, note_durations = heard_notes(f0, durations), durations
        words = token_mask.long().cumsum(1) if words is None else words
        return self.perform(
            tokens, token_mask, words, notes, note_durations, speaker=speaker, durations=durations, f0=f0,
            variety=variety, generator=generator,
        ).audio  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"])


def kl_loss(output: Output, batch: Batch) -> Tensor:
    """What the recording's hidden frames say beyond the score, nats a frame."""
    return kl_divergence(output.moved, output.posterior, output.prior, output.frame_mask)


def duration_loss(output: Output, batch: Batch) -> Tensor:
    """The mean squared difference of the logarithms of durations, where a note's time is shared out as it was sung."""
    return log_duration(output.lasts.clamp(min=0).log1p(), batch["durations"], batch["token_mask"])


def pitch_loss(output: Output, batch: Batch) -> Tensor:
    """Semitones by which predicted F0 is off where it is voiced."""
    voiced = (batch["f0"] > 0) & output.frame_mask
    return masked_l1(output.melody, midi(batch["f0"]), voiced)


def voicing_loss(output: Output, batch: Batch) -> Tensor:
    """The cross-entropy of being voiced, nats a frame."""
    voiced = (batch["f0"] > 0).to(output.voicing.dtype)
    mask = output.frame_mask
    return functional.binary_cross_entropy_with_logits(output.voicing[mask], voiced[mask])


def phoneme_loss(output: Output, batch: Batch) -> Tensor:
    """Nats a phoneme by which they cannot be read in the hidden frames (objectives/ctc.py)."""
    return ctc.loss(output.scores, output.frame_mask, batch["tokens"] + 1, batch["token_mask"])


TRAINING = gan.Config(
    critics=("scale", "period"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 45.0, "kl": 1.0, "duration": 1.0, "pitch": 1.0, "voicing": 1.0, "phoneme": 1.0},
    feature=2.0,
    period=Period(first_map=True),
    scale=ONE_SCALE,
)
LOSSES = {
    "mel": MelDistance,
    "kl": kl_loss,
    "duration": duration_loss,
    "pitch": pitch_loss,
    "voicing": voicing_loss,
    "phoneme": phoneme_loss,
}
TOY = Config(
    symbols=12,
    speakers=3,
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    latent=6,
    dim=8,
    hidden=12,
    layers=1,
    pitch_layers=1,
    prior_layers=1,
    reader_layers=1,
    posterior_layers=2,
    flow=Flow(couplings=2, layers=1),
    decoder=Waveform(dim=16, rates=(4, 4), kernels=(8, 8), block_kernels=(3,), dilations=((1, 2),), partials=2),
    condition=4,
    duration_hidden=8,
    segment=9,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of 6 tokens on 3 notes and 24 frames of noise, with the noise of its draws."""
    tokens, frames = 6, 24
    shape = (batch, frames)
    words = (torch.arange(tokens) // 2 + 1).expand(batch, tokens)
    return {
        "tokens": torch.randint(1, config.symbols, (batch, tokens), generator=generator),
        "token_mask": torch.ones(batch, tokens, dtype=torch.bool),
        "words": words,
        "notes": torch.randint(48, 72, (batch, tokens), generator=generator).gather(1, 2 * (words - 1)),
        "note_durations": torch.full((batch, tokens), 2 * frames // tokens),
        "slurs": torch.zeros(batch, tokens, dtype=torch.int64),
        "durations": torch.tensor([2, 6] * (tokens // 2)).expand(batch, tokens),
        "frame_mask": torch.ones(shape, dtype=torch.bool),
        "f0": (200 + 200 * torch.rand(shape, generator=generator)) * (torch.rand(shape, generator=generator) > 0.3),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
        "noise": torch.randn(*shape, config.latent, generator=generator),
        "source_noise": torch.randn(*shape, config.decoder.noise, generator=generator),
        "speaker": torch.randint(0, config.speakers or 1, (batch,), generator=generator),
    }
