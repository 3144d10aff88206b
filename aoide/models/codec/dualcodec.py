"""DualCodec: sound (batch, samples) and features of it (batch, frames, dim) <-> codes (batch, frames, codebooks).

Idea         Two streams into one stack of codes. The first codebook says a frame of w2v-BERT features, through ConvNeXt
             blocks; what these features, decoded again, do not tell of the sound is left to the residual codebooks of a
             DAC. So the first code is about content, at 12.5 or 25 frames a second, and all together give the sound.
Objective    adversarial with mel distances, the losses of the codebooks and the distance of the features
             (aoide/objectives/gan.py)
Recipes      recipes/codec/dualcodec-folder.yaml
Paper        Li et al. 2025, arXiv:2505.13000
Code         github.com/open-mmlab/Amphion (models/codec/dualcodec, MIT), PyPI dualcodec
Checkpoints  amphion/dualcodec (Hugging Face): dualcodec_12hz_16384_4096.safetensors and
             dualcodec_25hz_16384_1024.safetensors, each with the yaml of that name in the original package
Parity       tests/parity/test_dualcodec.py
Differs      in training each item for itself does without the acoustic codebooks now and then, not the whole batch;
             samples = frames * hop, with silence at the end where the original ends early.

It is a `Codec` (aoide/models/codec/__init__.py) that encodes `features` beside the sound: hidden layer 17 of
facebook/w2v-bert-2.0 at 16 kHz and 50 frames a second, each channel less its mean and over its deviation (their
w2vbert2_mean_var_stats_emilia.pt), then the mean of 2 (25 Hz) or 4 (12.5 Hz) frames. Codes: the first codebook is the
semantic one, with `semantic_codes` entries, the others have `codes`; `cardinality` is the larger of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.config import UserError
from aoide.models.codec import Numbers, check_codes, codebook, commitment, dac, whole_frames
from aoide.nn.conv import Conv1d
from aoide.nn.convnext import ConvNeXtBlock
from aoide.nn.official import adopt, modern_weight_norm
from aoide.nn.quantize import FactorisedVQ, Quantised, ResidualVQ
from aoide.nn.snake import Snake
from aoide.nn.strided import SoundEncoder
from aoide.objectives import Batch, regression

SLACK = 2  # frames by which sound and features may differ in length, because their networks count otherwise


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published 12.5 Hz checkpoint (1.2 kbit/s)."""

    acoustic: dac.Config = dac.Config(
        sample_rate=24_000,
        dim=32,
        strides=(4, 5, 6, 8, 2),
        decoder_strides=(2, 8, 6, 5, 4),
        codebooks=7,
        codes=4096,
        dropout=1.0,
    )  # its latent_dim is that of the features
    semantic_codes: int = 16_384  # entries of the first codebook
    semantic_code_dim: int = 8  # dimensions in which the nearest of them is looked for
    dim: int = 768  # between the ConvNeXt blocks
    hidden: int = 2048  # channels inside a block
    layers: int = 4  # blocks on each side of the first codebook
    causal: bool = True  # whether the blocks look back only
    bypass: float = 0.125  # share of the items of a training batch that use the first codebook alone

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.acoustic.sample_rate

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        return self.acoustic.hop

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.acoustic.frame_rate


class Output(NamedTuple):
    audio: Tensor  # (batch, frames * hop)
    codes: Tensor  # (batch, frames, 1 + acoustic codebooks)
    commitment: Tensor  # (batch, 1 + acoustic codebooks)
    codebook: Tensor  # (batch, 1 + acoustic codebooks)
    features: Tensor  # (batch, frames, latent_dim): the features, as the first codebook tells them


# ---------------------------------------------------------------------------------------------------------------- parts


class CausalConv1d(Conv1d):
    """A convolution over time that looks back only: (batch, frames, dim) -> (batch, frames, dim)."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            x = x.masked_fill(~mask[..., None], 0.0)
        past = functional.pad(x.mT, (2 * self.reach, 0))
        return functional.conv1d(past, self.weight, self.bias, dilation=self.dilation, groups=self.groups).mT


class Blocks(nn.Module):
    """ConvNeXt blocks in a row: (batch, frames, dim) -> the same shape."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.dim, config.hidden) for _ in range(config.layers))
        kernel = 7
        for block in self.blocks if config.causal else ():
            block.depthwise = CausalConv1d(config.dim, config.dim, kernel, groups=config.dim)
        self.reach = config.layers * (kernel - 1 if config.causal else kernel // 2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x


class Semantic(nn.Module):
    """Features -> one code a frame -> features."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim = config.acoustic.latent_dim
        self.inward = weight_norm(nn.Linear(dim, config.dim))
        self.encoder = Blocks(config)
        self.quantiser = ResidualVQ([FactorisedVQ(config.dim, config.semantic_codes, config.semantic_code_dim)])
        self.decoder = Blocks(config)
        self.outward = weight_norm(nn.Linear(config.dim, dim))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Quantised]:
        """features (batch, frames, latent_dim) -> what their codes tell of them, same shape, and the codes."""
        quantised = self.quantiser(self.encoder(self.inward(features), mask), mask)
        return self.tell(quantised.vectors, mask), quantised

    def tell(self, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """Vectors of the codes (batch, frames, dim) -> features (batch, frames, latent_dim)."""
        return self.outward(self.decoder(vectors, mask))


# ---------------------------------------------------------------------------------------------------------------- model


class Model(Numbers, nn.Module):
    """Sound and features -> codes -> sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        of = config.acoustic
        self.semantic = Semantic(config)
        self.encoder = SoundEncoder(of.latent_dim, of.dim, of.strides, Snake)
        self.quantiser = ResidualVQ(
            (FactorisedVQ(of.latent_dim, of.codes, of.code_dim) for _ in range(of.codebooks)), of.dropout
        )
        self.decoder = dac.Decoder(of.latent_dim, of.decoder_dim, of.decoder_strides)

    @property
    def codebooks(self) -> int:
        return 1 + self.config.acoustic.codebooks

    @property
    def cardinality(self) -> int:
        return max(self.config.semantic_codes, self.config.acoustic.codes)

    @property
    def context(self) -> int:
        told = self.semantic.decoder.reach
        return max(self.encoder.reach, self.semantic.encoder.reach + told, self.decoder.reach + told)

    def forward(self, audio: Tensor, features: Tensor, frame_mask: Tensor | None = None) -> Output:
        """audio (batch, samples), features (batch, frames, latent_dim), frame_mask (batch, frames) -> see `Output`."""
        told, content, rest = self.code(audio, features, frame_mask)
        trace.report("dualcodec/semantic_codes", content.codes)
        trace.report("dualcodec/acoustic_codes", rest.codes)
        return Output(
            self.decoder(rest.vectors + told, frame_mask),
            torch.cat([content.codes, rest.codes], dim=2),
            torch.cat([content.commitment, rest.commitment], dim=1),
            torch.cat([content.codebook, rest.codebook], dim=1),
            told,
        )

    def code(
        self, audio: Tensor, features: Tensor, mask: Tensor | None = None, used: Tensor | int | None = None
    ) -> tuple[Tensor, Quantised, Quantised]:
        """What the semantic code tells (batch, frames, latent_dim), and the semantic and the acoustic codes.

        Args:
            used: how many acoustic codebooks to use, see `ResidualVQ`; by default all, in training drawn for each item.
        """
        audio = whole_frames(audio, self)
        frames = min(audio.shape[1] // self.hop, features.shape[1])
        if max(audio.shape[1] // self.hop, features.shape[1]) > frames + SLACK or frames == 0:
            raise UserError(
                f"sound of {audio.shape[1] // self.hop} frames and features of {features.shape[1]} are not of one clip"
            )
        told, content = self.semantic(features[:, :frames], mask)
        if used is None and self.training:
            alone = torch.rand(len(audio), device=audio.device) < self.config.bypass
            used = self.quantiser.draw(len(audio)).to(audio.device).masked_fill(alone, 0)
        latents = self.encoder(audio[:, : frames * self.hop], mask)
        return told, content, self.quantiser(latents - told, mask, used)

    def encode(self, audio: Tensor, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), features (batch, frames, latent_dim) -> codes (batch, frames, codebooks) int64.

        Raises:
            UserError: features of another number of frames.
        """
        _, content, rest = self.code(audio, features, mask, self.config.acoustic.codebooks)
        return torch.cat([content.codes, rest.codes], dim=2)

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or the first few of them) -> audio (batch, frames * hop).

        Raises:
            UserError: codes that are not of this codec.
        """
        check_codes(codes, self)
        parts = {"semantic": codes[..., :1], "acoustic": codes[..., 1:]}
        for name, size in (("semantic", self.config.semantic_codes), ("acoustic", self.config.acoustic.codes)):
            if parts[name].numel() and int(parts[name].max()) >= size:
                raise UserError(f"{name} codes go from 0 to {size - 1}, but there is a {int(parts[name].max())}")
        latents = self.semantic.tell(self.semantic.quantiser.decode(codes[..., :1], mask), mask)
        if codes.shape[2] > 1:
            latents = latents + self.quantiser.decode(codes[..., 1:], mask)
        return self.decoder(latents, mask)


# ------------------------------------------------------------------------------------------------------------- training


def feature_distance(output: Output, batch: Batch) -> Tensor:
    """The mean squared distance of the features that the first codebook tells to those that it was told."""
    mask = batch.get("frame_mask")
    mask = torch.ones_like(output.codes[..., 0], dtype=torch.bool) if mask is None else mask
    return regression.masked_l2(output.features, batch["features"][:, : output.features.shape[1]], mask)


LOSSES: dict[str, Any] = {
    "mel": dac.MelDistance,
    "commitment": commitment,
    "codebook": codebook,
    "features": feature_distance,
}
TRAINING = replace(dac.TRAINING, weights={**dac.TRAINING.weights, "features": 15.0})
NEEDS = ("audio", "features")
TOY = Config(
    acoustic=replace(dac.TOY, codebooks=2),
    semantic_codes=10,
    semantic_code_dim=4,
    dim=8,
    hidden=12,
    layers=1,
    bypass=0.0,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of noise of 80 frames, and random features in the place of w2v-BERT's."""
    frames = 80
    return {
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
        "features": torch.randn(batch, frames, config.acoustic.latent_dim, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: the arguments of the original class, `model` of its yaml or the yaml itself.

    Raises:
        UserError: the variant that codes the features undecoded, or a state that does not fit the configuration.
    """
    settings = config.get("model", config)
    if not isinstance(settings, Mapping):
        settings = config
    settings = {key: value for key, value in settings.items() if not key.startswith("_")}
    if isinstance(settings.get("sample_rate"), str):  # "${..SAMPLE_RATE}", told once for generator and critic
        settings["sample_rate"] = config["SAMPLE_RATE"]
    if not settings.get("decode_semantic_for_codec", True):
        raise UserError("decode_semantic_for_codec: false, which no published DualCodec has, is not built by Aoide")
    acoustic = dac.official_config(settings)
    ours = Config(
        acoustic=acoustic,
        semantic_codes=settings.get("semantic_codebook_size", 16_384),
        semantic_code_dim=settings.get("semantic_codebook_dim", 8),
        dim=settings.get("convnext_dim", 768),
        hidden=settings.get("convnext_intermediate_dim", 2048),
        layers=settings.get("convnext_layers", 4),
        causal=settings.get("is_causal", False),
    )
    return adopt(Model(ours), _rename(state, ours), "DualCodec checkpoint")


def _rename(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """Their keys -> ours."""
    inside = {key.removeprefix("dac."): value for key, value in state.items() if key.startswith("dac.")}
    renamed = dac.rename_mirror(inside) | dac.rename_codebooks(inside, "quantizer.quantizers.", "quantiser.layers.")
    renamed |= dac.rename_codebooks(state, "semantic_vq.quantizers.", "semantic.quantiser.layers.")
    words = {"dwconv": "depthwise", "pwconv1": "mlp.expand", "pwconv2": "mlp.contract"}
    ends = {"convnext_encoder.0": "semantic.inward", f"convnext_decoder.{config.layers}": "semantic.outward"}
    blocks = {"convnext_encoder": ("semantic.encoder.blocks", 1), "convnext_decoder": ("semantic.decoder.blocks", 0)}
    other = {}
    for key, value in state.items():
        side, _, rest = key.partition(".")
        place = ".".join(key.split(".")[:2])
        if place in ends:
            other[ends[place] + key.removeprefix(place)] = value[..., 0] if value.ndim == 3 else value
        elif side in blocks:
            head, first = blocks[side]
            number, *words_left = rest.split(".")
            name = [head, str(int(number) - first), *(words.get(word, word) for word in words_left)]
            other[".".join(name)] = value
        elif side not in ("dac", "semantic_vq"):
            other[key] = value  # nothing of theirs: the model will say so
    return renamed | modern_weight_norm(other)
