"""MaskGCT's semantic codec: features of w2v-BERT (batch, frames, 1024) -> codes (batch, frames, 1) -> features.

Idea         RepCodec: what a self-supervised network hears in the middle of its layers is mostly what was said. One
             codebook of 8,192 entries between two ConvNeXt networks turns it into 50 numbers a second that a language
             model can predict, with less lost than by clustering.
Objective    regression (aoide/objectives/regression.py): L1 of the features, 32 times; codebook and commitment loss
Recipes      recipes/codec/maskgct-semantic.yaml
Paper        Wang et al. 2024, arXiv:2409.00750 (MaskGCT), section 3.2.1; Huang et al. 2023, arXiv:2309.00169 (RepCodec)
Code         github.com/open-mmlab/Amphion, models/codec/kmeans (MIT)
Checkpoints  amphion/MaskGCT, semantic_codec (Hugging Face, CC-BY-NC-4.0): load with `from_official`
Parity       tests/parity/test_maskgct_codecs.py
Differs      takes padding masks. The sampling down and up in time that the original can be built with, but never runs,
             is left out.

It is a `Codec` (aoide/models/codec/__init__.py) of features: `encode` takes them in place of sound, and `decode` gives
them back, not sound. The features are hidden layer 17 of facebook/w2v-bert-2.0 at 16 kHz, each channel less its mean
and divided by its deviation over a corpus; those of the published codec are in models/tts/maskgct/ckpt of Amphion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError
from aoide.models.codec import Numbers, check_codes, codebook, commitment
from aoide.models.codec.dac import rename_codebooks
from aoide.nn.convnext import ConvNeXtBackbone, rename_backbone
from aoide.nn.official import adopt
from aoide.nn.quantize import FactorisedVQ, ResidualVQ
from aoide.objectives import Batch, regression


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published checkpoint (44.3 M parameters)."""

    sample_rate: int = 16_000  # Hz, of the sound that the features were made from
    hop: int = 320  # samples of it between features: 50 a second
    feature_dim: int = 1024
    dim: int = 384  # between the ConvNeXt blocks
    hidden: int = 2048  # inside them
    layers: int = 12
    codebooks: int = 1
    codes: int = 8192  # entries of a codebook
    code_dim: int = 8

    def __post_init__(self) -> None:
        sizes = (self.feature_dim, self.dim, self.hidden, self.layers, self.codebooks, self.codes, self.code_dim)
        if min(sizes) < 1:
            raise ValueError(
                f"feature_dim, dim, hidden, layers, codebooks, codes and code_dim are 1 or more, got {sizes}"
            )

    @property
    def frame_rate(self) -> float:
        """Features a second."""
        return self.sample_rate / self.hop


class Output(NamedTuple):
    """What a forward pass gives."""

    semantic: Tensor  # (batch, frames, feature_dim): the features as they come back
    codes: Tensor  # (batch, frames, codebooks) int64
    commitment: Tensor  # (batch, codebooks)
    codebook: Tensor  # (batch, codebooks)


# ---------------------------------------------------------------------------------------------------------------- model


class Mapper(nn.Module):
    """A ConvNeXt network from features to features: (batch, frames, feature_dim) -> the same shape."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.backbone = ConvNeXtBackbone(config.feature_dim, config.dim, config.hidden, config.layers)
        self.out = nn.Linear(config.dim, config.feature_dim)
        nn.init.trunc_normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.out(self.backbone(x, mask))


class Model(Numbers, nn.Module):
    """Features -> codes -> features."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Mapper(config)
        project = config.code_dim != config.feature_dim
        self.quantiser = ResidualVQ(
            FactorisedVQ(config.feature_dim, config.codes, config.code_dim, project=project)
            for _ in range(config.codebooks)
        )
        self.decoder = Mapper(config)

    @property
    def context(self) -> int:
        """Frames before and after a frame that its code depends on, and the feature decoded from it."""
        return self.encoder.backbone.reach

    def forward(self, semantic: Tensor, frame_mask: Tensor | None = None) -> Output:
        """semantic (batch, frames, feature_dim), frame_mask (batch, frames) with True = real -> see `Output`.

        Raises:
            UserError: features of another shape.
        """
        self._check(semantic)
        quantised = self.quantiser(self.encoder(semantic, frame_mask), frame_mask)
        trace.report("maskgct_semantic/codes", quantised.codes)
        features = self.decoder(quantised.vectors, frame_mask)
        return Output(features, quantised.codes, quantised.commitment, quantised.codebook)

    def encode(self, semantic: Tensor, mask: Tensor | None = None) -> Tensor:
        """semantic (batch, frames, feature_dim), mask (batch, frames) -> codes (batch, frames, codebooks) int64.

        Raises:
            UserError: features of another shape.
        """
        self._check(semantic)
        return self.quantiser.encode(self.encoder(semantic, mask), mask)

    def vectors(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks) -> what the decoder reads of them, (batch, frames, feature_dim).

        Raises:
            UserError: codes that are not of this codec.
        """
        check_codes(codes, self)
        return self.quantiser.decode(codes, mask)

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or fewer), mask (batch, frames) -> features (batch, frames, feature_dim).

        Raises:
            UserError: codes that are not of this codec.
        """
        return self.decoder(self.vectors(codes, mask), mask)

    def _check(self, semantic: Tensor) -> None:
        if semantic.ndim != 3 or semantic.shape[2] != self.config.feature_dim or not semantic.shape[1]:
            raise UserError(
                f"this codec reads features (batch, frames, {self.config.feature_dim}), not {tuple(semantic.shape)}"
            )


# ------------------------------------------------------------------------------------------------------------- training


def reconstruction(output: Output, batch: Batch) -> Tensor:
    """L1 between the features and what comes back of them."""
    mask = batch.get("frame_mask")
    target = batch["semantic"]
    mask = target.new_ones(target.shape[:2], dtype=torch.bool) if mask is None else mask
    return regression.masked_l1(output.semantic, target, mask)


LOSSES = {"reconstruction": reconstruction, "codebook": codebook, "commitment": commitment}
TRAINING = regression.Config(weights={"reconstruction": 32.0, "codebook": 1.0, "commitment": 0.15})
NEEDS = ("semantic",)
TOY = Config(sample_rate=800, hop=16, feature_dim=10, dim=12, hidden=16, layers=2, codes=16, code_dim=4)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random features of 30 frames."""
    frames = 30
    return {
        "semantic": torch.randn(batch, frames, config.feature_dim, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


OFFICIAL_FILES = ("model.safetensors",)  # in semantic_codec/ of amphion/MaskGCT; no configuration lies beside them


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: the section `semantic_codec` of MaskGCT's maskgct.json, or the whole file, as a dict.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    config = config.get("model", config)
    config = config.get("semantic_codec", config)
    own = Config(
        feature_dim=config.get("hidden_size", 1024),
        dim=config.get("vocos_dim", 384),
        hidden=config.get("vocos_intermediate_dim", 2048),
        layers=config.get("vocos_num_layers", 12),
        codebooks=config.get("num_quantizers", 1),
        codes=config.get("codebook_size", 8192),
        code_dim=config.get("codebook_dim", 8),
    )
    words = {"0": "backbone", "1": "out"}
    renamed = rename_codebooks(state, "quantizer.quantizers.", "quantiser.layers.")
    for key, value in rename_backbone(state).items():
        part, place, *rest = key.split(".")
        if part in ("encoder", "decoder"):
            renamed[".".join([part, words.get(place, place), *rest])] = value
        elif part not in ("quantizer", "down", "up"):  # the original never samples down and up
            renamed[key] = value
    return adopt(Model(own), renamed, "checkpoint of MaskGCT's semantic codec")
