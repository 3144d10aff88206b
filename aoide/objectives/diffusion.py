"""Diffusion: noise is added to the sound in many small steps, a network learns to say what was added, and undoes it.

    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise,    a_t = product of (1 - beta) up to step t

The network sees x_t and t and predicts the noise (epsilon), the sound (x0), or v = sqrt(a_t) noise - sqrt(1 - a_t) x_0.
`Process` says how fast the noise grows and what is predicted; it belongs to the model, since weights learned with one
are worth nothing with another. A sampler goes a `Walk` back from noise to sound: all steps of the process, every k-th,
or a schedule of its own with far fewer and larger steps, as DiffWave's fast one.

A model of this objective has `config.process` and a forward that takes, beside the fields of a batch,

    noisy  like the target    what noise was added to
    step   (batch,)           int64, at which step of the process; from a sampler also a place between two

and gives its prediction, like the target.

Sources: Ho et al. 2020, arXiv:2006.11239 (DDPM); Song et al. 2020, arXiv:2010.02502 (DDIM); Nichol and Dhariwal 2021,
arXiv:2102.09672 (cosine); Salimans and Ho 2022, arXiv:2202.00512 (v); Kong et al. 2020, arXiv:2009.09761, appendix B
(places between two steps).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError
from aoide.objectives import Batch, inputs

Network = Callable[[Tensor, Tensor], Tensor]  # (x_t, step (batch,)) -> prediction


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is trained, and how far off is measured."""

    target: str = "audio"  # the field of the batch that noise is added to
    distance: Literal["l1", "l2"] = "l2"


# -------------------------------------------------------------------------------------------------------------- process


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """How noise grows from step to step, and what the network predicts of it."""

    schedule: Literal["linear", "cosine"] = "linear"
    steps: int = 1000
    first: float = 1e-4  # beta of the first step and of the last, where the schedule is linear
    last: float = 0.02
    betas: tuple[float, ...] = ()  # given one by one; then the four settings above have no say
    predicts: Literal["epsilon", "x0", "v"] = "epsilon"

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
        time = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        left = ((time + 0.008) / 1.008 * math.pi / 2).cos().square()
        return (1 - left[1:] / left[:-1]).clamp(max=0.999)

    # ---------------------------------------------------------------------------------------- what a prediction says

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

    # --------------------------------------------------------------------------------------------------------- walks

    def every(self, count: int | None = None) -> Walk:
        """A walk of `count` of the steps at equal distances, from step 0 on; None: all steps.

        Raises:
            UserError: more steps than the process has.
        """
        alphas = self.alphas()
        count = len(alphas) if count is None else count
        if not 1 <= count <= len(alphas):
            raise UserError(f"sampling takes 1 to {len(alphas)} steps, got {count}")
        steps = range(0, count * (len(alphas) // count), len(alphas) // count)
        return Walk(tuple(map(float, steps)), tuple(float(alphas[step]) for step in steps))

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


@dataclass(frozen=True, slots=True)
class Walk:
    """The steps that a sampler takes, the least noisy first (it comes from the other end)."""

    steps: tuple[float, ...]  # what the network is told
    alphas: tuple[float, ...]  # a_t there

    def back(self) -> Iterator[tuple[int, float, float, float]]:
        """From noise to sound: (number, step, its a_t, the a_t of what comes next: 1 after the last)."""
        for number in reversed(range(len(self.steps))):
            yield number, self.steps[number], self.alphas[number], self.alphas[number - 1] if number else 1.0


# ------------------------------------------------------------------------------------------------------------- samplers


def ddpm(
    call: Network,
    shape: Sequence[int],
    process: Process,
    walk: Walk,
    *,
    clip: Literal["x0", "x"] | None = None,
    generator: torch.Generator | None = None,
    noise: Sequence[Tensor] | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Ancestral sampling: each step takes away the noise that is predicted, and puts fresh noise of less size in.

    Args:
        call: the network with its conditions, (x_t, step (batch,)) -> prediction.
        shape: of the result, the batch first.
        process: what the network was trained with.
        walk: the steps to take, of `process.every` or `process.along`.
        clip: keep within -1 and 1 the sound that a prediction sees (x0), or what each step leaves (x).
        noise: what to draw instead of drawing: the start, then one a step but the last.
    """
    draw = _drawing(shape, generator, noise, device)
    x = draw()
    for number, step, alpha, alpha_next in walk.back():
        prediction = call(x, x.new_full((shape[0],), step))
        x0 = process.clean(x, prediction, alpha)
        if clip == "x0":
            x0 = x0.clamp(-1, 1)
        kept = alpha / alpha_next  # 1 - beta of this step of the walk
        x = (alpha_next**0.5 * (1 - kept) / (1 - alpha)) * x0 + (kept**0.5 * (1 - alpha_next) / (1 - alpha)) * x
        if number:
            x = x + ((1 - alpha_next) / (1 - alpha) * (1 - kept)) ** 0.5 * draw()
        if clip == "x":
            x = x.clamp(-1, 1)
        trace.report("diffusion/x", x, step=number)
    return x


def ddim(
    call: Network,
    shape: Sequence[int],
    process: Process,
    walk: Walk,
    *,
    clip: Literal["x0", "x"] | None = None,
    generator: torch.Generator | None = None,
    noise: Sequence[Tensor] | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Deterministic sampling: each step goes along the line from the sound to the noise that are predicted, and draws
    nothing but the start. It bears larger steps than `ddpm`, whose arguments it has.
    """
    x = _drawing(shape, generator, noise, device)()
    for number, step, alpha, alpha_next in walk.back():
        prediction = call(x, x.new_full((shape[0],), step))
        x0, epsilon = process.clean(x, prediction, alpha), process.noise(x, prediction, alpha)
        if clip == "x0":
            x0 = x0.clamp(-1, 1)
        x = alpha_next**0.5 * x0 + (1 - alpha_next) ** 0.5 * epsilon
        if clip == "x":
            x = x.clamp(-1, 1)
        trace.report("diffusion/x", x, step=number)
    return x


def _drawing(
    shape: Sequence[int],
    generator: torch.Generator | None,
    noise: Sequence[Tensor] | None,
    device: torch.device | str,
) -> Callable[[], Tensor]:
    """Gives normal noise at each call: drawn, or what is given, in order."""
    if noise is None:
        home = device if generator is None else generator.device  # elsewhere it cannot draw
        return lambda: torch.randn(tuple(shape), generator=generator, device=home).to(device)
    given = iter(noise)
    return lambda: next(given).to(device)


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains a model to undo its process; see the head of this file for what it must have."""

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}
        self._process: Process = model.config.process  # type: ignore[union-attr, assignment]
        self._alphas = self._process.alphas()

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once; the steps of the process and the noise come from `generator`."""
        yield "model", self._losses(batch, generator)

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss of a held-out batch."""
        return self._losses(batch, generator)

    def _losses(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        x0 = batch[self.config.target]
        step = torch.randint(0, len(self._alphas), (len(x0),), generator=generator, device=x0.device)
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        return {"diffusion": self.loss(batch, x0, step, noise)}

    def loss(self, batch: Batch, x0: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """How far the prediction is off at these steps with this noise, a mean over what is real."""
        alpha = self._alphas.to(x0.device, x0.dtype)[step]
        alpha = alpha.reshape(-1, *(1,) * (x0.ndim - 1))
        noisy = alpha**0.5 * x0 + (1 - alpha) ** 0.5 * noise
        prediction = self.networks["model"](**inputs(self.module, {**batch, "noisy": noisy, "step": step}))
        off = prediction - self._process.to_predict(x0, noise, alpha)
        off = off.abs() if self.config.distance == "l1" else off.square()
        if "frame_mask" not in batch:
            return off.mean()
        mask = batch["frame_mask"].repeat_interleave(x0.shape[1] // batch["frame_mask"].shape[1], dim=1)
        return off[mask].mean()
