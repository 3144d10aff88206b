"""DiffWave, noise refined to sound in a few steps: log-mel (batch, frames, mels) -> waveform (batch, samples).

Idea         A WaveNet that looks both ways reads a noisy waveform, how noisy it is, and the mel, and says what the
             noise is. To make sound, start from noise and take what it says away, step by step: 50 as trained, or 6.
Objective    diffusion (aoide/objectives/diffusion.py)
Recipes      recipes/vocoder/diffwave-folder.yaml
Paper        Kong et al. 2020, arXiv:2009.09761
Code         github.com/lmnt-com/diffwave (Apache-2.0), which Amphion took over (models/vocoders/diffusion/diffwave)
Checkpoints  lmnt's (their README, 22.05 kHz) and amphion/diffwave (Hugging Face, 24 kHz): load with `from_official`
Parity       tests/parity/test_diffwave.py
Differs      The condition's bias stands in that of the dilated convolutions, and the last layer gives nothing to a next
             one: the same function. lmnt's mel, brought to 0 to 1, is the setting `span`. Its unconditional form is
             left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.audio.mel import MelConfig
from aoide.models.vocoder import check_mel, check_values
from aoide.nn.official import adopt, amphion_mel
from aoide.nn.wavenet import Shape, WaveNet, cycles, keep_variance, swap_halves
from aoide.objectives import diffusion
from aoide.objectives.diffusion import Process

WAVES = 64  # sines, and as many cosines, that tell a step of the process from another
STEP = 512  # channels of the embedded step


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of DiffWave; the defaults are those of Amphion's recipe (2.7 M parameters)."""

    mel: MelConfig = field(default_factory=lambda: MelConfig(scale="slaney", norm="slaney", eps=1e-9, padding="same"))
    span: tuple[float, float] | None = None  # values of the log-mel that are brought to 0 and 1; what lies beyond too
    channels: int = 64
    layers: int = 30
    cycle: int = 10  # layers after which the dilations start anew from 1
    stretch: tuple[int, int] = (16, 16)  # in what steps the mel is brought to the rate of samples
    process: Process = field(default_factory=lambda: Process(steps=50, first=1e-4, last=0.05))
    fast: tuple[float, ...] = (1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)  # betas of the fast schedule

    def __post_init__(self) -> None:
        if min(self.channels, self.layers, self.cycle) < 1:
            raise ValueError("channels, layers and cycle are 1 or more")
        if math.prod(self.stretch) != self.mel.hop or any(scale % 2 for scale in self.stretch):
            raise ValueError(
                f"stretch {list(self.stretch)} must be two even numbers of product {self.mel.hop}, the hop"
            )
        if self.span is not None and self.span[0] >= self.span[1]:
            raise ValueError(f"span is from a lower to a higher value, got {list(self.span)}")


# ---------------------------------------------------------------------------------------------------------------- parts


class StepEmbedding(nn.Module):
    """Steps of the process, and places between two: (batch,) -> (batch, STEP)."""

    table: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        # Angles reach 10,000 turns and more, where float32 is coarse: computed in this very order, they are as coarse
        # as those that published weights were trained with.
        place = torch.arange(WAVES)[None]
        angle = torch.arange(steps)[:, None] * 10.0 ** (place * 4.0 / 63.0)
        self.register_buffer("table", torch.cat([angle.sin(), angle.cos()], dim=1), persistent=False)
        self.first = nn.Linear(2 * WAVES, STEP)
        self.second = nn.Linear(STEP, STEP)

    def forward(self, step: Tensor) -> Tensor:
        below = self.table[step.floor().long() if step.is_floating_point() else step]
        if step.is_floating_point():
            above = self.table[step.ceil().long()]
            below = below + (above - below) * (step - step.floor())[:, None]
        return functional.silu(self.second(functional.silu(self.first(below))))


class MelStretch(nn.Module):
    """Frames to samples by two transposed convolutions over time and bands, as over a picture:
    (batch, frames, mels) -> (batch, frames * product of scales, mels).
    """

    def __init__(self, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(1, 1, (3, 2 * scale), stride=(1, scale), padding=(1, scale // 2)) for scale in scales
        )

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        x = mel.mT[:, None]
        for scale, convolution in zip(self.scales, self.convolutions, strict=True):
            if mask is not None:
                x = x.masked_fill(~mask[:, None, None], 0.0)
                mask = mask.repeat_interleave(scale, dim=1)
            x = functional.leaky_relu(convolution(x), 0.4)
        return x[:, 0].mT


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """A noisy waveform and the log-mel -> the noise in it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.step = StepEmbedding(len(config.process.alphas()))
        self.stretch = MelStretch(config.stretch)
        self.embed = nn.Conv1d(1, config.channels, 1)
        self.stack = WaveNet(
            Shape(
                dim=config.channels,
                hidden=config.channels,
                skip=config.channels,
                dilations=cycles(config.layers, config.cycle),
                condition=config.mel.n_mels,
                step=STEP,
                normalised=False,
            )
        )
        self.head = nn.Conv1d(config.channels, config.channels, 1)
        self.out = nn.Conv1d(config.channels, 1, 1)
        for part in (self.embed, self.head, self.out):
            keep_variance(part)
        nn.init.zeros_(self.out.weight)

    def forward(self, noisy: Tensor, step: Tensor, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """What the process predicts, by default the noise: the view of training.

        Args:
            noisy: (batch, frames * hop), a sound with noise.
            step: (batch,), which step of the process it is at, int64; or a place between two, float.
            mel: (batch, frames, mels) of `config.mel`.
            frame_mask: (batch, frames), True = real.

        Returns:
            (batch, frames * hop)
        """
        return self.denoise(noisy, step, *self.conditions(mel, frame_mask))

    def conditions(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Mel and mask at the rate of samples: (batch, samples, mels), (batch, samples)."""
        check_mel(mel, self.config.mel)
        if self.config.span is not None:
            low, high = self.config.span
            mel = ((mel - low) / (high - low)).clamp(0, 1)
        mask = None if frame_mask is None else frame_mask.repeat_interleave(self.config.mel.hop, dim=1)
        return self.stretch(mel, frame_mask), mask

    def denoise(self, noisy: Tensor, step: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """The network, with what `conditions` gives."""
        x = self.embed(noisy[:, None]).relu().mT
        x = self.stack(x, condition, self.step(step), mask).mT
        return self.out(self.head(x).relu())[:, 0]

    @torch.no_grad()
    def vocode(
        self,
        mel: Tensor,
        frame_mask: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        fast: bool = True,
        noise: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Makes sound.

        Args:
            mel: (batch, frames, mels) of `config.mel`.
            frame_mask: (batch, frames), True = real.
            generator: for the noise.
            fast: walk the fast schedule (6 steps) instead of the one that was trained (50).
            noise: what to take instead of drawing: the start, then one a step but the last.

        Returns:
            (batch, frames * hop), 0 in padded frames.

        Raises:
            UserError: a mel of another number of bands or with values that are not finite.
        """
        check_values(mel)
        condition, mask = self.conditions(mel, frame_mask)
        process = self.config.process
        start = diffusion.draw(condition.shape[:2], generator, mel.device) if noise is None else noise[0].to(mel.device)
        audio = diffusion.ddpm(
            lambda x, step: self.denoise(x, step, condition, mask),
            start,
            process,
            process.along(self.config.fast) if fast else process.every(),
            clip="x",
            generator=generator,
            noise=None if noise is None else noise[1:],
        )
        return audio if mask is None else audio * mask


# ------------------------------------------------------------------------------------------------------------- training


TRAINING = diffusion.Config(distance="l1")
LOSSES: dict[str, Any] = {}  # the objective has the only one
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=32, hop=8, win=32, n_mels=6, fmax=4_000),
    channels=6,
    layers=3,
    cycle=2,
    stretch=(2, 4),
    process=Process(steps=20, first=1e-3, last=0.2),
    fast=(1e-3, 0.1, 0.5),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels, sounds and noisy sounds of 12 frames."""
    frames = 12
    samples = frames * config.mel.hop
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "audio": torch.rand(batch, samples, generator=generator) - 0.5,
        "noisy": torch.randn(batch, samples, generator=generator),
        "step": torch.randint(0, len(config.process.alphas()), (batch,), generator=generator),
    }


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """lmnt's or Amphion's DiffWave.

    Args:
        state: the state dict, of lmnt's with or without the prefix "model." that it has in a checkpoint.
        config: lmnt's params, or Amphion's configuration ("preprocess" and "model").

    Raises:
        UserError: keys or shapes that do not fit the configuration.
    """
    settings = _amphion(config) if "preprocess" in config else _lmnt(config)
    bare = {key.removeprefix("model."): value for key, value in state.items()}
    return adopt(Model(settings), _rename(bare, settings.layers), "DiffWave checkpoint")


def _amphion(config: Mapping[str, Any]) -> Config:
    part = config["model"]["diffwave"]
    first, last, steps = part["noise_schedule_factors"]
    scales = tuple(part["upsample_factors"])
    return Config(
        mel=amphion_mel({"hop_size": math.prod(scales), **config["preprocess"]}),
        channels=part["residual_channels"],
        layers=part["residual_layers"],
        cycle=part["dilation_cycle_length"],
        stretch=scales,
        process=Process(steps=steps, first=first, last=last),
        fast=tuple(part["inference_noise_schedule"]),
    )


def _lmnt(config: Mapping[str, Any]) -> Config:
    """Their mel is 20 log10(magnitude / length of the window as a vector) - 20, with -100 to 0 brought to 0 to 1."""
    hop, size, rate = config["hop_samples"], config["n_fft"], config["sample_rate"]
    length = math.sqrt(float(torch.hann_window(4 * hop).square().sum()))
    low, high = 1e-4 * length, 10.0 * length
    return Config(
        mel=MelConfig(
            sample_rate=rate,
            n_fft=size,
            hop=hop,
            win=4 * hop,
            n_mels=config["n_mels"],
            fmin=20.0,
            fmax=rate / 2,
            floor=low,
            log="log10",
        ),
        span=(math.log10(low), math.log10(high)),
        channels=config["residual_channels"],
        layers=config["residual_layers"],
        cycle=config["dilation_cycle_length"],
        process=Process(betas=tuple(config["noise_schedule"])),
        fast=tuple(config["inference_noise_schedule"]),
    )


def _rename(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Their keys -> ours; the gate, their first half, becomes the second, and the condition's bias is added on."""
    parts = {
        "input_projection": "embed",
        "skip_projection": "head",
        "output_projection": "out",
        "diffusion_embedding.projection1": "step.first",
        "diffusion_embedding.projection2": "step.second",
        "spectrogram_upsampler.conv1": "stretch.convolutions.0",
        "spectrogram_upsampler.conv2": "stretch.convolutions.1",
    }
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        stem, _, kind = key.rpartition(".")
        if not stem.startswith("residual_layers."):
            renamed[f"{parts.get(stem, stem)}.{kind}"] = value
            continue
        _, layer, part = stem.split(".")
        ours = f"stack.layers.{layer}"
        if part == "diffusion_projection":
            renamed[f"{ours}.step.{kind}"] = value
        elif part == "output_projection":
            renamed[f"{ours}.out.{kind}"] = value.chunk(2)[1] if int(layer) == layers - 1 else value
        elif part == "conditioner_projection" and kind == "weight":
            renamed[f"{ours}.condition.weight"] = swap_halves(value)
        elif part == "dilated_conv":
            more = state[f"residual_layers.{layer}.conditioner_projection.bias"] if kind == "bias" else 0
            renamed[f"{ours}.dilated.{kind}"] = swap_halves(value + more)
        elif part != "conditioner_projection":
            renamed[key] = value  # for `adopt` to tell
    return renamed
