"""DiffSinger as openvpi builds it, the variance model: notes and phonemes -> durations, pitch and curves.

    tokens, words, notes (batch, tokens ...) -> durations (batch, tokens) frames, curves (batch, frames, curves)

Idea         What a score leaves open, filled in: how a word's time is shared among its phonemes, how the voice moves
             around the notes (vibrato, slides), how loud, breathy, tense it is. Durations are told directly; pitch, as
             semitones from the notes, and the curves are drawn by denoisers, each value repeated over several bins so
             that a denoiser for pictures fits. What a musician has drawn stays, and the rest is filled in around it.
Objective    flow (aoide/objectives/flow.py, the default), or diffusion (aoide/objectives/diffusion.py); target `curves`
Recipe       recipes/svs/diffsinger-variance-folder.yaml
Papers       Liu et al. 2021, arXiv:2105.02446 (DiffSinger); the variance model is openvpi's own
Code         github.com/openvpi/DiffSinger (Apache-2.0), which also is the form that OpenUtau asks for
Checkpoints  of the community's voices: `model_ckpt_steps_*.ckpt` with config.yaml; load with `from_official`
Parity       tests/parity/test_diffsinger_variance.py
Differs      Pitch and the other curves share the time (or step) of a clip in training. Padding is silenced before
             convolutions (`from_official` does as the original).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.models.svs import _openvpi
from aoide.models.svs._variance import (
    MIDI_NOTES,
    Drawer,
    Drawn,
    DurationPredictor,
    Durations,
    Melody,
    MelodyEncoder,
    share_of_words,
    share_out,
)
from aoide.models.svs.diffsinger import CURVES, TIME_SCALE, sample
from aoide.nn import denoise
from aoide.nn.denoise import Denoiser
from aoide.nn.lengths import token_of_frame
from aoide.nn.official import adopt
from aoide.nn.singing import Activation, Encoder, Positions, Sizes, Stretch
from aoide.objectives import Batch, diffusion, flow
from aoide.objectives.diffusion import Process

VariedCurve = Literal["loudness", "breathiness", "voicing", "tension"]
OCTAVE = 12
RETAKEN = 0.25  # the share of clips of which a curve is drawn as a whole in training


def _pitch() -> Drawn:
    block = Denoiser(kind="lynxnet2", channels=512, layers=6, expansion=1, kernel=31)
    return Drawn(low=(-8.0,), high=(8.0,), floor=(-12.0,), ceiling=(12.0,), bins=64, denoiser=block)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of openvpi's configs/variance.yaml, with no curve but pitch."""

    symbols: int = 80  # size of the phoneme table, with padding
    languages: int | None = None
    speakers: int | None = None
    sample_rate: int = 44_100  # Hz, with hop: the clock of the frames
    hop: int = 512
    dim: int = 384
    heads: int = 2
    layers: int = 4
    kernel: int = 3
    activation: Activation = "gelu"
    dropout: float = 0.1
    positions: Positions = "halves"
    scaled: bool = True
    stretch: bool = True
    leaky_padding: bool = False
    durations: Durations | None = field(default_factory=Durations)  # null = they are given
    pitch: Drawn | None = field(default_factory=_pitch)  # semitones from the base pitch; null = it is given
    melody: Melody | None = field(default_factory=Melody)  # null = pitch follows the base pitch alone
    curves: tuple[VariedCurve, ...] = ()
    varied: Drawn | None = None  # how the curves are drawn; null where there are none
    method: Literal["flow", "diffusion"] = "flow"
    process: Process = field(default_factory=Process)

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.kernel % 2 == 0:
            raise ValueError(f"dim {self.dim} is a multiple of 2 heads ({self.heads}), kernel odd, got {self.kernel}")
        if bool(self.curves) != (self.varied is not None) or (self.varied and len(self.varied.low) != len(self.curves)):
            raise ValueError("varied says how `curves` are drawn, with one number a curve in low, high, floor, ceiling")
        if self.durations is None and self.pitch is None and not self.curves:
            raise ValueError("a variance model predicts durations, pitch or curves: name one")

    @property
    def frame_rate(self) -> float:  # frames per second
        return self.sample_rate / self.hop

    @property
    def drawn(self) -> tuple[str, ...]:
        """The names of what denoisers draw, in the order of the last axis of `curves`."""
        return (("pitch",) if self.pitch else ()) + self.curves


class Output(NamedTuple):
    prediction: Tensor  # (batch, frames, bins of all), what the objective asks for
    durations: Tensor | None  # (batch, tokens) frames, not rounded, as predicted


class Filled(NamedTuple):
    """What a score left open; in padded places it holds no meaning."""

    durations: Tensor  # (batch, tokens) int64 frames
    frame_durations: Tensor | None  # (batch, tokens), as predicted, before words share out their time
    pitch: Tensor  # (batch, frames) MIDI semitones
    curves: dict[str, Tensor]  # (batch, frames) each


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """What a score leaves open, filled in."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embed = nn.Embedding(config.symbols, dim, padding_idx=0)
        self.languages = nn.Embedding(config.languages + 1, dim, padding_idx=0) if config.languages else None
        self.speakers = nn.Embedding(config.speakers, dim) if config.speakers else None
        self.encoder = Encoder(Sizes.of(config))
        self.lasting = nn.Linear(1, dim)  # of the word, where durations are predicted, else of the phoneme
        if config.durations is not None:
            self.onset = nn.Embedding(2, dim)
            self.midi = nn.Embedding(MIDI_NOTES, dim)
            self.duration = DurationPredictor(config.durations, dim)
        draws = config.pitch is not None or bool(config.curves)
        self.stretch = Stretch(dim) if config.stretch and draws else None
        if config.pitch is not None:
            self.melody = MelodyEncoder(config, config.melody) if config.melody else None
            self.line = nn.Linear(1, dim)  # of the pitch that is kept, from the notes; or of the base pitch
            self.retake = nn.Embedding(2, dim)
            self.pitch = Drawer(config.pitch, dim)
        if config.varied is not None:
            self.around = nn.Linear(1, dim)  # of the pitch, for the other curves
            self.kept = nn.ModuleDict({curve: nn.Linear(1, dim) for curve in config.curves})
            self.varied = Drawer(config.varied, dim)

    def normalise(self, curves: Tensor) -> Tensor:
        """(batch, frames, curves of `config.drawn`) -> the numbers in which noise is added, (batch, frames, bins)."""
        parts = []
        if self.config.pitch is not None:
            parts.append(self.pitch.normalise(curves[..., :1]))
            curves = curves[..., 1:]
        if self.config.varied is not None:
            parts.append(self.varied.normalise(curves))
        return torch.cat(parts, dim=-1)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """Which frames of each curve are to be drawn this time: half of them. The rest stays, as a musician drew it.

        Of a quarter of the clips all is to be drawn, of the others a stretch, a third on average; as published.
        """
        curves = batch["curves"]
        if "retake" in batch or not self.config.drawn:
            return {}
        clips, frames, count = curves.shape
        whole, *ends = torch.rand(3, clips, 1, count, generator=generator, device=curves.device)
        place = (torch.arange(frames, device=curves.device)[None, :, None] + 0.5) / max(frames, 1)
        retake = (whole < RETAKEN) | ((place >= torch.minimum(*ends)) & (place <= torch.maximum(*ends)))
        if self.config.pitch is None or self.melody is not None:
            return {"retake": retake}
        kept = curves[..., 0] * ~retake[..., 0]  # belongs to the line that is followed
        told = torch.cat([(curves[..., 0] - kept)[..., None], curves[..., 1:]], dim=-1)
        return {"retake": retake, "base_pitch": batch["base_pitch"] + kept, "curves": told}

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        words: Tensor,
        durations: Tensor,
        midi: Tensor,
        base_pitch: Tensor,
        curves: Tensor,
        noisy: Tensor,
        time: Tensor | None = None,
        step: Tensor | None = None,
        frame_mask: Tensor | None = None,
        language: Tensor | None = None,
        speaker: Tensor | None = None,
        notes: Tensor | None = None,
        note_rests: Tensor | None = None,
        note_durations: Tensor | None = None,
        note_glides: Tensor | None = None,
        note_mask: Tensor | None = None,
        retake: Tensor | None = None,
    ) -> Output:
        """What the objective asks for, and durations: the view of training.

        Args:
            tokens, token_mask: (batch, tokens), 0 = padding.
            words: (batch, tokens), which word a phoneme belongs to, from 1; 0 = padding.
            durations: (batch, tokens) int64 frames, as sung.
            midi: (batch, tokens) int64, the note of each phoneme.
            base_pitch: (batch, frames) MIDI, the smoothed line of the notes.
            curves: (batch, frames, curves), as sung: pitch minus base pitch, then the others of `config.drawn` (a model
                without melody is trained towards 0 where pitch is kept, since it then belongs to its line). Where
                `retake` says that a curve is to be drawn, it is not
                looked at, but for the pitch that the others follow.
            noisy: (batch, frames, bins), `normalise(curves)` with noise.
            time, step: (batch,), how noisy: of a flow, or of diffusion.
            frame_mask: (batch, frames). language: (batch, tokens) from 1. speaker: (batch,).
            notes: (batch, notes) MIDI. note_rests: bool. note_durations: frames. note_glides: kinds. note_mask: bool;
                None = all but those below 0.
            retake: (batch, frames, curves) bool, True = to be drawn; None = all.

        Raises:
            ValueError: neither time nor step, or notes are not given to a model that follows them.
        """
        if (time is None) == (step is None):
            raise ValueError("give time (of a flow) or step (of diffusion), and not both")
        when = step.to(noisy.dtype) if step is not None else TIME_SCALE * time  # type: ignore[operator]
        who = None if self.speakers is None or speaker is None else self.speakers(speaker)[:, None]
        word_frames = share_of_words(words, durations)
        text, predicted = self.read(tokens, token_mask, words, durations, word_frames, midi, language, who)
        x = self._frames(text, durations, base_pitch.shape[1], who)
        within = torch.arange(x.shape[1], device=x.device) < durations.sum(1, keepdim=True)
        parts = []
        if self.config.pitch is not None:
            score = (notes, note_rests, note_durations, note_glides, note_mask)
            delta = None if retake is None else curves[..., 0]
            condition = self.pitch_condition(
                x, base_pitch, within, score, delta, None if retake is None else retake[..., 0]
            )
            noise, noisy = noisy[..., : self.pitch.width], noisy[..., self.pitch.width :]
            parts.append(self.pitch.denoiser(noise, when, condition, frame_mask))
        if self.config.varied is not None:
            first = 1 if self.config.pitch is not None else 0
            pitch = base_pitch + curves[..., 0] if first else base_pitch
            known = None if retake is None else (curves[..., first:], retake[..., first:])
            parts.append(self.varied.denoiser(noisy, when, self.curve_condition(x, pitch, known), frame_mask))
        return Output(torch.cat(parts, dim=-1) if parts else noisy, predicted)

    def read(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        words: Tensor,
        durations: Tensor | None,
        word_frames: Tensor,
        midi: Tensor,
        language: Tensor | None,
        who: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The encoded phonemes (batch, tokens, dim) and, where they are predicted, durations (batch, tokens).

        word_frames: (batch, tokens), how long the word of each phoneme lasts.
        """
        if self.config.durations is not None:
            onset = words.diff(dim=1, prepend=torch.zeros_like(words[:, :1])) > 0
            more = self.onset(onset.long()) + self.lasting(word_frames[..., None].to(self.lasting.weight.dtype))
        else:
            assert durations is not None
            lasting = durations[..., None].to(self.lasting.weight.dtype)
            more = self.lasting(lasting.log1p() if self.config.scaled else lasting)
        if self.languages is not None and language is not None:
            more = more + self.languages(language)
        text = self.encoder(self.embed(tokens), more, token_mask)
        if self.config.durations is None:
            return text, None
        x = text + self.midi(midi)
        return text, self.duration(x if who is None else x + who, token_mask, self.config.leaky_padding)

    def _frames(self, text: Tensor, durations: Tensor, frames: int, who: Tensor | None) -> Tensor:
        token = token_of_frame(durations, frames)
        beyond = functional.pad(text, (0, 0, 0, 1))
        x = beyond.gather(1, token[..., None].expand(-1, -1, text.shape[2]))
        if self.stretch is not None:
            x = self.stretch(x, durations, token)
        return x if who is None else x + who

    def pitch_condition(
        self,
        x: Tensor,
        base_pitch: Tensor,
        within: Tensor,
        score: tuple[Tensor | None, ...],
        delta: Tensor | None,
        retake: Tensor | None,
        expressiveness: Tensor | None = None,
    ) -> Tensor:
        """What steers the pitch: (batch, frames, dim).

        Args:
            within: (batch, frames) bool, where there are phonemes; beyond them there is no note.
            score: notes, rests, durations, glides, mask.
            delta: (batch, frames), the pitch that is known, from the base pitch; None = nothing is.
            retake: (batch, frames) bool, where it is to be drawn anew; None = everywhere.
            expressiveness: (batch, frames), 0 to 1: between the known and the drawn.
        """
        anew = torch.ones_like(base_pitch, dtype=torch.bool) if retake is None else retake
        if expressiveness is None:
            x = x + self.retake(anew.long())
        else:
            share = (expressiveness * anew)[..., None]
            x = x + share * self.retake.weight[1] + (1 - share) * self.retake.weight[0]
        kept = torch.zeros_like(base_pitch) if delta is None else delta * ~anew
        if self.melody is None:
            line, scale = base_pitch + kept, MIDI_NOTES
        else:
            notes, rests, lasting, glides, mask = score
            if notes is None or rests is None or lasting is None:
                raise ValueError("this model's pitch follows the notes: give notes, note_rests and note_durations")
            sung = self.melody(notes, rests, lasting, glides, notes >= 0 if mask is None else mask)
            note = token_of_frame(lasting, x.shape[1]).masked_fill(~within, sung.shape[1])
            x = x + functional.pad(sung, (0, 0, 0, 1)).gather(1, note[..., None].expand(-1, -1, sung.shape[2]))
            line, scale = kept, OCTAVE
        return x + self.line((line / (scale if self.config.scaled else 1))[..., None])

    def curve_condition(self, x: Tensor, pitch: Tensor, known: tuple[Tensor, Tensor] | None) -> Tensor:
        """What steers the curves: (batch, frames, dim). pitch (batch, frames) MIDI; known: curves, and which to retake,
        each (batch, frames, curves).
        """
        x = x + self.around((pitch / (OCTAVE if self.config.scaled else 1))[..., None])
        if known is not None:
            for number, (curve, layer) in enumerate(self.kept.items()):
                value, anew = known[0][..., number], known[1][..., number]
                scale = CURVES[curve] if self.config.scaled else 1.0
                x = x + layer(value[..., None] * scale) * ~anew[..., None]
        return x

    @torch.no_grad()
    def fill(  # noqa: PLR0913  (what a score may say)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        words: Tensor,
        word_durations: Tensor,
        midi: Tensor,
        base_pitch: Tensor,
        *,
        durations: Tensor | None = None,
        score: tuple[Tensor | None, ...] = (None, None, None, None, None),
        language: Tensor | None = None,
        speaker: Tensor | None = None,
        curves: Tensor | None = None,
        retake: Tensor | None = None,
        steps: int = 20,
        sampler: str | None = None,
        noise: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Filled:
        """Fills in what is open.

        Args:
            word_durations: (batch, words) int64 frames.
            durations: (batch, tokens), where they are known.
            score: notes, rests, durations, glides and mask, where pitch follows the notes.
            curves, retake: (batch, frames, curves of `config.drawn`): what is known, and where it is to be drawn anew.
            noise: "pitch" and "curves" -> (batch, frames, bins), what to start from instead of drawing.
            The others are as in `forward`, steps and sampler as in `svs/diffsinger`.
        """
        who = None if self.speakers is None or speaker is None else self.speakers(speaker)[:, None]
        word_frames = functional.pad(word_durations, (1, 0)).gather(1, words)
        text, predicted = self.read(tokens, token_mask, words, durations, word_frames, midi, language, who)
        if durations is None:
            if predicted is None:
                raise UserError("this variance model does not predict durations: give them")
            durations = share_out(predicted.clamp(min=0), words, word_durations)
        x = self._frames(text, durations, base_pitch.shape[1], who)
        within = torch.arange(x.shape[1], device=x.device) < durations.sum(1, keepdim=True)
        pitch, given = base_pitch, noise or {}
        first = 1 if self.config.pitch is not None else 0
        if first:
            delta = None if retake is None or curves is None else curves[..., 0]
            condition = self.pitch_condition(x, pitch, within, score, delta, None if retake is None else retake[..., 0])
            if self.melody is None and delta is not None and retake is not None:
                pitch = pitch + delta * ~retake[..., 0]  # what is kept belongs to the line that is followed
            pitch = pitch + self._draw(self.pitch, condition, given.get("pitch"), steps, sampler, generator)[..., 0]
        drawn: dict[str, Tensor] = {}
        if self.config.varied is not None:
            follows = base_pitch + curves[..., 0] if first and curves is not None else pitch
            known = None if retake is None or curves is None else (curves[..., first:], retake[..., first:])
            condition = self.curve_condition(x, follows, known)
            values = self._draw(self.varied, condition, given.get("curves"), steps, sampler, generator)
            drawn = dict(zip(self.config.curves, values.unbind(-1), strict=True))
        for name, value in {"pitch": pitch, **drawn}.items():
            trace.report(f"variance/{name}", value)
        return Filled(durations, predicted, pitch, drawn)

    def _draw(
        self,
        drawer: Drawer,
        condition: Tensor,
        noise: Tensor | None,
        steps: int,
        sampler: str | None,
        generator: torch.Generator | None,
    ) -> Tensor:
        shape = (*condition.shape[:2], drawer.width)
        x = diffusion.draw(shape, generator, condition.device) if noise is None else noise

        call = denoise.settle(drawer.denoiser, condition, calls=steps)
        return drawer.denormalise(sample(call, x, self.config, steps, sampler))


# ------------------------------------------------------------------------------------------------------------- training


class DurationLoss:
    """Squared differences of logarithms of durations: of phonemes, words and the phrase, each with its weight.

    A mean over what is real; words and phrase from durations of 0 or more.
    """

    def __init__(self, config: Config) -> None:
        self.settings = config.durations

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        settings, got = self.settings, output.durations
        if settings is None or got is None:
            return output.prediction.new_zeros(())
        want, words, mask = batch["durations"].to(got.dtype), batch["words"], batch["token_mask"]
        phonemes = self._off(got, want)[mask].mean()
        got = got.clamp(min=0)
        size = int(words.max()) + 1
        sums = [x.new_zeros(len(x), size).scatter_add(1, words, x)[:, 1:] for x in (got, want)]
        there = torch.arange(1, size, device=got.device) <= words.amax(dim=1, keepdim=True)
        by_word = self._off(*sums)[there].mean()
        phrase = self._off(got.sum(1), want.sum(1)).mean()
        weighted = settings.phoneme_weight * phonemes + settings.word_weight * by_word
        return weighted + settings.phrase_weight * phrase

    def _off(self, got: Tensor, want: Tensor) -> Tensor:
        assert self.settings is not None
        return ((got + self.settings.offset).log() - (want + self.settings.offset).log()).square()


def follows(config: Config) -> tuple[str, ...]:
    """What a model of these settings needs of a batch beside NEEDS."""
    notes = ("notes", "note_rests", "note_durations", "note_glides", "note_mask") if config.melody else ()
    return (*notes, *(("language",) if config.languages else ()))


TRAINING = flow.Config(target="curves", weights={"duration": 1.0})
LOSSES = {"duration": DurationLoss}
NEEDS = ("tokens", "words", "durations", "midi", "base_pitch", "curves", "speaker")
GAPLESS = True  # F0 goes on where nothing is voiced
_SMALL = Denoiser(kind="lynxnet2", channels=8, layers=1, expansion=1, kernel=3)
TOY = Config(
    symbols=12,
    speakers=3,
    languages=2,
    dim=8,
    layers=1,
    durations=Durations(channels=6, layers=2),
    pitch=Drawn(low=(-8.0,), high=(8.0,), floor=(-12.0,), ceiling=(12.0,), bins=4, denoiser=_SMALL),
    melody=Melody(dim=8, layers=1, glides=2),
    curves=("loudness", "tension"),
    varied=Drawn(low=(-96, -10), high=(0, 10), floor=(-96, -10), ceiling=(0, 10), bins=2, denoiser=_SMALL),
    process=Process(steps=20, first=1e-3, last=0.2),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 6 tokens, 3 words, 3 notes and 24 frames."""
    tokens, notes, frames = 6, 3, 24
    count = len(config.drawn)
    width = (config.pitch.bins if config.pitch else 0) + (
        len(config.curves) * config.varied.bins if config.varied else 0
    )
    fields = {
        "tokens": torch.randint(1, config.symbols, (batch, tokens), generator=generator),
        "token_mask": torch.ones(batch, tokens, dtype=torch.bool),
        "words": (torch.arange(tokens) // 2 + 1).expand(batch, tokens),
        "durations": torch.full((batch, tokens), frames // tokens),
        "midi": torch.randint(48, 72, (batch, tokens), generator=generator),
        "base_pitch": 60 + 5 * torch.rand(batch, frames, generator=generator),
        "curves": torch.randn(batch, frames, count, generator=generator),
        "retake": torch.rand(batch, frames, count, generator=generator) > 0.5,
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "noisy": torch.randn(batch, frames, width, generator=generator),
        "time": torch.rand(batch, generator=generator),
        "notes": 60 + 5 * torch.rand(batch, notes, generator=generator),
        "note_rests": torch.tensor([False, True, False]).expand(batch, notes),
        "note_durations": torch.full((batch, notes), frames // notes),
        "note_glides": torch.randint(0, 3, (batch, notes), generator=generator),
        "note_mask": torch.ones(batch, notes, dtype=torch.bool),
    }
    if config.languages:
        fields["language"] = torch.randint(1, config.languages + 1, (batch, tokens), generator=generator)
    if config.speakers:
        fields["speaker"] = torch.randint(0, config.speakers, (batch,), generator=generator)
    return fields


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """openvpi's variance model: the state dict of its checkpoint (with or without the prefix "model.") and config.yaml.

    Raises:
        UserError: keys or shapes that do not fit the configuration.
    """
    bare = _openvpi.constants_aside(state)
    settings = _settings(bare, config)
    return adopt(Model(settings), _openvpi.variance_keys(bare, settings), "DiffSinger variance checkpoint")


def _settings(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Config:
    speakers, languages = state.get("spk_embed.weight"), state.get("fs2.lang_embed.weight")
    curves = [theirs for theirs in _openvpi.CURVES if config.get(f"predict_{theirs}")]
    return Config(
        symbols=len(state["fs2.txt_embed.weight"]),
        languages=None if languages is None else len(languages) - 1,
        speakers=None if speakers is None else len(speakers),
        sample_rate=config.get("audio_sample_rate", 44_100),
        hop=config.get("hop_size", 512),
        dim=config["hidden_size"],
        heads=config["num_heads"],
        layers=config["enc_layers"],
        kernel=config["enc_ffn_kernel_size"],
        activation=config.get("ffn_act", "gelu"),
        dropout=config.get("dropout", 0.1),
        positions=_openvpi.positions(config),
        scaled=bool(config.get("use_variance_scaling")),
        stretch=bool(config.get("use_stretch_embed")),
        leaky_padding=True,
        durations=_durations(config["dur_prediction_args"]) if config.get("predict_dur") else None,
        pitch=_drawn_pitch(config) if config.get("predict_pitch") else None,
        melody=_melody(config) if config.get("predict_pitch") and config.get("use_melody_encoder") else None,
        curves=tuple(_openvpi.CURVES[curve] for curve in curves),  # type: ignore[misc]
        varied=_drawn_curves(config, curves) if curves else None,
        method="flow" if config.get("diffusion_type", "ddpm") == "reflow" else "diffusion",
        process=_openvpi.process(config),
    )


def _durations(part: Mapping[str, Any]) -> Durations:
    return Durations(
        channels=part["hidden_size"],
        layers=part["num_layers"],
        kernel=part["kernel_size"],
        dropout=part["dropout"],
        offset=part["log_offset"],
        residual=part.get("arch", "fs2") == "resnet",
        phoneme_weight=part["lambda_pdur_loss"],
        word_weight=part["lambda_wdur_loss"],
        phrase_weight=part["lambda_sdur_loss"],
    )


def _melody(config: Mapping[str, Any]) -> Melody:
    part = {**config, **config["melody_encoder_args"]}
    return Melody(
        dim=part["hidden_size"],
        heads=part["num_heads"],
        layers=part["enc_layers"],
        kernel=part["enc_ffn_kernel_size"],
        glides=len(config["glide_types"]) if config.get("use_glide_embed") else 0,
        glide_scale=config.get("glide_embed_scale", 1.0),
    )


def _drawn_pitch(config: Mapping[str, Any]) -> Drawn:
    part = config["pitch_prediction_args"]
    return Drawn(
        low=(part["pitd_norm_min"],),
        high=(part["pitd_norm_max"],),
        floor=(part["pitd_clip_min"],),
        ceiling=(part["pitd_clip_max"],),
        bins=part["repeat_bins"],
        denoiser=_denoiser(config, part),
    )


def _drawn_curves(config: Mapping[str, Any], curves: list[str]) -> Drawn:
    part = config["variances_prediction_args"]
    units = ["logit" if curve == "tension" else "db" for curve in curves]
    low = tuple(config[f"{curve}_{unit}_min"] for curve, unit in zip(curves, units, strict=True))
    high = tuple(config[f"{curve}_{unit}_max"] for curve, unit in zip(curves, units, strict=True))
    top = tuple(limit if unit == "logit" else 0.0 for limit, unit in zip(high, units, strict=True))
    bins = part["total_repeat_bins"] // len(curves)
    return Drawn(low=low, high=high, floor=low, ceiling=top, bins=bins, denoiser=_denoiser(config, part))


def _denoiser(config: Mapping[str, Any], part: Mapping[str, Any]) -> Denoiser:
    kind = part.get("backbone_type") or config["backbone_type"]
    return _openvpi.denoiser(kind, part.get("backbone_args") or config["backbone_args"])
