from __future__ import annotations

import math
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError
from aoide.objectives import flow


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------------------------- samplers


@pytest.mark.parametrize("solver", flow.SOLVERS)
def test_a_tableau_is_consistent(solver: str) -> None:
    at, of, total = flow.SOLVERS[solver]
    assert sum(total) == pytest.approx(1) and len(at) == len(of) == len(total)
    for place, parts in zip(at, of, strict=True):
        assert sum(parts) == pytest.approx(place)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4), ("rk5", 5)])
def test_the_order_of_a_solver(solver: Any, order: int) -> None:
    """With half the stride the error is smaller by 2 to the order."""

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        return 3 * x * (1 - x) + 0 * time[:, None]

    def error(steps: int) -> float:
        even = [step / steps for step in range(steps + 1)]
        x = flow.integrate(velocity, torch.full((2, 1), 0.1, dtype=torch.float64), even, solver)
        return abs(float(x[0]) - 1 / (1 + 9 * math.exp(-3)))

    steps = 16 if order > 2 else 256
    assert math.log2(error(steps) / error(2 * steps)) == pytest.approx(order, abs=0.3)


def test_times() -> None:
    assert flow.times(4).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert flow.times(3, start=0.4).tolist() == pytest.approx([0.4, 0.6, 0.8, 1])
    swayed = flow.times(4, sway=-1)
    assert swayed[[0, -1]].tolist() == pytest.approx([0, 1], abs=1e-6)
    assert swayed[2] == pytest.approx(1 - math.cos(math.pi / 4)), "1 - cos(pi t / 2)"
    assert (swayed.diff().diff() > 0).all(), "the first steps are the small ones"
    with pytest.raises(UserError, match="1 step or more, got 0"):
        flow.times(0)


def test_pruned_times_are_some_of_32() -> None:
    for steps, left in flow.PRUNED.items():
        times = flow.times(steps, pruned=True)
        assert len(times) == steps + 1 and (times * 32).tolist() == list(left)
    assert torch.equal(flow.times(8, pruned=True), flow.times(8)), "of so many there are none"
    assert torch.equal(flow.times(5, start=0.5, pruned=True), flow.times(5, start=0.5))
    assert flow.times(5, sway=-1, pruned=True)[-1] == pytest.approx(1, abs=1e-6)


def test_guidance_goes_further_from_what_is_said_without_conditions() -> None:
    sizes = []

    def call(x: Tensor, time: Tensor) -> Tensor:
        sizes.append(len(x))
        return torch.cat([x[: len(x) // 2] + 3, x[len(x) // 2 :] + 1]) if len(x) == 4 else x + 3

    x, time = torch.zeros(2, 3), torch.zeros(2)
    assert flow.guided(call, 0.0)(x, time).tolist() == [[3.0] * 3] * 2
    assert flow.guided(call, 2.0)(x, time).tolist() == [[7.0] * 3] * 2
    assert sizes == [2, 4]


def test_a_straight_way_needs_one_step_from_anywhere() -> None:
    sound, noise = torch.randn(2, 5, 3), torch.randn(2, 5, 3)

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        return (sound - x) / (1 - time[:, None, None])

    for start in (0.0, 0.6):
        begun = flow.blend(sound, noise, start)
        torch.testing.assert_close(flow.integrate(velocity, begun, flow.times(1, start)), sound)
    with trace.record() as recording:
        flow.integrate(velocity, noise, flow.times(3))
    assert len(recording.values("flow/x")) == 3
    with pytest.raises(UserError, match="did you mean heun"):
        flow.integrate(velocity, noise, flow.times(1), cast(Any, "huen"))


# ------------------------------------------------------------------------------------------------------------ objective


class _Half(nn.Module):
    """Says that half of what it is given is the velocity."""

    config = None

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, noisy: Tensor, time: Tensor) -> Tensor:
        assert time.shape == noisy.shape[:1] and time.dtype == noisy.dtype
        return self.share * noisy


MODULE = cast(ModuleType, SimpleNamespace(__name__="half", Model=_Half, LOSSES={}))


@pytest.mark.parametrize(("distance", "norm"), [("l1", torch.abs), ("l2", torch.square)])
@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_the_loss_is_written_out(distance: Any, norm: Any, sigma: float) -> None:
    objective = flow.Objective(flow.Config(distance=distance, sigma=sigma), MODULE, _Half())
    sound, noise, time = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.tensor([0.2, 0.9])
    noisy = (1 - (1 - sigma) * time[:, None, None]) * noise + time[:, None, None] * sound
    off = norm(0.5 * noisy - sound + (1 - sigma) * noise)
    torch.testing.assert_close(objective.losses({"mel": sound}, time, noise)["flow"], off.mean())
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    batch = {"mel": sound, "frame_mask": mask}
    torch.testing.assert_close(objective.losses(batch, time, noise)["flow"], off[mask].mean())


def test_weights_of_the_times() -> None:
    density = flow.logit_normal(torch.linspace(0.0005, 0.9995, 1000))
    assert float(density.mean()) == pytest.approx(1, abs=1e-3), "a density"
    assert int(density.argmax()) in (499, 500)
    objective = flow.Objective(flow.Config(emphasis="logit_normal"), MODULE, _Half())
    sound, noise = torch.randn(1, 5, 3), torch.randn(1, 5, 3)
    plain = flow.Objective(flow.Config(), MODULE, _Half())
    time = torch.tensor([0.5])
    batch = {"mel": sound}
    want = plain.losses(batch, time, noise)["flow"] * 4 / math.sqrt(2 * math.pi)
    torch.testing.assert_close(objective.losses(batch, time, noise)["flow"], want)


def test_emphasis_on_the_noise_judges_the_sound_itself() -> None:
    """(1 - t)^2 times the velocity's error is the error of the sound that it points at."""
    objective = flow.Objective(flow.Config(emphasis="noise"), MODULE, _Half())
    sound, noise, time = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.tensor([0.2, 0.9])
    noisy = flow.blend(sound, noise, time)
    guessed = noisy + (1 - time[:, None, None]) * 0.5 * noisy
    want = (guessed - sound).square().mean()
    torch.testing.assert_close(objective.losses({"mel": sound}, time, noise)["flow"], want)


def test_a_shift_moves_times_to_the_noise() -> None:
    seen: list[Tensor] = []

    class Seeing(_Half):
        def forward(self, noisy: Tensor, time: Tensor) -> Tensor:
            seen.append(time)
            return super().forward(noisy, time)

    module = cast(ModuleType, SimpleNamespace(__name__="seeing", Model=Seeing, LOSSES={}))
    batch = {"mel": torch.randn(400, 2, 3)}
    for shift in (1.0, 3.0):
        objective = flow.Objective(flow.Config(times="logit_normal", shift=shift), module, Seeing())
        objective.validate(batch, generator())
    left = 1 - seen[0]
    torch.testing.assert_close(1 - seen[1], 3 * left / (1 + 2 * left))
    assert seen[0].median() > 0.45 and seen[1].median() < 0.35
    with pytest.raises(ValueError, match="shift is above 0"):
        flow.Config(shift=0)


def test_ping_pong_ends_at_the_sound_and_draws_from_the_generator() -> None:
    sound = torch.randn(2, 5, 3)

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        return (sound - x) / (1 - time[:, None, None])

    ends = [
        flow.ping_pong(velocity, torch.randn(2, 5, 3), flow.shifted_times(4, 3.0)[:last], generator(seed))
        for last, seed in ((5, 0), (4, 0), (4, 0), (4, 1))
    ]
    torch.testing.assert_close(ends[0], sound)
    assert torch.equal(ends[1], ends[2]) and not torch.equal(ends[1], ends[3])
    with pytest.raises(UserError, match="1 step or more"):
        flow.shifted_times(0, 3.0)


def test_the_space_of_the_model_and_its_own_losses() -> None:
    class Pair(_Half):
        def forward(self, noisy: Tensor, time: Tensor) -> Any:
            return SimpleNamespace(prediction=self.share * noisy, guess=noisy[:, 0])

        def normalise(self, target: Tensor) -> Tensor:
            return target / 10

    losses = {"guess": lambda output, batch: output.guess.abs().mean()}
    module = cast(ModuleType, SimpleNamespace(__name__="pair", Model=Pair, LOSSES=losses))
    objective = flow.Objective(flow.Config(weights={"guess": 2.0}), module, Pair())
    plain = flow.Objective(flow.Config(), MODULE, _Half())
    sound, noise, time = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.tensor([0.2, 0.9])
    got = objective.losses({"mel": 10 * sound}, time, noise)
    torch.testing.assert_close(got["flow"], plain.losses({"mel": sound}, time, noise)["flow"])
    torch.testing.assert_close(got["guess"], 2 * flow.blend(sound, noise, time)[:, 0].abs().mean())


def test_times_and_noise_come_from_the_generator() -> None:
    seen: list[Tensor] = []

    class Sees(_Half):
        def forward(self, noisy: Tensor, time: Tensor) -> Tensor:
            seen.append(time)
            return super().forward(noisy, time)

    module = cast(ModuleType, SimpleNamespace(__name__="sees", Model=Sees, LOSSES={}))
    batch = {"mel": torch.randn(400, 2, 1), "frame_mask": torch.ones(400, 2, dtype=torch.bool)}
    for spread in ("uniform", "logit_normal"):
        objective = flow.Objective(flow.Config(start=0.4, times=cast(Any, spread)), module, Sees())
        ((name, losses),) = objective.steps(batch, generator(1))
        assert name == "model" and losses["flow"].requires_grad
        same, other = (objective.validate(batch, generator(seed))["flow"] for seed in (1, 2))
        assert torch.equal(losses["flow"].detach(), same) and same != other
        assert all(float(time.min()) >= 0.4 and float(time.max()) <= 1 for time in seen)
    assert seen[0].std() > seen[3].std(), "logit-normal times keep to the middle"
    with pytest.raises(ValueError, match="sigma and start"):
        flow.Config(sigma=1.0)


def test_what_a_model_conceals_is_laid_over_the_batch() -> None:
    class Blind(_Half):
        def conceal(self, batch: Any, generator: Any) -> dict[str, Tensor]:
            where = torch.rand(batch["mel"].shape[:2], generator=generator) > 0.5
            return {"hidden": where, "mel": batch["mel"] * 0 + 1}

    model = Blind()
    module = cast(ModuleType, SimpleNamespace(__name__="blind", Model=Blind))
    objective = flow.Objective(flow.Config(where="hidden"), module, model)
    batch = {"mel": torch.randn(2, 5, 3)}
    one, two, other = (objective.validate(batch, generator(seed))["flow"] for seed in (1, 1, 2))
    assert one == two and one != other
    assert torch.equal(one, objective.validate({"mel": torch.zeros(2, 5, 3)}, generator(1))["flow"])
