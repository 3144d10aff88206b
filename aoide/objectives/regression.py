"""Regression: the model says what it expects, the losses how far off it is. One network, one sum of weighted losses.

Beside it the distances that models of speech share, each a mean over what is real: padding neither counts nor divides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.objectives import Batch, inputs, named_losses


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What the model is trained towards."""

    weights: dict[str, float] = field(
        default_factory=dict
    )  # of the model's losses; one without a weight is not computed


# ------------------------------------------------------------------------------------------------------------ distances


def masked_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The mean absolute difference where the mask says real.

    Args:
        prediction, target: (batch, time, ...) of one shape.
        mask: (batch, time), True = real.
    """
    return _difference(prediction, target, mask).abs().sum() / _count(prediction, mask)


def masked_l2(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The mean squared difference where the mask says real; shapes as in `masked_l1`."""
    return _difference(prediction, target, mask).square().sum() / _count(prediction, mask)


def log_duration(log_durations: Tensor, durations: Tensor, token_mask: Tensor) -> Tensor:
    """The mean squared difference of durations in the log domain, log(1 + frames), as FastSpeech 2 trains them.

    Args:
        log_durations: (batch, tokens), predicted log(1 + frames).
        durations: (batch, tokens) int64 frames.
        token_mask: (batch, tokens), True = real.
    """
    return masked_l2(log_durations, durations.to(log_durations.dtype).log1p(), token_mask)


def _difference(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The difference, 0 where not real. Filled in before a distance is taken: NaN in padding then has no gradient."""
    return (prediction - target).masked_fill(~_over(prediction, mask), 0.0)


def _count(prediction: Tensor, mask: Tensor) -> Tensor:
    return _over(prediction, mask).expand_as(prediction).sum().clamp(min=1)


def _over(x: Tensor, mask: Tensor) -> Tensor:
    """The mask (batch, time) with as many axes as x."""
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains `model` towards what its losses compare it with.

    Args:
        config: which losses, with which weights.
        module: the model file, with `LOSSES`.
        model: the built `Model`. The loop may replace it in `networks` by a wrapper of it.

    Raises:
        UserError: no loss has a weight, or one is named that the model does not have.
    """

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}
        self._losses = named_losses(module, model.config, config.weights)
        if not self._losses:
            raise UserError(
                f"objective.weights: no loss has a weight; {module.__name__} has {', '.join(module.LOSSES)}"
            )

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once; batch holds what the model's forward names and its losses read."""
        output = self.networks["model"](**inputs(self.module, batch))
        yield "model", self._judge(output, batch)

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The weighted losses of a held-out batch."""
        return self._judge(self.networks["model"](**inputs(self.module, batch)), batch)

    def _judge(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        return {name: self.config.weights[name] * loss(output, batch) for name, loss in self._losses.items()}
