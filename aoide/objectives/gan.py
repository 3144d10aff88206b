"""Adversarial training: critics learn to tell recorded from generated sound, the generator learns to please them.

Each step first trains the critics on the generator's sound of this batch, then the generator with

    sum of weights[name] * reconstruction losses of the model
    + per critic: critic_weight * (adversarial * score loss + feature * distance of the critic's feature maps)

Score losses are means over the parts of a critic, as Vocos trains; HiFi-GAN sums them: give the critic that many times
the weight. The critics' own loss carries no weights, since its scale does not matter to an Adam-like optimiser.

Sources: hinge Lim and Ye 2017, arXiv:1705.02894; least squares Mao et al. 2016, arXiv:1611.04076; feature matching
Larsen et al. 2015, arXiv:1512.09300. Parity of the losses: tests/parity/test_vocos.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.discriminators import CRITICS, Critics, Period, Resolution
from aoide.objectives import Batch, inputs, named_losses

Scores = list[Tensor]  # one a part of a critic
Features = list[list[Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of adversarial training; a field named as a critic holds that critic's own settings."""

    critics: tuple[Literal["period", "resolution"], ...] = ("period", "resolution")
    loss: Literal["hinge", "least_squares"] = "hinge"
    weights: dict[str, float] = field(default_factory=lambda: {"mel": 45.0})  # of the model's reconstruction losses
    critic_weights: dict[str, float] = field(default_factory=dict)  # critics not named here have weight 1
    adversarial: float = 1.0
    feature: float = 1.0
    warmup: int = 0  # steps of reconstruction alone, before the critics start
    period: Period = field(default_factory=Period)
    resolution: Resolution = field(default_factory=Resolution)

    def __post_init__(self) -> None:
        if not self.critics or len(set(self.critics)) < len(self.critics):
            raise ValueError(f"critics names one or more critics, each once, got {list(self.critics)}")
        for name in self.critic_weights:
            if name not in self.critics:
                raise ValueError(f"critic_weights names {name}, but the critics are {', '.join(self.critics)}")
        if self.warmup < 0:
            raise ValueError(f"warmup is a number of steps, got {self.warmup}")


# --------------------------------------------------------------------------------------------------------------- losses


def hinge_critic(real: Scores, fake: Scores) -> Tensor:
    """Pushes scores of recorded sound above 1 and those of generated sound below -1; summed over the parts."""
    return _sum(functional.relu(1 - r).mean() + functional.relu(1 + f).mean() for r, f in zip(real, fake, strict=True))


def hinge_generator(fake: Scores) -> Tensor:
    """Pushes scores of generated sound up to 1, but not beyond; summed over the parts."""
    return _sum(functional.relu(1 - f).mean() for f in fake)


def least_squares_critic(real: Scores, fake: Scores) -> Tensor:
    """Pulls scores of recorded sound to 1 and those of generated sound to 0; summed over the parts."""
    return _sum((1 - r).square().mean() + f.square().mean() for r, f in zip(real, fake, strict=True))


def least_squares_generator(fake: Scores) -> Tensor:
    """Pulls scores of generated sound to 1; summed over the parts."""
    return _sum((1 - f).square().mean() for f in fake)


def feature_matching(real: Features, fake: Features) -> Tensor:
    """L1 between the feature maps of recorded and generated sound; summed over maps and parts."""
    pairs = ((r, f) for part in zip(real, fake, strict=True) for r, f in zip(*part, strict=True))
    return _sum((r - f).abs().mean() for r, f in pairs)


SCORE_LOSSES = {
    "hinge": (hinge_critic, hinge_generator),
    "least_squares": (least_squares_critic, least_squares_generator),
}


def _sum(losses: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(losses)).sum()


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains `model` against the critics of `config`.

    Args:
        config: what to train with.
        module: the model file; its forward gives the waveform (batch, samples), or an output whose field `audio` is it.
        model: the built `Model`, the generator.

    The loop may replace an entry of `networks` by a wrapper of it (for several GPUs). The number of steps so far, which
    ends the warm-up, is a buffer of the critic, so that it is saved and resumed with it.
    """

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.critic = Critics({name: getattr(config, name) for name in config.critics})
        self.critic.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.networks: dict[str, nn.Module] = {"critic": self.critic, "generator": model}
        self._reconstruction = named_losses(module, model.config, config.weights)
        self._critic_loss, self._generator_loss = SCORE_LOSSES[config.loss]

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("critic", losses), then ("generator", losses); during the warm-up only the latter.

        batch holds what the model's forward names, `audio` (batch, samples), and what its reconstruction losses read.
        """
        step = self.critic.get_buffer("steps").clone()  # where gradients accumulate, several batches see the same step
        output = self.networks["generator"](**inputs(self.module, batch))
        fake, real = _waveforms(output, batch)
        losses = self._reconstruct(output, {**batch, "audio": real})
        if self.config.warmup == 0 or int(step) >= self.config.warmup:
            yield "critic", self._judge(real, fake.detach())
            with _frozen(self.critic):
                yield "generator", losses | self._please(real, fake)
        else:
            yield "generator", losses
        self.critic.get_buffer("steps").copy_(step + 1)

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The reconstruction losses of a batch; the critics have no say, since they change from step to step."""
        output = self.networks["generator"](**inputs(self.module, batch))
        _, real = _waveforms(output, batch)
        return self._reconstruct(output, {**batch, "audio": real})

    def _reconstruct(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        return {name: self.config.weights[name] * loss(output, batch) for name, loss in self._reconstruction.items()}

    def _judge(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What the critics lose on recorded and generated sound."""
        both = self.networks["critic"](torch.cat([real, fake]))
        losses: dict[str, Tensor] = {}
        for name in self.config.critics:
            on_real, on_fake = zip(*(score.chunk(2) for score in both[name].scores), strict=True)
            losses[name] = self._critic_loss(list(on_real), list(on_fake)) / len(on_real)
        return losses

    def _please(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What the generator loses to the critics.

        Asks the bare critic: a wrapper for several GPUs would wait for gradients that it does not get.
        """
        with torch.no_grad():
            on_real = self.critic(real)
        on_fake = self.critic(fake)
        losses = {}
        for name in self.config.critics:
            share = self.config.critic_weights.get(name, 1.0) / len(on_fake[name].scores)
            losses[f"{name}_score"] = self.config.adversarial * share * self._generator_loss(on_fake[name].scores)
            distance = feature_matching(on_real[name].features, on_fake[name].features)
            losses[f"{name}_feature"] = self.config.feature * share * distance
        return losses


def _waveforms(output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Generated and recorded sound of equal length: recordings may go on for part of a hop after the last frame."""
    fake = output if isinstance(output, Tensor) else output.audio
    real = batch["audio"][:, : fake.shape[1]]
    assert real.shape == fake.shape, f"generated {tuple(fake.shape)}, recorded {tuple(real.shape)}: not the same batch"
    return fake, real


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Keeps gradients from the parameters of `network` while the block runs; they still flow through to its input."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


assert set(CRITICS) <= set(Config.__dataclass_fields__), "each critic has its settings in gan.Config"
