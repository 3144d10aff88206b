"""What steers a conversion of one singer's voice into another's: content, F0, how loud, and who; one vector a frame.

    condition = content -> dim, + bin of F0 + voiced or not + bin of the energy + singer        (batch, frames, dim)

Content features of several networks stand side by side in one field (see aoide/data/features/networks.py); projecting
each and adding is one linear layer over all. F0 and energy are put into bins, so each bin learns what it means. A
singer is a row of a table, a mixture of its rows, or a vector that a speaker encoder gives.

Known from Amphion's code (MIT, modules/encoder/condition_encoder.py); `official` renames its weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What a conversion is steered by; the defaults are those of Amphion's recipes."""

    content: dict[str, int] = field(default_factory=lambda: {"whisper": 1024, "contentvec": 256})
    # values a frame of each network, in the order in which they stand side by side in the batch's content
    dim: int = 384
    f0_bins: int = 256  # on the mel scale of speech (1127 ln(1 + f / 700)), between the two below
    f0_low: float = 50.0  # Hz
    f0_high: float = 1100.0
    energy_bins: int | None = 256  # at equal distances of the logarithm; null = how loud it is plays no part
    energy_low: float = 1e-2  # length of a frame's spectrum: 1e-2 is silence, 400 a full-scale tone (1024 samples)
    energy_high: float = 400.0
    speakers: int | None = 512  # rows of the table of singers; null = none
    speaker_vector: int | None = None  # values that a speaker encoder gives; null = singers are of the table

    def __post_init__(self) -> None:
        if not self.content or min(self.content.values()) < 1:
            raise ValueError("content names one network or more, and how many values each gives")
        if not 0 < self.f0_low < self.f0_high or not 0 < self.energy_low < self.energy_high:
            raise ValueError("the lower ends of f0 and energy are above 0 and below the upper ones")
        if self.f0_bins < 3 or (self.energy_bins is not None and self.energy_bins < 3):
            raise ValueError("f0_bins and energy_bins are 3 or more")
        if self.speakers is not None and self.speaker_vector is not None:
            raise ValueError("singers are of a table (speakers) or of a speaker encoder (speaker_vector), not of both")


class ConditionEncoder(nn.Module):
    """See the head of this file."""

    edges: Tensor

    def __init__(self, conditions: Conditions) -> None:
        super().__init__()
        self.conditions = conditions
        dim = conditions.dim
        self.content = nn.Linear(sum(conditions.content.values()), dim)
        self.pitch = nn.Embedding(conditions.f0_bins, dim)
        self.unvoiced = nn.Embedding(2, dim)
        self.energy = nn.Embedding(conditions.energy_bins, dim) if conditions.energy_bins else None
        if conditions.energy_bins:
            ends = math.log(conditions.energy_low), math.log(conditions.energy_high)
            self.register_buffer("edges", torch.linspace(*ends, conditions.energy_bins - 1).exp())
        self.speakers = nn.Embedding(conditions.speakers, dim) if conditions.speakers else None
        self.speaker_vector = nn.Linear(conditions.speaker_vector, dim) if conditions.speaker_vector else None

    def forward(
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        *,
        speaker_vector: Tensor | None = None,
        mixture: Tensor | None = None,
        voiced: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The condition, (batch, frames, dim).

        Args:
            content: (batch, frames, values), networks side by side.
            f0: (batch, frames) Hz, 0 = unvoiced; gaps are bridged by lines between their ends.
            energy: (batch, frames), length of each frame's spectrum.
            speaker: (batch,), rows of the table.
            speaker_vector: (batch, values), of a speaker encoder.
            mixture: (batch, speakers) or (batch, frames, speakers), shares of the table's rows, in speaker's place.
            voiced: (batch, frames) bool, where F0 has no gaps any more.
            mask: (batch, frames), True = real.

        Raises:
            UserError: content of another width, or nothing that says how loud or who.
        """
        width = sum(self.conditions.content.values())
        if content.shape[-1] != width:
            named = ", ".join(f"{name} {values}" for name, values in self.conditions.content.items())
            raise UserError(f"content has {content.shape[-1]} values a frame, this model wants {width} ({named})")
        if voiced is None:
            f0, voiced = without_gaps(f0, mask)
        x = self.content(content) + self.pitch(self.bins(f0)) + self.unvoiced((~voiced).long())
        if self.energy is not None:
            x = x + self.energy(torch.bucketize(_given(energy, "energy").contiguous(), self.edges))
        x = x + self._who(speaker, speaker_vector, mixture)
        trace.report("condition", x)
        return x

    def bins(self, f0: Tensor) -> Tensor:
        """Hz -> 1 to f0_bins - 1."""
        low, high = (1127 * math.log(1 + hz / 700) for hz in (self.conditions.f0_low, self.conditions.f0_high))
        last = self.conditions.f0_bins - 1
        place = (1127 * (f0 / 700).log1p() - low) * ((last - 1) / (high - low)) + 1
        return (place.clamp(1, last) + 0.5).long()

    def _who(self, speaker: Tensor | None, vector: Tensor | None, mixture: Tensor | None) -> Tensor:
        """(batch, 1 or frames, dim), or 0 where all is of one singer."""
        if self.speaker_vector is not None:
            return self.speaker_vector(_given(vector, "speaker_vector"))[:, None]
        if self.speakers is None:
            return self.content.weight.new_zeros(())
        if mixture is not None:
            shares = mixture if mixture.ndim == 3 else mixture[:, None]
            return shares @ self.speakers.weight
        return self.speakers(_given(speaker, "speaker"))[:, None]


def without_gaps(f0: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """F0 with its unvoiced gaps bridged, and where it is voiced, a frame more at each end of a gap.

    Args:
        f0: (batch, frames) Hz, 0 = unvoiced.
        mask: (batch, frames), True = real.

    Returns:
        (batch, frames) Hz: a line from the last voiced frame to the next, the nearest one beyond the first and last, 0
        where nothing is voiced; and (batch, frames) bool.
    """
    known = f0 > 0 if mask is None else (f0 > 0) & mask
    frames = f0.shape[1]
    place = torch.arange(frames, device=f0.device).expand_as(f0)
    before = torch.where(known, place, -1).cummax(1).values
    after = torch.where(known, place, frames).flip(1).cummin(1).values.flip(1)
    left = torch.where(before < 0, after, before).clamp(max=frames - 1)
    right = torch.where(after == frames, before, after).clamp(min=0)
    share = (place - left) / (right - left).clamp(min=1)
    ends = f0.masked_fill(~known, 0.0)
    low, high = ends.gather(1, left), ends.gather(1, right)
    near = functional.max_pool1d(known.to(f0.dtype)[:, None], 3, 1, 1)[:, 0] > 0
    return low + share.to(f0.dtype) * (high - low), near


class Span(nn.Module):
    """Brings log mels to numbers of about -1 to 1 and back, band by band.

    Args:
        low, high: log mel that becomes -1 and 1: one number for all bands, or one a band.
    """

    low: Tensor
    high: Tensor

    def __init__(self, low: tuple[float, ...], high: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(low), persistent=False)
        self.register_buffer("high", torch.tensor(high), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, frames, mels) -> about -1 to 1."""
        return (mel - self.low) / (self.high - self.low) * 2 - 1

    def back(self, x: Tensor) -> Tensor:
        """The other way."""
        return (x + 1) / 2 * (self.high - self.low) + self.low


def check_span(low: tuple[float, ...], high: tuple[float, ...], mels: int) -> None:
    """Raises ValueError where a Config's span is not one."""
    if len(low) != len(high) or len(low) not in (1, mels):
        raise ValueError(f"low and high have 1 or {mels} numbers, got {len(low)} and {len(high)}")
    if any(a >= b for a, b in zip(low, high, strict=True)):
        raise ValueError("each number of low is below that of high")


def _given(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise UserError(f"this model is steered by {name}: give it")
    return value


# ---------------------------------------------------------------------------------------------------- published weights

_NETWORKS = ("whisper", "contentvec", "mert", "wenet")


def official_conditions(config: Mapping[str, Any]) -> Conditions:
    """The settings of Amphion's condition encoder, `model.condition_encoder` of its configuration.

    Raises:
        UserError: a variant that is not known here.
    """
    known = config.get("merge_mode", "add") == "add" and config.get("use_f0", True) and config["n_bins_melody"]
    if not known or config.get("use_conformer_for_content_features") or not config.get("use_uv", True):
        raise UserError("this condition encoder merges or encodes its features in a way that is not known here")
    loud = config.get("use_energy", True) and config["n_bins_loudness"]
    return Conditions(
        content={name: config[f"{name}_dim"] for name in _NETWORKS if config.get(f"use_{name}")},
        dim=config["content_encoder_dim"],
        f0_bins=config["n_bins_melody"],
        f0_low=config.get("f0_min", 50.0),
        f0_high=config.get("f0_max", 1100.0),
        energy_bins=loud or None,
        energy_low=1e-30,
        energy_high=1.5,
        speakers=config["singer_table_size"] if config.get("use_spkid", True) else None,
    )


def official(state: Mapping[str, Tensor], ours: str) -> dict[str, Tensor]:
    """Amphion's condition encoder, keys without what stands before them, -> ours, with `ours` before them."""
    names = {
        "melody_encoder.nn.weight": "pitch.weight",
        "melody_encoder.uv_embedding.weight": "unvoiced.weight",
        "loudness_encoder.energy_bins": "edges",
        "loudness_encoder.nn.weight": "energy.weight",
        "singer_encoder.nn.weight": "speakers.weight",
    }
    contents = [f"{name}_encoder.nn" for name in _NETWORKS if f"{name}_encoder.nn.weight" in state]
    renamed = {
        ours + names.get(key, key): value for key, value in state.items() if key.rpartition(".")[0] not in contents
    }
    if contents:
        renamed[f"{ours}content.weight"] = torch.cat([state[f"{name}.weight"] for name in contents], dim=1)
        renamed[f"{ours}content.bias"] = torch.stack([state[f"{name}.bias"] for name in contents]).sum(0)
    return renamed
