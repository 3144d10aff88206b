"""How weights move: Adam or AdamW per network, and the learning rate as a function of the step.

The learning rate has no state: `rate(config, step, steps)` is all there is to it, so a resumed run cannot lose it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import torch
from torch import nn

from aoide.config import UserError, near


@dataclass(frozen=True, kw_only=True, slots=True)
class Different:
    """What one network has different from the others; nothing = as the others."""

    lr: float | None = None
    betas: tuple[float, float] | None = None
    eps: float | None = None
    weight_decay: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    method: Literal["adamw", "adam"] = "adamw"  # adam adds the decay to the gradient, adamw takes it from the weight
    lr: float = 2e-4  # peak learning rate
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-8
    weight_decay: float = 0.0  # on weights of two dimensions or more: not on biases, norms and scales
    schedule: Literal["constant", "cosine", "exponential"] = "constant"
    warmup: int = 0  # steps from 0 to lr, along a straight line
    decay: float = 0.9999  # exponential: factor per hundred steps
    floor: float = 0.0  # share of lr below which no schedule goes
    freeze: tuple[str, ...] = ()  # weights that stay as they are: modules, parameters or patterns, see train/freeze.py
    networks: dict[str, Different] = field(default_factory=dict)  # by the network's name: critic: {lr: 1e-4}

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr}")
        if self.warmup < 0:
            raise ValueError(f"warmup must be 0 steps or more, got {self.warmup}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay must be in (0, 1], got {self.decay}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is a share of lr and must be in [0, 1], got {self.floor}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be in [0, 1), got {list(self.betas)}")


def of_network(config: Config, name: str) -> Config:
    """The settings of one network: the common ones with its own differences laid over them."""
    different = config.networks.get(name)
    if different is None:
        return config
    own = {f.name: getattr(different, f.name) for f in fields(different)}
    return replace(config, **{key: value for key, value in own.items() if value is not None})


def build(config: Config, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
    """One optimiser per network over the parameters that ask for gradients.

    Raises:
        UserError: the recipe names a network that the objective does not have.
    """
    for name in config.networks:
        if name not in networks:
            guess = near(name, networks) or f" the networks are {', '.join(networks)}"
            raise UserError(f"optimiser.networks.{name}: the objective has no such network;{guess}")
    return {name: _optimiser(of_network(config, name), network) for name, network in networks.items()}


def _optimiser(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    method = torch.optim.AdamW if config.method == "adamw" else torch.optim.Adam
    return method([group for group in groups if group["params"]], lr=config.lr, betas=config.betas, eps=config.eps)


def rate(config: Config, step: int, steps: int) -> float:
    """The learning rate of step `step` (the first is 0) of `steps`."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = step - config.warmup
    factor = 1.0
    if config.schedule == "cosine":
        progress = min(1.0, done / max(1, steps - config.warmup))
        factor = config.floor + (1 - config.floor) * 0.5 * (1 + math.cos(math.pi * progress))
    elif config.schedule == "exponential":
        factor = config.decay ** (done / 100)
    return config.lr * max(factor, config.floor)


def set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Gives every parameter group this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = lr


def gradients(network: nn.Module) -> list[torch.Tensor]:
    """The gradients that `network` has now."""
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
