"""Flow matching: a network learns the velocity of a straight way from noise to sound, and a solver goes it.

    x_t = (1 - (1 - sigma) t) noise + t x_1        velocity = x_1 - (1 - sigma) noise,        t from 0 to 1

sigma is what is left of the noise at the end: 0 for rectified flow (DiffSinger of openvpi, F5, DiffRhythm), 1e-4 for
Matcha, 1e-5 for Vevo. Training draws a time a clip: uniformly, or where the middle of the way is seen more often; or
gives the times in the middle more weight.

A model of this objective has a forward that takes, beside the fields of a batch,

    noisy  like the target    x_t
    time   (batch,)           t, 0 = noise, 1 = sound; what a network wants of it (1000 t ...) is its own affair

and gives the velocity, like the target; or an output whose field `prediction` is it, with what its `LOSSES` judge
beside. Its `normalise`, where it has one, brings the target to the space in which the way lies. Its `conceal`, where
it has one, draws what it is not told this time (aoide/objectives/__init__.py).

Sampling is `integrate` over `times`: from any start at any time, so that a sound that is nearly right (a shallow start)
or a part that is kept needs no special case.

Sources: Lipman et al. 2022, arXiv:2210.02747; Liu et al. 2022, arXiv:2209.03003 (rectified flow); Esser et al. 2024,
arXiv:2403.03206 (times and weights of a logit-normal distribution); Chen et al. 2024, arXiv:2410.06885 (sway); Zheng et
al. 2025, arXiv:2505.19931 (pruned steps); Ho and Salimans 2022, arXiv:2207.12598 (guidance); Butcher 2008, Numerical
Methods for Ordinary Differential Equations (the tableaux).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError, near
from aoide.objectives import Batch, concealment, inputs, named_losses, predicted, target_space

Velocity = Callable[[Tensor, Tensor], Tensor]  # (x_t, time (batch,)) -> velocity
Combine = Callable[[Tensor, Tensor, float], Tensor]  # (told, untold, strength) -> velocity
Solver = Literal["euler", "midpoint", "heun", "rk4", "rk5"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is trained, at which times, and how far off is measured."""

    target: str = "mel"  # the field of the batch that the way leads to
    sigma: float = 0.0  # of the noise that is left at the end of the way
    distance: Literal["l1", "l2"] = "l2"
    # how the times of training are spread; cosine: more near the noise, 1 - cos(pi u / 2) of even ones
    times: Literal["uniform", "logit_normal", "cosine"] = "uniform"
    emphasis: Literal["none", "logit_normal", "noise"] = "none"  # the times that count more in the loss; noise: by the
    # square of what is left of it, so that it is the sound that is judged and not the velocity (ACE-Step)
    shift: float = 1.0  # above 1 more of the times are near the noise, as longer sounds need it
    start: float = 0.0  # times before this one are not trained: sampling starts there, at a sound that is nearly right
    where: str = "frame_mask"  # the field of the batch that says which frames count
    weights: dict[str, float] = field(default_factory=dict)  # of the model's losses beside this one

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < 1 or not 0 <= self.start < 1:
            raise ValueError(f"sigma and start are in [0, 1), got {self.sigma} and {self.start}")
        if self.shift <= 0:
            raise ValueError(f"shift is above 0, got {self.shift}")


# ---------------------------------------------------------------------------------------------------------------- path


def blend(sound: Tensor, noise: Tensor, time: Tensor | float, sigma: float = 0.0) -> Tensor:
    """x_t, the place on the way from noise to sound at `time`, a number or (batch,)."""
    if isinstance(time, Tensor):
        time = time.reshape(-1, *(1,) * (sound.ndim - 1))
    return (1 - (1 - sigma) * time) * noise + time * sound


def logit_normal(time: Tensor) -> Tensor:
    """The density of the standard logit-normal distribution: 0 at both ends, largest in the middle."""
    odds = torch.log(time / (1 - time))
    return torch.exp(-odds.square() / 2) / (math.sqrt(2 * math.pi) * time * (1 - time))


def shifted(noise: Tensor, shift: float) -> Tensor:
    """How much noise there is, from 0 to 1, moved towards 1 where `shift` is above 1 (Esser et al., section 5.3.2)."""
    return shift * noise / (1 + (shift - 1) * noise)


# ------------------------------------------------------------------------------------------------------------- samplers


class Tableau(NamedTuple):
    """An explicit Runge-Kutta method: where each stage looks, from what, and what the step is made of."""

    at: tuple[float, ...]
    of: tuple[tuple[float, ...], ...]
    sum: tuple[float, ...]


SOLVERS: dict[str, Tableau] = {
    "euler": Tableau((0,), ((),), (1,)),
    "midpoint": Tableau((0, 1 / 2), ((), (1 / 2,)), (0, 1)),
    "heun": Tableau((0, 1), ((), (1,)), (1 / 2, 1 / 2)),
    "rk4": Tableau((0, 1 / 2, 1 / 2, 1), ((), (1 / 2,), (0, 1 / 2), (0, 0, 1)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
    "rk5": Tableau(
        (0, 1 / 4, 1 / 4, 1 / 2, 3 / 4, 1),
        (
            (),
            (1 / 4,),
            (1 / 8, 1 / 8),
            (0, -1 / 2, 1),
            (3 / 16, 0, 0, 9 / 16),
            (-3 / 7, 2 / 7, 12 / 7, -12 / 7, 8 / 7),
        ),
        (7 / 90, 0, 32 / 90, 12 / 90, 32 / 90, 7 / 90),
    ),
}
assert set(SOLVERS) == set(get_args(Solver))


PRUNED: dict[int, tuple[int, ...]] = {
    5: (0, 2, 4, 8, 16, 32),
    6: (0, 2, 4, 6, 8, 16, 32),
    7: (0, 2, 4, 6, 8, 16, 24, 32),
    10: (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32),
    12: (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32),
    16: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32),
}
"""Steps -> those of 32 that are left of F5's when the ones that matter least are taken away (EPSS)."""


def times(steps: int, start: float = 0.0, sway: float = 0.0, pruned: bool = False) -> Tensor:
    """The times of `steps` steps from `start` to 1: (steps + 1,).

    Args:
        sway: bends the times, t + sway (cos(pi t / 2) - 1 + t); below 0 the first steps are the small ones (F5: -1).
        pruned: bend those of `PRUNED`, where it has so many and the start is 0, instead of even ones.

    Raises:
        UserError: no step.
    """
    if steps < 1:
        raise UserError(f"sampling takes 1 step or more, got {steps}")
    even = torch.linspace(start, 1, steps + 1)
    if pruned and start == 0 and steps in PRUNED:
        even = torch.tensor(PRUNED[steps]) / PRUNED[steps][-1]
    return even + sway * (torch.cos(math.pi / 2 * even) - 1 + even)


def shifted_times(steps: int, shift: float, least: float = 1e-3) -> Tensor:
    """The times of ACE-Step's schedule, whose first steps are the small ones: (steps + 1,).

    The noise goes evenly from 1 to the shifted `least`, is shifted (a second time, at its end), and then is gone.

    Raises:
        UserError: no step.
    """
    if steps < 1:
        raise UserError(f"sampling takes 1 step or more, got {steps}")
    end = shift * least / (1 + (shift - 1) * least)
    noise = shifted(torch.linspace(1, end, steps, dtype=torch.float64), shift)
    return 1 - torch.cat([noise, noise.new_zeros(1)])


def guided(call: Velocity, strength: float, combine: Combine | None = None) -> Velocity:
    """Classifier-free guidance: goes `strength` times further from what is said without the conditions.

    Args:
        call: is asked once with twice the batch: first with the conditions, then without them.
        strength: 0 is without guidance; then it is asked with the conditions alone, and must expect that.
        combine: another way to join both, with (told, untold, strength), such as a `Projection` or `rescaled`.
    """
    if strength == 0:
        return call

    def both(x: Tensor, time: Tensor) -> Tensor:
        told, untold = call(torch.cat([x, x]), torch.cat([time, time])).chunk(2)
        return told + strength * (told - untold) if combine is None else combine(told, untold, strength)

    return both


class Projection:
    """Guidance without what only makes louder (APG): the part along what is told is left out, the rest is bounded, and
    what was said before is taken back a little. It remembers: a new one for each way.

    Args:
        momentum: of the difference of the steps before; None = they do not count.
        limit: the longest that the difference may be, over `axes`.
        along: how much of the part along what is told stays.
        axes: of what belongs together; the others (the batch, channels) stay apart.

    Source: Sadat et al. 2024, arXiv:2410.02416.
    """

    def __init__(
        self, momentum: float | None = -0.75, limit: float = 2.5, along: float = 0.0, axes: Sequence[int] = (-1, -2)
    ) -> None:
        self._momentum, self._limit, self._along, self._axes = momentum, limit, along, tuple(axes)
        self._sum: Tensor | float = 0.0

    def __call__(self, told: Tensor, untold: Tensor, strength: float) -> Tensor:
        """told, untold: velocities; strength 0 is as told."""
        difference = told - untold
        if self._momentum is not None:
            difference = self._sum = difference + self._momentum * self._sum
        length = torch.linalg.vector_norm(difference, dim=self._axes, keepdim=True)
        difference = (difference * (self._limit / length).clamp(max=1)).double()
        way = told.double()
        way = way / torch.linalg.vector_norm(way, dim=self._axes, keepdim=True).clamp(min=1e-12)
        parallel = (difference * way).sum(dim=self._axes, keepdim=True) * way
        return told + strength * (difference - (1 - self._along) * parallel).to(told.dtype)


def rescaled(told: Tensor, untold: Tensor, strength: float) -> Tensor:
    """Guidance from the untold scaled to be as near to the told as it can (CFG-Zero*, Fan et al. 2025,
    arXiv:2503.18886, equation 12), item by item; strength 0 is as told.
    """
    product = (told * untold).flatten(1).sum(1)
    scale = product / (untold.square().flatten(1).sum(1) + 1e-8)
    near = untold * scale.reshape(-1, *(1,) * (untold.ndim - 1))
    return told + strength * (told - near)


def contrasted(call: Velocity, omega: float) -> Velocity:
    """Ways whose differences from their mean are larger (omega above 0, by up to a tenth) or smaller (below 0).

    The mean is that of the whole batch, as ACE-Step has it: what is made together should be alike.
    """
    factor = 0.9 + 0.2 / (1 + math.exp(-0.1 * omega))

    def moved(x: Tensor, time: Tensor) -> Tensor:
        velocity = call(x, time)
        mean = velocity.mean()
        return mean + factor * (velocity - mean)

    return call if factor == 1 else moved


def guided_twice(call: Velocity, outer: float, inner: float) -> Velocity:
    """Guidance by two conditions of which one is told first: n + inner (m - n) + outer (a - m).

    Args:
        call: is asked once with three times the batch: with all conditions (a), with those of the inner guidance (m),
            with none (n).
        outer, inner: 1 is as the conditions say.
    """

    def all_three(x: Tensor, time: Tensor) -> Tensor:
        every, some, none = call(torch.cat([x] * 3), torch.cat([time] * 3)).chunk(3)
        return none + inner * (some - none) + outer * (every - some)

    return all_three


def during(call: Velocity, otherwise: Velocity, first: float, last: float) -> Velocity:
    """`call` at times from `first` to `last`, before and after them `otherwise`: guidance where it matters."""
    if first <= 0 and last >= 1:
        return call
    return lambda x, time: (call if first <= float(time[0]) <= last else otherwise)(x, time)


def integrate(call: Velocity, x: Tensor, times: Tensor | Sequence[float], solver: Solver = "euler") -> Tensor:
    """Goes with the velocity from x at the first of `times` to the last.

    Args:
        call: the network with its conditions, (x_t, time (batch,)) -> velocity.
        x: noise, or `blend` of noise and a sound at the first time.
        times: rising, from 0 (or where `x` stands) to 1.
        solver: `euler` calls the network once a step, `midpoint` and `heun` twice, `rk4` four, `rk5` six times.

    Raises:
        UserError: an unknown solver.
    """
    if solver not in SOLVERS:
        raise UserError(f"there is no solver {solver!r}{near(solver, SOLVERS)}; there are {', '.join(SOLVERS)}")
    tableau = SOLVERS[solver]
    places = [float(time) for time in times]
    for number, (time, after) in enumerate(zip(places[:-1], places[1:], strict=True)):
        stride, slopes = after - time, list[Tensor]()
        for at, parts in zip(tableau.at, tableau.of, strict=True):
            there = x + stride * _sum(parts, slopes) if parts else x
            slopes.append(call(there, x.new_full((len(x),), time + at * stride)))
        x = x + stride * _sum(tableau.sum, slopes)
        trace.report("flow/x", x, step=number, time=after)
    return x


def ping_pong(
    call: Velocity,
    x: Tensor,
    times: Tensor | Sequence[float],
    generator: torch.Generator | None = None,
    noises: Sequence[Tensor] | None = None,
) -> Tensor:
    """Goes to the end in one step, makes it noisy again with new noise, less each time, and so on to the last of
    `times`, for networks that are trained to go far in a step.

    Args:
        noises: like x, one a step, in place of those that would be drawn.
    """
    places = [float(time) for time in times]
    for number, (time, after) in enumerate(zip(places[:-1], places[1:], strict=True)):
        sound = x + (1 - time) * call(x, x.new_full((len(x),), time))
        if noises is None:
            home = x.device if generator is None else generator.device
            noise = torch.randn(x.shape, generator=generator, device=home, dtype=x.dtype).to(x.device)
        else:
            noise = noises[number]
        x = blend(sound, noise, after)
        trace.report("flow/x", x, step=number, time=after)
    return x


def _sum(weights: Sequence[float], terms: Sequence[Tensor]) -> Tensor:
    return torch.stack([weight * term for weight, term in zip(weights, terms, strict=True) if weight]).sum(dim=0)


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains a model to know the velocity; see the head of this file for what it must have."""

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}
        self._more = named_losses(module, model.config, config.weights)
        self._to_space = target_space(model)
        self._conceal = concealment(model)

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once; the times and the noise come from `generator`."""
        yield "model", self._losses(batch, generator)

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss of a held-out batch."""
        return self._losses(batch, generator)

    def _losses(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        batch = {**batch, **self._conceal(batch, generator)}
        target = self._to_space(batch[self.config.target])
        if self.config.times == "uniform":
            time = torch.rand(len(target), generator=generator, device=target.device)
        elif self.config.times == "cosine":
            even = torch.rand(len(target), generator=generator, device=target.device)
            time = 1 - torch.cos(math.pi / 2 * even)
        else:
            time = torch.randn(len(target), generator=generator, device=target.device).sigmoid()
        noise = torch.randn(target.shape, generator=generator, device=target.device)
        if self.config.shift != 1:
            time = 1 - shifted(1 - time, self.config.shift)
        start = self.config.start
        return self.losses(batch, start + (1 - start) * time, noise)

    def losses(self, batch: Batch, time: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """How far the velocity is off at these times with this noise, a mean over what is real; and the model's own."""
        config = self.config
        sound = self._to_space(batch[config.target])
        noisy = blend(sound, noise, time, config.sigma)
        output = self.networks["model"](**inputs(self.module, {**batch, "noisy": noisy, "time": time}))
        off = predicted(output) - (sound - (1 - config.sigma) * noise)
        off = off.abs() if config.distance == "l1" else off.square()
        if config.emphasis == "logit_normal":
            off = off * logit_normal(time.clamp(1e-7, 1 - 1e-7)).reshape(-1, *(1,) * (off.ndim - 1))
        elif config.emphasis == "noise":
            off = off * (1 - time).square().reshape(-1, *(1,) * (off.ndim - 1))
        own = off.mean() if config.where not in batch else off[batch[config.where]].mean()
        more = {name: config.weights[name] * loss(output, batch) for name, loss in self._more.items()}
        return {"flow": own, **more}
