"""TransformerSVC: content, F0, energy, singer -> mel (batch, frames, mels), in one pass.

Idea         What is sung, its F0 and how loud it is are added up with the singer to one condition a frame; Transformer
             blocks make the mel of it. Nothing is drawn, so it is fast and the same each time, and what the data leave
             open (breath, noise) comes out as its mean.
Objective    regression (aoide/objectives/regression.py) towards the normalised mel, and its local structure (SSIM)
Recipes      recipes/svc/transformersvc-folder.yaml
Papers       Zhang et al. 2023, arXiv:2310.11160 (the conditions); the encoder is that of VITS, arXiv:2106.06103
Code         github.com/open-mmlab/Amphion, models/svc/transformer (MIT)
Checkpoints  none are known; `from_official` loads what Amphion's recipe trains
Parity       tests/parity/test_transformersvc.py
Differs      `encoder: near` is what Amphion calls conformer: attention with terms for near distances, between
             convolutions. Padding is not heard, which the original's plain Transformer does. The mel's loss is a mean
             over its bands, not their sum. The extremes of the mel are settings, not files beside the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.svc._amphion import HIGH, LOW, MEL, mel_of, parts, real, steers
from aoide.nn import conversion, relative
from aoide.nn.attention import FFTBlock, sinusoids
from aoide.nn.conversion import ConditionEncoder, Conditions, Span, check_span
from aoide.nn.official import adopt
from aoide.nn.relative import RelativeEncoder
from aoide.nn.ssim import ssim_loss
from aoide.objectives import Batch, regression
from aoide.objectives.regression import masked_l1


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of TransformerSVC; the defaults are those of Amphion's config/transformer.json."""

    mel: MelConfig = field(default_factory=lambda: MEL)
    low: tuple[float, ...] = LOW  # log mel that is brought to -1, one for all bands or one a band
    high: tuple[float, ...] = HIGH  # and to 1
    conditions: Conditions = field(default_factory=Conditions)
    encoder: Literal["near", "plain"] = "near"  # attention that knows near distances, or positions added at the start
    heads: int = 2
    layers: int = 6
    hidden: int = 512  # channels inside a block; Amphion's plain one has 2048
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_span(self.low, self.high, self.mel.n_mels)
        if self.conditions.dim % self.heads:
            raise ValueError(f"conditions.dim {self.conditions.dim} does not divide among {self.heads} heads")


class PlainEncoder(nn.Module):
    """Transformer blocks over frames whose positions are added once: (batch, frames, dim) -> the same."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            FFTBlock(config.conditions.dim, config.heads, config.hidden, (1, 1), config.dropout)
            for _ in range(config.layers)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames), True = real."""
        mask = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        x = self.dropout(x + sinusoids(x.shape[1], x.shape[2], x))
        for block in self.blocks:
            x = block(x, mask)
        return x


class Output(NamedTuple):
    mel: Tensor  # (batch, frames, mels), log mel
    scaled: Tensor  # the same in numbers around -1 to 1, as it is trained


class Model(nn.Module):
    """Content, F0, energy, singer -> mel."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.conditions.dim
        self.conditions = ConditionEncoder(config.conditions)
        self.encoder = (
            RelativeEncoder(dim, config.heads, config.hidden, config.layers, dropout=config.dropout, eps=1e-4)
            if config.encoder == "near"
            else PlainEncoder(config)
        )
        self.out = nn.Linear(dim, config.mel.n_mels)
        self.span = Span(config.low, config.high)

    def forward(
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        speaker_vector: Tensor | None = None,
        mixture: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Output:
        """The mel.

        Args:
            content: (batch, frames, values). f0: (batch, frames) Hz, 0 = unvoiced. energy: (batch, frames).
            speaker: (batch,), rows of the table; or speaker_vector (batch, values), as the configuration has it; or
                mixture, (batch, speakers) or (batch, frames, speakers), shares of the table.
            frame_mask: (batch, frames), True = real.
        """
        condition = self.conditions(
            content, f0, energy, speaker, speaker_vector=speaker_vector, mixture=mixture, mask=frame_mask
        )
        scaled = self.out(self.encoder(condition, frame_mask))
        return Output(self.span.back(scaled), scaled)

    @torch.no_grad()
    def convert(
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        *,
        speaker_vector: Tensor | None = None,
        mixture: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """Sings in another voice: (batch, frames, mels) of `config.mel`; arguments as in `aoide.models.svc`.

        Raises:
            UserError: a condition that is not given.
        """
        mel = self(content, f0, energy, speaker, speaker_vector, mixture, frame_mask).mel
        return mel if frame_mask is None else mel.masked_fill(~frame_mask[..., None], self.config.mel.silence)


class MelLoss(nn.Module):
    """The mean absolute difference of the normalised mels."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.span = Span(config.low, config.high)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return masked_l1(output.scaled, self.span(batch["mel"]), real(batch))


class SsimLoss(MelLoss):
    """How unlike the normalised mels are in their local structure."""

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return ssim_loss(output.scaled, self.span(batch["mel"]), real(batch))


TRAINING = regression.Config(weights={"mel": 1.0, "ssim": 1.0})
LOSSES = {"mel": MelLoss, "ssim": SsimLoss}
NEEDS = ("content", "f0", "energy", "mel", "speaker")
TOY = Config(
    mel=replace(MEL, sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000),
    conditions=Conditions(content={"whisper": 5, "contentvec": 3}, dim=8, f0_bins=16, energy_bins=12, speakers=3),
    layers=2,
    hidden=12,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 20 frames."""
    return steers(config.conditions, config.mel, batch, generator)


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's TransformerSVC: the state dict of its checkpoint and its args.json.

    The extremes of each mel band, which Amphion keeps in files beside its data, may stand in `config["mel_min"]` and
    `config["mel_max"]`.

    Raises:
        UserError: a variant that is not known here, or keys or shapes that do not fit the configuration.
    """
    encoder, network = parts(state)
    settings = config["model"]["transformer"]
    conditions = conversion.official_conditions(config["model"]["condition_encoder"])
    mel, low, high = mel_of(config)
    near = settings["type"] == "conformer"
    if settings["input_dim"] != conditions.dim or settings["type"] not in ("conformer", "transformer"):
        raise UserError("this TransformerSVC checkpoint has an encoder that is not known here")
    model = Model(
        Config(
            mel=mel,
            low=low,
            high=high,
            conditions=conditions,
            encoder="near" if near else "plain",
            heads=settings["n_heads"],
            layers=settings["n_layers"],
            hidden=settings["filter_channels"] if near else 2048,
            dropout=settings["dropout"],
        )
    )
    renamed = conversion.official(encoder, "conditions.") | official_encoder(network, "encoder.", "out")
    return adopt(model, renamed, "TransformerSVC checkpoint")


_PLAIN = {
    "self_attn.in_proj_": "attention.project.",
    "self_attn.out_proj.": "attention.out.",
    "linear1.": "expand.",
    "linear2.": "contract.",
    "norm1.": "attention_norm.",
    "norm2.": "conv_norm.",
}


def official_encoder(state: Mapping[str, Tensor], ours: str, out: str) -> dict[str, Tensor]:
    """Amphion's acoustic model of either kind -> ours, encoder and last layer."""
    blocks, renamed = {}, {}
    for key, value in state.items():
        kind, _, rest = key.partition(".")
        if kind == "conformer_encoder":
            blocks[rest] = value
        elif kind in ("projection", "output_mlp"):
            renamed[f"{out}.{rest}"] = value.squeeze(-1)
        elif kind == "transformer_encoder":
            _, block, part = rest.split(".", 2)
            theirs = next(name for name in _PLAIN if part.startswith(name))
            convolution = theirs.startswith("linear") and value.ndim == 2
            name = f"{ours}blocks.{block}.{_PLAIN[theirs]}{part.removeprefix(theirs)}"
            renamed[name] = value[..., None] if convolution else value
        elif kind != "pos_encoder":  # the fixed sinusoids
            renamed[key] = value
    return renamed | relative.official(blocks, ours)
