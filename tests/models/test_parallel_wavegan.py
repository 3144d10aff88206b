"""Parallel WaveGAN: a state dict of the published form gives what the paper's network, written out plainly, gives."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aoide.config import UserError
from aoide.models.vocoder import parallel_wavegan
from aoide.nn.discriminators import dilated

CONFIG: dict[str, Any] = {
    "sampling_rate": 24_000,
    "fft_size": 64,
    "hop_size": 24,
    "win_length": None,
    "num_mels": 9,
    "fmin": 80,
    "fmax": None,
    "generator_params": {
        "kernel_size": 3,
        "layers": 6,
        "stacks": 2,
        "residual_channels": 10,
        "gate_channels": 12,
        "skip_channels": 14,
        "aux_channels": 9,
        "aux_context_window": 2,
        "dropout": 0.0,
        "upsample_net": "ConvInUpsampleNetwork",
        "upsample_params": {"upsample_scales": [4, 3, 2]},
    },
    "discriminator_params": {"layers": 5, "conv_channels": 7, "nonlinear_activation_params": {"negative_slope": 0.2}},
}


def _state(shapes: dict[str, tuple[int, ...]], biased: tuple[str, ...]) -> dict[str, Tensor]:
    """Random weights under weight norm, in the old form: weight_g (length a row) and weight_v (direction)."""
    draw = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight_v"] = torch.randn(shape, generator=draw)
        state[f"{name}.weight_g"] = 0.5 + torch.rand(shape[0], *[1] * (len(shape) - 1), generator=draw)
        if name in biased:
            state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=draw)
    return state


def _generator() -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {"first_conv": (10, 1, 1), "upsample_net.conv_in": (9, 9, 5)}
    shapes |= {f"upsample_net.upsample.up_layers.{2 * i + 1}": (1, 1, 1, 2 * s + 1) for i, s in enumerate((4, 3, 2))}
    for i in range(6):
        layer = f"conv_layers.{i}"
        shapes |= {f"{layer}.conv": (12, 10, 3), f"{layer}.conv1x1_aux": (12, 9, 1)}
        shapes |= {f"{layer}.conv1x1_out": (10, 6, 1), f"{layer}.conv1x1_skip": (14, 6, 1)}
    shapes |= {"last_conv_layers.1": (14, 14, 1), "last_conv_layers.3": (1, 14, 1)}
    biased = tuple(name for name in shapes if not name.startswith("upsample_net") and not name.endswith("aux"))
    statistics = {"mean": torch.linspace(-3, 0, 9), "scale": torch.linspace(0.5, 1.5, 9)}
    return _state(shapes, biased) | statistics


def _weight(state: dict[str, Tensor], name: str) -> Tensor:
    direction = state[f"{name}.weight_v"]
    length = direction.flatten(1).norm(dim=1).view(-1, *[1] * (direction.ndim - 1))
    return state[f"{name}.weight_g"] * direction / length


def _conv(state: dict[str, Tensor], name: str, x: Tensor, **shape: int) -> Tensor:
    return functional.conv1d(x, _weight(state, name), state.get(f"{name}.bias"), **shape)


def _plain(state: dict[str, Tensor], mel: Tensor, noise: Tensor) -> Tensor:
    """The generator as the paper and the published code have it, channels first."""
    normal = ((mel - state["mean"]) / state["scale"]).mT
    c = _conv(state, "upsample_net.conv_in", functional.pad(normal, (2, 2), mode="replicate"))[:, None]
    for i, scale in enumerate((4, 3, 2)):
        c = c.repeat_interleave(scale, dim=3)
        c = functional.conv2d(c, _weight(state, f"upsample_net.upsample.up_layers.{2 * i + 1}"), padding=(0, scale))
    x, skips = _conv(state, "first_conv", noise[:, None]), torch.zeros(())
    for i in range(6):
        name, dilation = f"conv_layers.{i}", 2 ** (i % 3)
        y = _conv(state, f"{name}.conv", x, padding=dilation, dilation=dilation)
        value, gate = (y + _conv(state, f"{name}.conv1x1_aux", c[:, 0])).chunk(2, dim=1)
        y = value.tanh() * gate.sigmoid()
        skips = skips + _conv(state, f"{name}.conv1x1_skip", y)
        x = (x + _conv(state, f"{name}.conv1x1_out", y)) * math.sqrt(0.5)
    y = _conv(state, "last_conv_layers.1", (skips * math.sqrt(1 / 6)).relu())
    return _conv(state, "last_conv_layers.3", y.relu())[:, 0]


@pytest.mark.parametrize("prefix", ["", "generator."])
@torch.no_grad()
def test_generator(prefix: str) -> None:
    state, draw = _generator(), torch.Generator().manual_seed(1)
    mel, noise = torch.randn(2, 7, 9, generator=draw), torch.randn(2, 7 * 24, generator=draw)
    model = parallel_wavegan.from_official({prefix + key: value for key, value in state.items()}, CONFIG).eval()
    assert model.config.mel.fmax == 12_000 and model.config.mel.log == "log10" and model.config.mel.win == 64
    torch.testing.assert_close(model(mel, source=noise.unflatten(1, (7, 24))), _plain(state, mel, noise))


@torch.no_grad()
def test_critic() -> None:
    widths = [(7, 1, 3), (7, 7, 3), (7, 7, 3), (7, 7, 3), (1, 7, 3)]
    shapes = {f"conv_layers.{2 * i}": shape for i, shape in enumerate(widths)}
    state = _state(shapes, tuple(shapes))
    audio = torch.randn(2, 60, generator=torch.Generator().manual_seed(1))
    x = audio[:, None]
    for i, dilation in enumerate((1, 1, 2, 3)):
        x = functional.leaky_relu(_conv(state, f"conv_layers.{2 * i}", x, padding=dilation, dilation=dilation), 0.2)
    want = _conv(state, "conv_layers.8", x, padding=1)[:, 0]
    judgement = dilated.from_official(state, CONFIG)(audio)
    torch.testing.assert_close(judgement.scores[0], want)
    assert len(judgement.scores) == 1 and [len(maps) for maps in judgement.features] == [4]


def test_what_does_not_fit_is_told() -> None:
    state = _generator()
    with pytest.raises(UserError, match=r"add mean and scale of stats\.h5"):
        parallel_wavegan.from_official({key: value for key, value in state.items() if key != "mean"}, CONFIG)
    with pytest.raises(UserError, match="generator_type MelGANGenerator; Aoide builds"):
        parallel_wavegan.from_official(state, CONFIG | {"generator_type": "MelGANGenerator"})
    with pytest.raises(UserError, match=r"lacks stack\.layers\.0\.dilated\.bias"):
        parallel_wavegan.from_official({k: v for k, v in state.items() if k != "conv_layers.0.conv.bias"}, CONFIG)
    with pytest.raises(UserError, match=r"has beyond the model conv_layers\.6\.conv\.bias"):
        parallel_wavegan.from_official(state | {"conv_layers.6.conv.bias": torch.zeros(12)}, CONFIG)
    causal = CONFIG | {"generator_params": CONFIG["generator_params"] | {"use_causal_conv": True}}
    with pytest.raises(UserError, match="use_causal_conv True"):
        parallel_wavegan.from_official(state, causal)
    with pytest.raises(UserError, match="reads MelConfig.*n_mels=9"):
        parallel_wavegan.from_official(state, CONFIG)(torch.zeros(1, 5, 80))
    with pytest.raises(UserError, match="not this ResidualParallelWaveGANDiscriminator"):
        dilated.from_official({}, {"discriminator_type": "ResidualParallelWaveGANDiscriminator"})
