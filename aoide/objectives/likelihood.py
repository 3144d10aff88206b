"""Likelihood: a normalising flow turns sound into noise, and learns to make the sound it is shown as likely as it can.

A flow is a function that can be undone, so the likelihood of x follows from z = f(x): how likely z is as noise, and how
much f stretches space around x. The loss is minus its logarithm,

    sum of z^2 / (2 sigma^2) - log |det df/dx|,    per number of z, without the constant log(sigma sqrt(2 pi)),

and sampling is to draw z and undo f; the model does that, since only it knows how.

A model of this objective gives an output with

    z                (batch, time, channels)   the noise that the sound was turned into
    log_determinant  (batch, time)             log |det df/dx|, what each place has of it
    mask             (batch, time)             True = real

Source: Prenger et al. 2018, arXiv:1811.00002, equations 3 to 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn

from aoide.objectives import Batch, inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of the loss."""

    sigma: float = 1.0  # deviation of the noise that the sound is to become

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise ValueError(f"sigma is a deviation and must be above 0, got {self.sigma}")


def negative_log_likelihood(z: Tensor, log_determinant: Tensor, mask: Tensor, sigma: float = 1.0) -> Tensor:
    """Nats per number of z, a mean over what is real; shapes as in the head of this file."""
    noise = z.square().sum(-1) / (2 * sigma**2)
    return (noise - log_determinant)[mask].sum() / (mask.sum() * z.shape[-1]).clamp(min=1)


class Objective:
    """Trains a normalising flow; see the head of this file for what its output must have."""

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once."""
        yield "model", {"likelihood": self._loss(batch)}

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss of a held-out batch."""
        return {"likelihood": self._loss(batch)}

    def _loss(self, batch: Batch) -> Tensor:
        output = self.networks["model"](**inputs(self.module, batch))
        return negative_log_likelihood(output.z, output.log_determinant, output.mask, self.config.sigma)
