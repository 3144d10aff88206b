from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError
from aoide.objectives import diffusion
from aoide.objectives.diffusion import Process

PREDICTIONS = ("epsilon", "x0", "v")
FAST = (1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)  # of DiffWave
DIFFWAVE = Process(steps=50, first=1e-4, last=0.05)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -------------------------------------------------------------------------------------------------------------- process


def test_schedules() -> None:
    linear = Process(steps=1000, first=1e-4, last=0.02).alphas()
    want = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    assert linear.dtype == torch.float64 and np.abs(linear.numpy() - want).max() < 1e-12
    cosine = Process(schedule="cosine", steps=100).alphas()
    assert (cosine.diff() < 0).all() and float(cosine[0]) > 0.99 and float(cosine[-1]) < 1e-3
    assert float(cosine[49]) == pytest.approx(0.49, abs=0.02), "half of the way is half of the sound"
    assert Process(betas=(0.1, 0.5), steps=7).alphas().tolist() == pytest.approx([0.9, 0.45])


@pytest.mark.parametrize("settings", [{"steps": 0}, {"first": 0.0}, {"betas": (0.1, 1.0)}])
def test_a_process_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="steps|beta"):
        Process(**settings)


@pytest.mark.parametrize("predicts", PREDICTIONS)
def test_what_a_right_prediction_says(predicts: Any) -> None:
    process = Process(predicts=predicts)
    x0, noise, alpha = torch.randn(3, 8).double(), torch.randn(3, 8).double(), torch.tensor(0.3, dtype=torch.float64)
    x = alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise
    prediction = process.to_predict(x0, noise, alpha)
    torch.testing.assert_close(process.clean(x, prediction, 0.3), x0)
    torch.testing.assert_close(process.noise(x, prediction, 0.3), noise)


def test_walks() -> None:
    walk = Process(steps=10).every(3)
    assert walk.steps == (0, 3, 6)
    back = list(walk.back())
    assert [number for number, *_ in back] == [2, 1, 0] and back[-1][3] == 1.0 and back[0][3] == walk.alphas[1]
    assert Process(steps=10).every().steps == tuple(range(10))
    with pytest.raises(UserError, match="1 to 10 steps, got 11"):
        Process(steps=10).every(11)


def test_a_schedule_of_its_own_is_found_between_the_steps() -> None:
    """As the paper writes it, with loops (appendix B, and lmnt's inference.py)."""
    trained = np.cumprod(1 - np.linspace(1e-4, 0.05, 50))
    wanted = np.cumprod(1 - np.array(FAST))
    steps = []
    for alpha in wanted:
        for step in range(49):
            if trained[step + 1] <= alpha <= trained[step]:
                low, high = np.sqrt(trained[step + 1]), np.sqrt(trained[step])
                steps.append(step + (high - np.sqrt(alpha)) / (high - low))
                break
    walk = DIFFWAVE.along(FAST)
    assert len(steps) == 6 and walk.steps == pytest.approx(steps, abs=1e-5)
    assert walk.alphas == pytest.approx(list(wanted))
    own = DIFFWAVE.along(torch.linspace(1e-4, 0.05, 50, dtype=torch.float64).tolist())
    assert own.steps == pytest.approx(range(50), abs=1e-6)
    for betas in ((1e-5, 0.1), (0.5, 0.9), ()):
        with pytest.raises(UserError, match="within the noise that was trained"):
            DIFFWAVE.along(betas)


# ------------------------------------------------------------------------------------------------------------- samplers


def knowing(x0: Tensor, process: Process, walk: diffusion.Walk) -> diffusion.Network:
    """A network that knows the sound, and so predicts without fail."""
    alphas = dict(enumerate(map(float, process.alphas()))) | dict(zip(walk.steps, walk.alphas, strict=True))

    def network(x: Tensor, step: Tensor) -> Tensor:
        assert step.shape == (len(x),)
        alpha = torch.tensor(alphas[min(alphas, key=lambda known: abs(known - float(step[0])))])
        noise = (x - alpha.sqrt() * x0) / (1 - alpha).sqrt()
        return process.to_predict(x0, noise, alpha).float()

    return network


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS.values())
@pytest.mark.parametrize("predicts", PREDICTIONS)
def test_a_network_that_knows_the_sound_leads_to_it(sampler: Any, predicts: Any) -> None:
    process = Process(steps=50, first=1e-4, last=0.05, predicts=predicts)
    x0 = torch.rand(2, 30) - 0.5
    for walk in (process.every(), process.every(5), process.along(FAST)):
        if sampler is diffusion.pndm and walk.steps[1] % 1:
            continue  # it needs whole steps
        sound = sampler(knowing(x0, process, walk), diffusion.draw(x0.shape, generator()), process, walk)
        torch.testing.assert_close(sound, x0, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [
        (diffusion.ddpm, 1000),
        (diffusion.ddim, 250),
        (diffusion.plms, 50),
        (diffusion.pndm, 50),
        (diffusion.dpm_solver, 250),
        (diffusion.unipc, 250),
    ],
)
def test_sounds_are_spread_as_what_was_learned(sampler: Any, steps: int) -> None:
    """Where the sound is Gaussian, mean 0.5 and deviation 0.2, the best prediction is known. The larger the steps, the
    less is the spread: 0.19 with a fifth of them.
    """
    process = Process()
    mean, deviation, alphas = 0.5, 0.2, process.alphas()

    def network(x: Tensor, step: Tensor) -> Tensor:
        alpha = float(alphas[int(step[0])])
        spread = alpha * deviation**2 + 1 - alpha
        return (1 - alpha) ** 0.5 * (x - alpha**0.5 * mean) / spread

    sound = sampler(network, diffusion.draw((1, 20_000), generator()), process, process.every(steps))
    assert float(sound.mean()) == pytest.approx(mean, abs=0.01)
    assert float(sound.std()) == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS.values())
def test_clipping(sampler: Any) -> None:
    def far(x: Tensor, step: Tensor) -> Tensor:
        return torch.full_like(x, -5.0)

    process = Process(steps=5, first=0.1, last=0.5)
    ask = (diffusion.draw((1, 9), generator()), process, process.every())
    assert float(sampler(far, *ask).max()) > 2
    with trace.record() as recording:
        sampler(far, *ask, clip="x")
    assert all(float(x.abs().max()) <= 1 for x in recording.values("diffusion/x"))
    assert len(recording.values("diffusion/x")) == 5
    if sampler not in (diffusion.plms, diffusion.pndm):  # they go by the noise and see no sound on their way
        sound = sampler(far, *ask, clip="x0")
        assert float(sound.max()) <= 1 + 1e-6, "the last step leaves nothing but the sound"


def test_noise_can_be_given() -> None:
    process = Process(steps=4, first=0.1, last=0.5)
    given = [torch.randn(1, 6) for _ in range(4)]
    ask = (lambda x, step: 0.1 * x, given[0], process, process.every())
    one, two = (diffusion.ddpm(*ask, noise=given[1:]) for _ in range(2))
    assert torch.equal(one, two)
    drawn = [torch.empty(1, 6).normal_(generator=source) for source in [generator(3)] for _ in range(3)]
    assert torch.equal(diffusion.ddpm(*ask, generator=generator(3)), diffusion.ddpm(*ask, noise=drawn))


def test_a_walk_over_part_of_the_process() -> None:
    process = Process(steps=10, first=0.05, last=0.4)
    alphas = process.alphas()
    walk = process.every(2, upto=6, leave_first=True)
    assert walk.steps == (0, 3) and walk.end == float(alphas[0])
    assert process.every(2, upto=6).end == 1.0
    between = process.between(2, upto=6)
    assert between.steps == (2.5, 5.0) and between.end == float(alphas[0])
    assert between.alphas == pytest.approx([float((alphas[2] * alphas[3]).sqrt()), float(alphas[5])])
    with pytest.raises(UserError, match="10 steps; 11 of them"):
        process.every(2, upto=11)
    x0 = torch.rand(2, 30) - 0.5
    for sampler in diffusion.SAMPLERS.values():
        start = process.blend(x0, torch.randn(2, 30), 5)
        whole = process.every(6, upto=6)
        torch.testing.assert_close(sampler(knowing(x0, process, whole), start, process, whole), x0, atol=1e-3, rtol=0)


# ------------------------------------------------------------------------------------------------------------ objective


class _Half(nn.Module):
    """Says that half of what it is given is noise."""

    config = SimpleNamespace(process=Process(steps=20, first=0.01, last=0.3))

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, noisy: Tensor, step: Tensor) -> Tensor:
        assert step.dtype == torch.int64 and step.shape == noisy.shape[:1]
        return self.share * noisy


MODULE = cast(ModuleType, SimpleNamespace(__name__="half", Model=_Half, LOSSES={}))


@pytest.mark.parametrize(("distance", "norm"), [("l1", torch.abs), ("l2", torch.square)])
def test_the_loss_is_written_out(distance: Any, norm: Any) -> None:
    model = _Half()
    objective = diffusion.Objective(diffusion.Config(distance=distance), MODULE, model)
    x0, noise, step = torch.randn(2, 12), torch.randn(2, 12), torch.tensor([3, 17])
    alpha = model.config.process.alphas()[step].float()[:, None]
    noisy = alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise
    mask = torch.tensor([[True, True, True], [True, False, False]])
    off = norm(0.5 * noisy - noise)
    torch.testing.assert_close(objective.losses({"audio": x0}, step, noise)["diffusion"], off.mean())
    real = mask.repeat_interleave(4, dim=1)
    batch = {"audio": x0, "frame_mask": mask}
    torch.testing.assert_close(objective.losses(batch, step, noise)["diffusion"], off[real].mean())


def test_noise_and_steps_come_from_the_generator() -> None:
    objective = diffusion.Objective(diffusion.Config(target="mel"), MODULE, _Half())
    batch = {"mel": torch.randn(3, 5, 4), "frame_mask": torch.ones(3, 5, dtype=torch.bool)}
    ((name, losses),) = objective.steps(batch, generator(1))
    assert name == "model" and losses["diffusion"].requires_grad
    same, other = (objective.validate(batch, generator(seed))["diffusion"] for seed in (1, 2))
    assert torch.equal(losses["diffusion"].detach(), same) and same != other


# ------------------------------------------------------------------------------------------------------ continuous time


def test_noise_grows_with_time() -> None:
    process = diffusion.Continuous()
    times = torch.linspace(0, 1, 11, dtype=torch.float64)
    alphas = process.alpha(times)
    assert alphas[0] == 1 and alphas[-1] < 1e-4 and bool((alphas.diff() < 0).all())
    middle = (alphas.log()[6] - alphas.log()[4]) / (times[6] - times[4])
    assert float(-middle) == pytest.approx(process.beta(0.5)), "beta is how fast the logarithm falls"
    drawn = process.draw(1000, torch.Generator().manual_seed(0), torch.device("cpu"), None)
    assert 0 < float(drawn.min()) < 0.01 and 0.99 < float(drawn.max()) < 1
    with pytest.raises(ValueError, match="first <= last"):
        diffusion.Continuous(first=3, last=2)


@pytest.mark.parametrize("sampler", ["euler", "ddim"])
def test_samplers_of_continuous_time_find_the_sound(sampler: str) -> None:
    """A network that knows the sound is led to it, closely with many steps."""
    process = diffusion.Continuous(predicts="x0")
    sound = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))

    def call(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return sound

    if sampler == "ddim":
        found = diffusion.ddim(call, noise, process, process.every(5))
        torch.testing.assert_close(found, sound)
    else:
        found = diffusion.probability_flow(call, noise, process, 400)
        torch.testing.assert_close(found, sound, atol=0.05, rtol=0.05)
    for wrong in (lambda: process.every(0), lambda: diffusion.probability_flow(call, noise, process, 0)):
        with pytest.raises(UserError, match="1 step or more, got 0"):
            wrong()


def test_the_schedule_of_latent_diffusion_is_a_line_of_roots() -> None:
    """Rombach et al. 2022: sqrt(beta) grows evenly; and a walk may begin one step later, as PNDM's does there."""
    process = Process(schedule="scaled_linear", first=0.00085, last=0.012)
    betas = 1 - torch.cat([process.alphas()[:1], process.alphas()[1:] / process.alphas()[:-1]])
    roots = betas.sqrt()
    torch.testing.assert_close(roots.diff(), torch.full((999,), (0.012**0.5 - 0.00085**0.5) / 999, dtype=torch.float64))
    walk = process.every(4, leave_first=True, offset=1)
    assert walk.steps == (1, 251, 501, 751) and walk.end == float(process.alphas()[0])
    assert process.every(1000, offset=1).steps[-1] == 999, "no step beyond the last"


@pytest.mark.parametrize("predicts", ["epsilon", "v", "x0"])
def test_min_snr_weighs_as_its_paper_says(predicts: str) -> None:
    """Whatever is predicted, the loss is that of x_0 times min(SNR, gamma)."""
    process = Process(steps=100, predicts=predicts)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    x0, noise, answer = (torch.randn(3, 5, 2, generator=generator) for _ in range(3))
    step = torch.tensor([2, 50, 99])

    class Model(nn.Module):
        config = SimpleNamespace(process=process)

        def forward(self, noisy: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
            return answer

    model = Model()
    module = SimpleNamespace(Model=Model, LOSSES={}, __name__="toy")
    judge = diffusion.Objective(diffusion.Config(target="x", min_snr=5.0), module, model)  # type: ignore[arg-type]
    got = judge.losses({"x": x0}, step, noise)["diffusion"]
    want = []
    for i, alpha in enumerate(process.alpha(step).tolist()):
        noisy = alpha**0.5 * x0[i] + (1 - alpha) ** 0.5 * noise[i]
        seen = process.clean(noisy, answer[i], alpha)
        want.append(min(alpha / (1 - alpha), 5.0) * (seen - x0[i]).square().mean())
    torch.testing.assert_close(got, torch.stack(want).mean(), rtol=1e-3, atol=1e-5)
