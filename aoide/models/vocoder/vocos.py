"""Vocos, the inverse-STFT vocoder: log-mel (batch, frames, mels) -> waveform (batch, samples), samples = frames * hop.

Idea         Stay at the frame rate: a stack of ConvNeXt blocks predicts magnitude and phase of each frame, and one
             inverse STFT does all the upsampling. A second of sound costs 2 * parameters * frames a second, some ten
             times less than transposed convolutions.
Objective    adversarial with a mel loss (aoide/objectives/gan.py)
Recipes      recipes/vocoder/vocos-ljspeech.yaml, recipes/vocoder/vocos-asterisk.yaml
Paper        Siuzdak 2023, arXiv:2306.00814
Code         github.com/gemelo-ai/vocos (MIT)
Checkpoints  charactr/vocos-mel-24khz (Hugging Face, MIT), the vocoder of amphion/Vevo (255 M parameters): load with
             `from_official`
Parity       tests/parity/test_vocos.py
Differs      "center" padding gives one hop more than the original, so that samples = frames * hop under both paddings;
             the samples that both give are equal. The variant for EnCodec codes is vocoder/vocos_encodec. Their
             IMDCTCosHead, which no published checkpoint uses, is left out, and so is clipping (theirs returns the
             spectrum instead).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.audio.mel import MelConfig, filterbank
from aoide.config import UserError
from aoide.models.vocoder import check_mel
from aoide.nn.conv import Conv1d
from aoide.nn.convnext import ConvNeXtBackbone, rename_backbone
from aoide.nn.istft import FourierHead, InverseMDCT, Padding, exact
from aoide.nn.official import adopt, modern_weight_norm
from aoide.nn.stft_loss import MelLoss, MultiResolutionSTFTLoss
from aoide.objectives import Batch, gan


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of Vocos; the defaults are those of the published 24 kHz checkpoint (13.5 M parameters)."""

    mel: MelConfig = field(default_factory=lambda: MelConfig(floor=1e-7))
    dim: int = 512
    layers: int = 8  # ConvNeXt or residual blocks
    hidden: int = 1536  # channels inside a ConvNeXt block
    backbone: Literal["convnext", "resnet"] = "convnext"
    head: Literal["istft", "imdct"] = "istft"
    mel_mean: float = 0.0  # taken from every value of the mel before the network sees it
    mel_std: float = 1.0  # by which it is divided then

    def __post_init__(self) -> None:
        if self.mel_std <= 0:
            raise ValueError(f"mel_std is above 0, got {self.mel_std}")
        if min(self.dim, self.layers, self.hidden) < 1:
            raise ValueError(f"dim, layers and hidden are 1 or more, got {self.dim}, {self.layers}, {self.hidden}")


# ------------------------------------------------------------------------------------------------------------ backbones


class ResNetBackbone(nn.Module):
    """HiFi-GAN's blocks without upsampling: features (batch, frames, dim_in) -> hidden (batch, frames, dim)."""

    def __init__(self, dim_in: int, dim: int, layers: int) -> None:
        super().__init__()
        self.embed = weight_norm(Conv1d(dim_in, dim, kernel=3))
        units = [(dilation, 1 / layers / 3) for _ in range(layers) for dilation in (1, 3, 5)]
        self.blocks = nn.ModuleList(ResidualUnit(dim, *unit) for unit in units)
        self.reach = 1 + sum(dilation + 1 for dilation, _ in units)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.embed(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        return x


class ResidualUnit(nn.Module):
    """x + scale * (dilated convolution, then a plain one): (batch, frames, dim) -> (batch, frames, dim)."""

    def __init__(self, dim: int, dilation: int, scale: float) -> None:
        super().__init__()
        self.wide = weight_norm(Conv1d(dim, dim, kernel=3, dilation=dilation))
        self.plain = weight_norm(Conv1d(dim, dim, kernel=3))
        self.scale = nn.Parameter(torch.full((dim,), scale))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.wide(functional.leaky_relu(x, 0.1), mask)
        y = self.plain(functional.leaky_relu(y, 0.1), mask)
        return x + self.scale * y


# ---------------------------------------------------------------------------------------------------------------- heads


class CosineHead(nn.Module):
    """hidden (batch, frames, dim) -> waveform (batch, frames * hop) through MDCT coefficients, as many as samples."""

    def __init__(self, dim: int, hop: int, padding: Padding, sample_rate: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, hop)
        self.imdct = InverseMDCT(hop, padding)
        self.reach = 2
        mel = torch.linspace(0, math.log1p(sample_rate / 2 / 700), hop)  # equal steps in mels, up to a factor
        with torch.no_grad():  # high coefficients start small
            self.out.weight *= (1 - mel.expm1() / mel[-1].expm1())[:, None]

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        coefficients = self.spectrum(hidden)
        trace.report("vocos/coefficients", coefficients)
        return self.imdct(coefficients, mask)

    def spectrum(self, hidden: Tensor) -> Tensor:
        """hidden -> MDCT coefficients (batch, frames, hop): the signed exponential of what the layer predicts."""
        x = exact(self.out, hidden)
        return (x.sign() * x.abs().expm1()).clamp(-100.0, 100.0)


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """Log-mel -> waveform."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mel = config.mel
        self.backbone = (
            ConvNeXtBackbone(mel.n_mels, config.dim, config.hidden, config.layers)
            if config.backbone == "convnext"
            else ResNetBackbone(mel.n_mels, config.dim, config.layers)
        )
        self.head = (
            FourierHead(config.dim, mel.n_fft, mel.hop, mel.padding)
            if config.head == "istft"
            else CosineHead(config.dim, mel.hop, mel.padding, mel.sample_rate)
        )

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on; see `aoide.models.vocoder.Vocoder`."""
        return self.backbone.reach + self.head.reach

    def forward(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels) of `config.mel`, frame_mask (batch, frames) -> waveform (batch, frames * hop).

        Raises:
            UserError: a mel of another number of bands.
        """
        check_mel(mel, self.config.mel)
        return self.head(self.hidden(mel, frame_mask), frame_mask)

    def hidden(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels), frame_mask (batch, frames) -> what the head reads, (batch, frames, dim)."""
        return self.backbone((mel - self.config.mel_mean) / self.config.mel_std, frame_mask)

    def spectrum(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mel -> magnitude, phase (radians), each (batch, frames, bins), of which an inverse STFT makes the sound.

        Raises:
            UserError: this Vocos ends in an inverse MDCT.
        """
        if not isinstance(self.head, FourierHead):
            raise UserError("this Vocos ends in an inverse MDCT and has no magnitude and phase")
        return self.head.spectrum(self.hidden(mel, frame_mask))


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        return self.distance(output, batch["audio"])


class STFTDistance(nn.Module):
    """Multi-resolution STFT distance between generated and recorded sound; sharpens what trains without critics."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MultiResolutionSTFTLoss()

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        return self.distance(output, batch["audio"])


TRAINING = gan.Config(loss="hinge", weights={"mel": 45.0}, critic_weights={"band": 0.1})
LOSSES = {"mel": MelDistance, "stft": STFTDistance}
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, floor=1e-7),
    dim=16,
    layers=2,
    hidden=32,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels and sounds of 80 frames."""
    frames = 80
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 3,
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict (pytorch_model.bin, or that of a training checkpoint), with the original keys.
        config: its config.yaml as a dict: `feature_extractor`, `backbone`, `head`, each its arguments or
            `{class_path, init_args}`. Of Amphion (Vevo) its Vocoder.json, or what stands there under `vocos`.

    Raises:
        UserError: a kind of Vocos that this file does not build, or a state that does not fit the configuration.
    """
    arguments = config.get("model", config)
    arguments = arguments.get("vocos", arguments)
    if "input_channels" in arguments:
        own = _amphion(arguments, config.get("preprocess", {}))
        return adopt(Model(own), rename_convnext(state), "Vocos checkpoint")
    features_class, features = section(config, "feature_extractor")
    backbone_class, backbone = section(config, "backbone")
    head_class, head = section(config, "head")
    if features_class == "EncodecFeatures" or "codebook" in config:
        raise UserError("this checkpoint turns EnCodec codes into sound: load it as vocoder/vocos_encodec")
    if head_class == "IMDCTCosHead":
        raise UserError("this checkpoint has an IMDCTCosHead; Aoide builds ISTFTHead and IMDCTSymExpHead")
    mel = official_mel(features)
    kinds: dict[str, Any] = {
        "backbone": "resnet" if backbone_class == "VocosResNetBackbone" or "num_blocks" in backbone else "convnext",
        "head": "imdct" if head_class == "IMDCTSymExpHead" or "mdct_frame_len" in head else "istft",
    }
    sizes = (
        {"layers": backbone["num_blocks"]}
        if kinds["backbone"] == "resnet"
        else {"layers": backbone["num_layers"], "hidden": backbone["intermediate_dim"]}
    )
    hop = head["mdct_frame_len"] // 2 if kinds["head"] == "imdct" else head["hop_length"]
    placed, expected = (hop, head.get("padding", "same")), (mel.hop, mel.padding)
    if placed != expected:
        raise UserError(f"hop and padding of the head are {placed}, of the features {expected}: they must be the same")
    bands = state.get("feature_extractor.mel_spec.mel_scale.fb")
    if bands is not None and not torch.allclose(bands.mT, bands.new_tensor(filterbank(mel)), atol=1e-4):
        raise UserError(f"this checkpoint was trained on another mel filterbank than that of {mel}")
    model = Model(Config(mel=mel, dim=backbone["dim"], **sizes, **kinds))
    renamed = rename_convnext(state) if kinds["backbone"] == "convnext" else _rename_resnet(state)
    return adopt(model, renamed, "Vocos checkpoint")


def section(config: Mapping[str, Any], name: str) -> tuple[str, Mapping[str, Any]]:
    """One part of an official configuration: the name of its class ("" where it does not say) and its arguments."""
    part = config.get(name, {})
    if "class_path" in part:
        return part["class_path"].rpartition(".")[2], part.get("init_args", {})
    return "", part


def official_mel(features: Mapping[str, Any]) -> MelConfig:
    """The mel of their MelSpectrogramFeatures, with its defaults: HTK bands without area norm, floor 1e-7."""
    settings = {"sample_rate": 24_000, "n_fft": 1024, "hop_length": 256, "n_mels": 100, "padding": "center", **features}
    return MelConfig(
        sample_rate=settings["sample_rate"],
        n_fft=settings["n_fft"],
        win=settings["n_fft"],
        hop=settings["hop_length"],
        n_mels=settings["n_mels"],
        fmax=settings["sample_rate"] / 2,
        padding=settings["padding"],
        floor=1e-7,
    )


def _amphion(arguments: Mapping[str, Any], mel: Mapping[str, Any]) -> Config:
    """The settings of Amphion's Vocos, which reads a standardised mel of HiFi-GAN's kind."""
    sample_rate = mel.get("sample_rate", 24_000)
    return Config(
        mel=MelConfig(
            sample_rate=sample_rate,
            n_fft=arguments["n_fft"],
            win=mel.get("win_size", arguments["n_fft"]),
            hop=arguments["hop_size"],
            n_mels=arguments["input_channels"],
            fmin=mel.get("fmin", 0),
            fmax=mel.get("fmax") or sample_rate / 2,
            scale="slaney",
            norm="slaney",
            eps=1e-9,
            padding=arguments.get("padding", "same"),
        ),
        dim=arguments["dim"],
        layers=arguments["num_layers"],
        hidden=arguments["intermediate_dim"],
        mel_mean=mel.get("mel_mean", 0.0),
        mel_std=mel.get("mel_var", 1.0) ** 0.5,
    )


def rename_convnext(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their keys of a ConvNeXt backbone and a head -> ours."""
    return rename_backbone(_learned(state))


def _rename_resnet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their keys of a ResNet backbone and a head -> ours: each of their blocks holds three of our residual units."""
    kinds = {"convs1": "wide", "convs2": "plain", "gamma": "scale"}
    renamed = modern_weight_norm(_learned(state))
    for key in [key for key in renamed if key.startswith("backbone.resnet.")]:
        block, kind, unit, *rest = key.split(".")[2:]
        ours = ".".join(["backbone.blocks", str(3 * int(block) + int(unit)), kinds[kind], *rest])
        value = renamed.pop(key)
        renamed[ours] = value.flatten() if kind == "gamma" else value
    return renamed


def _learned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the tables (windows, filterbanks, ...) that we compute, and the critics of a training checkpoint."""
    other = ("feature_extractor.", "head.istft.", "head.imdct.", "melspec_loss.", "multiperioddisc.", "multiresddisc.")
    return {key: value for key, value in state.items() if not key.startswith(other)}
