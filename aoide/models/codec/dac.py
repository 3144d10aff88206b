"""DAC, the Descript codec: sound (batch, samples) <-> codes (batch, frames, codebooks), samples = frames * hop.

Idea         Convolutions that lower the rate step by step and, as in a mirror, raise it again, with Snake activations,
             which keep on where a wave keeps on. Between the two a stack of codebooks of few dimensions, in which the
             nearest direction is looked for, so that nearly all codes are used. Some items of a batch train with fewer
             codebooks, so one model serves every bitrate.
Objective    adversarial with mel distances at seven scales and two losses of the codebooks (aoide/objectives/gan.py)
Recipes      recipes/codec/dac-folder.yaml, recipes/codec/dac-small.yaml
Paper        Kumar et al. 2023, arXiv:2306.06546
Code         github.com/descriptinc/descript-audio-codec (MIT), version 1.0.0
Checkpoints  weights_16khz.pth, weights_24khz.pth, weights_44khz.pth (MIT): `from_official` with what stands in them
             under state_dict and metadata.kwargs
Parity       tests/parity/test_dac.py
Differs      samples = frames * hop also where a stride is odd: where the original ends early there is silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.models.codec import Numbers, check_codes, codebook, commitment, whole_frames
from aoide.nn import strided
from aoide.nn.discriminators import Band, Period
from aoide.nn.official import adopt, modern_weight_norm
from aoide.nn.quantize import FactorisedVQ, ResidualVQ
from aoide.nn.snake import Snake
from aoide.nn.stft_loss import MultiScaleMelLoss
from aoide.nn.strided import SoundDecoder, SoundEncoder, Up
from aoide.nn.upsampler import masked
from aoide.objectives import Batch, gan


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of DAC; the defaults are those of the published 44.1 kHz checkpoint (76.7 M parameters, 8 kbit/s)."""

    sample_rate: int = 44_100  # Hz
    dim: int = 64  # channels after the first convolution of the encoder; each stage doubles them
    strides: tuple[int, ...] = (2, 4, 8, 8)  # of the encoder's stages
    latent_dim: int = 1024  # of a frame between encoder and codebooks
    decoder_dim: int = 1536  # channels after the first convolution of the decoder; each stage halves them
    decoder_strides: tuple[int, ...] = (8, 8, 4, 2)
    codebooks: int = 9
    codes: int = 1024  # entries of a codebook
    code_dim: int = 8  # dimensions in which the nearest code is looked for
    dropout: float = 0.5  # share of the items of a training batch that use fewer codebooks

    def __post_init__(self) -> None:
        if min(*self.strides, *self.decoder_strides) < 2 or math.prod(self.strides) != math.prod(self.decoder_strides):
            raise ValueError(
                f"strides are 2 or more, with the same product in both: got {self.strides}, {self.decoder_strides}"
            )
        if self.decoder_dim % 2 ** len(self.decoder_strides):
            raise ValueError(f"decoder_dim is halved {len(self.decoder_strides)} times, so not {self.decoder_dim}")

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        return math.prod(self.strides)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop


class Output(NamedTuple):
    audio: Tensor  # (batch, frames * hop)
    codes: Tensor  # (batch, frames, codebooks)
    commitment: Tensor  # (batch, codebooks)
    codebook: Tensor  # (batch, codebooks)


# ---------------------------------------------------------------------------------------------------------------- parts


class Decoder(SoundDecoder):
    """The decoder of DAC: with an odd stride the last sample of its stage is missing, and silence at the very end makes
    up for what that comes to.
    """

    def __init__(self, dim: int, channels: int, rates: Sequence[int]) -> None:
        super().__init__(dim, channels, rates, Snake)
        self.missing = 0  # samples at the end
        for stage, rate in zip(cast("Sequence[Up]", self.stages), rates, strict=True):
            stage.up.output_padding = (0,)
            self.missing = self.missing * rate + rate % 2

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames * hop), 0 where padded."""
        now = None if mask is None else mask[:, None]
        length = None if mask is None else mask.sum(1)[:, None, None]
        y = x.mT if now is None else x.mT.masked_fill(~now, 0.0)
        y = masked(self.first(y), now)
        for stage, rate in zip(self.stages, self.rates, strict=True):
            before = now
            if length is not None:
                length = length * rate - rate % 2
                now = torch.arange(y.shape[2] * rate - rate % 2, device=y.device) < length
            y = stage(y, before, now)
        audio = masked(self.last(self.last_activation(y, now)), now)[:, 0].float().tanh()
        return functional.pad(audio, (0, self.missing)) if self.missing else audio


# ---------------------------------------------------------------------------------------------------------------- model


class Model(Numbers, nn.Module):
    """Sound -> codes -> sound; see `aoide.models.codec.Codec`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = SoundEncoder(config.latent_dim, config.dim, config.strides, Snake)
        self.quantiser = ResidualVQ(
            (FactorisedVQ(config.latent_dim, config.codes, config.code_dim) for _ in range(config.codebooks)),
            config.dropout,
        )
        self.decoder = Decoder(config.latent_dim, config.decoder_dim, config.decoder_strides)

    @property
    def context(self) -> int:
        return max(self.encoder.reach, self.decoder.reach)

    def forward(self, audio: Tensor, frame_mask: Tensor | None = None) -> Output:
        """audio (batch, samples), frame_mask (batch, frames) with True = real -> see `Output`."""
        latents = self.encoder(whole_frames(audio, self), frame_mask)
        trace.report("dac/latents", latents)
        quantised = self.quantiser(latents, frame_mask)
        trace.report("dac/codes", quantised.codes)
        sound = self.decoder(quantised.vectors, frame_mask)
        return Output(sound, quantised.codes, quantised.commitment, quantised.codebook)

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) with True = real -> codes (batch, frames, codebooks) int64."""
        return self.quantiser.encode(self.encoder(whole_frames(audio, self), mask), mask)

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or the first few of them) -> audio (batch, frames * hop).

        Raises:
            UserError: codes that are not of this codec.
        """
        check_codes(codes, self)
        return self.decoder(self.quantiser.decode(codes, mask), mask)


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of coded and recorded sound at seven scales."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.distance = MultiScaleMelLoss(config.sample_rate)

    def forward(self, output: Any, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"][:, : output.audio.shape[1]])


LOSSES = {"mel": MelDistance, "commitment": commitment, "codebook": codebook}
TRAINING = gan.Config(
    critics=("period", "band"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 15.0, "commitment": 0.25, "codebook": 1.0},
    feature=2.0,
    period=Period(first_map=True),
    band=Band(first_map=True),
)
NEEDS = ("audio",)
TOY = Config(
    sample_rate=8_000,
    dim=4,
    strides=(4, 5),
    latent_dim=9,
    decoder_dim=16,
    decoder_strides=(5, 4),
    codebooks=3,
    codes=12,
    code_dim=4,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of noise of 80 frames."""
    frames = 80
    return {
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: the arguments of the original class, metadata.kwargs of the checkpoint.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    renamed = rename_mirror(state) | rename_codebooks(state, "quantizer.quantizers.", "quantiser.layers.")
    return adopt(Model(official_config(config)), renamed, "DAC checkpoint")


def official_config(config: Mapping[str, Any]) -> Config:
    """The arguments of the original class -> ours.

    Raises:
        UserError: codebooks of several sizes, which no published checkpoint has.
    """
    strides = tuple(config.get("encoder_rates", (2, 4, 8, 8)))
    dim = config.get("encoder_dim", 64)
    code_dim = config.get("codebook_dim", 8)
    if not isinstance(code_dim, int):
        if len(set(code_dim)) != 1:
            raise UserError(f"codebook_dim {list(code_dim)}: Aoide builds codebooks of one size")
        code_dim = code_dim[0]
    return Config(
        sample_rate=config.get("sample_rate", 44_100),
        dim=dim,
        strides=strides,
        latent_dim=config.get("latent_dim") or dim * 2 ** len(strides),
        decoder_dim=config.get("decoder_dim", 1536),
        decoder_strides=tuple(config.get("decoder_rates", (8, 8, 4, 2))),
        codebooks=config.get("n_codebooks", 9),
        codes=config.get("codebook_size", 1024),
        code_dim=code_dim,
        dropout=float(config.get("quantizer_dropout", 0.0)),
    )


def rename_mirror(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their keys of encoder ("encoder.block...") and decoder ("decoder.model...") -> ours; leaves out other keys."""
    renamed: dict[str, Tensor] = {}
    for side in ("encoder.", "decoder."):
        own = {key.removeprefix(side): value for key, value in state.items() if key.startswith(side)}
        renamed |= strided.rename_official(own, side)
    return renamed


def rename_codebooks(state: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Keys of codebooks between projections, from the head `theirs` to the head `ours`; leaves out other keys.

    Their projections are convolutions of one frame, ours linear layers; the names are those of DAC or of Amphion.
    """
    words = {"in_proj": "inward", "out_proj": "outward", "in_project": "inward", "out_project": "outward"}
    words |= {"codebook": "table", "_codebook": "table"}
    renamed = {}
    for key, value in state.items():
        if key.startswith(theirs):
            name = ".".join(words.get(word, word) for word in key.removeprefix(theirs).split("."))
            renamed[ours + name] = value[..., 0] if value.ndim == 3 else value
    return modern_weight_norm(renamed)
