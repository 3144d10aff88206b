"""MLP Singer: phonemes with durations, notes -> mel, by layers that are all products of matrices; small, fast on a CPU.

    tokens, durations, notes (batch, tokens) -> mel (batch, frames, mels) log magnitude

Idea         Each frame knows its phoneme and its note, nothing else. The song is cut into chunks of a fixed number of
             frames; in each a mixer looks, in turn, along the frames and along the channels, with an MLP that is the
             same for all channels, or for all frames. Chunks know nothing of each other, so all are made at once. At
             its ends a chunk lacks what came before or comes after; when it sings, chunks overlap and only their
             middles are kept.
Objective    regression (aoide/objectives/regression.py)
Recipe       recipes/svs/mlpsinger-folder.yaml
Paper        Tae et al. 2021, arXiv:2106.07886; the mixer: Tolstikhin et al. 2021, arXiv:2105.01601
Code         github.com/neosapience/mlp-singer (MIT)
Checkpoints  checkpoints/default/model.pt of that repository (Korean, a woman): `from_official`
Differs      The range of notes is a setting, three octaves unless it is said, and what lies outside is sung at its end.
             Where a corpus says when phonemes begin, that goes in, not a rule (consonants last three frames).
             The last chunk is filled up with silence, not with the song before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.nn.latent import official_state
from aoide.nn.lengths import longest, token_of_frame
from aoide.nn.official import adopt
from aoide.nn.singing import heard_notes
from aoide.objectives import Batch, regression
from aoide.objectives.regression import masked_l1

OVERLAP = 30  # frames at each end of a chunk that are thrown away when it sings, as published


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are the paper's, but for the range of notes and the mel, that of the shipped vocoder."""

    symbols: int = 178  # size of the phoneme table, with padding
    lowest: int = 48  # MIDI number of the lowest note
    notes: int = 36  # how many there are, a semitone from each to the next
    mel: MelConfig = field(default_factory=MelConfig)
    token_dim: int = 256  # channels that say the phoneme
    note_dim: int = 32  # channels that say the note
    layers: int = 16
    chunk: int = 192  # frames that are mixed with each other
    expansion: int = 2  # of what is mixed, inside an MLP
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if min(self.notes, self.layers, self.chunk, self.expansion) < 1:
            raise ValueError("notes, layers, chunk and expansion are 1 or more")


class Output(NamedTuple):
    mel: Tensor  # (batch, frames, mels)
    frame_mask: Tensor  # (batch, frames)


# ---------------------------------------------------------------------------------------------------------------- parts


class Mixer(nn.Module):
    """Normalise, mix along frames; normalise, mix along channels; each added to what came in: (chunks, frames, dim)."""

    def __init__(self, dim: int, config: Config) -> None:
        super().__init__()
        self.frame_norm, self.channel_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.frames, self.channels = _mlp(config.chunk, config), _mlp(dim, config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.frames(self.frame_norm(x).mT).mT
        return x + self.channels(self.channel_norm(x))


def _mlp(size: int, config: Config) -> nn.Sequential:
    hidden, drop = config.expansion * size, config.dropout
    return nn.Sequential(
        nn.Linear(size, hidden), nn.GELU(), nn.Dropout(drop), nn.Linear(hidden, size), nn.Dropout(drop)
    )


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.token_dim + config.note_dim
        self.tokens = nn.Embedding(config.symbols, config.token_dim)
        self.notes = nn.Embedding(config.notes + 1, config.note_dim)  # the first is that of a rest
        self.embed = nn.Linear(dim, dim)
        self.mixers = nn.ModuleList(Mixer(dim, config) for _ in range(config.layers))
        self.out = nn.Linear(dim, config.mel.n_mels)

    def forward(
        self, tokens: Tensor, durations: Tensor, notes: Tensor, frame_mask: Tensor | None = None, overlap: int = 0
    ) -> Output:
        """Sings a score.

        Args:
            tokens: (batch, tokens), 0 = padding, or silence.
            durations: (batch, tokens) int64 frames, 0 at padded tokens.
            notes: (batch, tokens) MIDI numbers, 0 = rest; they are rounded to semitones.
            frame_mask: (batch, frames), True = real; None: as long as the durations say.
            overlap: frames at each end of a chunk that are thrown away, where there is a neighbour: what chunks share.
        """
        frames = longest(durations) if frame_mask is None else frame_mask.shape[1]
        token = token_of_frame(durations, frames)
        if frame_mask is None:
            frame_mask = token < durations.shape[1]
        said, sung = (functional.pad(x, (0, 1)).gather(1, token) for x in (tokens, self.places(notes)))
        mel = self.decode(said, sung, overlap)
        trace.report("mel", mel)
        return Output(mel, frame_mask)

    def places(self, notes: Tensor) -> Tensor:
        """MIDI numbers, 0 = rest -> rows of the table of notes."""
        rows = (notes.round().long() - self.config.lowest + 1).clamp(1, self.config.notes)
        return rows.masked_fill(notes <= 0, 0)

    def decode(self, tokens: Tensor, notes: Tensor, overlap: int = 0) -> Tensor:
        """The mel of frames whose phonemes and rows of notes are known: (batch, frames) -> (batch, frames, mels)."""
        size, frames = self.config.chunk, tokens.shape[1]
        if not 0 <= 2 * overlap < size:
            raise ValueError(f"chunks of {size} frames cannot overlap by {overlap} at each end")
        step = size - 2 * overlap
        count = max(1, -(-(frames - 2 * overlap) // step))
        fill = (0, (count - 1) * step + size - frames)
        said, sung = (functional.pad(x, fill).unfold(1, size, step) for x in (tokens, notes))
        x = self.embed(torch.cat([self.tokens(said), self.notes(sung)], dim=-1)).flatten(0, 1)
        for mixer in self.mixers:
            x = mixer(x)
        mel = self.out(x).unflatten(0, (-1, count))
        frame = torch.arange(frames, device=tokens.device)
        chunk = ((frame - overlap) // step).clamp(0, count - 1)  # whose middle a frame lies in
        return mel[:, chunk, frame - chunk * step]

    @torch.no_grad()
    def sing(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        durations: Tensor,
        f0: Tensor,
        *,
        notes: Tensor | None = None,
        frame_mask: Tensor | None = None,
        overlap: int | None = None,
    ) -> Tensor:
        """Sings: (batch, frames, mels) of `config.mel`, silent where nothing is real.

        Args:
            tokens, token_mask, durations, f0: as in `aoide.models.svs`; F0 is heard to the semitone, a phoneme.
            notes: (batch, tokens) MIDI numbers, 0 = rest, instead of those heard in F0.
            frame_mask: as in `forward`.
            overlap: see `forward`; None: OVERLAP, or a sixth of smaller chunks.
        """
        notes = heard_notes(f0, durations) if notes is None else notes
        if frame_mask is None:
            frame_mask = token_of_frame(durations, f0.shape[1]) < durations.shape[1]
        overlap = min(OVERLAP, self.config.chunk // 6) if overlap is None else overlap
        mel = self(tokens, durations, notes, frame_mask, overlap).mel
        return mel.masked_fill(~frame_mask[..., None], self.config.mel.silence)


# ------------------------------------------------------------------------------------------------------------- training


def mel_loss(output: Output, batch: Batch) -> Tensor:
    """L1 of what is real."""
    return masked_l1(output.mel, batch["mel"], batch["frame_mask"])


TRAINING = regression.Config(weights={"mel": 1.0})
LOSSES = {"mel": mel_loss}
NEEDS = ("tokens", "durations", "notes", "slurs", "mel")  # with slurs, a phoneme that goes on to another note is cut
TOY = Config(
    symbols=12,
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, scale="slaney", norm="slaney"),
    token_dim=8,
    note_dim=4,
    layers=2,
    chunk=12,
    dropout=0.1,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of 7 tokens and 28 frames; the last note is a rest."""
    tokens, frames = 7, 28
    notes = torch.randint(config.lowest, config.lowest + config.notes, (batch, tokens), generator=generator)
    notes[:, -1] = 0
    return {
        "tokens": torch.randint(1, config.symbols, (batch, tokens), generator=generator),
        "token_mask": torch.ones(batch, tokens, dtype=torch.bool),
        "durations": torch.full((batch, tokens), frames // tokens),
        "notes": notes,
        "slurs": torch.zeros(batch, tokens, dtype=torch.int64),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 5,
    }


# ---------------------------------------------------------------------------------------------------- published weights

_NAMES = {"text_embed": "tokens", "pitch_embed": "notes", "proj": "out"}
_PARTS = {
    "token_mixer.norm": "frame_norm",
    "token_mixer.mlp.fc1": "frames.0",
    "token_mixer.mlp.fc2": "frames.3",
    "channel_mixer.norm": "channel_norm",
    "channel_mixer.mlp.fc1": "channels.0",
    "channel_mixer.mlp.fc2": "channels.3",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """The published model.

    Args:
        state: of model.pt, or its part "model", with the original keys.
        config: its config.json (or the section `model` of it); beside, where they are laid in, the settings of
            configs/preprocess.json.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    sizes = {**config, **config.get("model", {})}
    lacking = [name for name in ("num_phone", "num_pitch", "d_phone", "d_pitch", "mel_dim") if name not in sizes]
    if lacking:
        raise UserError(f"this is no configuration of MLP Singer: it has no {', '.join(lacking)}")
    settings = Config(
        symbols=sizes["num_phone"],
        lowest=sizes.get("min_note", 52) + 1,
        notes=sizes["num_pitch"] - 1,
        mel=MelConfig(
            sample_rate=sizes.get("sampling_rate", 22_050),
            n_fft=sizes.get("n_fft", 1024),
            hop=sizes.get("hop_length", 256),
            win=sizes.get("win_length", 1024),
            n_mels=sizes["mel_dim"],
            fmin=sizes.get("mel_fmin", 0.0),
            fmax=sizes.get("mel_fmax", 8_000.0),
            scale="slaney",
            norm="slaney",
            padding="center",
        ),
        token_dim=sizes["d_phone"],
        note_dim=sizes["d_pitch"],
        layers=sizes["num_layers"],
        chunk=sizes["seq_len"],
        expansion=sizes["expansion_factor"],
        dropout=sizes.get("dropout", 0.5),
    )
    return adopt(Model(settings), _rename(official_state(state)), "MLP Singer checkpoint")


def _rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state.items():
        stem, _, kind = key.rpartition(".")
        if stem.startswith("decoder.model."):
            _, _, layer, part = stem.split(".", 3)
            stem = f"mixers.{layer}.{_PARTS.get(part, part)}"
        renamed[f"{_NAMES.get(stem, stem)}.{kind}"] = value
    return renamed
