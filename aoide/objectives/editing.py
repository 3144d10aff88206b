"""Going out from a sound that is there: variations, spans made anew, what comes after; for diffusion and for flows.

A variation begins in the middle of the way from noise to sound, at the sound with as much noise as its `strength` says
(SDEdit). A span is made anew by a network that is asked of the whole, while the rest is answered by what is known:
given the sound x_0 and the place x_t, the noise that must be in it follows. So the kept part goes its own exact way
through any sampler, and the network sees it at every step as noisy as what it makes. `passes` above 1 goes back up
after each step and down again, which lets the two parts grow together (RePaint).

    edit = Edit(latents, fresh=spans([(2.0, 3.5)], frames, frame_rate))
    x = diffused(call, noise, process, 50, edit=edit)           a diffusion model
    x = flowed(call, noise, times(20), edit=edit)               a flow

Sources: Meng et al. 2021, arXiv:2108.01073 (SDEdit); Lugmayr et al. 2022, arXiv:2201.09865 (RePaint).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aoide import trace
from aoide.config import UserError, near
from aoide.objectives import diffusion, flow
from aoide.objectives.diffusion import Network, Process, Walk
from aoide.objectives.flow import Solver, Velocity


@dataclass(frozen=True, slots=True)
class Edit:
    """What is there, and what is to be made anew of it."""

    sound: Tensor  # (batch, frames, dim), in the space in which noise is added
    fresh: Tensor | None = None  # (batch or 1, frames) from 0, kept, to 1, made anew; None: all is made anew
    strength: float = 1.0  # how far back to noise it goes: above 0, 1 = all the way
    passes: int = 1  # times that each step is gone, of a diffusion model with a kept part

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise UserError(f"strength is above 0 and at most 1, got {self.strength:g}")
        if self.passes < 1:
            raise UserError(f"each step is gone once or more often, got passes {self.passes}")

    def keep(self, made: Tensor, known: Tensor) -> Tensor:
        """`made` where it is fresh, `known` where it is kept."""
        if self.fresh is None:
            return made
        share = self.fresh[..., None].to(made.dtype)
        return share * made + (1 - share) * known


def spans(
    seconds: Sequence[tuple[float, float]], frames: int, frame_rate: float, fade: int = 0, device: str = "cpu"
) -> Tensor:
    """Which frames are made anew: (1, frames), 1 where a span touches the frame.

    Args:
        seconds: from, to; what lies after the last frame is cut.
        fade: frames around a span over which the two parts are mixed.

    Raises:
        UserError: no frame is left to be made, or none is kept.
    """
    fresh = torch.zeros(1, frames, device=device)
    for begin, end in seconds:
        first, last = int(begin * frame_rate), max(int(begin * frame_rate) + 1, round(end * frame_rate))
        fresh[:, first:last] = 1.0
    if not bool(fresh.any()):
        raise UserError(f"nothing is made anew: the spans lie after the end, at {frames / frame_rate:.2f} s")
    if bool(fresh.all()):
        raise UserError("nothing of the sound is kept: its whole length is to be made anew")
    if fade:
        weights = torch.ones(1, 1, 2 * fade + 1, device=device) / (2 * fade + 1)
        smooth = torch.nn.functional.conv1d(fresh[:, None], weights, padding=fade)[:, 0]
        fresh = torch.maximum(fresh, smooth)
    return fresh


# ------------------------------------------------------------------------------------------------------------ diffusion


def diffused(
    call: Network,
    noise: Tensor,
    process: Process,
    steps: int,
    *,
    sampler: str = "ddim",
    walk: Walk | None = None,
    edit: Edit | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A sound from noise, or from one that is there: (batch, frames, dim).

    Args:
        call: the network with its conditions.
        noise: (batch, frames, dim).
        steps: of the sampler; a variation of less strength takes as large ones, so fewer of them.
        sampler: one of `diffusion.SAMPLERS`.
        walk: which steps to take, instead of `process.every(steps)`; its highest ones are left out for a variation.
        generator: of ddpm's noise, and of `passes`.

    Raises:
        UserError: an unknown sampler, or more steps than the process has.
    """
    if sampler not in diffusion.SAMPLERS:
        guess = near(sampler, diffusion.SAMPLERS) or f" there are {', '.join(diffusion.SAMPLERS)}"
        raise UserError(f"no sampler {sampler!r};{guess}")
    walk = process.every(steps) if walk is None else walk
    x = noise
    if edit is not None:
        walk = partly(walk, edit.strength)
        if edit.strength < 1:
            alpha = walk.alphas[-1]
            x = alpha**0.5 * edit.sound + (1 - alpha) ** 0.5 * noise
        if edit.fresh is not None:
            call = _keeping(call, process, walk, edit)
            if edit.passes > 1:
                return edit.keep(_repainted(call, x, process, walk, edit, generator), edit.sound)
    options = {"generator": generator} if sampler == "ddpm" else {}
    x = diffusion.SAMPLERS[sampler](call, x, process, walk, **options)
    return x if edit is None else edit.keep(x, edit.sound)


def partly(walk: Walk, strength: float) -> Walk:
    """The last steps of a walk, a share of them, one at least."""
    count = max(1, round(strength * len(walk.steps)))
    return Walk(walk.steps[:count], walk.alphas[:count], walk.end)


def _keeping(call: Network, process: Process, walk: Walk, edit: Edit) -> Network:
    """The network, but for the kept part the right answer: that which makes x_t the sound."""
    known = dict(zip(walk.steps, walk.alphas, strict=True))
    every = process.alphas()

    def answer(x: Tensor, step: Tensor) -> Tensor:
        place = float(step[0])
        alpha = known[place] if place in known else float(every[int(place)])
        noise = (x - alpha**0.5 * edit.sound) / (1 - alpha) ** 0.5
        return edit.keep(call(x, step), process.to_predict(edit.sound, noise, torch.tensor(alpha, dtype=x.dtype)))

    return answer


def _repainted(
    call: Network, x: Tensor, process: Process, walk: Walk, edit: Edit, generator: torch.Generator | None
) -> Tensor:
    """`ddim` that goes each step but the last `passes` times: down, up again with fresh noise, down."""
    for number, step, alpha, alpha_next in walk.back():
        for turn in range(edit.passes if number else 1):
            if turn:
                more = diffusion.draw(x.shape, generator, x.device)
                x = (alpha / alpha_next) ** 0.5 * x + (1 - alpha / alpha_next) ** 0.5 * more
            prediction = call(x, x.new_full((len(x),), step))
            x0, epsilon = process.clean(x, prediction, alpha), process.noise(x, prediction, alpha)
            x = alpha_next**0.5 * x0 + (1 - alpha_next) ** 0.5 * epsilon
        trace.report("diffusion/x", x, step=number)
    return x


# ----------------------------------------------------------------------------------------------------------------- flow


def flowed(
    call: Velocity, noise: Tensor, times: Tensor, *, solver: Solver = "euler", edit: Edit | None = None
) -> Tensor:
    """A sound from noise, or from one that is there, along a flow: (batch, frames, dim).

    Args:
        call: the velocity with its conditions.
        noise: (batch, frames, dim).
        times: as `flow.times` gives, from 0; a variation of less strength leaves the first of them out.
    """
    if edit is None:
        return flow.integrate(call, noise, times, solver)
    left = times[times >= 1 - edit.strength - 1e-6]
    if edit.strength < 1:
        left = torch.cat([times.new_tensor([1 - edit.strength]), left[left > 1 - edit.strength + 1e-6]])
    x = flow.blend(edit.sound, noise, float(left[0]))

    def answer(x: Tensor, time: Tensor) -> Tensor:
        ahead = (1 - time).clamp(min=1e-3).reshape(-1, *(1,) * (x.ndim - 1))
        return edit.keep(call(x, time), (edit.sound - x) / ahead)

    return edit.keep(flow.integrate(call if edit.fresh is None else answer, x, left, solver), edit.sound)
