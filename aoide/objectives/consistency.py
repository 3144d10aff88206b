"""Consistency: a teacher learns to undo noise of any size, a student to do so in one step.

    x = sound + sigma * noise,    D(x, sigma) = skip(sigma) x + out(sigma) network(into(sigma) x, ln(sigma) / 4)

The teacher (`stage: teacher`) is a diffusion model in the form of Karras et al.: D comes as near to the sound as it
can, for sigmas drawn around e^mean. It is sampled along `Karras.levels`, from much noise to next to none, in some 50
calls. The student (`stage: student`) begins as its teacher. For a place on a level and the place on the level below, to
which a Heun step of the teacher leads, its D must say the same; where almost no noise is left D is the place itself
(out(least) = 0), so in the end every level leads to the sound in one call. What the lower place must be is said by an
average of the student, the target, which follows it slowly.

A model of this objective has

    config.karras              the `Karras` that its weights belong to
    config.distilled           whether it is a student
    denoiser, target           the network, and in a student its average: what samples
    forward(fields of a batch, noisy, sigma) -> output
        noisy (like the target), sigma (batch,); output.prediction is D, output.condition what steers it
    clean(network, noisy, sigma, condition, frame_mask) -> D of one of these networks, or of the teacher's

and may take x to be centred elsewhere than at noisy, as long as the centre moves with sigma (Grad-TTS: by sigma times
the first mel that the condition is). Its `normalise`, where it has one, brings the target to the space of the noise.

A student trains its `denoiser` alone; all else stays its teacher's. Set loop.ema to null: the target is an average.

Sources: Karras et al. 2022, arXiv:2206.00364 (EDM); Song et al. 2023, arXiv:2303.01469 (consistency models,
distillation, the skip and out that keep the end); Ye et al. 2023, arXiv:2305.06908 (CoMoSpeech); Lu et al. 2024,
arXiv:2401.01792 (CoMoSVC).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError, near
from aoide.objectives import Batch, inputs, named_losses, target_space
from aoide.objectives.diffusion import draw

Network = Callable[[Tensor, Tensor], Tensor]  # (into(sigma) x, ln(sigma) / 4 (batch,)) -> like x
Clean = Callable[[Tensor, Tensor], Tensor]  # D: (x, sigma (batch,)) -> like x


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is trained, towards what."""

    stage: Literal["teacher", "student"] = "teacher"
    target: str = "mel"  # the field of the batch that noise is added to
    where: str = "frame_mask"  # the field of the batch that says which frames count
    mean: float = -1.2  # of ln(sigma), as a teacher sees it
    deviation: float = 1.2
    teacher: Path | None = None  # of a student: the run, checkpoint or .safetensors file that it learns from
    follow: float = 0.95  # share of the student's average that a step keeps
    weights: dict[str, float] = field(default_factory=dict)  # of the model's losses, beside a teacher's

    def __post_init__(self) -> None:
        if not 0 <= self.follow < 1 or self.deviation <= 0:
            raise ValueError("follow is in [0, 1), deviation above 0")


# --------------------------------------------------------------------------------------------------------------- levels


@dataclass(frozen=True, kw_only=True, slots=True)
class Karras:
    """How much noise there is from level to level, and how a network is wrapped so that it serves all of them."""

    least: float = 0.002  # sigma where next to no noise is left
    most: float = 80.0  # sigma that sampling starts from
    bend: float = 7.0  # rho: the larger, the more levels are at little noise
    data: float = 0.5  # standard deviation of the sound
    levels: int = 18  # that a student is taught on

    def __post_init__(self) -> None:
        if not 0 < self.least < self.most or self.data <= 0 or self.bend <= 0 or self.levels < 2:
            raise ValueError("0 < least < most, data and bend above 0, levels 2 or more")

    def sigmas(self, count: int) -> Tensor:
        """`count` levels from `most` down to `least`, (count,) float32; one level is `most`.

        Raises:
            UserError: no level.
        """
        if count < 1:
            raise UserError(f"sampling takes 1 step or more, got {count}")
        share = torch.arange(count, dtype=torch.float64) / max(1, count - 1)
        top, bottom = self.most ** (1 / self.bend), self.least ** (1 / self.bend)
        return (top + share * (bottom - top)).pow(self.bend).float()

    def clean(self, network: Network, x: Tensor, sigma: Tensor) -> Tensor:
        """D(x, sigma): the sound that the network sees in x, (batch, ...); sigma (batch,)."""
        s = sigma.reshape(-1, *(1,) * (x.ndim - 1))
        variance = s.square() + self.data**2
        said = network(x / variance.sqrt(), sigma.log() / 4)
        return self.data**2 / variance * x + (s - self.least) * self.data / variance.sqrt() * said

    def weight(self, sigma: Tensor) -> Tensor:
        """What an error at this level counts: as much after the network as before it was scaled."""
        return (sigma.square() + self.data**2) / (sigma * self.data).square()


# ------------------------------------------------------------------------------------------------------------- samplers


def euler(clean: Clean, noise: Tensor, karras: Karras, steps: int = 50) -> Tensor:
    """From noise of size 1 (around its centre) along the levels to the sound: `steps` calls."""
    return _along(clean, noise, karras, steps, heun=False)


def heun(clean: Clean, noise: Tensor, karras: Karras, steps: int = 25) -> Tensor:
    """The same with the mean of the slopes at both ends of each step but the last: 2 `steps` - 1 calls."""
    return _along(clean, noise, karras, steps, heun=True)


def _along(clean: Clean, noise: Tensor, karras: Karras, steps: int, heun: bool) -> Tensor:
    sigmas = [*karras.sigmas(steps).tolist(), 0.0]
    x = noise * sigmas[0]
    for number, (sigma, after) in enumerate(zip(sigmas[:-1], sigmas[1:], strict=True)):
        x = _step(clean, x, x.new_full((len(x),), sigma), x.new_full((len(x),), after), heun=heun and after > 0)
        trace.report("consistency/x", x, step=number)
    return x


def _step(clean: Clean, x: Tensor, sigma: Tensor, after: Tensor, heun: bool) -> Tensor:
    """From one level to a lower one along the line to the sound that is seen; sigma and after (batch,)."""
    here, there = (s.reshape(-1, *(1,) * (x.ndim - 1)) for s in (sigma, after))
    slope = (x - clean(x, sigma)) / here
    lower = x + (there - here) * slope
    if heun:
        slope = (slope + (lower - clean(lower, after)) / there) / 2
        lower = x + (there - here) * slope
    return lower


def leap(
    clean: Clean,
    noise: Tensor,
    karras: Karras,
    steps: int = 1,
    *,
    centre: Tensor | float = 0.0,
    generator: torch.Generator | None = None,
    fresh: Sequence[Tensor] | None = None,
) -> Tensor:
    """A student's sampling: the sound in one call; with more, noise is added and taken away again, less each time.

    Args:
        noise: of size 1, around its centre.
        centre: where fresh noise is centred, like `noise`.
        generator: draws the fresh noise.
        fresh: what to take instead of drawing, one a step but the first.
    """
    sigmas = karras.sigmas(steps + 1)[:-1].tolist() if steps > 1 else karras.sigmas(steps).tolist()
    given = None if fresh is None else iter(fresh)
    x = noise * sigmas[0]
    for number, sigma in enumerate(sigmas):
        if number:
            more = draw(x.shape, generator, x.device) if given is None else next(given).to(x.device)
            x = x + (sigma**2 - karras.least**2) ** 0.5 * (more + centre)
        x = clean(x, x.new_full((len(x),), sigma))
        trace.report("consistency/x", x, step=number)
    return x


SAMPLERS: dict[str, Callable[..., Tensor]] = {"euler": euler, "heun": heun, "leap": leap}


def sampler(name: str) -> Callable[..., Tensor]:
    """One of `SAMPLERS`.

    Raises:
        UserError: there is none of this name.
    """
    if name not in SAMPLERS:
        raise UserError(f"there is no sampler {name!r}{near(name, SAMPLERS)}; there are {', '.join(SAMPLERS)}")
    return SAMPLERS[name]


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains a teacher or its student; see the head of this file for what a model must have.

    Raises:
        UserError: a student without a teacher, or with one that cannot be read or is of another model.
    """

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}
        self._karras: Karras = model.config.karras  # type: ignore[union-attr, assignment]
        self._more = named_losses(module, model.config, config.weights)
        self._to_space = target_space(model)
        student = config.stage == "student"
        if student != bool(model.config.distilled):  # type: ignore[union-attr]
            raise UserError(f"objective.stage {config.stage} goes with model.distilled {str(student).lower()}")
        self._teacher: nn.Module | None = None
        self._moved = True  # whether the student has moved since its average did
        if student:
            if config.teacher is None:
                raise UserError("objective.teacher: a student learns from a teacher; name its run")
            self._teacher = self._taught(model, config.teacher)

    def _taught(self, model: Any, path: Path) -> nn.Module:
        """Gives the student its teacher's weights, stills all but its denoiser, and returns the teacher's denoiser."""
        weights = _weights(path)
        wanted = {key for key in model.state_dict() if not key.startswith("target.")}
        if lacking := sorted(wanted - weights.keys()):
            raise UserError(f"objective.teacher: {path} is of another model: it lacks {', '.join(lacking[:5])}")
        learning = [key for key in wanted if key.startswith("denoiser.")]
        average = {f"target.{key.removeprefix('denoiser.')}": weights[key] for key in learning}
        try:
            model.load_state_dict({key: weights[key] for key in wanted} | average)
        except RuntimeError:
            raise UserError(f"objective.teacher: {path} is of a model with other settings") from None
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("denoiser."))
        return copy.deepcopy(model.denoiser).requires_grad_(False).eval()

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once; levels and noise come from `generator`."""
        if self._teacher is not None:
            model: Any = self.networks["model"]
            for part in model.children():
                if part is not model.denoiser:
                    part.eval()  # the teacher's say is not dropped out
            if self._moved:
                self.follow(model)
        yield "model", self._losses(batch, generator)
        self._moved = True

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss of a held-out batch."""
        return self._losses(batch, generator)

    @torch.no_grad()
    def follow(self, model: Any) -> None:
        """Takes the student of now into its average; once a step, however many batches the step has."""
        old, new = list(model.target.parameters()), list(model.denoiser.parameters())
        torch._foreach_lerp_(old, new, 1 - self.config.follow)
        self._moved = False

    def _losses(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        sound = self._to_space(batch[self.config.target])
        if self._teacher is None:
            drawn = torch.randn(len(sound), generator=generator, device=sound.device)
            sigma = (drawn * self.config.deviation + self.config.mean).exp()
            return self.teach(batch, sigma, torch.randn(sound.shape, generator=generator, device=sound.device))
        level = torch.randint(1, self._karras.levels, (len(sound),), generator=generator, device=sound.device)
        return self.distil(batch, level, torch.randn(sound.shape, generator=generator, device=sound.device))

    def teach(self, batch: Batch, sigma: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """A teacher's losses with this noise, sigma (batch,): weighted square of how far D is off; and the model's."""
        sound = self._to_space(batch[self.config.target])
        s = sigma.reshape(-1, *(1,) * (sound.ndim - 1))
        noisy = sound + s * noise
        output = self.networks["model"](**inputs(self.module, {**batch, "noisy": noisy, "sigma": sigma}))
        off = self._karras.weight(s) * (output.prediction - sound).square()
        more = {name: self.config.weights[name] * loss(output, batch) for name, loss in self._more.items()}
        return {"diffusion": self._mean(off, batch), **more}

    def distil(self, batch: Batch, level: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """A student's loss: how far what it says on a level is from what its average says on the one below.

        Args:
            level: (batch,) int64, from 1, of `karras.levels` counted from the least noise.
            noise: like the target.
        """
        model: Any = self.networks["model"]
        assert self._teacher is not None, "only a student is distilled"
        teacher = self._teacher.to(noise.device)
        sound = self._to_space(batch[self.config.target])
        sigmas = self._karras.sigmas(self._karras.levels).flip(0).to(sound)
        upper, lower = sigmas[level], sigmas[level - 1]
        noisy = sound + upper.reshape(-1, *(1,) * (sound.ndim - 1)) * noise
        output = model(**inputs(self.module, {**batch, "noisy": noisy, "sigma": upper}))
        with torch.no_grad():
            condition, mask = output.condition, batch.get(self.config.where)

            def taught(x: Tensor, sigma: Tensor) -> Tensor:
                return model.clean(teacher, x, sigma, condition, mask)

            there = _step(taught, noisy, upper, lower, heun=True)
            aim = model.clean(model.target, there, lower, condition, mask)
        return {"consistency": self._mean((output.prediction - aim).square(), batch)}

    def _mean(self, off: Tensor, batch: Batch) -> Tensor:
        return off.mean() if self.config.where not in batch else off[batch[self.config.where]].mean()


def _weights(path: Path) -> dict[str, Tensor]:
    """A teacher's weights: of a run's latest checkpoint, of a checkpoint, or of a file; the average if there is one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = path
    if (path / "checkpoints").is_dir():
        found = max((folder for folder in (path / "checkpoints").glob("step-*")), default=path, key=lambda f: f.name)
    if found.is_dir():
        found = next(
            (found / name for name in ("ema.safetensors", "model.safetensors") if (found / name).is_file()), found
        )
    if not found.is_file():
        raise UserError(f"objective.teacher: {path} is neither a run, a checkpoint nor a .safetensors file")
    try:
        return load_file(str(found))
    except (OSError, SafetensorError) as error:
        raise UserError(f"objective.teacher: {found} cannot be read ({error})") from None
