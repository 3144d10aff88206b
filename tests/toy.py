"""Any model at toy size with its own objective, and a training loop in small: for contract and golden tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from aoide.nn.discriminators import Band, Cqt, Dilated, Patch, Period, Resolution, Scale, Stft
from aoide.objectives import gan

SMALL_CRITICS = {
    "period": Period(periods=(2, 3), channels=(4, 8)),
    "scale": Scale(scales=2, channels=(4, 8), kernels=(5, 9), strides=(1, 4), groups=(1, 4)),
    "resolution": Resolution(resolutions=((64, 16, 32), (32, 8, 32)), channels=4),
    "band": Band(windows=(64, 32), channels=4, bands=(0.0, 0.5, 1.0)),
    "stft": Stft(windows=(64, 32), hops=(16, 8), channels=4, dilations=(1, 2)),
    "cqt": Cqt(hops=(64, 32), bins=(4, 6), octaves=3, channels=4, dilations=(1, 2)),
    "dilated": Dilated(layers=4, channels=4),
    "patch": Patch(channels=4, layers=1, deviation=0.3),
}


def objective(module: ModuleType, model: nn.Module) -> Any:
    """The objective that the model file names as its TRAINING; critics are made small."""
    training = module.TRAINING
    if isinstance(training, gan.Config):
        training = replace(training, **SMALL_CRITICS)
    return sys.modules[type(training).__module__].Objective(training, module, model)


def train(
    judge: Any,
    batches: list[dict[str, Tensor]],
    moved: Callable[[str, nn.Module, Mapping[str, Tensor]], None] = lambda name, network, losses: None,
    eps: float = 1e-8,
) -> None:
    """One step of Adam on each batch; calls `moved` with each network after its turn, its gradients still there.

    A large `eps` keeps Adam from blowing up gradients that are nothing but rounding.
    """
    networks = judge.networks
    optimisers = {name: torch.optim.Adam(network.parameters(), lr=1e-3, eps=eps) for name, network in networks.items()}
    generator = torch.Generator().manual_seed(0)
    for batch in batches:
        for name, losses in judge.steps(batch, generator):
            optimisers[name].zero_grad()
            torch.stack([*losses.values()]).sum().backward()
            optimisers[name].step()
            moved(name, networks[name], losses)


def named(output: Any) -> dict[str, Tensor]:
    """The tensors of a model's output by name; a lone tensor is called `audio`, since only vocoders give one."""
    if isinstance(output, Tensor):
        return {"audio": output}
    fields = output._asdict() if hasattr(output, "_asdict") else vars(output)
    return {name: value for name, value in fields.items() if isinstance(value, Tensor)}
