"""Next token: the model says how likely each value of the next place is, the loss is minus the log of the true one's.

For a vocoder the places are samples. What a sample may be is a family of distributions: `MuLaw` classes, mixtures of
`Logistics` or of `Gaussians`. A family knows how many numbers describe a distribution (`size`), its loss, and beside it
how to draw from it. A draw is a function of the scores and of noise that is drawn before and does not depend on them,
so that whoever computes the same network in another way gets the same sound. For classes the noise is Gumbel's: the
largest of scores + noise is a draw from their softmax, and rounding of scores turns it over only where two are equal
but for that rounding.

A model of this objective has `family`, and its output

    scores   (batch, time, size)   what describes the distribution at each place
    targets  (batch, time)         what stands there: what the model would be given at the next place
    mask     (batch, time)         True = real

and what its `LOSSES` judge beside. Its `conceal`, where it has one, draws how a batch is read this time
(aoide/objectives/__init__.py).

Sources: mu-law samples van den Oord et al. 2016, arXiv:1609.03499; mixtures of discretised logistics Salimans et al.
2017, arXiv:1701.05517; Gaussians Ping et al. 2018, arXiv:1807.07281; draws by noise Maddison et al. 2014,
arXiv:1411.0030.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.objectives import Batch, concealment, inputs, named_losses

LEVELS = 65_536  # steps of a 16-bit recording, the grain of a mixture of logistics
FLOOR = -12.0  # of the logarithm of a scale; smaller ones are far below such a step
EDGE = 1e-5  # a logistic draw keeps that far from the probabilities 0 and 1, where it goes to infinity
TINY = 1e-30  # keeps a logarithm finite
BLOCK = 256  # places whose noise is drawn at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is learned beside the next token, whose family of distributions belongs to the model."""

    weights: dict[str, float] = field(default_factory=dict)  # of the model's losses beside this one


class Family(Protocol):
    """What is asked of a family of distributions."""

    @property
    def size(self) -> int:
        """How many scores describe one distribution."""

    def noise(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        """What draws are made of: (*shape, draws), where the generator is."""

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Minus the log likelihood in nats: scores (..., size), target (...) -> (...)."""

    def sample(self, scores: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """scores (..., size), noise (..., draws) -> values (...). In numpy: loops over samples run on the CPU, where a
        call of PyTorch costs many times what it computes.
        """


class Sounds(Family, Protocol):
    """A family whose values are samples of a sound."""

    def encode(self, audio: Tensor) -> Tensor:
        """Samples in -1 to 1 -> values, any shape."""

    def decode(self, values: Tensor) -> Tensor:
        """Values -> samples, float32."""

    def level(self, values: Tensor) -> Tensor:
        """Values -> numbers in -1 to 1 for a network to read, on the scale on which the values lie evenly."""


# ------------------------------------------------------------------------------------------------------------- families


@dataclass(frozen=True, slots=True)
class Classes:
    """One of `count` classes without an order."""

    count: int

    @property
    def size(self) -> int:
        return self.count

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(scores.float().movedim(-1, 1), target, reduction="none")

    def noise(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        return gumbel((*shape, self.count), generator)

    def sample(self, scores: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return (scores + noise).argmax(-1)


@dataclass(frozen=True, slots=True)
class MuLaw(Classes):
    """Samples in `count` steps that lie the closer the nearer they are to 0, as loudness is heard."""

    def encode(self, audio: Tensor) -> Tensor:
        """-> int64, 0 to count - 1; sound beyond -1 to 1 is clipped."""
        mu = self.count - 1
        audio = audio.float().clamp(-1, 1)
        level = audio.sign() * (mu * audio.abs()).log1p() / math.log1p(mu)
        return ((level + 1) / 2 * mu + 0.5).long()

    def decode(self, values: Tensor) -> Tensor:
        level = self.level(values)
        return level.sign() * (level.abs() * math.log1p(self.count - 1)).expm1() / (self.count - 1)

    def level(self, values: Tensor) -> Tensor:
        return 2 * values.float() / (self.count - 1) - 1


@dataclass(frozen=True, slots=True)
class Mixture(ABC):
    """A mixture of `count` bells, each with a weight, a mean and the log of a scale: scores in that order."""

    count: int

    @property
    def size(self) -> int:
        return 3 * self.count

    def encode(self, audio: Tensor) -> Tensor:
        return audio.float().clamp(-1, 1)

    def decode(self, values: Tensor) -> Tensor:
        return values.float()

    def level(self, values: Tensor) -> Tensor:
        return values.float()

    def parts(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """scores (..., size) -> weights before softmax, means, logs of scales, each (..., count)."""
        weights, means, scales = scores.float().chunk(3, dim=-1)
        return weights, means, scales.clamp(min=FLOOR)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        """Gumbel noise for the choice of a bell, then a number from a bell of mean 0 and scale 1."""
        return torch.cat([gumbel((*shape, self.count), generator), self.bell((*shape, 1), generator)], dim=-1)

    @abstractmethod
    def bell(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Draws from the bell of mean 0 and scale 1."""

    def sample(self, scores: np.ndarray, noise: np.ndarray) -> np.ndarray:
        weights, means, scales = (part.numpy() for part in self.parts(torch.from_numpy(scores)))
        bell = (weights + noise[..., :-1]).argmax(-1)[..., None]
        mean, scale = (np.take_along_axis(part, bell, -1)[..., 0] for part in (means, scales))
        return np.clip(mean + np.exp(scale) * noise[..., -1], -1, 1)


@dataclass(frozen=True, slots=True)
class Logistics(Mixture):
    """Bells of logistic distributions, whose mass between the steps of a 16-bit recording is taken."""

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        weights, means, scales = self.parts(scores)
        half = 1 / (LEVELS - 1)
        distance, sharp = target[..., None] - means, (-scales).exp()
        above, below = sharp * (distance + half), sharp * (distance - half)
        # sigmoid(above) - sigmoid(below), in a form that rounding cannot bring to 0
        mass = functional.logsigmoid(above) + functional.logsigmoid(-below) + (-(-2 * half * sharp).expm1()).log()
        mass = torch.where(target[..., None] < -0.999, functional.logsigmoid(above), mass)  # all that lies beyond the
        mass = torch.where(target[..., None] > 0.999, functional.logsigmoid(-below), mass)  # ends is clipped to them
        return -(weights.log_softmax(-1) + mass).logsumexp(-1)

    def bell(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        place = torch.rand(shape, generator=generator, device=_home(generator)).clamp(EDGE, 1 - EDGE)
        return place.log() - (-place).log1p()


@dataclass(frozen=True, slots=True)
class Gaussians(Mixture):
    """Bells of normal distributions; a lone one needs no weight: its scores are mean and log scale."""

    @property
    def size(self) -> int:
        return 2 if self.count == 1 else 3 * self.count

    def parts(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.count > 1:
            return Mixture.parts(self, scores)
        mean, scale = scores.float().chunk(2, dim=-1)
        return torch.zeros_like(mean), mean, scale.clamp(min=FLOOR)

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        weights, means, scales = self.parts(scores)
        far = (target[..., None] - means) * (-scales).exp()
        density = -0.5 * far.square() - scales - 0.5 * math.log(2 * math.pi)
        return -(weights.log_softmax(-1) + density).logsumexp(-1)

    def bell(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        return torch.randn(shape, generator=generator, device=_home(generator))


def sounds(kind: Literal["mu_law", "logistics", "gaussians"], count: int) -> MuLaw | Logistics | Gaussians:
    """The family of that name, of so many classes or bells."""
    if kind == "mu_law":
        return MuLaw(count)
    return Logistics(count) if kind == "logistics" else Gaussians(count)


def gumbel(shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Draws from the Gumbel distribution, where the generator is."""
    place = torch.rand(shape, generator=generator, device=_home(generator)).clamp_(min=TINY)
    return place.log_().neg_().clamp_(min=TINY).log_().neg_()


def stream(family: Family, places: int, batch: int, generator: torch.Generator | None = None) -> Iterator[np.ndarray]:
    """Noise for `sample`, (batch, draws) for one place after the other."""
    for start in range(0, places, BLOCK):
        yield from family.noise((min(BLOCK, places - start), batch), generator).cpu().numpy()


def _home(generator: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains a model of next tokens; see the head of this file for what it must have."""

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}
        self._family: Family = model.family  # type: ignore[assignment]  # kept, since a wrapper hides it
        self._more = named_losses(module, getattr(model, "config", None), config.weights)
        self._conceal = concealment(model)

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once; "next" is in nats per place."""
        yield "model", self._losses({**batch, **self._conceal(batch, generator)})

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The losses of a held-out batch."""
        return self._losses({**batch, **self._conceal(batch, generator)})

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        output: Any = self.networks["model"](**inputs(self.module, batch))
        real = output.mask
        own = self._family.loss(output.scores[real], output.targets[real]).sum() / real.sum().clamp(min=1)
        return {
            "next": own,
            **{name: self.config.weights[name] * loss(output, batch) for name, loss in self._more.items()},
        }
