"""Coco, the tokens of Vevo 1.5: what is sung and how (batch, frames, 1024 and 24) -> codes (batch, frames / 4, 1).

Idea         Whisper hears the words of speech and song alike but little of their melody, a chromagram the melody but
             nothing of the voice. Their sum, four frames to one, through one codebook gives content and style without
             timbre, 12.5 numbers a second. From Whisper alone come content tokens, from the chromagram alone prosody.
Objective    regression (aoide/objectives/regression.py): L1 of both features, 32 times; codebook and commitment loss
Recipes      recipes/codec/coco-folder.yaml
Paper        Zhang et al. 2025, arXiv:2502.07243 (Vevo); the tokens for song came after it
Code         github.com/open-mmlab/Amphion, models/codec/coco (MIT)
Checkpoints  amphion/Vevo1.5 (Hugging Face): tokenizer/contentstyle_fvq16384_12.5hz, tokenizer/prosody_fvq512_6.25hz;
             load with `from_official`
Parity       tests/parity/test_vevo.py
Differs      takes padding masks

It is a `Codec` (aoide/models/codec/__init__.py) of features: `encode` takes in place of sound the last layer of
Whisper's encoder (medium, standardised), a chromagram of 24 bands, or both, 50 frames a second; `decode` gives them
back. Published weights of a tokenizer that has no decoder cannot `decode`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.models.codec import Numbers, check_codes, codebook, commitment, maskgct_semantic
from aoide.models.codec.dac import rename_codebooks
from aoide.models.codec.maskgct_semantic import Mapper
from aoide.nn.convnext import rename_backbone
from aoide.nn.official import adopt
from aoide.nn.quantize import FactorisedVQ, ResidualVQ
from aoide.objectives import Batch, regression


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published content-style tokens (61.2 M parameters)."""

    sample_rate: int = 16_000  # Hz, of the sound that the features were made from
    hop: int = 320  # samples of it between features: 50 a second
    content_dim: int = 1024  # values of Whisper's features; 0 = they are not read: tokens of prosody
    chroma_dim: int = 24  # bands of the chromagram; 0 = it is not read: tokens of content
    stride: int = 4  # frames that make one code; 1, 2, 4 ...
    dim: int = 1024  # of what both features are brought to
    width: int = 384  # between the ConvNeXt blocks
    hidden: int = 2048  # inside them
    layers: int = 12
    codebooks: int = 1
    codes: int = 16_384  # entries of a codebook
    code_dim: int = 8

    def __post_init__(self) -> None:
        sizes = (self.dim, self.width, self.hidden, self.layers, self.codebooks, self.codes, self.code_dim)
        if min(sizes) < 1:
            raise ValueError(f"dim, width, hidden, layers, codebooks, codes and code_dim are 1 or more, got {sizes}")
        if min(self.content_dim, self.chroma_dim) < 0 or not self.content_dim + self.chroma_dim:
            raise ValueError("content_dim, chroma_dim or both are above 0")
        if self.stride < 1 or self.stride & (self.stride - 1):
            raise ValueError(f"stride is a power of two, got {self.stride}")

    @property
    def frame_rate(self) -> float:
        """Features a second."""
        return self.sample_rate / self.hop

    @property
    def halvings(self) -> int:
        """How often the number of frames is halved."""
        return self.stride.bit_length() - 1


class Output(NamedTuple):
    """What a forward pass gives; a feature that is not read is None."""

    semantic: Tensor | None  # (batch, frames, content_dim), as it comes back
    chroma: Tensor | None  # (batch, frames, chroma_dim), as it comes back
    codes: Tensor  # (batch, frames / stride, codebooks) int64
    commitment: Tensor  # (batch, codebooks)
    codebook: Tensor  # (batch, codebooks)


# ---------------------------------------------------------------------------------------------------------------- model


class Halve(nn.Module):
    """Half as many frames, rounded up: (batch, frames, dim), mask (batch, frames) -> the same of half the length."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, 3, stride=2, padding=1)
        nn.init.trunc_normal_(self.conv.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = functional.gelu(self.conv(_silenced(x, mask).mT).mT)
        return x, None if mask is None else mask[:, ::2]


class Double(nn.Module):
    """Twice as many frames: (batch, frames, dim), mask (batch, frames) -> the same of twice the length."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(dim, dim, 4, stride=2, padding=1)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = functional.gelu(self.conv(_silenced(x, mask).mT).mT)
        return x, None if mask is None else mask.repeat_interleave(2, dim=1)


def _linear(dim_in: int, dim_out: int) -> nn.Linear:
    layer = nn.Linear(dim_in, dim_out)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _silenced(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.masked_fill(~mask[..., None], 0.0)


class Model(Numbers, nn.Module):
    """Features -> codes -> features."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        inner = maskgct_semantic.Config(
            feature_dim=dim, dim=config.width, hidden=config.hidden, layers=config.layers, code_dim=config.code_dim
        )
        kinds = {"semantic": config.content_dim, "chroma": config.chroma_dim}
        read = {name: size for name, size in kinds.items() if size}
        self.reads = nn.ModuleDict({name: _linear(size, dim) for name, size in read.items()})
        self.down = nn.ModuleList(Halve(dim) for _ in range(config.halvings))
        self.encoder = Mapper(inner)
        self.quantiser = ResidualVQ(FactorisedVQ(dim, config.codes, config.code_dim) for _ in range(config.codebooks))
        self.decoder = Mapper(inner)
        self.up = nn.ModuleList(Double(dim) for _ in range(config.halvings))
        self.writes = nn.ModuleDict({name: _linear(dim, size) for name, size in read.items()})

    @property
    def hop(self) -> int:
        """Samples that a code stands for."""
        return self.config.hop * self.config.stride

    @property
    def context(self) -> int:
        """Codes before and after a code that it depends on."""
        return self.encoder.backbone.reach + 1

    def forward(
        self, semantic: Tensor | None = None, chroma: Tensor | None = None, frame_mask: Tensor | None = None
    ) -> Output:
        """Features to codes and back, see `Output`.

        Args:
            semantic: (batch, frames, content_dim). chroma: (batch, frames, chroma_dim). Those that the tokens are of.
            frame_mask: (batch, frames), True = real.

        Raises:
            UserError: a feature that is lacking, or one of another shape.
        """
        x, mask, frames = self._encode(semantic, chroma, frame_mask)
        quantised = self.quantiser(x, mask)
        trace.report("coco/codes", quantised.codes)
        back = self._back(quantised.vectors, mask, frames)
        return Output(
            back.get("semantic"), back.get("chroma"), quantised.codes, quantised.commitment, quantised.codebook
        )

    def encode(self, semantic: Tensor | None, chroma: Tensor | None, mask: Tensor | None = None) -> Tensor:
        """Features as in `forward`, mask (batch, frames) -> codes (batch, frames / stride, codebooks) int64.

        Raises:
            UserError: as `forward`.
        """
        x, mask, _ = self._encode(semantic, chroma, mask)
        return self.quantiser.encode(x, mask)

    def vectors(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks), mask (batch, frames) -> what the decoder reads, (batch, frames, dim).

        Raises:
            UserError: codes that are not of this codec.
        """
        check_codes(codes, self)
        return self.quantiser.decode(codes, mask)

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """codes (batch, frames, codebooks), mask (batch, frames) -> by name features (batch, frames * stride, values).

        Raises:
            UserError: codes that are not of this codec.
        """
        return self._back(self.vectors(codes, mask), mask, codes.shape[1] * self.config.stride)

    def _encode(
        self, semantic: Tensor | None, chroma: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None, int]:
        given = {"semantic": semantic, "chroma": chroma}
        parts = []
        for name, layer in self.reads.items():
            value, size = given[name], layer.in_features
            if value is None or value.ndim != 3 or value.shape[2] != size or not value.shape[1]:
                shape = "nothing" if value is None else tuple(value.shape)
                raise UserError(f"these tokens are made of {name} (batch, frames, {size}), not of {shape}")
            parts.append(layer(value))
        x = torch.stack(parts).sum(0)
        frames = x.shape[1]
        for step in self.down:
            x, mask = step(x, mask)
        return self.encoder(x, mask), mask, frames

    def _back(self, vectors: Tensor, mask: Tensor | None, frames: int) -> dict[str, Tensor]:
        x = self.decoder(vectors, mask)
        for step in self.up:
            x, mask = step(x, mask)
        return {name: layer(x[:, :frames]) for name, layer in self.writes.items()}


# ------------------------------------------------------------------------------------------------------------- training


def _distance(output: Output, batch: Batch, name: str) -> Tensor:
    made = getattr(output, name)
    if made is None:
        return output.commitment.new_zeros(())
    mask = batch.get("frame_mask")
    mask = made.new_ones(made.shape[:2], dtype=torch.bool) if mask is None else mask
    return regression.masked_l1(made, batch[name], mask)


def content(output: Output, batch: Batch) -> Tensor:
    """L1 between Whisper's features and what comes back of them."""
    return _distance(output, batch, "semantic")


def melody(output: Output, batch: Batch) -> Tensor:
    """L1 between the chromagram and what comes back of it."""
    return _distance(output, batch, "chroma")


LOSSES = {"content": content, "melody": melody, "codebook": codebook, "commitment": commitment}
TRAINING = regression.Config(weights={"content": 32.0, "melody": 32.0, "codebook": 1.0, "commitment": 0.15})
NEEDS = ("semantic", "chroma")
TOY = Config(
    sample_rate=800,
    hop=16,
    content_dim=6,
    chroma_dim=5,
    stride=2,
    dim=10,
    width=12,
    hidden=16,
    layers=1,
    codes=16,
    code_dim=4,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random features of 30 frames."""
    frames = 30
    sizes = {"semantic": config.content_dim, "chroma": config.chroma_dim}
    fields = {name: torch.randn(batch, frames, size, generator=generator) for name, size in sizes.items() if size}
    return fields | {"frame_mask": torch.ones(batch, frames, dtype=torch.bool)}


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: the section `coco` of its configuration, or the whole file, as a dict.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    config = config.get("model", config)
    config = config.get("coco", config)
    encoder = config["encoder"]
    if config.get("decoder", encoder) != encoder:
        raise UserError("this checkpoint's encoder and decoder differ in size, and here they are of one")
    kind = config.get("coco_type", "content_style")
    own = Config(
        content_dim=0 if kind == "style" else config["whisper_dim"],
        chroma_dim=0 if kind == "content" else config["chromagram_dim"],
        stride=config.get("downsample_rate", 1),
        dim=config.get("hidden_size", 1024),
        width=encoder["vocos_dim"],
        hidden=encoder["vocos_intermediate_dim"],
        layers=encoder["vocos_num_layers"],
        codebooks=config.get("num_quantizers", 1),
        codes=config.get("codebook_size", 8192),
        code_dim=config.get("codebook_dim", 8),
    )
    words = {"0": "backbone", "1": "out"}
    names = {"whisper": "semantic", "chromagram": "chroma", "input": "reads", "output": "writes"}
    renamed = rename_codebooks(state, "quantizer.quantizers.", "quantiser.layers.")
    for key, value in rename_backbone(state).items():
        part, place, *rest = key.split(".")
        if part in ("encoder", "decoder"):
            renamed[".".join([part, words.get(place, place), *rest])] = value
        elif part in ("downsample_layers", "upsample_layers"):  # an activation stands between two of them
            renamed[".".join([part.removesuffix("sample_layers"), str(int(place) // 2), "conv", *rest])] = value
        elif part.endswith(("_input_layer", "_output_layer")):
            feature, way, _ = part.split("_")
            renamed[".".join([names[way], names[feature], place])] = value
        elif part != "quantizer":
            renamed[key] = value
    return adopt(Model(own), renamed, "checkpoint of Coco tokens")
