"""DiffSinger as its authors built it: phonemes and notes -> mel, drawn in by diffusion from a singer's rough first mel.

    tokens, notes, note_durations (batch, tokens) -> durations (batch, tokens), f0 (batch, frames), mel (batch, frames,
                                                     mels) log10 magnitude

Idea         A singer in the form of FastSpeech 2 hears with each phoneme its note, the note's length, and whether the
             syllable only goes on; it tells how long phonemes last and, frame by frame, F0, and gives a first mel, too
             smooth. Noise of a few steps buries what it gets wrong; from there a WaveNet walks back to a mel with all
             detail (shallow diffusion). Or there is no F0 and no first mel: the walk begins at noise, and how the pitch
             moves is drawn with the rest; a vocoder that wants F0 must hear it in the mel.
Objective    diffusion (aoide/objectives/diffusion.py), with losses of first mel, durations and F0 beside
Recipe       recipes/svs/diffsinger_moon-folder.yaml
Paper        Liu et al. 2021, arXiv:2105.02446
Code         github.com/MoonInTheRiver/DiffSinger (MIT)
Checkpoints  its releases for Opencpop (Mandarin, a woman): adjust-receptive-field (from step 60),
             0228_opencpop_ds100_rel and 0831_opencpop_ds1000 (from noise); load with `from_official`
Differs      Singer and denoiser learn together, not one after the other; lengths of notes go in as frames. Padding is
             silenced before convolutions, so a phrase sings alone as in a batch (`from_official` does as the original).
             Without a score, notes are heard in a given F0. The step to start from is a setting; the paper's predictor
             of it is not here, as it is not in the published code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError, near
from aoide.models.svs import _moon, _openvpi
from aoide.models.svs._variance import DurationPredictor, Durations
from aoide.models.svs.diffsinger_variance import DurationLoss
from aoide.nn import denoise
from aoide.nn.conv import Conv1d
from aoide.nn.conversion import Span, check_span
from aoide.nn.denoise import Denoiser
from aoide.nn.lengths import expand
from aoide.nn.official import adopt
from aoide.nn.singing import (
    Activation,
    Block,
    Encoder,
    Positions,
    Sizes,
    Told,
    counted,
    heard_notes,
    hertz,
    note_groups,
    note_line,
    shared_out,
    whole_frames,
)
from aoide.nn.ssim import ssim_loss
from aoide.objectives import Batch, diffusion
from aoide.objectives.diffusion import Process
from aoide.objectives.regression import masked_l1

LOW, HIGH, BINS = 50.0, 1100.0, 256  # Hz, Hz, and into how many bins of the mel scale F0 is put between them
ROWS = 300  # of the tables of notes and of F0: more than there are of either
MIDDLE = 8.0  # log2 Hz that an untaught singer sings at
LEAST = 0.1  # frames that a phoneme weighs at least, where a note's time is shared out


@dataclass(frozen=True, kw_only=True, slots=True)
class Pitch:
    """The predictor of F0."""

    channels: int = 256
    layers: int = 5
    kernel: int = 5  # frames; odd
    dropout: float = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    """The decoder of the first mel."""

    layers: int = 4
    kernel: int = 9  # frames; odd


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published cascade for Opencpop (usr/configs/midi/cascade/opencs)."""

    symbols: int = 178  # size of the phoneme table, with padding
    speakers: int | None = None  # singers told apart by an embedding; null = one
    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            n_fft=512, hop=128, win=512, n_mels=80, fmin=30.0, scale="slaney", norm="slaney", floor=1e-6, log="log10"
        )
    )
    low: tuple[float, ...] = (-6.0,)  # log mel that is brought to -1, one for all bands or one a band
    high: tuple[float, ...] = (0.5,)  # and to 1
    dim: int = 256
    heads: int = 2
    layers: int = 4
    kernel: int = 9  # tokens that a block's convolution sees; odd
    activation: Activation = "gelu"
    dropout: float = 0.1
    positions: Positions = "backwards"
    durations: Durations = field(
        default_factory=lambda: Durations(
            dropout=0.5, residual=False, phoneme_weight=1.0, word_weight=1.0, phrase_weight=1.0
        )
    )
    pitch: Pitch | None = field(default_factory=Pitch)  # null = the mel's pitch is drawn with the rest
    gradient: float = 0.1  # share of the predictors' gradient that reaches the encoder
    first: First | None = field(default_factory=First)  # null = sampling starts at noise
    process: Process = field(default_factory=lambda: Process(steps=100, last=0.06))
    depth: int = 60  # how many steps of the process are gone, where there is a first mel
    leaky_padding: bool = False  # let padding be heard by its neighbours, as the published code does in a batch
    denoiser: Denoiser = field(default_factory=Denoiser)

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.kernel % 2 == 0:
            raise ValueError(f"dim {self.dim} is a multiple of 2 heads ({self.heads}), kernel odd, got {self.kernel}")
        check_span(self.low, self.high, self.mel.n_mels)
        if not 1 <= self.depth <= len(self.process.alphas()):
            raise ValueError(f"depth is a number of steps of the process, got {self.depth}")

    @property
    def start(self) -> int:
        """The number of steps that sampling takes at most."""
        return len(self.process.alphas()) if self.first is None else self.depth


class Output(NamedTuple):
    prediction: Tensor  # (batch, frames, mels), what the objective asks for
    first: Tensor | None  # (batch, frames, mels), the first mel
    durations: Tensor  # (batch, tokens) frames, not rounded, as predicted
    octaves: Tensor | None  # (batch, frames), predicted log2 Hz
    unvoiced: Tensor | None  # (batch, frames), logits


class Heard(NamedTuple):
    """What the singer makes of a score."""

    condition: Tensor  # (batch, frames, dim), what steers the denoiser
    frame_mask: Tensor  # (batch, frames)
    durations: Tensor  # (batch, tokens) int64 frames, given or predicted
    frame_durations: Tensor  # (batch, tokens), as predicted
    f0: Tensor | None  # (batch, frames) Hz, 0 = unvoiced, given or predicted
    octaves: Tensor | None
    unvoiced: Tensor | None


# ---------------------------------------------------------------------------------------------------------------- parts


class PitchPredictor(nn.Module):
    """Frames -> log2 of F0 in Hz, and a logit of being unvoiced: (batch, frames, dim) -> (batch, frames, 2)."""

    def __init__(self, pitch: Pitch, dim: int, leaky: bool) -> None:
        super().__init__()
        self.dropout, self.leaky = pitch.dropout, leaky
        sizes = [dim] + pitch.layers * [pitch.channels]
        self.place = nn.Parameter(torch.ones(1))
        self.convs = nn.ModuleList(Conv1d(a, b, pitch.kernel) for a, b in zip(sizes, sizes[1:], strict=False))
        self.norms = nn.ModuleList(nn.LayerNorm(size, eps=1e-12) for size in sizes[1:])
        self.out = nn.Linear(pitch.channels, 2)
        with torch.no_grad():
            self.out.bias[0] = MIDDLE

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = (x + self.place * counted(x)).masked_fill(~mask[..., None], 0.0)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x, None if self.leaky else mask).relu())
            x = functional.dropout(x, self.dropout, self.training)
        return self.out(x)


class Decoder(nn.Module):
    """Frames -> the first mel, by Transformer blocks: (batch, frames, dim) -> (batch, frames, mels)."""

    def __init__(self, sizes: Sizes, mels: int) -> None:
        super().__init__()
        self.dropout = sizes.dropout
        self.place = nn.Parameter(torch.ones(1))
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.dim)
        self.out = nn.Linear(sizes.dim, mels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        padded = ~mask[..., None]
        x = functional.dropout(x + self.place * counted(x), self.dropout, self.training).masked_fill(padded, 0.0)
        for block in self.blocks:
            x = block(x, mask).masked_fill(padded, 0.0)
        return self.out(self.norm(x)).masked_fill(padded, 0.0)


def coarse(f0: Tensor) -> Tensor:
    """Hz -> the number of its bin, 1 to 255; the mel scale of speech, 1127 ln(1 + f / 700). Unvoiced is 1."""
    low, high = (1127 * (1 + torch.tensor(hz, device=f0.device) / 700).log() for hz in (LOW, HIGH))
    place = (1127 * (f0 / 700).log1p() - low) * (BINS - 2) / (high - low) + 1
    return (place.clamp(1, BINS - 1) + 0.5).long()


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, mels = config.dim, config.mel.n_mels
        self.span = Span(config.low, config.high)
        self.embed = nn.Embedding(config.symbols, dim, padding_idx=0)
        self.notes = nn.Embedding(ROWS, dim, padding_idx=0)
        self.lasting = nn.Linear(1, dim)
        self.slurs = nn.Embedding(2, dim)
        self.speakers = nn.Embedding(config.speakers, dim) if config.speakers else None
        sizes = Sizes.of(config)
        self.encoder = Encoder(sizes)
        self.duration = DurationPredictor(config.durations, dim)
        if config.pitch is not None:
            self.pitch = PitchPredictor(config.pitch, dim, config.leaky_padding)
            self.height = nn.Embedding(ROWS, dim, padding_idx=0)
        if config.first is not None:
            shape = sizes._replace(layers=config.first.layers, kernel=config.first.kernel, positions="none")
            self.first = Decoder(shape, mels)
        self.denoiser = denoise.build(config.denoiser, mels, dim)

    def normalise(self, mel: Tensor) -> Tensor:
        """A log mel in the numbers, around -1 to 1, in which noise is added."""
        return self.span(mel)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        notes: Tensor,
        note_durations: Tensor,
        durations: Tensor,
        noisy: Tensor,
        step: Tensor,
        f0: Tensor | None = None,
        slurs: Tensor | None = None,
        frame_mask: Tensor | None = None,
        speaker: Tensor | None = None,
    ) -> Output:
        """What the objective asks for, and what its losses beside compare: the view of training.

        Args:
            tokens, token_mask: (batch, tokens), 0 = padding.
            notes: (batch, tokens) MIDI numbers, 0 = rest. note_durations: (batch, tokens) frames of that note.
            durations: (batch, tokens) int64 frames, as sung.
            noisy: (batch, frames, mels), a normalised mel with noise. step: (batch,), of how many steps.
            f0: (batch, frames) Hz, 0 = unvoiced, where the model follows it.
            slurs: (batch, tokens), 1 where a syllable goes on to another note; None: nowhere.
            frame_mask: (batch, frames), True = real. speaker: (batch,).

        Raises:
            ValueError: no speaker for a model of several.
        """
        frames = noisy.shape[1]
        heard = self.hear(tokens, token_mask, notes, note_durations, slurs, durations, f0, speaker, frames)
        mask = heard.frame_mask if frame_mask is None else heard.frame_mask & frame_mask
        within = None if self.config.leaky_padding else mask
        prediction = self.denoiser(noisy, step.to(noisy.dtype), heard.condition, within)
        first = self.first(heard.condition, mask) if self.config.first is not None else None
        return Output(prediction, first, heard.frame_durations, heard.octaves, heard.unvoiced)

    def hear(  # noqa: PLR0913  (what a score says)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        notes: Tensor,
        note_durations: Tensor,
        slurs: Tensor | None = None,
        durations: Tensor | None = None,
        f0: Tensor | None = None,
        speaker: Tensor | None = None,
        frames: int | None = None,
        words: Tensor | None = None,
    ) -> Heard:
        """What steers the denoiser, and what was predicted on the way; arguments as in `forward`.

        Args:
            durations: None: as predicted.
            f0: None: as predicted.
            frames: None: as many as the longest item has.
            words: (batch, tokens), from 1, 0 = padding, so that predicted durations of a note are stretched to its
                length; None: they stay as they are, as published.
        """
        seconds = note_durations[..., None].to(self.lasting.weight.dtype) / self.config.mel.frame_rate
        slurred = torch.zeros_like(tokens) if slurs is None else slurs.long()
        more = self.notes(notes.round().long().clamp(0, ROWS - 1)) + self.lasting(seconds) + self.slurs(slurred)
        text = self.encoder(self.embed(tokens), more, token_mask)
        who = self._who(speaker)
        known = (text if who is None else text + who).masked_fill(~token_mask[..., None], 0.0)
        lasts = self.duration(self._slowly(known), token_mask, self.config.leaky_padding)
        if durations is None:
            durations = lasts.clamp(min=0).round().long()
            if words is not None:
                groups = note_groups(words, notes, note_durations, slurs)
                weights = lasts.clamp(min=LEAST).masked_fill(~token_mask, 0.0)
                durations = whole_frames(shared_out(weights, groups, note_durations.to(lasts.dtype)))
        x, mask = expand(text, durations, frames)
        octaves = unvoiced = None
        if self.config.pitch is not None:
            told = x if who is None else (x + who).masked_fill(~mask[..., None], 0.0)
            octaves, unvoiced = self.pitch(self._slowly(told), mask).unbind(-1)
            if f0 is None:
                f0 = torch.where((unvoiced <= 0) & mask, 2**octaves, 0.0)
            x = x + self.height(coarse(f0 * mask))
        x = (x if who is None else x + who).masked_fill(~mask[..., None], 0.0)
        trace.report("condition", x)
        return Heard(x, mask, durations, lasts, f0, octaves, unvoiced)

    def _slowly(self, x: Tensor) -> Tensor:
        """x, through which only a share of the gradient comes back."""
        return x.detach() + self.config.gradient * (x - x.detach())

    def _who(self, speaker: Tensor | None) -> Tensor | None:
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
        """Durations, unless they are given, and F0 of a score; where the model tells no F0, that of the notes.

        Arguments as in `forward`.
        """
        heard = self.hear(tokens, token_mask, notes, note_durations, slurs, durations, None, speaker, words=words)
        mask = heard.frame_mask
        if heard.octaves is None or heard.unvoiced is None:
            return Told(heard.durations, hertz(note_line(notes, heard.durations, mask.shape[1])), mask)
        return Told(heard.durations, 2**heard.octaves, (heard.unvoiced <= 0) & mask)

    @torch.no_grad()
    def sing(  # noqa: PLR0913  (what steers a singer)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        durations: Tensor | None = None,
        f0: Tensor | None = None,
        *,
        notes: Tensor | None = None,
        note_durations: Tensor | None = None,
        slurs: Tensor | None = None,
        words: Tensor | None = None,
        speaker: Tensor | None = None,
        steps: int | None = None,
        sampler: str = "ddpm",
        noise: Tensor | None = None,
        fresh: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sings: (batch, frames, mels) of `config.mel`.

        Args:
            tokens, token_mask, notes, note_durations, slurs, speaker: as in `forward`. Without notes those heard in F0
                are sung, as long as their phonemes.
            durations, f0, words: as in `hear`.
            steps: of the sampler; None: all that there are.
            sampler: of objectives/diffusion.py: ddpm, ddim, plms, pndm, dpm_solver, unipc.
            noise: (batch, frames, mels), what to start from instead of drawing.
            fresh: what `ddpm` puts in instead of drawing, one a step but the last.

        Raises:
            UserError: no such sampler, more steps than were trained, or neither notes nor durations and F0.
        """
        if notes is None or note_durations is None:
            if durations is None or f0 is None:
                raise UserError("a score is wanted: give notes and note_durations, or durations and f0")
            notes, note_durations = heard_notes(f0, durations), durations
        frames = None if f0 is None else f0.shape[1]
        heard = self.hear(tokens, token_mask, notes, note_durations, slurs, durations, f0, speaker, frames, words)
        condition, mask = heard.condition, heard.frame_mask
        shape = (*mask.shape, self.config.mel.n_mels)
        noise = diffusion.draw(shape, generator, condition.device) if noise is None else noise
        start = noise
        if self.config.first is not None:
            first = self.normalise(self.first(condition, mask))
            start = self.config.process.blend(first, noise, self.config.start - 1)
        x = self._walk(start, condition, mask, (steps, sampler), fresh, generator)
        return self.span.back(x).masked_fill(~mask[..., None], self.config.mel.silence)

    def _walk(
        self,
        start: Tensor,
        condition: Tensor,
        mask: Tensor,
        how: tuple[int | None, str],
        fresh: Sequence[Tensor] | None,
        generator: torch.Generator | None,
    ) -> Tensor:
        """From a mel with noise to one without."""
        (steps, sampler), process, most = how, self.config.process, self.config.start
        if sampler not in diffusion.SAMPLERS:
            guess = near(sampler, diffusion.SAMPLERS) or f" there are {', '.join(diffusion.SAMPLERS)}"
            raise UserError(f"there is no sampler {sampler!r};{guess}")
        call = denoise.settle(self.denoiser, condition, None if self.config.leaky_padding else mask, steps or most)
        if sampler in ("dpm_solver", "unipc"):
            walk = process.between(steps or most - 1, most)
        else:
            walk = process.every(steps, most)
        if sampler == "ddpm":
            return diffusion.ddpm(call, start, process, walk, clip="x0", generator=generator, noise=fresh)
        return diffusion.SAMPLERS[sampler](call, start, process, walk)


# ------------------------------------------------------------------------------------------------------------- training


class FirstLoss(nn.Module):
    """Half the mean absolute difference of the first mel and half of what makes its picture unlike the recorded one's
    (`nn/ssim.py`, both within their span); 0 where there is no first mel.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.span = Span(config.low, config.high)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        if output.first is None:
            return output.prediction.new_zeros(())
        mask, want = batch["frame_mask"], batch["mel"]
        unlike = ssim_loss(self.span(output.first), self.span(want), mask)
        return 0.5 * masked_l1(output.first, want, mask) + 0.5 * unlike


def pitch_loss(output: Output, batch: Batch) -> Tensor:
    """Octaves by which predicted F0 is off where it is voiced, and the cross-entropy of that; 0 without a predictor."""
    if output.octaves is None or output.unvoiced is None:
        return output.prediction.new_zeros(())
    f0, mask = batch["f0"], batch["frame_mask"]
    voiced = (f0 > 0) & mask
    off = masked_l1(output.octaves, f0.clamp(min=1.0).log2(), voiced)
    return off + functional.binary_cross_entropy_with_logits(output.unvoiced[mask], (f0 <= 0)[mask].to(off.dtype))


TRAINING = diffusion.Config(target="mel", distance="l1", upto=60, weights={"first": 1.0, "duration": 1.0, "pitch": 1.0})
LOSSES = {"first": FirstLoss, "duration": DurationLoss, "pitch": pitch_loss}
NEEDS = ("tokens", "words", "notes", "note_durations", "slurs", "durations", "f0", "mel", "speaker")
TOY = Config(
    symbols=12,
    speakers=3,
    mel=MelConfig(
        sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, scale="slaney", norm="slaney", floor=1e-6,
        log="log10",
    ),
    dim=8,
    layers=1,
    kernel=3,
    durations=Durations(channels=6, layers=2, residual=False),
    pitch=Pitch(channels=6, layers=2),
    first=First(layers=1, kernel=3),
    denoiser=Denoiser(channels=8, layers=2, cycle=2),
)  # fmt: skip


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 6 tokens in 3 words and 24 frames."""
    tokens, frames = 6, 24
    shape = (batch, frames)
    fields = {
        "tokens": torch.randint(1, config.symbols, (batch, tokens), generator=generator),
        "token_mask": torch.ones(batch, tokens, dtype=torch.bool),
        "words": (torch.arange(tokens) // 2 + 1).expand(batch, tokens),
        "notes": torch.randint(48, 72, (batch, tokens), generator=generator),
        "note_durations": torch.full((batch, tokens), 2 * frames // tokens),
        "slurs": torch.randint(0, 2, (batch, tokens), generator=generator),
        "durations": torch.full((batch, tokens), frames // tokens),
        "frame_mask": torch.ones(shape, dtype=torch.bool),
        "f0": (200 + 200 * torch.rand(shape, generator=generator)) * (torch.rand(shape, generator=generator) > 0.3),
        "mel": torch.randn(*shape, config.mel.n_mels, generator=generator) - 3,
        "noisy": torch.randn(*shape, config.mel.n_mels, generator=generator),
        "step": torch.randint(0, config.start, (batch,), generator=generator),
    }
    if config.speakers:
        fields["speaker"] = torch.randint(0, config.speakers, (batch,), generator=generator)
    return fields


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """The authors' model for MIDI scores.

    Where sampling starts at noise (gaussian_start), the decoder of the first mel is left out: it is neither trained nor
    heard then.

    Args:
        state: the state dict of model_ckpt_steps_N.ckpt, with or without the prefix "model.".
        config: the resolved config.yaml that lies beside it.

    Raises:
        UserError: a variant that is not known here, or keys or shapes that do not fit the configuration.
    """
    for what in ("use_spk_embed", "use_split_spk_id", "use_energy_embed"):
        if config.get(what):
            raise UserError(f"this DiffSinger checkpoint has {what}, which is not known here")
    if not config.get("use_midi"):
        raise UserError("this DiffSinger checkpoint sings from F0, not from notes (use_midi): it is not known here")
    if config.get("diff_decoder_type", "wavenet") != "wavenet" or config.get("pitch_type", "frame") != "frame":
        raise UserError("this DiffSinger checkpoint has another denoiser than wavenet, or F0 that is not by the frame")
    inner = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")} or state
    settings = _settings(inner, config)
    return adopt(
        Model(settings), _moon.keys(inner, settings.denoiser, settings.first is not None), "DiffSinger checkpoint"
    )


def _settings(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Config:
    speakers = state.get("fs2.spk_embed_proj.weight")
    hidden = config["hidden_size"]
    channels = config["predictor_hidden"] if config.get("predictor_hidden", -1) > 0 else hidden
    dropout = config.get("predictor_dropout", 0.5)
    low, high = (_moon.span(state, config, name) for name in ("spec_min", "spec_max"))
    return Config(
        symbols=len(state["fs2.encoder_embed_tokens.weight"]),
        speakers=None if speakers is None else len(speakers),
        mel=_moon.mel(config),
        low=low,
        high=high,
        dim=hidden,
        heads=config["num_heads"],
        layers=config["enc_layers"],
        kernel=config["enc_ffn_kernel_size"],
        activation=config.get("ffn_act", "gelu"),
        dropout=config.get("dropout", 0.1),
        positions=_openvpi.positions(config),
        durations=Durations(
            channels=channels,
            layers=config["dur_predictor_layers"],
            kernel=config["dur_predictor_kernel"],
            dropout=dropout,
            residual=False,
            phoneme_weight=config.get("lambda_ph_dur", 1.0),
            word_weight=config.get("lambda_word_dur", 1.0),
            phrase_weight=config.get("lambda_sent_dur", 1.0),
        ),
        pitch=Pitch(
            channels=channels, layers=config["predictor_layers"], kernel=config["predictor_kernel"], dropout=dropout
        )
        if config.get("use_pitch_embed")
        else None,
        gradient=config.get("predictor_grad", 0.1),
        first=None
        if config.get("gaussian_start")
        else First(layers=config["dec_layers"], kernel=config["dec_ffn_kernel_size"]),
        process=Process(
            schedule=config.get("schedule_type", "cosine"),
            steps=config["timesteps"],
            last=config.get("max_beta", 0.01),
        ),
        depth=config["K_step"],
        leaky_padding=True,
        denoiser=Denoiser(
            channels=config["residual_channels"],
            layers=config["residual_layers"],
            cycle=config["dilation_cycle_length"],
        ),
    )
