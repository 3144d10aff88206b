"""Parallel WaveGAN, WaveNet at once instead of sample by sample: log-mel (batch, frames, mels) -> waveform (batch,
frames * hop).

Idea         A WaveNet that looks both ways turns a signal of noise into sound, told by the mel at every sample what to
             become. Spectral losses at three resolutions hold it to the recording, a critic of the waveform makes the
             rest sound real; no teacher and no density is needed.
Objective    adversarial with a multi-resolution STFT loss (aoide/objectives/gan.py)
Recipes      recipes/vocoder/parallel_wavegan-ljspeech.yaml
Paper        Yamamoto, Song and Kim 2020, arXiv:1910.11480
Code         github.com/kan-bayashi/ParallelWaveGAN (MIT)
Checkpoints  those of that repository, and of ESPnet and NNSVS in its form: load with `from_official`
Differs      it reads the log-mel as it is and normalises it itself, by the mean and deviation that the original keeps
             in a file of its own. What does nothing is left out: the way on from the last layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder import Source, check_mel
from aoide.nn.official import adopt, modern_weight_norm
from aoide.nn.sourcefilter import drawn
from aoide.nn.stft_loss import MelLoss, MultiResolutionSTFTLoss
from aoide.nn.wavenet import Shape, Stretch, WaveNet, beyond_the_ends, cycles
from aoide.objectives import Batch, gan

MEAN, DEVIATION = -2.5, 1.0  # of log10 mels of speech, about: what the normalisation starts from


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published LJSpeech checkpoint (1.3 M parameters)."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=22_050, n_mels=80, fmin=80, fmax=7_600, scale="slaney", norm="slaney", floor=1e-10, log="log10"
        )
    )
    dim: int = 64  # channels from layer to layer
    gate: int = 64  # channels of a gate; the original counts filter and gate, so twice that
    skip: int = 64
    layers: int = 30
    cycles: int = 3  # in each of them dilations go 1, 2, 4, ...
    kernel: int = 3  # samples; odd
    around: int = 2  # frames to each side that are seen before the mel is stretched to samples
    scales: tuple[int, ...] = (4, 4, 4, 4)  # steps of the stretching
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.cycles < 1 or self.layers % self.cycles:
            raise ValueError(f"layers is a multiple of cycles, got {self.layers} and {self.cycles}")
        if self.kernel % 2 == 0 or self.around < 0:
            raise ValueError(f"the kernel is odd and around 0 or more, got {self.kernel} and {self.around}")
        if math.prod(self.scales) != self.mel.hop:
            raise ValueError(f"scales {self.scales} make {math.prod(self.scales)} samples a frame, not {self.mel.hop}")


class Model(nn.Module):
    """Log-mel and noise -> waveform."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mels = config.mel.n_mels
        scale = 1.0 if config.mel.log == "log10" else math.log(10)
        self.register_buffer("mean", torch.full((mels,), scale * MEAN))
        self.register_buffer("deviation", torch.full((mels,), scale * DEVIATION))
        self.embed = weight_norm(nn.Conv1d(mels, mels, 2 * config.around + 1, bias=False))
        self.stretch = nn.ModuleList(Stretch((scale,)) for scale in config.scales)
        self.first = weight_norm(nn.Linear(1, config.dim))
        shape = Shape(
            dim=config.dim,
            hidden=config.gate,
            skip=config.skip,
            kernel=config.kernel,
            dilations=cycles(config.layers, config.layers // config.cycles),
            condition=mels,
            dropout=config.dropout,
        )
        self.stack = WaveNet(shape)
        self.between = weight_norm(nn.Linear(config.skip, config.skip))
        self.last = weight_norm(nn.Linear(config.skip, 1))

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on, once the noise is given."""
        stretched = sum(1 / math.prod(self.config.scales[:i]) for i in range(len(self.config.scales)))
        return math.ceil(self.config.around + stretched + self.stack.shape.reach / self.config.mel.hop)

    @property
    def source_form(self) -> Source:
        """What `source` makes, for those who make it without torch."""
        return Source(kind="noise", hop=self.config.mel.hop)

    def source(self, mel: Tensor, generator: torch.Generator | None = None, after: Tensor | None = None) -> Tensor:
        """The noise of a whole, before it is cut: mel (batch, frames, mels) -> (batch, frames, hop).

        Args:
            generator: what to draw from, on the device of the mel; None: torch's own.
            after: the source of the frames before; noise does not depend on it.
        """
        return drawn(torch.randn, (*mel.shape[:2], self.config.mel.hop), mel, generator)

    def forward(
        self,
        mel: Tensor,
        frame_mask: Tensor | None = None,
        source: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """mel (batch, frames, mels) of `config.mel` -> waveform (batch, frames * hop).

        Args:
            frame_mask: (batch, frames), True = real.
            source: of the method `source`, cut like the mel; None: drawn here.
            generator: for `source`.

        Raises:
            UserError: a mel of another number of bands.
        """
        check_mel(mel, self.config.mel)
        if source is None:
            source = self.source(mel, generator)
        condition = self._condition(mel, frame_mask)
        trace.report("parallel_wavegan/condition", condition)
        mask = None if frame_mask is None else frame_mask.repeat_interleave(self.config.mel.hop, dim=1)
        x = self.stack(self.first(source.flatten(1)[..., None]), condition, mask=mask)
        audio = self.last(functional.relu(self.between(functional.relu(x))))[..., 0].float()
        return audio if mask is None else audio.masked_fill(~mask, 0.0)

    def _condition(self, mel: Tensor, mask: Tensor | None) -> Tensor:
        """mel (batch, frames, mels) -> what every sample is told (batch, frames * hop, mels)."""
        normal = (mel - self.mean) / self.deviation
        x = self.embed(beyond_the_ends(normal, self.config.around, mask).mT).mT
        for stretch in self.stretch:
            if mask is not None:
                x = x.masked_fill(~mask.repeat_interleave(x.shape[1] // mask.shape[1], dim=1)[..., None], 0.0)
            x = stretch(x)
        return x


# ------------------------------------------------------------------------------------------------------------- training


class STFTDistance(nn.Module):
    """Spectral convergence and log magnitude at three resolutions, between generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MultiResolutionSTFTLoss()

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        return self.distance(output, batch["audio"])


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        return self.distance(output, batch["audio"])


TRAINING = gan.Config(critics=("dilated",), loss="least_squares", weights={"stft": 1.0}, adversarial=4.0, feature=0.0)
LOSSES = {"stft": STFTDistance, "mel": MelDistance}
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, log="log10"),
    dim=8,
    gate=8,
    skip=8,
    layers=4,
    cycles=2,
    around=1,
    scales=(4, 4),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels, noise and sounds of 80 frames."""
    frames = 80
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 2,
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "source": torch.randn(batch, frames, config.mel.hop, generator=generator),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: `checkpoint["model"]["generator"]` with the original keys, with or without the prefix `generator.`, and
            the statistics of the mel, which lie beside it in stats.h5, as `mean` and `scale` (mels,).
        config: its config.yml.

    Raises:
        UserError: a generator of another kind, no statistics, or a state that does not fit.
    """
    sizes = config["generator_params"]
    kind = config.get("generator_type", "ParallelWaveGANGenerator")
    upsampling = sizes.get("upsample_params", {})
    told: dict[str, tuple[Any, Any]] = {"generator_type": (kind, "ParallelWaveGANGenerator")}
    told["upsample_net"] = (sizes.get("upsample_net", "ConvInUpsampleNetwork"), "ConvInUpsampleNetwork")
    told["use_causal_conv"] = (sizes.get("use_causal_conv", False), False)
    told["nonlinear_activation"] = (upsampling.get("nonlinear_activation") or "none", "none")
    told["freq_axis_kernel_size"] = (upsampling.get("freq_axis_kernel_size", 1), 1)
    for name, (value, known) in told.items():
        if value != known:
            raise UserError(f"this checkpoint has {name} {value}; Aoide builds Parallel WaveGAN with {known}")
    plain = {key.removeprefix("generator."): value for key, value in state.items()}
    if not {"mean", "scale"} <= set(plain):
        raise UserError("the statistics of the mel are missing: add mean and scale of stats.h5 to the state")
    own = Config(
        mel=_official_mel(config),
        dim=sizes.get("residual_channels", 64),
        gate=sizes.get("gate_channels", 128) // 2,
        skip=sizes.get("skip_channels", 64),
        layers=sizes.get("layers", 30),
        cycles=sizes.get("stacks", 3),
        kernel=sizes.get("kernel_size", 3),
        around=sizes.get("aux_context_window", 2),
        scales=tuple(upsampling.get("upsample_scales", (4, 4, 4, 4))),
        dropout=sizes.get("dropout", 0.0),
    )
    return adopt(Model(own), _rename(plain, own), "Parallel WaveGAN checkpoint")


def _official_mel(config: Mapping[str, Any]) -> MelConfig:
    """The mel of their config.yml: decades of magnitude, Slaney's bands."""
    return MelConfig(
        sample_rate=config["sampling_rate"],
        n_fft=config["fft_size"],
        hop=config["hop_size"],
        win=config.get("win_length") or config["fft_size"],
        n_mels=config["num_mels"],
        fmin=config.get("fmin") or 0.0,
        fmax=config.get("fmax") or config["sampling_rate"] / 2,
        scale="slaney",
        norm="slaney",
        floor=1e-10,
        log="log10",
    )


def _rename(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """Their keys -> ours; 1x1 convolutions become linear layers, and the two of a layer become one."""
    ours: dict[str, Tensor] = {"mean": state["mean"], "deviation": state["scale"]}
    straight = {"upsample_net.conv_in": "embed", "first_conv": "first", "last_conv_layers.1": "between"}
    straight["last_conv_layers.3"] = "last"
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        name, _, last = key.rpartition(".")
        if name in straight:
            flat = name != "upsample_net.conv_in" and value.ndim == 3
            ours[f"{straight[name]}.{last}"] = value[..., 0] if flat else value
        elif name:
            parts.setdefault(name, {})[last] = value
    for i in range(len(config.scales)):
        layer = parts.pop(f"upsample_net.upsample.up_layers.{2 * i + 1}", {})
        if {"weight_g", "weight_v"} <= set(layer):  # ours has no normalisation: the weight itself
            length, direction = layer["weight_g"], layer["weight_v"]
            ours[f"stretch.{i}.kernels.0"] = (length * direction / direction.norm()).flatten()
        ours |= {f"stretch.{i}.kernels.0": value.flatten() for last, value in layer.items() if last == "weight"}
    for i in range(config.layers):
        dilated, aux, out, skip = (
            parts.pop(f"conv_layers.{i}.{name}", {}) for name in ("conv", "conv1x1_aux", "conv1x1_out", "conv1x1_skip")
        )
        ours |= {f"stack.layers.{i}.dilated.{last}": value for last, value in dilated.items()}
        ours |= {f"stack.layers.{i}.condition.{last}": value for last, value in aux.items()}
        joined = skip if i == config.layers - 1 else {k: torch.cat([out[k], skip[k]]) for k in skip if k in out}
        ours |= {f"stack.layers.{i}.out.{last}": value for last, value in joined.items()}
    ours |= {f"{name}.{last}": value for name, left in parts.items() for last, value in left.items()}
    return modern_weight_norm(ours)
