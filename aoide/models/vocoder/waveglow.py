"""WaveGlow, a flow that turns sound into noise and back: log-mel (batch, frames, mels) -> waveform (batch, samples).

Idea         A chain of steps, each of which can be undone exactly, turns a sound into white noise under its mel; so its
             likelihood is known, and it is the only loss. Run backwards the chain makes noise sound, all samples at
             once. A step mixes the channels (8 neighbouring samples) and scales and shifts half of them by what a
             WaveNet reads in the other half.
Objective    likelihood (aoide/objectives/likelihood.py)
Recipes      recipes/vocoder/waveglow-ljspeech.yaml
Paper        Prenger, Valle and Catanzaro 2018, arXiv:1811.00002
Code         github.com/NVIDIA/waveglow (BSD 3-clause); Amphion has the network of it (models/vocoders/flow/waveglow)
Checkpoints  NVIDIA's, on their hub and NGC: load with `from_official` and config.json of the repository
Parity       tests/parity/test_waveglow.py
Differs      The WaveNets' projections of the mel are one a layer, and their biases stand in the dilated convolutions:
             the same function. Training can be stopped by a matrix whose determinant turns negative in theirs; ours
             takes its absolute value, which is what a change of volume is. The filter that takes their constant hum
             away after sampling (denoiser.py) is left out: a smaller sigma hums less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder import check_mel, check_values
from aoide.nn.official import adopt, amphion_mel, modern_weight_norm
from aoide.nn.wavenet import Shape, WaveNet, split_condition, with_norm
from aoide.objectives import likelihood

WINDOW = 4  # hops that a frame of the mel reaches from its first sample on


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of WaveGlow; the defaults are those of NVIDIA's checkpoint (88 M parameters, 22.05 kHz)."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(sample_rate=22_050, n_mels=80, fmax=8_000, scale="slaney", norm="slaney")
    )
    flows: int = 12
    group: int = 8  # neighbouring samples that are the channels of one place
    early_every: int = 4  # flows after which some channels are noise enough and leave
    early_size: int = 2  # how many
    layers: int = 8  # of each WaveNet; dilations double from layer to layer
    channels: int = 256  # of each WaveNet
    kernel: int = 3

    def __post_init__(self) -> None:
        if min(self.flows, self.group, self.early_every, self.layers, self.channels) < 1:
            raise ValueError("flows, group, early_every, layers and channels are 1 or more")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")
        if self.mel.hop % self.group:
            raise ValueError(f"the hop {self.mel.hop} of the mel must be a multiple of group {self.group}")
        left = self.width(self.flows - 1)
        if left < 2 or self.group % 2 or self.early_size % 2:
            raise ValueError(
                f"group {self.group} and early_size {self.early_size} must be even, and leave 2 channels to the last "
                f"flow, not {left}"
            )

    def width(self, flow: int) -> int:
        """Channels that are left for a flow."""
        return self.group - self.early_size * (flow // self.early_every)


class Output(NamedTuple):
    """What likelihood training reads (aoide/objectives/likelihood.py); a place is `group` samples."""

    z: Tensor  # (batch, places, group)
    log_determinant: Tensor  # (batch, places)
    mask: Tensor  # (batch, places)


# ---------------------------------------------------------------------------------------------------------------- flows


class Mix(nn.Module):
    """A matrix over the channels of each place: (batch, places, channels) -> the same. It starts as a rotation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels))[0].contiguous()
        rotation[:, 0] *= torch.linalg.det(rotation).sign()  # no mirror
        self.weight = nn.Parameter(rotation)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T

    def log_determinant(self) -> Tensor:
        """log |det|, a scalar, in float32 whatever the autocast says."""
        return torch.linalg.slogdet(self.weight.float())[1]

    def inverse(self) -> Tensor:
        """The matrix that undoes it, found in float64 so that it does so to the last bits of float32."""
        return torch.linalg.inv(self.weight.double()).to(self.weight)


class Coupling(nn.Module):
    """How half of the channels are scaled and shifted, read in the other half and the mel."""

    def __init__(self, width: int, config: Config) -> None:
        super().__init__()
        shape = Shape(
            dim=config.channels,
            hidden=config.channels,
            skip=config.channels,
            kernel=config.kernel,
            dilations=tuple(2**layer for layer in range(config.layers)),
            condition=config.mel.n_mels * config.group,
            scaled=False,
        )
        self.start = weight_norm(nn.Linear(width // 2, config.channels))
        self.stack = WaveNet(shape)
        self.end = nn.Linear(config.channels, width)
        nn.init.zeros_(self.end.weight)  # so that a coupling changes nothing at first
        nn.init.zeros_(self.end.bias)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (batch, places, width / 2) -> shift and log of the scale, each like x."""
        shift, log_scale = self.end(self.stack(self.start(x), condition, mask=mask)).chunk(2, dim=-1)
        return shift, log_scale


class Flow(nn.Module):
    """One step of the chain: mix the channels, then scale and shift the second half of them."""

    def __init__(self, width: int, config: Config) -> None:
        super().__init__()
        self.mix = Mix(width)
        self.coupling = Coupling(width, config)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (batch, places, width) -> the same, and the log of the scales (batch, places, width / 2)."""
        still, moved = self.mix(x).chunk(2, dim=-1)
        shift, log_scale = self.coupling(still, condition, mask)
        return torch.cat([still, log_scale.exp() * moved + shift], dim=-1), log_scale

    def undo(self, x: Tensor, condition: Tensor, mask: Tensor | None) -> Tensor:
        """The inverse of `forward`."""
        still, moved = x.chunk(2, dim=-1)
        shift, log_scale = self.coupling(still, condition, mask)
        return torch.cat([still, (moved - shift) * (-log_scale).exp()], dim=-1) @ self.mix.inverse().T


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """Sound and its log-mel -> noise; and back."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mel = config.mel
        self.upsample = nn.ConvTranspose1d(mel.n_mels, mel.n_mels, WINDOW * mel.hop, stride=mel.hop)
        self.flows = nn.ModuleList(Flow(config.width(flow), config) for flow in range(config.flows))

    def forward(self, audio: Tensor, mel: Tensor, frame_mask: Tensor | None = None) -> Output:
        """Sound to noise: the view of training.

        Args:
            audio: (batch, frames * hop).
            mel: (batch, frames, mels) of `config.mel`.
            frame_mask: (batch, frames), True = real.
        """
        config = self.config
        condition, mask = self.conditions(mel, frame_mask)
        x = audio.reshape(len(audio), -1, config.group)
        done: list[Tensor] = []
        log_determinant = x.new_zeros(x.shape[:2])
        for number, flow in enumerate(self.flows):
            assert isinstance(flow, Flow)
            if number and number % config.early_every == 0:
                done.append(x[..., : config.early_size])
                x = x[..., config.early_size :]
            x, log_scale = flow(x, condition, mask)
            trace.report("waveglow/log_scale", log_scale, flow=number)
            log_determinant = log_determinant + log_scale.sum(-1) + flow.mix.log_determinant()
        z = torch.cat([*done, x], dim=-1)
        if mask is None:
            mask = torch.ones_like(log_determinant, dtype=torch.bool)
        return Output(z, log_determinant, mask)

    def conditions(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What the WaveNets read: mel (batch, frames, mels) -> (batch, places, mels * group), and their mask."""
        check_mel(mel, self.config.mel)
        hop, group = self.config.mel.hop, self.config.group
        if frame_mask is not None:
            mel = mel.masked_fill(~frame_mask[..., None], 0.0)
        fine = self.upsample(mel.mT)[..., : mel.shape[1] * hop]  # the last frame rings on
        # a place has, band after band, the `group` samples of that band
        places = fine.reshape(*fine.shape[:2], -1, group).transpose(1, 2).flatten(2)
        return places, None if frame_mask is None else frame_mask.repeat_interleave(hop // group, dim=1)

    def undo(self, z: Tensor, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Noise to sound, the inverse of `forward`: z (batch, places, group) -> (batch, frames * hop)."""
        config = self.config
        condition, mask = self.conditions(mel, frame_mask)
        left = config.width(config.flows - 1)
        done, x = z[..., : config.group - left], z[..., config.group - left :]
        for number in reversed(range(config.flows)):
            flow = self.flows[number]
            assert isinstance(flow, Flow)
            x = flow.undo(x, condition, mask)
            trace.report("waveglow/x", x, flow=number)
            if number and number % config.early_every == 0:
                x = torch.cat([done[..., -config.early_size :], x], dim=-1)
                done = done[..., : -config.early_size]
        return x.flatten(1)

    @torch.no_grad()
    def vocode(
        self,
        mel: Tensor,
        frame_mask: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        sigma: float = 0.6,
    ) -> Tensor:
        """Makes sound.

        Args:
            mel: (batch, frames, mels) of `config.mel`.
            frame_mask: (batch, frames), True = real.
            generator: for the noise.
            sigma: deviation of the noise; below what was trained, 1, it sounds calmer and cleaner.

        Returns:
            (batch, frames * hop), 0 in padded frames.

        Raises:
            UserError: a mel of another number of bands or with values that are not finite; a negative sigma.
        """
        if sigma < 0:
            raise UserError(f"sigma is a deviation and must be 0 or more, got {sigma}")
        config = self.config
        check_mel(mel, config.mel)
        check_values(mel)
        places = mel.shape[1] * config.mel.hop // config.group
        home = mel.device if generator is None else generator.device
        z = sigma * torch.randn(len(mel), places, config.group, generator=generator, device=home).to(mel)
        audio = self.undo(z, mel, frame_mask)
        return audio if frame_mask is None else audio * frame_mask.repeat_interleave(config.mel.hop, dim=1)


# ------------------------------------------------------------------------------------------------------------- training


TRAINING = likelihood.Config()
LOSSES: dict[str, Any] = {}  # the objective has the only one
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=32, hop=8, win=32, n_mels=6, fmax=4_000),
    flows=4,
    group=4,
    early_every=2,
    layers=2,
    channels=6,
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
    """NVIDIA's or Amphion's WaveGlow.

    Args:
        state: the state dict, with or without weight normalisation as theirs has it.
        config: NVIDIA's config.json (waveglow_config, data_config), or Amphion's {"VOCODER": {...}}.

    Raises:
        UserError: keys or shapes that do not fit the configuration.
    """
    settings = _amphion(config) if "VOCODER" in config else _nvidia(config)
    model = Model(settings)
    return adopt(model, with_norm(model, _rename(state, settings)), "WaveGlow checkpoint")


def _nvidia(config: Mapping[str, Any]) -> Config:
    part, data = config["waveglow_config"], config.get("data_config", {})
    rate = data.get("sampling_rate", 22_050)
    mel = MelConfig(
        sample_rate=rate,
        n_fft=data.get("filter_length", 1024),
        hop=data.get("hop_length", 256),
        win=data.get("win_length", 1024),
        n_mels=part["n_mel_channels"],
        fmin=data.get("mel_fmin", 0.0),
        fmax=data.get("mel_fmax", 8_000.0) or rate / 2,
        scale="slaney",
        norm="slaney",
    )
    stack = part["WN_config"]
    return Config(
        mel=mel,
        flows=part["n_flows"],
        group=part["n_group"],
        early_every=part["n_early_every"],
        early_size=part["n_early_size"],
        layers=stack["n_layers"],
        channels=stack["n_channels"],
        kernel=stack["kernel_size"],
    )


def _amphion(config: Mapping[str, Any]) -> Config:
    part = config["VOCODER"]
    return Config(
        mel=amphion_mel({**config.get("preprocess", {}), "n_mel": part["INPUT_DIM"], "hop_size": 256}),
        flows=part["N_FLOWS"],
        group=part["N_GROUP"],
        early_every=part["N_EARLY_EVERY"],
        early_size=part["N_EARLY_SIZE"],
        layers=part["N_LAYERS"],
        channels=part["N_CHANNELS"],
        kernel=part["KERNEL_SIZE"],
    )


def _rename(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """Their keys -> ours; 1x1 convolutions become matrices, and one projection of the mel becomes one a layer."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        network, number, *rest = key.split(".")
        if network == "convinv":
            renamed[f"flows.{number}.mix.weight"] = value[..., 0]
        elif network != "WN":
            renamed[key] = value
        elif rest[0] in ("start", "end"):
            plain = value[..., 0] if value.ndim == 3 else value
            renamed[".".join([f"flows.{number}.coupling", *rest])] = plain
        elif rest[0] in ("in_layers", "res_skip_layers"):
            kind = "dilated" if rest[0] == "in_layers" else "out"
            renamed[".".join([f"flows.{number}.coupling.stack.layers", rest[1], kind, *rest[2:]])] = value
        elif rest[0] != "cond_layer":
            renamed[key] = value  # for `adopt` to tell
    for flow in range(config.flows):
        stack = f"flows.{flow}.coupling.stack"
        renamed |= split_condition(state, f"WN.{flow}.cond_layer", stack, config.layers)
        biases = state[f"WN.{flow}.cond_layer.bias"].chunk(config.layers)
        for layer, bias in enumerate(biases):
            renamed[f"{stack}.layers.{layer}.dilated.bias"] = renamed[f"{stack}.layers.{layer}.dilated.bias"] + bias
    return modern_weight_norm(renamed)
