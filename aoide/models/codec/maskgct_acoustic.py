"""MaskGCT's acoustic codec: sound (batch, samples) at 24 kHz -> codes (batch, frames, 12) -> sound, hop 480.

Idea         The encoder of the Descript codec with a longer hop, 12 factorised codebooks, and no upsampling on the way
             back: a deep ConvNeXt network and one inverse STFT (Vocos) make the sound, at the frame rate. The decoder
             of transposed convolutions that it stands against is here too.
Objective    adversarial with a multi-scale mel loss (aoide/objectives/gan.py), codebook and commitment loss
Recipes      recipes/codec/maskgct-acoustic.yaml
Paper        Wang et al. 2024, arXiv:2409.00750 (MaskGCT), section 3.2.2 and appendix A
Code         github.com/open-mmlab/Amphion, models/codec/amphion_codec (MIT)
Checkpoints  amphion/MaskGCT, acoustic_codec (Hugging Face, CC-BY-NC-4.0), encoder and decoder in a file each: load
             either, or both laid together, with `from_official`
Parity       tests/parity/test_maskgct_codecs.py
Differs      takes padding masks; sound that ends within a frame is filled up with silence. Codebooks of running means
             start anew where their use is below a share of an even use, not below a number of vectors. Lookup-free
             quantisation, which no published checkpoint uses, is left out.

A model may be half a codec, since the halves are published apart: without `encoder` it only decodes, without a decoder
and its codebooks it only gives the vectors that would be coded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.config import UserError, build
from aoide.models.codec import Numbers, check_codes, codebook, commitment, whole_frames
from aoide.models.codec.dac import MelDistance, rename_codebooks
from aoide.nn.convnext import ConvNeXtBackbone, rename_backbone
from aoide.nn.istft import FourierHead, Padding
from aoide.nn.official import adopt
from aoide.nn.quantize import Coded, EuclideanVQ, FactorisedVQ, Quantised, ResidualVQ
from aoide.nn.snake import Snake
from aoide.nn.strided import SoundDecoder, SoundEncoder, rename_official
from aoide.objectives import gan


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Settings of the encoder of strided convolutions."""

    channels: int = 96  # after the first convolution; each stage doubles them
    rates: tuple[int, ...] = (3, 4, 5, 8)  # how many times shorter each stage makes the signal
    bounded: bool = False  # a tanh after the last convolution


@dataclass(frozen=True, kw_only=True, slots=True)
class Fourier:
    """Settings of the decoder that ends in an inverse STFT."""

    dim: int = 512
    hidden: int = 4096  # channels inside a ConvNeXt block
    layers: int = 30
    n_fft: int = 1920  # samples
    hop: int = 480  # samples
    padding: Padding = "same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Convolutions:
    """Settings of the decoder of transposed convolutions."""

    channels: int = 1536  # after the first convolution; each stage halves them
    rates: tuple[int, ...] = (8, 5, 4, 3)  # how many times longer each stage makes the signal


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published checkpoints (170.7 M parameters).

    A part whose settings are null is left out. There is one decoder at most, `fourier` or `convolutions`.
    """

    sample_rate: int = 24_000  # Hz
    dim: int = 256  # of the vectors that are coded
    codebooks: int = 12
    codes: int = 1024  # entries of a codebook
    code_dim: int = 8
    table: Literal["trained", "means"] = "trained"  # the codes follow gradients, or running means of what they code
    cosine: bool = True  # a trained table is searched for the nearest direction, not for the nearest point
    dropout: float = 0.5  # share of the items of a training batch that use only some of the codebooks
    encoder: Encoder | None = field(default_factory=Encoder)
    fourier: Fourier | None = field(default_factory=Fourier)
    convolutions: Convolutions | None = None

    def __post_init__(self) -> None:
        if self.fourier and self.convolutions:
            raise ValueError("a codec has one decoder: set fourier to null, or convolutions")
        hops = self._hops()
        if not hops:
            raise ValueError("there is neither an encoder nor a decoder")
        if len(set(hops.values())) > 1:
            raise ValueError(f"the parts disagree on the hop: {', '.join(f'{k} {v}' for k, v in hops.items())} samples")

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return next(iter(self._hops().values()))

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    def _hops(self) -> dict[str, int]:
        """The hop of each part that is there."""
        hops = {}
        if self.encoder is not None:
            hops["encoder"] = math.prod(self.encoder.rates)
        if self.fourier is not None:
            hops["fourier"] = self.fourier.hop
        if self.convolutions is not None:
            hops["convolutions"] = math.prod(self.convolutions.rates)
        return hops


class Output(NamedTuple):
    """What a forward pass gives."""

    audio: Tensor  # (batch, frames * hop)
    codes: Tensor  # (batch, frames, codebooks) int64
    commitment: Tensor  # (batch, codebooks)
    codebook: Tensor  # (batch, codebooks)


# ------------------------------------------------------------------------------------------------------------ codebooks


class ProjectedMeans(nn.Module):
    """A table of running means between two projections; see `Codebook` in aoide/nn/quantize.py."""

    def __init__(self, dim: int, size: int, code_dim: int) -> None:
        super().__init__()
        self.size = size
        self.inward = weight_norm(nn.Linear(dim, code_dim)) if dim != code_dim else nn.Identity()
        self.means = EuclideanVQ(code_dim, size, decay=0.8)
        self.outward = weight_norm(nn.Linear(code_dim, dim)) if dim != code_dim else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None) -> Coded:
        part = self.means(self.inward(x), mask, generator)
        return part._replace(vectors=self.outward(part.vectors))

    def lookup(self, codes: Tensor) -> Tensor:
        return self.outward(self.means.lookup(codes))


def quantiser(config: Config) -> ResidualVQ:
    """The stack of codebooks."""
    project = config.dim != config.code_dim
    return ResidualVQ(
        (
            FactorisedVQ(config.dim, config.codes, config.code_dim, config.cosine, project)
            if config.table == "trained"
            else ProjectedMeans(config.dim, config.codes, config.code_dim)
            for _ in range(config.codebooks)
        ),
        config.dropout,
    )


# -------------------------------------------------------------------------------------------------------------- decoder


class FourierDecoder(nn.Module):
    """ConvNeXt blocks and an inverse STFT: vectors (batch, frames, dim) -> sound (batch, frames * hop)."""

    def __init__(self, dim: int, config: Fourier) -> None:
        super().__init__()
        self.backbone = ConvNeXtBackbone(dim, config.dim, config.hidden, config.layers)
        self.head = FourierHead(config.dim, config.n_fft, config.hop, config.padding)
        self.reach = self.backbone.reach + self.head.reach

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real; samples of padded frames are 0."""
        return self.head(self.backbone(x, mask), mask)


# ---------------------------------------------------------------------------------------------------------------- model


class Model(Numbers, nn.Module):
    """Sound -> codes -> sound."""

    encoder: SoundEncoder | None
    quantiser: ResidualVQ | None
    decoder: FourierDecoder | SoundDecoder | None

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        encoder, fourier, convolutions = config.encoder, config.fourier, config.convolutions
        self.encoder = SoundEncoder(config.dim, encoder.channels, encoder.rates, Snake) if encoder else None
        self.quantiser = quantiser(config) if fourier or convolutions else None
        self.decoder = None
        if fourier:
            self.decoder = FourierDecoder(config.dim, fourier)
        elif convolutions:
            self.decoder = SoundDecoder(config.dim, convolutions.channels, convolutions.rates, Snake)

    @property
    def context(self) -> int:
        """Frames before and after a frame that its codes and its sound depend on."""
        return max(part.reach for part in (self.encoder, self.decoder) if part is not None)

    def forward(self, audio: Tensor, frame_mask: Tensor | None = None) -> Output:
        """audio (batch, frames * hop), frame_mask (batch, frames) with True = real -> see `Output`.

        Raises:
            UserError: half a codec.
        """
        quantised = self.quantise(self.latents(audio, frame_mask), frame_mask)
        trace.report("maskgct_acoustic/codes", quantised.codes)
        sound = self._decoder()(quantised.vectors, frame_mask)
        return Output(sound, quantised.codes, quantised.commitment, quantised.codebook)

    def latents(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, frames * hop), mask (batch, frames) -> the vectors to be coded, (batch, frames, dim)."""
        if self.encoder is None or self.config.encoder is None:
            raise UserError("this codec has no encoder: it was made from the weights of the decoder alone")
        latents = self.encoder(audio, mask)
        return latents.tanh() if self.config.encoder.bounded else latents

    def quantise(self, latents: Tensor, mask: Tensor | None = None, used: Tensor | int | None = None) -> Quantised:
        """latents (batch, frames, dim) -> see `ResidualVQ`."""
        self._decoder()
        assert self.quantiser is not None
        return self.quantiser(latents, mask, used)

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) -> codes (batch, frames, codebooks) int64.

        Raises:
            UserError: half a codec, or no sound.
        """
        return self.quantise(self.latents(whole_frames(audio, self), mask), mask, self.codebooks).codes

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or fewer), mask (batch, frames) -> audio (batch, frames * hop).

        Raises:
            UserError: half a codec, or codes that are not of this one.
        """
        return self._decoder()(self.vectors(codes, mask), mask)

    def vectors(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or fewer) -> what the decoder reads, (batch, frames, dim)."""
        check_codes(codes, self)
        self._decoder()
        assert self.quantiser is not None
        return self.quantiser.decode(codes, mask)

    def _decoder(self) -> FourierDecoder | SoundDecoder:
        if self.decoder is None:
            raise UserError("this codec has no codebooks and no decoder: it was made from the encoder's weights alone")
        return self.decoder


# ------------------------------------------------------------------------------------------------------------- training


LOSSES = {"mel": MelDistance, "codebook": codebook, "commitment": commitment}
TRAINING = gan.Config(
    critics=("period", "resolution"),
    loss="hinge",
    weights={"mel": 10.0, "codebook": 1.0, "commitment": 0.25},
    adversarial=2.0,
    feature=2.0,
)
NEEDS = ("audio",)
TOY = Config(
    sample_rate=8_000,
    dim=8,
    codebooks=3,
    codes=12,
    code_dim=4,
    encoder=Encoder(channels=4, rates=(3, 4)),
    fourier=Fourier(dim=12, hidden=16, layers=2, n_fft=48, hop=12),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random sounds of 100 frames."""
    frames = 100
    return {
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


# In acoustic_codec/ of amphion/MaskGCT: encoder, decoder; no configuration lies beside them.
OFFICIAL_FILES = ("model.safetensors", "model_1.safetensors")


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint: the part whose weights are given, or both.

    Args:
        state: the state dict of the encoder ("block...."), of the decoder ("quantizer....", "model....") or both in
            one, with the original keys; "encoder." and "decoder." may stand before them.
        config: MaskGCT's maskgct.json as a dict, or its section `acoustic_codec` with the sections `encoder` and
            `decoder`, or that of the part alone. What is not named is as published, so {} will do for what was.

    Raises:
        UserError: no settings for weights that are there, a kind of quantiser that this file does not build, or a state
            that does not fit the configuration.
    """
    plain = {key.removeprefix("encoder.").removeprefix("decoder."): value for key, value in state.items()}
    config = config.get("model", config)
    config = config.get("acoustic_codec", config)
    sections = config if "encoder" in config or "decoder" in config else {"encoder": config, "decoder": config}
    groups = {"encoder": ("block.",), "decoder": ("quantizer.", "model.")}
    own: dict[str, Any] = {"encoder": None, "fourier": None}
    renamed: dict[str, Tensor] = {}
    for part, heads in groups.items():
        weights = {key: value for key, value in plain.items() if key.startswith(heads)}
        if weights and part not in sections:
            raise UserError(f"there are weights of the {part}, but the configuration has no section {part}")
        if weights and part == "encoder":
            own |= _encoder_settings(sections[part])
            renamed |= rename_official(weights, "encoder.")
        elif weights:
            own |= _decoder_settings(sections[part])
            renamed |= _rename_decoder(weights, spectral=own["fourier"] is not None)
    if not renamed:
        raise UserError(
            "these are not the weights of MaskGCT's acoustic codec: nothing named block., quantizer., model."
        )
    rest = {key: value for key, value in plain.items() if not key.startswith(sum(groups.values(), ()))}
    model = Model(build(Config, own, "configuration of MaskGCT's acoustic codec"))
    return adopt(model, renamed | rest, "checkpoint of MaskGCT's acoustic codec")


def _encoder_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    rates = tuple(config.get("up_ratios", (3, 4, 5, 8)))
    encoder = Encoder(channels=config.get("d_model", 96), rates=rates, bounded=config.get("use_tanh", False))
    return {"encoder": encoder, "dim": config.get("out_channels", 256)}


def _decoder_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"fvq": "trained", "vq": "means"}
    kind = config.get("quantizer_type", "fvq")
    if kind not in kinds or (kind == "vq" and config.get("codebook_type", "euclidean") != "euclidean"):
        raise UserError(f"this codec has codebooks of kind {kind}; Aoide builds fvq, and vq with euclidean codebooks")
    settings: dict[str, Any] = {
        "dim": config.get("in_channels", config.get("in_channel", 256)),
        "codebooks": config.get("num_quantizers", 12),
        "codes": config.get("codebook_size", 1024),
        "code_dim": config.get("codebook_dim", 8),
        "table": kinds[kind],
        "cosine": config.get("use_l2_normlize", True),
        "dropout": config.get("quantizer_dropout", 0.5),
    }
    if not config.get("use_vocos", True):
        rates = tuple(config.get("up_ratios", (8, 5, 4, 3)))
        channels = config.get("upsample_initial_channel", 1536)
        return settings | {"convolutions": Convolutions(channels=channels, rates=rates)}
    fourier = Fourier(
        dim=config.get("vocos_dim", 512),
        hidden=config.get("vocos_intermediate_dim", 4096),
        layers=config.get("vocos_num_layers", 30),
        n_fft=config.get("n_fft", 1920),
        hop=config.get("hop_size", 480),
        padding=config.get("padding", "same"),
    )
    return settings | {"fourier": fourier}


def _rename_decoder(state: Mapping[str, Tensor], spectral: bool) -> dict[str, Tensor]:
    """Their keys of the decoder and its codebooks -> ours."""
    sound = {key: value for key, value in state.items() if key.startswith("model.")}
    if spectral:
        learned = {key: value for key, value in sound.items() if not key.startswith("model.head.istft.")}
        renamed = {key.replace("model.", "decoder.", 1): value for key, value in rename_backbone(learned).items()}
    else:
        renamed = rename_official(sound, "decoder.")
    means = {"embed": "means.table", "cluster_size": "means.uses", "embed_avg": "means.sums"}
    for key, value in rename_codebooks(state, "quantizer.quantizers.", "quantiser.layers.").items():
        stem, _, last = key.rpartition(".table.")
        if last != "initted":
            renamed[f"{stem}.{means[last]}" if last in means else key] = value
    return renamed
