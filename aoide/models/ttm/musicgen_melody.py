"""MusicGen with a melody: text (batch, words, text_dim) and a sound to follow -> codes (batch, frames, 4).

Idea         As ttm/musicgen, but what is told stands before the codes: first the melody, then the caption. Of the
             melody only its strongest pitch class is kept, one of twelve each eighth of a second: which notes there
             are, not who plays them. In training it is that of the music itself; later it can be anybody's humming.
Objective    next token (aoide/objectives/tokens.py), on the codes of all books
Recipes      recipes/ttm/musicgen_melody-folder.yaml
Paper        Copet et al. 2023, arXiv:2306.05284, section 2.3; chroma: Ellis 2007, "Chroma feature analysis"
Code         github.com/facebookresearch/audiocraft (MIT)
Checkpoints  facebook/musicgen-melody (CC-BY-NC-4.0): `from_official`, both forms; parity against transformers' own in
             tests/models/test_musicgen.py
Differs      the original separates drums and bass from what it hears first (Demucs); here the sound is taken as it is,
             so give it one that is a melody
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError
from aoide.models.ttm import musicgen
from aoide.models.ttm.musicgen import GUIDANCE, SAMPLING, judged, laid, official_lm, written
from aoide.nn.codes_lm import CodesLM, Settings
from aoide.nn.official import adopt
from aoide.nn.token_lm import Sampling, Scored, to_front
from aoide.objectives import Batch
from aoide.objectives import tokens as next_token

CLASSES = 12  # of pitch, C first
LOWEST = 27.5  # Hz, the A from which octaves are counted
CENTRE, WIDTH = 5.0, 2.0  # octaves: the pitches that count most, and how fast others count less


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(musicgen.Config):
    """Settings; the defaults are those of musicgen-melody (1.5 G parameters)."""

    dim: int = 1536
    layers: int = 48
    heads: int = 24
    hidden: int = 6144
    chroma_fft: int = 16_384  # samples of a frame of the melody, and between two
    chroma_hop: int = 4096
    chroma_frames: int = 235  # that stand before the caption; a shorter melody is repeated

    @property
    def settings(self) -> Settings:
        """Of the language model."""
        return Settings(
            codebooks=self.codebooks,
            codes=self.codes,
            dim=self.dim,
            layers=self.layers,
            heads=self.heads,
            hidden=self.hidden,
            told=False,
        )


class Chroma(nn.Module):
    """The strongest pitch class of each frame: audio (batch, samples) -> (batch, frames, 12), one 1 in each."""

    filters: Tensor
    window: Tensor

    def __init__(self, sample_rate: int, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("filters", filters(sample_rate, n_fft), persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        short = max(0, self.n_fft - audio.shape[-1])
        audio = functional.pad(audio, (short // 2, short - short // 2))
        spectrum = torch.stft(audio, self.n_fft, self.hop, window=self.window, return_complex=True).abs().square()
        strongest = (self.filters @ spectrum).argmax(1)
        return functional.one_hot(strongest, CLASSES).float()


def filters(sample_rate: int, n_fft: int) -> Tensor:
    """How much each bin of a spectrum belongs to each pitch class: (12, n_fft / 2 + 1).

    A bell around the class, as wide as the bin is in semitones, at least one; of unit length for each bin; bins count
    less the further they lie from the fifth octave.
    """
    bins = torch.arange(1, n_fft, dtype=torch.float64)
    notes = CLASSES * torch.log2(bins * sample_rate / n_fft / LOWEST)
    notes = torch.cat([notes[:1] - 1.5 * CLASSES, notes])  # bin 0 has no pitch and gets one that hardly counts
    widths = torch.cat([notes.diff().clamp(min=1), notes.new_ones(1)])
    away = notes - torch.arange(CLASSES)[:, None]
    away = torch.remainder(away + CLASSES / 2, CLASSES) - CLASSES / 2
    bells = torch.exp(-0.5 * (2 * away / widths).square())
    bells = bells / bells.square().sum(0).sqrt()
    bells = bells * torch.exp(-0.5 * ((notes / CLASSES - CENTRE) / WIDTH).square())
    return bells.roll(-3, 0)[:, : n_fft // 2 + 1].float()


class Model(nn.Module):
    """Caption and melody -> codes of music."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.lm = CodesLM(config.settings)
        self.read = nn.Linear(config.text_dim, config.dim)
        self.hear = nn.Linear(CLASSES, config.dim)
        self.chroma = Chroma(config.sample_rate, config.chroma_fft, config.chroma_hop)
        self.family = next_token.Classes(config.codes)

    def conceal(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Of which items neither caption nor melody is told this time: untold (batch,), True = not."""
        drawn = torch.rand(len(batch["codes"]), generator=generator)
        return {"untold": (drawn < self.config.untold).to(batch["codes"].device)}

    def forward(
        self,
        codes: Tensor,
        audio: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        untold: Tensor | None = None,
    ) -> Scored:
        """As that of ttm/musicgen; audio (batch, samples) is the sound whose melody is followed."""
        codes = codes[..., : self.config.codebooks]
        rows, mask = laid(self.config.layout(codes.shape[1]), codes, frame_mask, self.config.codes)
        before = self.prefix(self.chroma(audio), text, text_mask, untold)
        x = torch.cat([before, self.lm.embed(rows[:, :-1])], dim=1)
        if text_mask is None:
            return judged(self.lm(x)[:, before.shape[1] :], rows, mask)
        real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        real[:, self.config.chroma_frames : before.shape[1]] = text_mask
        scores = self.lm(to_front(real, x)[1])  # so that no code stands behind padding
        starts = self.config.chroma_frames + text_mask.sum(1)
        places = starts[:, None] + torch.arange(rows.shape[1] - 1, device=x.device)
        return judged(scores[torch.arange(len(x), device=x.device)[:, None], places], rows, mask)

    def prefix(
        self, melody: Tensor | None, text: Tensor, text_mask: Tensor | None = None, untold: Tensor | None = None
    ) -> Tensor:
        """What stands before the codes: (batch, chroma_frames + words, dim).

        Args:
            melody: (batch, frames, 12); None: no melody, which is told as an endless C, as the original does.
            untold: (batch,), True = neither caption nor melody is told.
        """
        if melody is None:
            melody = functional.one_hot(
                torch.zeros(len(text), 1, dtype=torch.int64, device=text.device), CLASSES
            ).float()
        if untold is not None:
            nothing = functional.one_hot(torch.zeros_like(melody[..., 0], dtype=torch.int64), CLASSES).float()
            melody = torch.where(untold[:, None, None], nothing, melody)
        most = self.config.chroma_frames
        heard = self.hear(melody).repeat(1, -(-most // melody.shape[1]), 1)[:, :most]
        read = self.read(text)
        if text_mask is not None:
            read = read.masked_fill(~text_mask[..., None], 0.0)
        if untold is not None:
            read = read.masked_fill(untold[:, None, None], 0.0)
        return torch.cat([heard, read], dim=1)

    @torch.no_grad()
    def write(
        self,
        text: Tensor,
        frames: int,
        text_mask: Tensor | None = None,
        *,
        melody: Tensor | None = None,
        prompt: Tensor | None = None,
        guidance: float = GUIDANCE,
        sampling: Sampling = SAMPLING,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """As that of ttm/musicgen; melody (batch, samples) is a sound."""
        if text_mask is not None and not bool(text_mask.all()):  # codes follow on the words, and rows have unlike many
            settings: dict[str, Any] = {"guidance": guidance, "sampling": sampling, "generator": generator}
            each = [
                self.write(
                    text[[row], : int(text_mask[row].sum())],
                    frames,
                    melody=None if melody is None else melody[[row]],
                    prompt=None if prompt is None else prompt[[row]],
                    **settings,
                )
                for row in range(len(text))
            ]
            return torch.cat(each)
        heard = None if melody is None else self.chroma(melody)
        before = self.prefix(heard, text, text_mask)
        if guidance != 1:
            untold = torch.ones(len(text), dtype=torch.bool, device=text.device)
            before = torch.cat([before, self.prefix(heard, text, text_mask, untold)])
        layout = self.config.layout(frames)
        return written(self.lm, layout, len(before), None, before, prompt, guidance, sampling, generator)


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = next_token.Config()
LOSSES: dict[str, Any] = {}
NEEDS = ("codes", "audio", "text")
TOY = Config(
    **{field.name: getattr(musicgen.TOY, field.name) for field in fields(musicgen.TOY)},
    chroma_fft=64,
    chroma_hop=16,
    chroma_frames=4,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Random codes, captions and sounds; the last item is shorter."""
    found = musicgen.example(config, batch, generator)
    audio = torch.randn(batch, found["codes"].shape[1] * config.hop, generator=generator)
    return {**found, "audio": audio * found["frame_mask"].repeat_interleave(config.hop, dim=1)}


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """musicgen-melody: as that of ttm/musicgen; in transformers it is MusicgenMelodyForConditionalGeneration.

    Raises:
        UserError: weights or settings of something else.
    """
    found = {"read": ("enc_to_dec_proj.", "condition_provider.conditioners.description.output_proj.")}
    found["hear"] = ("audio_enc_to_dec_proj.", "condition_provider.conditioners.self_wav.output_proj.")
    if not any(key.startswith(found["hear"]) for key in state):
        raise UserError("this is a MusicGen checkpoint without a melody: load it as ttm/musicgen")
    own = Config(**musicgen.settings(state, config), chroma_frames=config.get("chroma_length", Config().chroma_frames))
    renamed = {f"lm.{key}": value for key, value in official_lm(state, own.settings).items()}
    for ours, names in found.items():
        for theirs in names:
            renamed |= {
                f"{ours}.{key.removeprefix(theirs)}": value for key, value in state.items() if key.startswith(theirs)
            }
    return adopt(Model(own), renamed, "MusicGen checkpoint")
