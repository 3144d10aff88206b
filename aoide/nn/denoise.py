"""Networks that look at something noisy, how noisy it is, and a condition a frame: denoisers of diffusion and flows.

    (x (batch, frames, bins), time (batch,), condition (batch, frames, condition)) -> (batch, frames, bins)

Three stacks with one surface, so that any of them goes with any condition and any objective: `wavenet` (DiffSinger,
Amphion's SVC), `lynxnet` and `lynxnet2` (openvpi's DiffSinger). `Denoiser` says which and how large, `build` makes it.

Sources: WaveNet as denoiser Liu et al. 2021, arXiv:2105.02446 (DiffSinger); LYNXNet and LYNXNet2 are openvpi's, known
from their code (Apache-2.0, modules/backbones), after the Conformer's convolution module, arXiv:2005.08100.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.nn.conv import Conv1d
from aoide.nn.settled import Settled
from aoide.nn.wavenet import Shape, WaveNet, cycles, swap_halves

Call = Callable[[Tensor, Tensor], Tensor]  # (x, time) -> prediction


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedTime:
    """A time that is embedded once and added in every layer alike, as Amphion's voice conversion has it."""

    sinusoids: int = 128  # values of the code that goes into the MLP; even
    hidden: int = 512
    layers: int = 2  # of the MLP, before its last
    activation: Literal["silu", "relu", "gelu"] = "silu"

    def __post_init__(self) -> None:
        if self.sinusoids < 2 or self.sinusoids % 2 or self.layers < 1:
            raise ValueError("sinusoids is an even number, layers 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Denoiser:
    """Which network, and how large; what a kind does not have is not looked at."""

    kind: Literal["wavenet", "lynxnet", "lynxnet2"] = "wavenet"
    channels: int = 256
    layers: int = 20
    cycle: int = 4  # wavenet: layers after which the dilations start anew
    time: SharedTime | None = None  # wavenet: how the time joins; null = each layer projects its embedding
    kernel: int = 31  # lynxnet and lynxnet2: frames that a depthwise convolution sees; odd
    expansion: float = 2  # of the channels inside a block of lynxnet (2) and lynxnet2 (1)
    gate: Literal["swish", "arctan"] = "arctan"  # lynxnet2: what a gated linear unit opens with
    activation: Literal["prelu", "silu", "relu"] = "prelu"  # lynxnet
    strong: bool = False  # lynxnet: whether the condition is in what a block adds to, too
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.channels, self.layers, self.cycle) < 1 or self.channels % 2:
            raise ValueError("channels, layers and cycle are 1 or more, channels an even number")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")


def build(denoiser: Denoiser, bins: int, condition: int) -> nn.Module:
    """The network of these settings, for `bins` numbers a frame and a condition of so many channels."""
    return NETWORKS[denoiser.kind](denoiser, bins, condition)


class TimeEmbedding(nn.Module):
    """A number, such as how noisy it is, as sinusoids through an MLP: (batch, ...) -> (batch, ..., dim)."""

    def __init__(self, dim: int, activation: nn.Module) -> None:
        super().__init__()
        self.dim = dim
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), activation, nn.Linear(4 * dim, dim))

    def forward(self, time: Tensor) -> Tensor:
        half = self.dim // 2
        rates = torch.exp(torch.arange(half, device=time.device) * (-math.log(10_000) / (half - 1)))
        angles = time[..., None] * rates
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=-1).to(next(self.mlp.parameters()).dtype))


class SharedTimeEmbedding(nn.Module):
    """A number as cosines and sines through an MLP: (batch,) -> (batch, dim)."""

    def __init__(self, time: SharedTime, dim: int) -> None:
        super().__init__()
        self.rates = time.sinusoids // 2
        activation = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}[time.activation]
        sizes = [time.sinusoids] + [time.hidden] * time.layers
        hidden = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), activation())]
        self.mlp = nn.Sequential(*hidden, nn.Linear(time.hidden, dim))
        for part in self.mlp:
            if isinstance(part, nn.Linear):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, time: Tensor) -> Tensor:
        rates = torch.exp(torch.arange(self.rates, device=time.device) * (-math.log(10_000) / self.rates))
        angles = time[:, None] * rates
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))


class WaveNetDenoiser(nn.Module):
    """A WaveNet that looks both ways; the time joins in each layer."""

    def __init__(self, denoiser: Denoiser, bins: int, condition: int) -> None:
        super().__init__()
        channels = denoiser.channels
        self.embed = nn.Linear(bins, channels)
        self.time = (
            TimeEmbedding(channels, nn.Mish())
            if denoiser.time is None
            else SharedTimeEmbedding(denoiser.time, channels)
        )
        self.stack = WaveNet(
            Shape(
                dim=channels,
                hidden=channels,
                skip=channels,
                dilations=cycles(denoiser.layers, denoiser.cycle),
                condition=condition,
                step=channels if denoiser.time is None else 0,
                normalised=False,
                dropout=denoiser.dropout,
            )
        )
        self.head = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, bins)
        for part in (self.embed, self.head):
            nn.init.kaiming_normal_(part.weight)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the head of this file; mask (batch, frames), True = real."""
        x = self.embed(x).relu()
        return self.out(self.head(self.stack(x, condition, self.time(time), mask)).relu())


class LynxBlock(nn.Module):
    """Gated linear unit, depthwise convolution, back: the convolution module of LYNXNet."""

    def __init__(self, denoiser: Denoiser, condition: int) -> None:
        super().__init__()
        dim, inner = denoiser.channels, int(denoiser.channels * denoiser.expansion)
        self.strong = denoiser.strong
        self.time = nn.Linear(dim, dim)
        self.condition = nn.Linear(condition, dim)
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * inner)
        self.depthwise = Conv1d(inner, inner, denoiser.kernel, groups=inner)
        self.activation = {"prelu": nn.PReLU(inner), "silu": nn.SiLU(), "relu": nn.ReLU()}[denoiser.activation]
        self.contract = nn.Linear(inner, dim)
        self.dropout = nn.Dropout(denoiser.dropout)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, mask: Tensor | None) -> Tensor:
        y = x + self.condition(condition)
        if self.strong:
            x = y
        value, gate = self.expand(self.norm(y + self.time(time)[:, None])).chunk(2, dim=-1)
        y = self.depthwise(value * functional.silu(gate), mask)
        y = self.activation(y.mT).mT if isinstance(self.activation, nn.PReLU) else self.activation(y)
        return x + self.dropout(self.contract(y))


class LynxNet(nn.Module):
    """openvpi's LYNXNet: condition and time join in each block."""

    def __init__(self, denoiser: Denoiser, bins: int, condition: int) -> None:
        super().__init__()
        self.strong = denoiser.strong
        self.embed = nn.Linear(bins, denoiser.channels)
        self.time = TimeEmbedding(denoiser.channels, nn.GELU())
        self.blocks = nn.ModuleList(LynxBlock(denoiser, condition) for _ in range(denoiser.layers))
        self.norm = nn.LayerNorm(denoiser.channels)
        self.out = nn.Linear(denoiser.channels, bins)
        nn.init.kaiming_normal_(self.embed.weight)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the head of this file; mask (batch, frames), True = real."""
        x = self.embed(x)
        x, time = x if self.strong else functional.gelu(x), self.time(time)
        for number, block in enumerate(self.blocks):
            x = block(x, time, condition, mask)
            trace.layer(number, len(self.blocks), x)
        return self.out(self.norm(x))


class Lynx2Block(nn.Module):
    """Depthwise convolution, then three linear layers with gated linear units between."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        dim, inner = denoiser.channels, int(denoiser.channels * denoiser.expansion)
        self.gate = torch.atan if denoiser.gate == "arctan" else functional.silu
        self.norm = nn.LayerNorm(dim)
        self.depthwise = Conv1d(dim, dim, denoiser.kernel, groups=dim)
        self.expand = nn.Linear(dim, 2 * inner)
        self.middle = nn.Linear(inner, 2 * inner)
        self.contract = nn.Linear(inner, dim)
        self.dropout = nn.Dropout(denoiser.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.depthwise(self.norm(x), mask)
        for layer in (self.expand, self.middle):
            value, gate = layer(y).chunk(2, dim=-1)
            y = value * self.gate(gate)
        return x + self.dropout(self.contract(y))


class LynxNet2(nn.Module):
    """openvpi's LYNXNet2: condition and time join once, at the start."""

    def __init__(self, denoiser: Denoiser, bins: int, condition: int) -> None:
        super().__init__()
        self.embed = nn.Linear(bins, denoiser.channels)
        self.condition = nn.Linear(condition, denoiser.channels)
        self.time = TimeEmbedding(denoiser.channels, nn.GELU())
        self.blocks = nn.ModuleList(Lynx2Block(denoiser) for _ in range(denoiser.layers))
        self.norm = nn.LayerNorm(denoiser.channels)
        self.out = nn.Linear(denoiser.channels, bins)
        for part in (self.embed, self.condition):
            nn.init.kaiming_normal_(part.weight)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the head of this file; mask (batch, frames), True = real."""
        x = self.embed(x) + self.condition(condition) + self.time(time)[:, None]
        for number, block in enumerate(self.blocks):
            x = block(x, mask)
            trace.layer(number, len(self.blocks), x)
        return self.out(self.norm(x))


NETWORKS = {"wavenet": WaveNetDenoiser, "lynxnet": LynxNet, "lynxnet2": LynxNet2}


def settle(denoiser: nn.Module, condition: Tensor, mask: Tensor | None = None, calls: int = 50) -> Call:
    """The denoiser for many calls with one condition, as a sampler makes them: (x, time) -> prediction, no gradients.

    What does not change from call to call is computed here once; see `nn/settled.py` for the WaveNet, whose calls then
    take about two thirds of the time. Weights that change later are not seen.

    Args:
        condition: (batch, frames, condition).
        mask: (batch, frames), True = real.
        calls: how many are to come; for one alone nothing is made ready, since that takes half of a call.
    """
    if isinstance(denoiser, WaveNetDenoiser) and calls > 1 and not torch.is_grad_enabled():
        return SettledDenoiser(denoiser, condition, mask)
    return lambda x, time: denoiser(x, time, condition, mask)


class SettledDenoiser:
    """A WaveNet denoiser with its condition; see `settle`."""

    def __init__(self, denoiser: WaveNetDenoiser, condition: Tensor, mask: Tensor | None) -> None:
        self.denoiser = denoiser
        self.stack = Settled(denoiser.stack, condition, mask)

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        """x (batch, frames, bins), time (batch,) -> like x."""
        whole = self.denoiser
        hidden = self.stack(whole.embed(x).relu_(), whole.time(time))
        return whole.out(whole.head(hidden).relu_())


# ---------------------------------------------------------------------------------------------------- published weights


def official(state: Mapping[str, Tensor], denoiser: Denoiser, ours: str) -> dict[str, Tensor]:
    """openvpi's backbone: its keys, without what stands before them in a checkpoint, -> ours, with `ours` before them.

    Their gate is the first half of a WaveNet layer and ours the second; the condition's bias is added to that of the
    dilated convolution; 1x1 convolutions are linear layers.
    """
    if denoiser.kind == "wavenet":
        return {ours + key: value for key, value in _wavenet(state, denoiser.layers).items()}
    names = {
        "input_projection": "embed",
        "output_projection": "out",
        "conditioner_projection": "condition",
        "diffusion_embedding.1": "time.mlp.0",
        "diffusion_embedding.3": "time.mlp.2",
    }
    inside = {
        "lynxnet": {
            "diffusion_projection": "time",
            "conditioner_projection": "condition",
            "convmodule.net.0": "norm",
            "convmodule.net.2": "expand",
            "convmodule.net.4": "depthwise",
            "convmodule.net.5": "activation",
            "convmodule.net.6": "contract",
        },
        "lynxnet2": {"net.0": "norm", "net.2": "depthwise", "net.4": "expand", "net.6": "middle", "net.8": "contract"},
    }[denoiser.kind]
    renamed = {}
    for key, value in state.items():
        stem, _, kind = key.rpartition(".")
        if stem.startswith("residual_layers."):
            _, layer, part = stem.split(".", 2)
            name = f"blocks.{layer}.{inside.get(part, part)}"
        else:
            name = names.get(stem, stem)
        linear = value.ndim == 3 and not name.endswith("depthwise")
        renamed[f"{ours}{name}.{kind}"] = value.squeeze(-1) if linear else value
    return renamed


def _wavenet(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    names = {
        "input_projection": "embed",
        "skip_projection": "head",
        "output_projection": "out",
        "mlp.0": "time.mlp.0",
        "mlp.2": "time.mlp.2",
    }
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        stem, _, kind = key.rpartition(".")
        if not stem.startswith("residual_layers."):
            renamed[f"{names.get(stem, stem)}.{kind}"] = value.squeeze(-1) if value.ndim == 3 else value
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


def amphion_settings(config: Mapping[str, Any]) -> Denoiser:
    """The settings of Amphion's BiDilConv and its step encoder, `model.diffusion` of its configuration."""
    network, step = config["bidilconv"], config["step_encoder"]
    if network["conv_kernel_size"] != 3 or step.get("max_period", 10_000) != 10_000:
        raise UserError("a denoiser with this conv_kernel_size or max_period is not known here")
    return Denoiser(
        channels=network["base_channel"],
        layers=network["n_res_block"],
        cycle=network["dilation_cycle_length"],
        time=SharedTime(
            sinusoids=step["dim_raw_embedding"],
            hidden=step["dim_hidden_layer"],
            layers=step["num_layer"],
            activation=step["activation"].lower(),
        ),
    )


def amphion(state: Mapping[str, Tensor], layers: int, ours: str) -> dict[str, Tensor]:
    """Amphion's BiDilConv with its step encoder, keys from `diff_encoder` and `neural_network` on, -> ours.

    The context's bias is added to that of the dilated convolution; 1x1 convolutions are linear layers.
    """
    names = {
        "diff_encoder.out": "time.mlp",
        "neural_network.input.0": "embed",
        "neural_network.out_proj.0": "head",
        "neural_network.out_proj.2": "out",
    }
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        stem, _, kind = key.rpartition(".")
        if not stem.startswith("neural_network.residual_blocks."):
            outer, _, number = stem.rpartition(".")
            name = f"{names[outer]}.{number}" if outer in names else names.get(stem, stem)
            renamed[f"{ours}{name}.{kind}"] = value.squeeze(-1) if value.ndim == 3 else value
            continue
        layer, part = stem.removeprefix("neural_network.residual_blocks.").split(".", 1)
        block = f"{ours}stack.layers.{layer}"
        if part == "gau.conv":
            more = state[f"{stem.removesuffix('conv')}context_proj.bias"] if kind == "bias" else 0
            renamed[f"{block}.dilated.{kind}"] = value + more
        elif part == "out_proj":
            renamed[f"{block}.out.{kind}"] = value.chunk(2)[1] if int(layer) == layers - 1 else value
        elif part == "gau.context_proj" and kind == "weight":
            renamed[f"{block}.condition.weight"] = value
        elif part != "gau.context_proj":
            renamed[ours + key] = value  # for `adopt` to tell
    return renamed
