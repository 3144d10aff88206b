"""Diffusion: noise is added to the sound in many small steps, a network learns to say what was added, and undoes it.

    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise,    a_t = product of (1 - beta) up to step t

The network sees x_t and t and predicts the noise (epsilon), the sound (x0), or v = sqrt(a_t) noise - sqrt(1 - a_t) x_0.
`Process` says how fast the noise grows and what is predicted; it belongs to the model, since weights learned with one
are worth nothing with another. A sampler goes a `Walk` back from noise to sound: all steps of the process, every k-th,
or a schedule of its own with far fewer and larger steps, as DiffWave's fast one.

A model of this objective has `config.process` and a forward that takes, beside the fields of a batch,

    noisy  like the target    what noise was added to
    step   (batch,)           int64, at which step of the process; from a sampler also a place between two

and gives its prediction, like the target; or an output whose field `prediction` is it, with what its `LOSSES` judge
beside. Its `normalise`, where it has one, brings the target to the space in which noise is added; its `conceal`, where
it has one, draws what it is not told this time (aoide/objectives/__init__.py).

Sources: Ho et al. 2020, arXiv:2006.11239 (DDPM); Song et al. 2020, arXiv:2010.02502 (DDIM); Nichol and Dhariwal 2021,
arXiv:2102.09672 (cosine); Salimans and Ho 2022, arXiv:2202.00512 (v); Kong et al. 2020, arXiv:2009.09761, appendix B
(places between two steps); Hang et al. 2023, arXiv:2303.09556 (`min_snr`); Liu et al. 2022, arXiv:2202.09778 (PNDM,
PLMS); Lu et al. 2022, arXiv:2211.01095 and Zhao et al. 2023, arXiv:2302.04867 (DPM-Solver++, UniPC).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError
from aoide.objectives import Batch, concealment, inputs, named_losses, predicted, target_space

Network = Callable[[Tensor, Tensor], Tensor]  # (x_t, step (batch,)) -> prediction
Clip = Literal["x0", "x", "both"] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is trained, and how far off is measured."""

    target: str = "audio"  # the field of the batch that noise is added to
    distance: Literal["l1", "l2"] = "l2"
    min_snr: float | None = None  # steps whose sound is this many times the noise or more count less; 5 in TANGO
    upto: int | None = None  # only so many of the steps are trained: sampling starts there, at a sound nearly right
    where: str = "frame_mask"  # the field of the batch that says which frames count
    weights: dict[str, float] = field(default_factory=dict)  # of the model's losses beside this one


# -------------------------------------------------------------------------------------------------------------- process


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicting:
    """What a network predicts of a sound with noise, and what follows from it."""

    predicts: Literal["epsilon", "x0", "v"] = "epsilon"

    def to_predict(self, x0: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
        """The right answer. alpha, here and below: a_t, a tensor that broadcasts over x, or a number."""
        if self.predicts == "epsilon":
            return noise
        return x0 if self.predicts == "x0" else alpha**0.5 * noise - (1 - alpha) ** 0.5 * x0

    def clean(self, x: Tensor, prediction: Tensor, alpha: float) -> Tensor:
        """The sound x_0 that the prediction sees in x_t."""
        if self.predicts == "x0":
            return prediction
        if self.predicts == "v":
            return alpha**0.5 * x - (1 - alpha) ** 0.5 * prediction
        return (x - (1 - alpha) ** 0.5 * prediction) / alpha**0.5

    def noise(self, x: Tensor, prediction: Tensor, alpha: float) -> Tensor:
        """The noise that the prediction sees in x_t."""
        if self.predicts == "epsilon":
            return prediction
        if self.predicts == "v":
            return alpha**0.5 * prediction + (1 - alpha) ** 0.5 * x
        return (x - alpha**0.5 * prediction) / (1 - alpha) ** 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Process(Predicting):
    """How noise grows from step to step, and what the network predicts of it."""

    schedule: Literal["linear", "scaled_linear", "cosine"] = "linear"  # scaled: sqrt(beta) is on the line (AudioLDM)
    steps: int = 1000
    first: float = 1e-4  # beta of the first step and of the last, where the schedule is on a line
    last: float = 0.02
    betas: tuple[float, ...] = ()  # given one by one; then the four settings above have no say

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be 1 or more, got {self.steps}")
        if not all(0 < beta < 1 for beta in (self.first, self.last, *self.betas)):
            raise ValueError("each beta is a share of variance and must be in (0, 1)")

    def alphas(self) -> Tensor:
        """a_t of each step, (steps,) float64: how much of the sound's variance is left."""
        return (1 - self._betas()).cumprod(0)

    def _betas(self) -> Tensor:
        if self.betas:
            return torch.tensor(self.betas, dtype=torch.float64)
        if self.schedule == "linear":
            return torch.linspace(self.first, self.last, self.steps, dtype=torch.float64)
        if self.schedule == "scaled_linear":
            roots = torch.linspace(self.first**0.5, self.last**0.5, self.steps, dtype=torch.float64)
            return roots.square()
        time = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        left = ((time + 0.008) / 1.008 * math.pi / 2).cos().square()
        return (1 - left[1:] / left[:-1]).clamp(max=0.999)

    def draw(self, batch: int, generator: torch.Generator | None, device: torch.device, upto: int | None) -> Tensor:
        """Steps of training: (batch,) int64, all alike."""
        return torch.randint(0, upto or len(self.alphas()), (batch,), generator=generator, device=device)

    def alpha(self, step: Tensor) -> Tensor:
        """a_t of steps: (batch,) int64 -> (batch,) float32."""
        return self.alphas().to(step.device, torch.float32)[step]

    # --------------------------------------------------------------------------------------------------------- walks

    def every(
        self, count: int | None = None, upto: int | None = None, *, leave_first: bool = False, offset: int = 0
    ) -> Walk:
        """A walk of `count` of the first `upto` steps at equal distances, from step `offset` on; None: all.

        A walk over fewer steps than the process has begins at a sound with noise, not at noise (`blend`).

        Args:
            leave_first: end with the noise of step 0, as openvpi's and the PNDM paper's samplers do, not with none.

        Raises:
            UserError: more steps than the process has.
        """
        alphas = self.alphas()[: self._until(upto)]
        count = len(alphas) if count is None else count
        if not 1 <= count <= len(alphas):
            raise UserError(f"sampling takes 1 to {len(alphas)} steps, got {count}")
        stride = len(alphas) // count
        steps = [min(offset + number * stride, len(alphas) - 1) for number in range(count)]
        end = float(alphas[0]) if leave_first else 1.0
        return Walk(tuple(map(float, steps)), tuple(float(alphas[step]) for step in steps), end)

    def between(self, count: int, upto: int | None = None) -> Walk:
        """A walk of `count` steps at equal distances from step `upto` - 1 down to step 0, whose noise it leaves.

        Between two steps of the process the logarithm of a_t is on a line, as DPM-Solver has it.

        Raises:
            UserError: less than one step.
        """
        logs = self.alphas()[: self._until(upto)].log().numpy()
        if count < 1:
            raise UserError(f"sampling takes 1 step or more, got {count}")
        places = np.linspace(0, len(logs) - 1, count + 1)
        alphas = np.exp(np.interp(places, np.arange(len(logs)), logs))
        return Walk(tuple(map(float, places[1:])), tuple(map(float, alphas[1:])), float(alphas[0]))

    def _until(self, upto: int | None) -> int:
        steps = len(self.betas) or self.steps
        if upto is not None and not 1 <= upto <= steps:
            raise UserError(f"the process has {steps} steps; {upto} of them cannot be walked")
        return steps if upto is None else upto

    def blend(self, x0: Tensor, noise: Tensor, step: int) -> Tensor:
        """A sound with the noise of one step: where a walk over the first step + 1 steps may begin."""
        alpha = float(self.alphas()[step])
        return alpha**0.5 * x0 + (1 - alpha) ** 0.5 * noise

    def along(self, betas: Sequence[float]) -> Walk:
        """A walk over a schedule of its own. The network is told where between two steps of the process the same share
        of noise would be, on a line of sqrt(a_t).

        Raises:
            UserError: the schedule has less noise than the process at its first step, or more than at its last.
        """
        ours = self.alphas()
        alphas = (1 - torch.tensor(betas, dtype=torch.float64)).cumprod(0)
        slack = 1e-12  # of rounding
        if len(alphas) == 0 or bool((alphas > ours[0] + slack).any()) or bool((alphas < ours[-1] - slack).any()):
            raise UserError(
                f"a schedule for sampling must stay within the noise that was trained: sqrt of what is left of the "
                f"sound from {float(ours[0]) ** 0.5:.4g} to {float(ours[-1]) ** 0.5:.4g}; betas {list(betas)} do not"
            )
        roots, wanted = ours.sqrt(), alphas.sqrt()
        after = torch.searchsorted(-roots, -wanted).clamp(1, len(roots) - 1)  # the first step with as little sound left
        place = (roots[after - 1] - wanted) / (roots[after - 1] - roots[after])
        return Walk(tuple((after - 1 + place).float().tolist()), tuple(alphas.tolist()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Continuous(Predicting):
    """Noise that grows all the time from 0 to 1, not in steps: the variance-preserving SDE of Song et al. 2021,
    arXiv:2011.13456. What the network is told is the time.
    """

    first: float = 0.05  # beta at time 0 and at time 1; it grows on a line
    last: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.last:
            raise ValueError(f"0 < first <= last does not hold for {self.first} and {self.last}")

    def draw(self, batch: int, generator: torch.Generator | None, device: torch.device, upto: int | None) -> Tensor:
        """Times of training: (batch,), all alike, but for the very ends; `upto` has no say."""
        return torch.rand(batch, generator=generator, device=device).clamp(1e-5, 1 - 1e-5)

    def alpha(self, step: Tensor) -> Tensor:
        """a_t of times: (batch,) -> (batch,)."""
        return torch.exp(-(self.first * step + 0.5 * (self.last - self.first) * step.square()))

    def beta(self, time: float) -> float:
        """How fast the noise grows at a time."""
        return self.first + (self.last - self.first) * time

    def every(self, count: int) -> Walk:
        """A walk of `count` times at equal distances from 1 to 1 / count.

        Raises:
            UserError: less than one step.
        """
        if count < 1:
            raise UserError(f"sampling takes 1 step or more, got {count}")
        times = torch.arange(1, count + 1, dtype=torch.float64) / count
        return Walk(tuple(times.tolist()), tuple(self.alpha(times).tolist()))


@dataclass(frozen=True, slots=True)
class Walk:
    """The steps that a sampler takes, the least noisy first (it comes from the other end)."""

    steps: tuple[float, ...]  # what the network is told
    alphas: tuple[float, ...]  # a_t there
    end: float = 1.0  # a_t of what comes out: 1 = no noise is left

    def back(self) -> Iterator[tuple[int, float, float, float]]:
        """From noise to sound: (number, step, its a_t, the a_t of what comes next)."""
        for number in reversed(range(len(self.steps))):
            yield number, self.steps[number], self.alphas[number], self.alphas[number - 1] if number else self.end


# ------------------------------------------------------------------------------------------------------------- samplers
#
# Each takes (call, x, process, walk, clip): the network with its conditions, noise (or, for a walk over part of the
# process, a sound with noise in it), what the network was trained with, and the steps to take. `clip` keeps within -1
# and 1 the sound that a prediction sees (x0), what each step leaves (x), or both. All but `ddpm` are deterministic.


def ddpm(
    call: Network,
    x: Tensor,
    process: Process,
    walk: Walk,
    *,
    clip: Clip = None,
    generator: torch.Generator | None = None,
    noise: Sequence[Tensor] | None = None,
) -> Tensor:
    """Ancestral sampling: each step takes away the noise that is predicted, and puts fresh noise of less size in.

    Args:
        generator: draws the fresh noise.
        noise: what to take instead of drawing, one a step but the last.
    """
    fresh = None if noise is None else iter(noise)
    for number, step, alpha, alpha_next in walk.back():
        x0 = _clipped(process.clean(x, _ask(call, x, step), alpha), clip, "x0")
        kept = alpha / alpha_next  # 1 - beta of this step of the walk
        x = (alpha_next**0.5 * (1 - kept) / (1 - alpha)) * x0 + (kept**0.5 * (1 - alpha_next) / (1 - alpha)) * x
        if number:
            more = draw(x.shape, generator, x.device) if fresh is None else next(fresh).to(x.device)
            x = x + ((1 - alpha_next) / (1 - alpha) * (1 - kept)) ** 0.5 * more
        x = _clipped(x, clip, "x")
        trace.report("diffusion/x", x, step=number)
    return x


def ddim(call: Network, x: Tensor, process: Predicting, walk: Walk, *, clip: Clip = None) -> Tensor:
    """Each step goes along the line from the sound to the noise that are predicted; it may be larger than `ddpm`'s."""
    for number, step, alpha, alpha_next in walk.back():
        prediction = _ask(call, x, step)
        x0, epsilon = process.clean(x, prediction, alpha), process.noise(x, prediction, alpha)
        x = alpha_next**0.5 * _clipped(x0, clip, "x0") + (1 - alpha_next) ** 0.5 * epsilon
        x = _clipped(x, clip, "x")
        trace.report("diffusion/x", x, step=number)
    return x


def plms(call: Network, x: Tensor, process: Process, walk: Walk, *, clip: Clip = None) -> Tensor:
    """Pseudo linear multistep (Liu et al. 2022): the line of `ddim`, along a mean of this and up to three steps before.

    The first step takes two calls: it looks at where it would come to, and goes along the mean of both.
    """
    seen: list[Tensor] = []
    for number, step, alpha, alpha_next in walk.back():
        seen.append(_noise(call, x, step, process, alpha))
        direction = _adams(seen)
        if len(seen) == 1:
            there = _clipped(_along(x, seen[0], alpha, alpha_next), clip, "x")
            direction = (seen[0] + _noise(call, there, walk.steps[max(number - 1, 0)], process, alpha_next)) / 2
        x = _clipped(_along(x, direction, alpha, alpha_next), clip, "x")
        trace.report("diffusion/x", x, step=number)
    return x


def pndm(call: Network, x: Tensor, process: Process, walk: Walk, *, clip: Clip = None) -> Tensor:
    """`plms` whose first three steps are pseudo Runge-Kutta steps of four calls each, as its paper has them.

    It needs a walk of whole steps, as `process.every` gives.
    """
    seen: list[Tensor] = []
    alphas = process.alphas()
    warm = min(3, len(walk.steps) - 1)
    for number, step, alpha, alpha_next in walk.back():
        seen.append(_noise(call, x, step, process, alpha))
        if len(seen) <= warm:
            after = walk.steps[number - 1]
            middle = int(after) + (int(step) - int(after)) // 2
            half = float(alphas[middle])
            second = _noise(call, _clipped(_along(x, seen[-1], alpha, half), clip, "x"), middle, process, half)
            third = _noise(call, _clipped(_along(x, second, alpha, half), clip, "x"), middle, process, half)
            there = _clipped(_along(x, third, alpha, alpha_next), clip, "x")
            fourth = _noise(call, there, after, process, alpha_next)
            direction = (seen[-1] + 2 * second + 2 * third + fourth) / 6
        else:
            direction = _adams(seen)
        x = _clipped(_along(x, direction, alpha, alpha_next), clip, "x")
        trace.report("diffusion/x", x, step=number)
    return x


def dpm_solver(call: Network, x: Tensor, process: Process, walk: Walk, *, clip: Clip = None) -> Tensor:
    """DPM-Solver++ (2M), Lu et al. 2022, arXiv:2211.01095, algorithm 2: a line through this and the last x_0.

    The last step of fewer than ten is of first order.
    """
    before: tuple[Tensor, float] | None = None
    for number, step, alpha, alpha_next in walk.back():
        x0 = _clipped(process.clean(x, _ask(call, x, step), alpha), clip, "x0")
        here, mean = _half_log_snr(alpha), x0
        if before is not None and number == 0 and (alpha_next == 1.0 or len(walk.steps) < 10):
            before = None
        if before is not None:
            stride = _half_log_snr(alpha_next) - here
            mean = x0 + (x0 - before[0]) * (stride / (here - before[1]) / 2)
        x = _clipped(_towards(x, mean, alpha, alpha_next), clip, "x")
        before = (x0, here)
        trace.report("diffusion/x", x, step=number)
    return x


def unipc(call: Network, x: Tensor, process: Process, walk: Walk, *, clip: Clip = None) -> Tensor:
    """UniPC of second order with B(h) = e^h - 1, Zhao et al. 2023, arXiv:2302.04867: a step, and its correction by what
    the network sees where it led to. A call a step, as the others.
    """
    x0 = _clipped(process.clean(x, _ask(call, x, walk.steps[-1]), walk.alphas[-1]), clip, "x0")
    before: tuple[Tensor, float] | None = None
    for number, _, alpha, alpha_next in walk.back():
        here, slope, ratio, stride = _half_log_snr(alpha), torch.zeros_like(x), None, 0.0
        if number:
            stride = _half_log_snr(alpha_next) - here
            if before is not None:
                ratio = (before[1] - here) / stride
                slope = (before[0] - x0) / ratio
        there = _clipped(_towards(x, x0 + slope / 2, alpha, alpha_next), clip, "x")
        if number:
            seen = process.clean(there, _ask(call, there, walk.steps[number - 1]), alpha_next)
            seen = _clipped(seen, clip, "x0")
            old, new = _corrections(stride, ratio)
            there = _clipped(_towards(x, x0 + old * slope + new * (seen - x0), alpha, alpha_next), clip, "x")
            before, x0 = (x0, here), seen
        x = there
        trace.report("diffusion/x", x, step=number)
    return x


def probability_flow(call: Network, x: Tensor, process: Continuous, steps: int) -> Tensor:
    """From noise to sound in continuous time, by Euler steps along the probability flow (Song et al. 2021, equation
    13), each with the slope that its middle time has where it begins: as NaturalSpeech 2 samples.

    Raises:
        UserError: less than one step.
    """
    if steps < 1:
        raise UserError(f"sampling takes 1 step or more, got {steps}")
    for number in range(steps):
        time = 1 - (number + 0.5) / steps
        alpha = float(process.alpha(torch.tensor(time, dtype=torch.float64)))
        noise = _noise(call, x, time, process, alpha)
        x = x + process.beta(time) / (2 * steps) * (x - noise / (1 - alpha) ** 0.5)
        trace.report("diffusion/x", x, step=number)
    return x


SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "plms": plms,
    "pndm": pndm,
    "dpm_solver": dpm_solver,
    "unipc": unipc,
}


def draw(shape: Sequence[int], generator: torch.Generator | None, device: torch.device | str = "cpu") -> Tensor:
    """Normal noise on `device`, from a generator of any device."""
    home = device if generator is None else generator.device  # elsewhere it cannot draw
    return torch.randn(tuple(shape), generator=generator, device=home).to(device)


def _ask(call: Network, x: Tensor, step: float) -> Tensor:
    return call(x, x.new_full((len(x),), step))


def _noise(call: Network, x: Tensor, step: float, process: Predicting, alpha: float) -> Tensor:
    return process.noise(x, _ask(call, x, step), alpha)


def _clipped(x: Tensor, clip: Clip, what: Literal["x0", "x"]) -> Tensor:
    return x.clamp(-1, 1) if clip in (what, "both") else x


def _along(x: Tensor, noise: Tensor, alpha: float, alpha_next: float) -> Tensor:
    """From a_t to the next along the line of this noise: equation 11 of the PNDM paper, and DDIM's."""
    return (alpha_next / alpha) ** 0.5 * x + (
        (1 - alpha_next) ** 0.5 - (alpha_next * (1 - alpha) / alpha) ** 0.5
    ) * noise


def _towards(x: Tensor, x0: Tensor, alpha: float, alpha_next: float) -> Tensor:
    """From a_t to the next along the line to this sound: the exact solution for an x_0 that stays."""
    shrink = ((1 - alpha_next) / (1 - alpha)) ** 0.5
    return shrink * x + (alpha_next**0.5 - alpha**0.5 * shrink) * x0


def _adams(seen: list[Tensor]) -> Tensor:
    """The linear multistep of as many terms as there are, up to four."""
    weights = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
    row = weights[min(len(seen), 4) - 1]
    return sum((weight * term for weight, term in zip(row, reversed(seen), strict=False)), torch.zeros(()))


def _half_log_snr(alpha: float) -> float:
    return 0.5 * math.log(alpha / (1 - alpha))


def _corrections(stride: float, ratio: float | None) -> tuple[float, float]:
    """The weights of UniPC's corrector: of the slope before, if its `ratio` of strides is known, and of the new one."""
    if ratio is None:
        return 0.0, 0.5
    grown = math.expm1(-stride)
    first = grown / -stride - 1
    second = first / -stride - 0.5
    one, two = first / grown, 2 * second / grown
    return (one - two) / (1 - ratio), (two - ratio * one) / (1 - ratio)


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains a model to undo its process; see the head of this file for what it must have."""

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}
        self._process: Process | Continuous = model.config.process  # type: ignore[union-attr, assignment]
        self._more = named_losses(module, model.config, config.weights)
        self._to_space = target_space(model)
        self._conceal = concealment(model)

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once; the steps of the process and the noise come from `generator`."""
        yield "model", self._losses(batch, generator)

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss of a held-out batch."""
        return self._losses(batch, generator)

    def _losses(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        batch = {**batch, **self._conceal(batch, generator)}
        target = self._to_space(batch[self.config.target])
        step = self._process.draw(len(target), generator, target.device, self.config.upto)
        return self.losses(batch, step, torch.randn(target.shape, generator=generator, device=target.device))

    def losses(self, batch: Batch, step: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """How far the prediction is off at these steps with this noise, a mean over what is real; and the model's."""
        x0 = self._to_space(batch[self.config.target])
        alpha = self._process.alpha(step).to(x0.dtype)
        alpha = alpha.reshape(-1, *(1,) * (x0.ndim - 1))
        noisy = alpha**0.5 * x0 + (1 - alpha) ** 0.5 * noise
        output = self.networks["model"](**inputs(self.module, {**batch, "noisy": noisy, "step": step}))
        off = predicted(output) - self._process.to_predict(x0, noise, alpha)
        off = off.abs() if self.config.distance == "l1" else off.square()
        if self.config.min_snr is not None:
            off = off * self._emphasis(alpha)
        more = {name: self.config.weights[name] * loss(output, batch) for name, loss in self._more.items()}
        return {"diffusion": self._mean(off, batch), **more}

    def _emphasis(self, alpha: Tensor) -> Tensor:
        """What a step counts: as in the loss of x_0 whose weight is the ratio of sound to noise, up to `min_snr`."""
        ratio = alpha / (1 - alpha)
        of_x0 = {"epsilon": 1 / ratio, "v": 1 / (ratio + 1), "x0": torch.ones_like(ratio)}[self._process.predicts]
        return ratio.clamp(max=self.config.min_snr) * of_x0

    def _mean(self, off: Tensor, batch: Batch) -> Tensor:
        if self.config.where not in batch:
            return off.mean()
        mask = batch[self.config.where]
        return off[mask.repeat_interleave(off.shape[1] // mask.shape[1], dim=1)].mean()
