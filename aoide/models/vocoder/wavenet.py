"""WaveNet, dilated convolutions that look back: log-mel (batch, frames, mels) -> waveform (batch, samples).

Idea         Each sample is predicted from those before it, by default 504 (21 ms), by a stack of causal dilated
             convolutions that the mel steers. All samples are trained at once, but each is drawn after the other.
Objective    next token (aoide/objectives/tokens.py)
Recipes      recipes/vocoder/wavenet-folder.yaml
Paper        van den Oord et al. 2016, arXiv:1609.03499; with a mel Shen et al. 2017, arXiv:1712.05884
Code         github.com/r9y9/wavenet_vocoder (MIT), which Amphion took over (models/vocoders/autoregressive/wavenet)
Parity       tests/parity/test_wavenet.py
Differs      Amphion has the network alone; sampling is ours, with the convolutions' pasts kept (aoide/nn/wavenet.py,
             `Cached`), in numpy on the CPU, wherever the model is. The kernels that smooth the mel are plain weights,
             not normalised. The last layer gives nothing to a next one. Frames beyond the ends are taken to be as the
             ends are; the original has real frames there, from the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder import check_mel, check_values
from aoide.nn.official import adopt, amphion_mel, modern_weight_norm
from aoide.nn.wavenet import Cached, Shape, Stretch, WaveNet, beyond_the_ends, cycles, keep_variance
from aoide.objectives import tokens

BLOCK = 256  # samples whose share of the mel is computed at once
SMOOTHED = 2  # frames that the stretch of the mel sees at most, to each side


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of WaveNet."""

    mel: MelConfig = field(default_factory=MelConfig)
    samples: Literal["mu_law", "logistics", "gaussians"] = "mu_law"  # how the next sample is distributed
    count: int = 256  # classes, or bells of a mixture
    channels: int = 128  # from layer to layer
    hidden: int = 128  # of a gate
    skip: int = 128  # of the output of the stack
    layers: int = 24
    cycle: int = 6  # layers after which the dilations start anew from 1
    kernel: int = 3
    dropout: float = 0.05
    around: int = 2  # frames before and after one that its condition sees
    stretch: tuple[int, ...] = (4, 8, 8)  # in what steps the mel is brought to the rate of samples

    def __post_init__(self) -> None:
        sizes = (self.count, self.channels, self.hidden, self.skip, self.layers, self.cycle, self.kernel)
        if min(sizes) < 1 or self.around < 0:
            raise ValueError("all sizes of a WaveNet are 1 or more, around 0 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a share and must be in [0, 1), got {self.dropout}")
        if math.prod(self.stretch) != self.mel.hop:
            raise ValueError(f"the product of stretch {list(self.stretch)} must be the hop {self.mel.hop} of the mel")


class Output(NamedTuple):
    """What next-token training reads (aoide/objectives/tokens.py)."""

    scores: Tensor  # (batch, samples, size)
    targets: Tensor  # (batch, samples)
    mask: Tensor  # (batch, samples)


class Model(nn.Module):
    """Log-mel and the samples so far -> how the next sample is distributed."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.family = tokens.sounds(config.samples, config.count)
        mels = config.mel.n_mels
        self.widen = nn.Conv1d(mels, mels, 2 * config.around + 1, padding=config.around, bias=False)
        self.stretch = Stretch(config.stretch)
        reads = config.count if isinstance(self.family, tokens.MuLaw) else 1
        self.embed = nn.Conv1d(reads, config.channels, 1)
        self.stack = WaveNet(
            Shape(
                dim=config.channels,
                hidden=config.hidden,
                skip=config.skip,
                kernel=config.kernel,
                dilations=cycles(config.layers, config.cycle),
                condition=mels,
                causal=True,
                dropout=config.dropout,
            )
        )
        self.head = nn.Conv1d(config.skip, config.skip, 1)
        self.out = nn.Conv1d(config.skip, self.family.size, 1)
        for part in (self.embed, self.head, self.out):
            keep_variance(part)
            weight_norm(part)

    def forward(self, audio: Tensor, mel: Tensor, frame_mask: Tensor | None = None) -> Output:
        """How each sample is distributed, given those before it: the view of training.

        Args:
            audio: (batch, frames * hop).
            mel: (batch, frames, mels) of `config.mel`.
            frame_mask: (batch, frames), True = real.
        """
        targets = self.family.encode(audio)
        silence = self.family.encode(torch.zeros_like(audio[:, :1]))
        before = torch.cat([silence, targets[:, :-1]], dim=1)
        mask = torch.ones_like(mel[..., 0], dtype=torch.bool) if frame_mask is None else frame_mask
        scores = self.predict(before, self.condition(mel, frame_mask))
        return Output(scores, targets, mask.repeat_interleave(self.config.mel.hop, dim=1))

    def condition(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels) -> what steers the layers at the rate of samples, (batch, samples, mels)."""
        check_mel(mel, self.config.mel)
        around = self.config.around + SMOOTHED
        return self.upsample(beyond_the_ends(mel, around, frame_mask), around)

    def upsample(self, mel: Tensor, around: int) -> Tensor:
        """The same of a mel that has `around` frames more at both ends, which are cut off afterwards."""
        stretched = self.stretch(self.widen(mel.mT).mT)
        cut = around * self.stretch.factor
        return stretched[:, cut : stretched.shape[1] - cut]

    def predict(self, before: Tensor, condition: Tensor) -> Tensor:
        """The network: value before (batch, samples), condition (batch, samples, mels) -> (batch, samples, size)."""
        weight, bias = self.embed.weight[..., 0].T, self.embed.bias
        assert bias is not None
        if isinstance(self.family, tokens.MuLaw):
            x = functional.embedding(before, weight) + bias  # the product with a class written as one 1 among zeros
        else:
            x = before[..., None] * weight + bias
        x = self.stack(x, condition).mT
        return self.out(self.head(x.relu()).relu()).mT

    @torch.no_grad()
    def vocode(
        self, mel: Tensor, frame_mask: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Makes sound, sample by sample.

        Args:
            mel: (batch, frames, mels) of `config.mel`.
            frame_mask: (batch, frames), True = real.
            generator: for the draws.

        Returns:
            (batch, frames * hop) on the device of mel, 0 in padded frames.

        Raises:
            UserError: a mel of another number of bands or with values that are not finite.
        """
        check_values(mel)
        condition = self.condition(mel, frame_mask)
        noise = tokens.stream(self.family, condition.shape[1], len(mel), generator)
        audio = self.family.decode(self._draw(condition.float().cpu().numpy(), noise)).to(mel.device)
        trace.report("wavenet/audio", audio)
        return audio if frame_mask is None else audio * frame_mask.repeat_interleave(self.config.mel.hop, dim=1)

    def _draw(self, condition: np.ndarray, noise: Iterable[np.ndarray]) -> Tensor:
        """condition (batch, samples, mels), noise (batch, draws) for each sample -> values (batch, samples)."""
        family, batch = self.family, len(condition)
        stack = Cached(self.stack, batch)
        embed, embed_bias = _numpy(self.embed.weight[..., 0].T), _numpy(self.embed.bias)
        head, head_bias = _numpy(self.head.weight[..., 0].T), _numpy(self.head.bias)
        out, out_bias = _numpy(self.out.weight[..., 0].T), _numpy(self.out.bias)
        value = family.encode(torch.zeros(batch)).numpy()
        values, known = [], np.empty(0)
        for time, chance in enumerate(noise):
            if time % BLOCK == 0:
                known = stack.conditions(condition[:, time : time + BLOCK])
            x = embed[value] if isinstance(family, tokens.MuLaw) else value[:, None] * embed
            hidden = np.maximum(stack.step(x + embed_bias, known[time % BLOCK]), 0)
            hidden = np.maximum(hidden @ head + head_bias, 0)
            value = family.sample(hidden @ out + out_bias, chance)
            values.append(value)
        return torch.from_numpy(np.stack(values, axis=1))


def _numpy(x: Tensor | None) -> np.ndarray:
    assert x is not None
    return np.ascontiguousarray(x.detach().float().cpu().numpy())


# ------------------------------------------------------------------------------------------------------------- training


TRAINING = tokens.Config()
LOSSES: dict[str, Any] = {}  # the objective has the only one
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=32, hop=8, win=32, n_mels=6, fmax=4_000),
    count=16,
    channels=8,
    hidden=6,
    skip=7,
    layers=4,
    cycle=2,
    around=1,
    stretch=(2, 4),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels and sounds of 12 frames."""
    frames = 12
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "audio": torch.rand(batch, frames * config.mel.hop, generator=generator) - 0.5,
    }


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's WaveNet.

    Args:
        state: its state dict.
        config: its configuration, {"VOCODER": {...}}; mel settings it does not name are those of Amphion's recipes.

    Raises:
        UserError: keys or shapes that do not fit the configuration.
    """
    part = config["VOCODER"]
    samples, count = _family(part["SCALAR_INPUT"], part["OUT_CHANNELS"])
    settings = Config(
        mel=amphion_mel(
            {
                **config.get("preprocess", {}),
                "n_mel": part["INPUT_DIM"],
                "hop_size": math.prod(part["UPSAMPLE_SCALES"]),
            }
        ),
        samples=samples,
        count=count,
        channels=part["RESIDUAL_CHANNELS"],
        hidden=part["GATE_CHANNELS"] // 2,
        skip=part["SKIP_OUT_CHANNELS"],
        layers=part["LAYERS"],
        cycle=part["LAYERS"] // part["STACKS"],
        kernel=part["KERNEL_SIZE"],
        dropout=part["DROPOUT"],
        around=part["MEL_FRAME_PAD"],
        stretch=tuple(part["UPSAMPLE_SCALES"]),
    )
    return adopt(Model(settings), modern_weight_norm(_rename(state, settings.layers)), "WaveNet checkpoint")


def _family(scalar: bool, outputs: int) -> tuple[Literal["mu_law", "logistics", "gaussians"], int]:
    if not scalar:
        return "mu_law", outputs
    if outputs == 2:
        return "gaussians", 1
    if outputs % 3:
        raise UserError(f"a WaveNet of samples as numbers has 2 outputs, or 3 for each bell, not {outputs}")
    return "logistics", outputs // 3


def _rename(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Their keys -> ours: a layer's two last convolutions become one, and the kernels of the stretch plain weights."""
    parts = {
        "first_conv": "embed",
        "last_conv_layers.1": "head",
        "last_conv_layers.3": "out",
        "upsample_net.conv_in": "widen",
    }
    parts |= {f"conv_layers.{layer}.conv": f"stack.layers.{layer}.dilated" for layer in range(layers)}
    parts |= {f"conv_layers.{layer}.conv1x1c": f"stack.layers.{layer}.condition" for layer in range(layers)}
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        stem, _, kind = key.rpartition(".")
        if stem.startswith("upsample_net.upsample.up_layers."):
            if kind == "weight_g":
                normal = state[f"{stem}.weight_v"]
                renamed[f"stretch.kernels.{int(stem.split('.')[-1]) // 2}"] = (value * normal / normal.norm()).flatten()
        elif stem.endswith("conv1x1_skip"):
            layer = int(stem.split(".")[1])
            passed = [] if layer == layers - 1 else [state[f"conv_layers.{layer}.conv1x1_out.{kind}"]]
            renamed[f"stack.layers.{layer}.out.{kind}"] = torch.cat([*passed, value])
        elif not stem.endswith("conv1x1_out"):
            renamed[f"{parts.get(stem, stem)}.{kind}"] = value
    return renamed
