"""Oobleck: sound (batch, samples[, 2]) <-> latents (batch, frames, latent_dim), with samples = frames * hop.

sound -> the Gaussians of its latents -> sound

Idea         The convolutions of the Descript codec, with a waved activation whose height is trained apart, and between
             them no codebooks: each frame is a Gaussian, and a sample of it is decoded. So latents are smooth, few
             enough that a flow can make whole songs of them (21.5 frames a second of 64 numbers), and cost no codes.
Objective    adversarial, with mel distances at seven scales and how much the Gaussians say (aoide/objectives/gan.py)
Recipes      recipes/codec/oobleck-folder.yaml
Papers       Evans et al. 2024, arXiv:2402.04825 and arXiv:2407.14358 (Stable Audio)
Code         github.com/Stability-AI/stable-audio-tools (MIT); diffusers (AutoencoderOobleck, Apache-2.0)
Checkpoints  the autoencoders of Stable Audio Open (Stability licence), of DiffRhythm and JAM (ASLP-lab/DiffRhythm-vae,
             Apache-2.0, a TorchScript whose state dict serves) and of ACE-Step 1.5: `from_official` with the names of
             either code
Parity       tests/parity/test_oobleck.py, against diffusers
Differs      training compares mels and not spectra, and is of the mono form; strides are even, as all published are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.config import UserError
from aoide.models.codec import whole_frames
from aoide.nn.official import adopt, modern_weight_norm
from aoide.nn.snake import SnakeBeta
from aoide.nn.stft_loss import MultiScaleMelLoss
from aoide.nn.strided import DILATIONS, LAST_KERNEL, UNIT_KERNEL, ResidualUnit, small_start
from aoide.nn.upsampler import convolution, masked
from aoide.objectives import Batch, gan

FLOOR = 1e-4  # of the deviations


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of Stable Audio Open (156 M parameters) and DiffRhythm."""

    sample_rate: int = 44_100  # Hz
    sides: int = 2  # 2: stereo
    channels: int = 128  # of the encoder; a stage has `widths` times as many
    decoder_channels: int = 128
    widths: tuple[int, ...] = (1, 2, 4, 8, 16)  # after each stage of the encoder, before each of the decoder
    strides: tuple[int, ...] = (2, 4, 4, 8, 8)  # how many times shorter each stage makes the sound
    latent_dim: int = 64

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.strides) or not self.strides:
            raise ValueError(f"each stage has a width and a stride; got {self.widths} and {self.strides}")
        if any(stride < 2 or stride % 2 for stride in self.strides):
            raise ValueError(f"strides are even, got {self.strides}")
        if self.sides not in (1, 2):
            raise ValueError(f"sides is 1 (mono) or 2 (stereo), got {self.sides}")

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        return math.prod(self.strides)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop


class Output(NamedTuple):
    audio: Tensor  # like the input, up to a whole frame
    mean: Tensor  # (batch, frames, latent_dim)
    deviation: Tensor  # the same


def activation(channels: int) -> SnakeBeta:
    """What stands before every convolution."""
    return SnakeBeta(channels, log_scale=True)


class Stage(nn.Module):
    """Residual units and a convolution that changes the rate: down after the units, or up before them."""

    def __init__(self, dim_in: int, dim_out: int, rate: int, up: bool) -> None:
        super().__init__()
        unit_dim = dim_out if up else dim_in
        self.units = nn.ModuleList(ResidualUnit(unit_dim, dilation, activation) for dilation in DILATIONS)
        self.activation = activation(dim_in)
        shape = dim_in, dim_out, 2 * rate, rate, rate // 2
        self.change = weight_norm(nn.ConvTranspose1d(*shape) if up else nn.Conv1d(*shape))
        self.change.apply(small_start)
        self.rate, self.up = rate, up
        self.reach = sum(cast("ResidualUnit", unit).reach for unit in self.units)  # at the rate of the units

    def forward(self, x: Tensor, mask: Tensor | None, mask_out: Tensor | None) -> Tensor:
        """x (batch, channels, time), masks (batch, 1, time) before and after."""
        if self.up:
            x = masked(self.change(self.activation(x, mask)), mask_out)
        for unit in self.units:
            x = unit(x, mask_out if self.up else mask)
        return x if self.up else masked(self.change(self.activation(x, mask)), mask_out)


class Stack(nn.Module):
    """Convolution, stages, activation, convolution: the encoder or, from `up`, the decoder.

    Attributes:
        reach: how many frames before and after its own a frame, or a sample, depends on.
    """

    def __init__(self, ends: tuple[int, int], dims: tuple[int, ...], rates: tuple[int, ...], up: bool) -> None:
        super().__init__()
        self.rates, self.up = rates, up
        self.first = convolution(ends[0], dims[0], UNIT_KERNEL)
        self.stages = nn.ModuleList(
            Stage(a, b, rate, up) for a, b, rate in zip(dims[:-1], dims[1:], rates, strict=True)
        )
        self.last_activation = activation(dims[-1])
        self.last = convolution(dims[-1], ends[1], UNIT_KERNEL if up else LAST_KERNEL)
        for end in (self.first, self.last):
            end.apply(small_start)
        if up:
            self.last.bias = None
        hop = math.prod(rates)
        length = hop if up else 1  # samples of a step of the signal
        samples = UNIT_KERNEL // 2 * length
        for stage, rate in zip(cast("list[Stage]", list(self.stages)), rates, strict=True):
            samples += length if up else 0
            length = length // rate if up else length
            samples += stage.reach * length
            samples, length = (samples, length) if up else (samples + rate * length, length * rate)
        samples += (UNIT_KERNEL if up else LAST_KERNEL) // 2 * length
        self.reach = math.ceil(samples / hop)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (batch, channels, time), mask (batch, frames) with True = real -> (batch, channels, time), 0 where not."""
        masks: list[Tensor | None] = [None] * (len(self.rates) + 1)
        if mask is not None:
            rates = self.rates if self.up else self.rates[::-1]
            fine = [mask[:, None]]
            for rate in rates:
                fine.append(fine[-1].repeat_interleave(rate, dim=2))
            masks = [*(fine if self.up else fine[::-1])]
            assert masks[0] is not None
            x = x.masked_fill(~masks[0], 0.0)
        x = masked(self.first(x), masks[0])
        for stage, before, after in zip(self.stages, masks[:-1], masks[1:], strict=True):
            x = stage(x, before, after)
        return masked(self.last(self.last_activation(x, masks[-1])), masks[-1])


class Model(nn.Module):
    """Sound -> Gaussians -> sound; see `aoide.models.tta.Autoencoder` for what it promises."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths = (1, *config.widths)
        down = tuple(config.channels * width for width in widths)
        up = tuple(config.decoder_channels * width for width in widths[::-1])
        self.encoder = Stack((config.sides, 2 * config.latent_dim), down, config.strides, up=False)
        self.decoder = Stack((config.latent_dim, config.sides), up, config.strides[::-1], up=True)

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop(self) -> int:
        return self.config.hop

    @property
    def frame_rate(self) -> float:
        return self.config.frame_rate

    @property
    def dim(self) -> int:
        """Values of a frame of latents."""
        return self.config.latent_dim

    @property
    def context(self) -> int:
        """Frames before and after a frame on which its latents, and its sound, depend."""
        return max(self.encoder.reach, self.decoder.reach)

    def forward(self, audio: Tensor, frame_mask: Tensor | None = None) -> Output:
        """audio (batch, samples) or (batch, samples, 2), frame_mask (batch, frames) with True = real -> see `Output`.

        In training a sample of the Gaussians is decoded, else their means.
        """
        mean, deviation = self.distribution(audio, frame_mask)
        latents = mean + deviation * torch.randn_like(mean) if self.training else mean
        trace.report("oobleck/latents", latents)
        return Output(self.decode(latents, frame_mask), mean, deviation)

    def distribution(self, audio: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Means and deviations (batch, frames, latent_dim) of a sound.

        Raises:
            UserError: no sound, or one of another shape.
        """
        numbers = self.encoder(self._channels_first(audio), mask).mT
        mean, scale = numbers.chunk(2, dim=-1)
        return mean, functional.softplus(scale) + FLOOR

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples) or (batch, samples, 2) -> latents (batch, frames, latent_dim): the means.

        A mono sound is heard on both sides of a stereo model.
        """
        return self.distribution(audio, mask)[0]

    def decode(self, latents: Tensor, mask: Tensor | None = None) -> Tensor:
        """latents (batch, frames, latent_dim) -> audio (batch, frames * hop), or (batch, frames * hop, 2)."""
        audio = self.decoder(latents.mT, mask).float()
        return audio[:, 0] if self.config.sides == 1 else audio.mT

    def _channels_first(self, audio: Tensor) -> Tensor:
        if audio.ndim == 3 and audio.shape[-1] == self.config.sides:
            rows = [whole_frames(audio[..., side], self) for side in range(self.config.sides)]
            return torch.stack(rows, dim=1)
        if audio.ndim == 3:
            raise UserError(f"this autoencoder hears {self.config.sides} channels, not {audio.shape[-1]}")
        return whole_frames(audio, self)[:, None].expand(-1, self.config.sides, -1)


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of decoded and recorded sound at seven scales.

    Raises:
        UserError: a stereo model; the sounds of a batch have one channel.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        if config.sides != 1:
            raise UserError("codec/oobleck learns from sounds of one channel: set model.sides=1")
        self.distance = MultiScaleMelLoss(config.sample_rate)

    def forward(self, output: Any, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"][:, : output.audio.shape[1]])


def kl(output: Any, batch: Batch) -> Tensor:
    """How much the Gaussians say: summed over a frame's numbers, a mean over frames; twice the nats, as published."""
    variance = output.deviation.square()
    twice = (output.mean.square() + variance - variance.log() - 1).sum(-1)
    return twice[batch["frame_mask"]].mean() if "frame_mask" in batch else twice.mean()


LOSSES = {"mel": MelDistance, "kl": kl}
TRAINING = gan.Config(
    critics=("stft",),
    loss="hinge",
    reduction="mean",
    weights={"mel": 15.0, "kl": 1e-4},
    adversarial=0.1,
    feature=5.0,
)
NEEDS = ("audio",)
TOY = Config(sample_rate=8_000, sides=1, channels=4, decoder_channels=4, widths=(1, 2), strides=(2, 4), latent_dim=3)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of noise of 80 frames."""
    frames = 80
    return {
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """An Oobleck autoencoder by the names of diffusers ("encoder.block.0.res_unit1...") or of stable-audio-tools
    ("encoder.layers.1.layers.0...", also below "autoencoder." or "pretransform.model.").

    Args:
        config: config.json of diffusers, or the model's JSON; of it only the sample rate is read (default 44,100 Hz).

    Raises:
        UserError: a state dict of something else, or with odd strides.
    """
    inner = {_tail(key): value for key, value in state.items() if _tail(key)}
    if any(".layers." in key for key in inner):
        inner = {_of_tools(key, inner): value for key, value in inner.items()}
    else:
        inner = {_of_diffusers(key): value for key, value in inner.items()}
    renamed = modern_weight_norm(
        {key: value.flatten() if key.endswith(("alpha", "beta")) else value for key, value in inner.items()}
    )
    try:
        built = _config(renamed, config)
    except (KeyError, ValueError) as error:
        raise UserError(f"this is no Oobleck autoencoder that can be built: {error}") from None
    return adopt(Model(built), renamed, "Oobleck autoencoder")


def _config(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Config:
    """Sizes as the weights have them."""
    direction = "parametrizations.weight.original1"
    count = len({key.split(".")[2] for key in state if key.startswith("encoder.stages.")})
    changes = [state[f"encoder.stages.{i}.change.{direction}"] for i in range(count)]
    first = state[f"encoder.first.{direction}"]
    dims = [len(first), *(len(change) for change in changes)]
    decoder = state[f"decoder.last.{direction}"].shape[1]
    return Config(
        sample_rate=int(config.get("sampling_rate") or config.get("sample_rate") or 44_100),
        sides=first.shape[1],
        channels=dims[0],
        decoder_channels=decoder,
        widths=tuple(dim // dims[0] for dim in dims[1:]),
        strides=tuple(change.shape[2] // 2 for change in changes),
        latent_dim=state[f"decoder.first.{direction}"].shape[1],
    )


def _tail(key: str) -> str:
    """A key from "encoder." or "decoder." on; "" where it has neither."""
    words = key.split(".")
    places = [i for i, word in enumerate(words) if word in ("encoder", "decoder")]
    return ".".join(words[places[0] :]) if places else ""


_PARTS = {"conv1": "change", "conv_t1": "change", "snake1": "activation"}
_UNIT = {"snake1": "before", "conv1": "wide", "snake2": "between", "conv2": "mix"}
_ENDS = {"conv1": "first", "conv2": "last", "snake1": "last_activation"}


def _of_diffusers(key: str) -> str:
    side, *words = key.split(".")
    if words[0] != "block":
        return ".".join([side, _ENDS.get(words[0], words[0]), *words[1:]])
    _, stage, part, *rest = words
    if part.startswith("res_unit"):
        number = int(part.removeprefix("res_unit")) - 1
        return ".".join([side, "stages", stage, "units", str(number), _UNIT.get(rest[0], rest[0]), *rest[1:]])
    return ".".join([side, "stages", stage, _PARTS.get(part, part), *rest])


def _of_tools(key: str, state: Mapping[str, Tensor]) -> str:
    side, _, place, *rest = key.split(".")
    last = max(int(other.split(".")[2]) for other in state if other.startswith(f"{side}.layers."))
    number = int(place)
    if number in (0, last - 1, last):
        return ".".join([side, {0: "first", last - 1: "last_activation", last: "last"}[number], *rest])
    _, inner, *rest = rest
    order = ("units.0", "units.1", "units.2", "activation", "change")
    if side == "decoder":
        order = ("activation", "change", "units.0", "units.1", "units.2")
    part = order[int(inner)]
    if part.startswith("units."):
        _, layer, *rest = rest
        part = f"{part}.{('before', 'wide', 'between', 'mix')[int(layer)]}"
    return ".".join([side, "stages", str(number - 1), part, *rest])
