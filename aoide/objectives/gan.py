"""Adversarial training: critics learn to tell recorded from generated sound, the generator learns to please them.

Each step first trains the critics on the generator's sound of this batch, then the generator with

    sum of weights[name] * reconstruction losses of the model
    + per critic: critic_weight * (adversarial * score loss + feature * distance of the critic's feature maps)

How published systems train, in settings of `Config` (critic settings: aoide/nn/discriminators):

    Vocos            hinge, critics period and band (weight 0.1), weights mel 45: the defaults but for that weight
    HiFi-GAN, VITS   least_squares, reduction sum, feature 2, weights mel 45
    MelGAN           hinge_linear, reduction sum, feature 10 (Amphion), or 10 * 4 / 5 / 3 (the paper's code)
    EnCodec          hinge, maps mean, relative, adversarial 3, feature 3
    AutoencoderKL    hinge_linear, critic patch, target mel, feature 0, adaptive 0.5, warmup 50000

The critics' own loss carries no weights, since its scale does not matter to an Adam-like optimiser.

Sources: hinge Lim and Ye 2017, arXiv:1705.02894; least squares Mao et al. 2016, arXiv:1611.04076; feature matching
Larsen et al. 2015, arXiv:1512.09300. Parity of the losses: tests/parity/test_discriminators.py, test_vocos.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from aoide.config import UserError
from aoide.nn.discriminators import (
    CRITICS,
    OF_MELS,
    Band,
    Cqt,
    Critics,
    Dilated,
    Patch,
    Period,
    Resolution,
    Scale,
    Stft,
)
from aoide.nn.segments import cut
from aoide.objectives import Batch, inputs, named_losses

Features = list[list[Tensor]]  # for each part of a critic its maps
Critic = Literal["period", "scale", "resolution", "band", "stft", "cqt", "dilated", "patch"]
Reduction = Literal["mean", "sum"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of adversarial training; a field named as a critic holds that critic's own settings."""

    critics: tuple[Critic, ...] = ("period", "band")
    loss: Literal["hinge", "hinge_linear", "least_squares"] = "hinge"
    weights: dict[str, float] = field(default_factory=lambda: {"mel": 45.0})  # of the model's reconstruction losses
    critic_weights: dict[str, float] = field(default_factory=dict)  # critics not named here have weight 1
    adversarial: float = 1.0
    feature: float = 1.0  # 0: feature maps are not compared
    reduction: Reduction = "mean"  # over the parts of a critic, in every loss
    maps: Reduction = "sum"  # over the feature maps of a part
    relative: bool = False  # whether the distance of two maps is in units of the recorded one's mean magnitude
    warmup: int = 0  # steps of reconstruction alone, before the critics start
    target: Literal["audio", "mel"] = "audio"  # what is judged: a field of the batch and of the model's output
    adaptive: float | None = None  # what pleasing the critics weighs beside reconstruction, whose gradients at the
    # model's `last` weight are measured in each step (Esser et al. 2021, arXiv:2012.09841, equation 7); null: as it is
    most: float = 10.0  # by which `adaptive` makes their gradient larger at most
    period: Period = field(default_factory=Period)
    scale: Scale = field(default_factory=Scale)
    resolution: Resolution = field(default_factory=Resolution)
    band: Band = field(default_factory=Band)
    stft: Stft = field(default_factory=Stft)
    cqt: Cqt = field(default_factory=Cqt)
    dilated: Dilated = field(default_factory=Dilated)
    patch: Patch = field(default_factory=Patch)

    def __post_init__(self) -> None:
        misplaced = [name for name in self.critics if (name in OF_MELS) != (self.target == "mel")]
        if misplaced:
            raise ValueError(f"critics of a target {self.target}: {', '.join(misplaced)} judges something else")
        if not self.critics or len(set(self.critics)) < len(self.critics):
            raise ValueError(f"critics names one or more critics, each once, got {list(self.critics)}")
        for name in self.critic_weights:
            if name not in self.critics:
                raise ValueError(f"critic_weights names {name}, but the critics are {', '.join(self.critics)}")
        if self.warmup < 0:
            raise ValueError(f"warmup is a number of steps, got {self.warmup}")


# --------------------------------------------------------------------------------------------------------------- losses


class ScoreLoss(NamedTuple):
    """What a score map costs, each a mean over its entries."""

    real: Callable[[Tensor], Tensor]  # the critic, of recorded sound
    fake: Callable[[Tensor], Tensor]  # the critic, of generated sound
    wanted: Callable[[Tensor], Tensor]  # the generator, of generated sound


def _below_one(score: Tensor) -> Tensor:
    return functional.relu(1 - score).mean()


def _above_minus_one(score: Tensor) -> Tensor:
    return functional.relu(1 + score).mean()


def _far_from_one(score: Tensor) -> Tensor:
    return (1 - score).square().mean()


SCORE_LOSSES = {
    "hinge": ScoreLoss(_below_one, _above_minus_one, _below_one),
    "hinge_linear": ScoreLoss(_below_one, _above_minus_one, lambda score: -score.mean()),
    "least_squares": ScoreLoss(_far_from_one, lambda score: score.square().mean(), _far_from_one),
}


def reduce(losses: Iterable[Tensor], how: Reduction) -> Tensor:
    """The mean or the sum of scalars."""
    stacked = torch.stack(list(losses))
    return stacked.mean() if how == "mean" else stacked.sum()


def critic_loss(loss: ScoreLoss, real: list[Tensor], fake: list[Tensor], parts: Reduction = "mean") -> Tensor:
    """What a critic loses whose parts gave these scores of recorded and of generated sound."""
    return reduce((loss.real(r) + loss.fake(f) for r, f in zip(real, fake, strict=True)), parts)


def generator_loss(loss: ScoreLoss, fake: list[Tensor], parts: Reduction = "mean") -> Tensor:
    """What the generator loses to a critic whose parts gave its sound these scores."""
    return reduce((loss.wanted(f) for f in fake), parts)


def feature_matching(
    real: Features, fake: Features, parts: Reduction = "mean", maps: Reduction = "sum", relative: bool = False
) -> Tensor:
    """L1 between the feature maps of recorded and generated sound; `relative`: over the mean of the recorded map."""

    def distance(r: Tensor, f: Tensor) -> Tensor:
        return functional.l1_loss(f, r) / r.abs().mean() if relative else functional.l1_loss(f, r)

    pairs = (zip(*part, strict=True) for part in zip(real, fake, strict=True))
    return reduce((reduce((distance(r, f) for r, f in part), maps) for part in pairs), parts)


def sum_of(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([*losses.values()]).sum()


def balance(reconstruction: Tensor, pleasing: Tensor, last: Tensor, most: float) -> Tensor:
    """How many times larger the gradient of the first loss is at the weight `last` than that of the second; at most
    `most`, without a gradient of its own.
    """
    wanted, asked = (torch.autograd.grad(loss, last, retain_graph=True)[0] for loss in (reconstruction, pleasing))
    return (wanted.norm() / (asked.norm() + 1e-4)).clamp(0.0, most).detach()


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains `model` against the critics of `config`.

    Args:
        config: what to train with.
        module: the model file; its forward gives the waveform (batch, samples), or an output whose field `audio` is it;
            with another `target` an output with that field.
            A model that makes only a piece of each sound says where it begins: its field `start` (batch,) in samples.
        model: the built `Model`, the generator.

    The loop may replace an entry of `networks` by a wrapper of it (for several GPUs). The number of steps so far, which
    ends the warm-up, is a buffer of the critic, so that it is saved and resumed with it.
    """

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        clock = getattr(model.config, "mel", model.config)
        sample_rate = getattr(clock, "sample_rate", 0)
        self.critic = Critics({name: getattr(config, name).critic(sample_rate) for name in config.critics})
        self.critic.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.networks: dict[str, nn.Module] = {"critic": self.critic, "generator": model}
        self._last: Any = getattr(model, "last", None)  # of the bare model: a wrapper of it does not show it
        if config.adaptive is not None and self._last is None:
            raise UserError(f"objective.adaptive: {module.__name__} does not say which weight is its last")
        self._reconstruction = named_losses(module, model.config, config.weights)

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("critic", losses), then ("generator", losses); during the warm-up only the latter.

        batch holds what the model's forward names, `audio` (batch, samples), and what its reconstruction losses read.
        """
        step = self.critic.get_buffer("steps").clone()  # where gradients accumulate, several batches see the same step
        output = self.networks["generator"](**inputs(self.module, batch))
        fake, real = self._judged(output, batch)
        losses = self._reconstruct(output, {**batch, self.config.target: real})
        if self.config.warmup == 0 or int(step) >= self.config.warmup:
            yield "critic", self._judge(real, fake.detach())
            with _frozen(self.critic):
                yield "generator", losses | self._weighed(self._please(real, fake), losses)
        else:
            yield "generator", losses
        self.critic.get_buffer("steps").copy_(step + 1)

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The reconstruction losses of a batch; the critics have no say, since they change from step to step."""
        output = self.networks["generator"](**inputs(self.module, batch))
        _, real = self._judged(output, batch)
        return self._reconstruct(output, {**batch, self.config.target: real})

    def _reconstruct(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        return {name: self.config.weights[name] * loss(output, batch) for name, loss in self._reconstruction.items()}

    def _judged(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the critics compare: generated and recorded, of one shape."""
        if self.config.target == "audio":
            return _waveforms(output, batch)
        return getattr(output, self.config.target), batch[self.config.target]

    def _weighed(self, pleasing: dict[str, Tensor], reconstruction: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the generator loses to the critics, so that it moves the model's last weight as `adaptive` says."""
        if self.config.adaptive is None:
            return pleasing
        weight = balance(sum_of(reconstruction), sum_of(pleasing), self._last, self.config.most)
        return {name: self.config.adaptive * weight * loss for name, loss in pleasing.items()}

    def _judge(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What the critics lose on recorded and generated sound."""
        both = self.networks["critic"](torch.cat([real, fake]))
        losses: dict[str, Tensor] = {}
        for name in self.config.critics:
            on_real, on_fake = zip(*(score.chunk(2) for score in both[name].scores), strict=True)
            loss = SCORE_LOSSES[self.config.loss]
            losses[name] = critic_loss(loss, list(on_real), list(on_fake), self.config.reduction)
        return losses

    def _please(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What the generator loses to the critics.

        Asks the bare critic: a wrapper for several GPUs would wait for gradients that it does not get.
        """
        config, loss = self.config, SCORE_LOSSES[self.config.loss]
        losses: dict[str, Tensor] = {}
        with parametrize.cached():  # the critics stand still, so that their weights need to be normalised only once
            with torch.no_grad():
                on_real = self.critic(real) if config.feature else {}
            on_fake = self.critic(fake)
        for name in config.critics:
            weight, (scores, features) = config.critic_weights.get(name, 1.0), on_fake[name]
            losses[f"{name}_score"] = config.adversarial * weight * generator_loss(loss, scores, config.reduction)
            if config.feature:
                recorded = on_real[name].features
                distance = feature_matching(recorded, features, config.reduction, config.maps, config.relative)
                losses[f"{name}_feature"] = config.feature * weight * distance
        return losses


def _waveforms(output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Generated and recorded sound of the same time: recordings may go on for part of a hop after the last frame, and a
    model may have made only a piece.
    """
    fake = output if isinstance(output, Tensor) else output.audio
    start = getattr(output, "start", None)
    real = batch["audio"][:, : fake.shape[1]] if start is None else cut(batch["audio"], start, fake.shape[1])
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


assert {*CRITICS, *OF_MELS} == set(get_args(Critic)) <= set(Config.__dataclass_fields__), "gan.Config knows each critic"
