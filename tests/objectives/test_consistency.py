"""Consistency: levels, samplers on a sound whose way is known, what a student trains, follows, and refuses."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from aoide.config import UserError
from aoide.models.svc import diffcomosvc
from aoide.objectives import consistency
from aoide.objectives.consistency import Config, Karras, Objective


def nothing(x: Tensor, told: Tensor) -> Tensor:
    """The network that is right for a sound of normal noise with the deviation `data`: D is then skip(sigma) x."""
    return torch.zeros_like(x)


def test_levels_fall_from_most_to_least() -> None:
    sigmas = Karras().sigmas(18)
    assert sigmas[0] == pytest.approx(80) and sigmas[-1] == pytest.approx(0.002) and (sigmas.diff() < 0).all()
    assert Karras().sigmas(1).tolist() == pytest.approx([80])
    with pytest.raises(UserError, match="1 step or more"):
        Karras().sigmas(0)


def test_where_next_to_no_noise_is_left_the_network_has_no_say() -> None:
    karras, x = Karras(), torch.randn(2, 3, 4)
    least = torch.full((2,), karras.least)
    loud = karras.clean(lambda x, told: 1e3 * torch.ones_like(x), x, least)
    torch.testing.assert_close(loud, x, atol=1e-4, rtol=1e-4)


def test_samplers_go_the_way_of_a_known_sound() -> None:
    """With D = skip(sigma) x the way to the sound is x(sigma) in proportion to sqrt(sigma^2 + data^2)."""
    karras, noise = Karras(), torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0))

    def clean(x: Tensor, sigma: Tensor) -> Tensor:
        return karras.clean(nothing, x, sigma)

    right = noise * karras.most * karras.data / (karras.most**2 + karras.data**2) ** 0.5
    off = {
        (name, steps): float((consistency.sampler(name)(clean, noise, karras, steps) - right).abs().max())
        for name in ("euler", "heun")
        for steps in (10, 20, 40)
    }
    assert off["euler", 20] < 0.65 * off["euler", 10] and off["euler", 40] < 0.65 * off["euler", 20], "first order"
    assert off["heun", 20] < 0.4 * off["heun", 10] and off["heun", 40] < 0.4 * off["heun", 20], "second order"
    with pytest.raises(UserError, match=r"no sampler 'eular'.*euler"):
        consistency.sampler("eular")


def test_leap_asks_once_a_step_and_repeats_with_its_seed() -> None:
    karras, noise, asked = Karras(), torch.randn(2, 5, 4), list[float]()

    def clean(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(float(sigma[0]))
        return karras.clean(nothing, x, sigma)

    consistency.leap(clean, noise, karras)
    assert asked == [80.0]
    asked.clear()
    one, two = (consistency.leap(clean, noise, karras, 4, generator=torch.Generator().manual_seed(3)) for _ in "ab")
    assert torch.equal(one, two) and len(asked) == 8 and asked[:4] == sorted(asked[:4], reverse=True)
    assert asked[3] > karras.least


# -------------------------------------------------------------------------------------------------------------- student


def student(folder: Path, **settings: Any) -> tuple[Any, Objective]:
    """A student at toy size, its teacher woken up and saved."""
    torch.manual_seed(0)
    teacher = diffcomosvc.Model(diffcomosvc.TOY)
    for parameter in teacher.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    save_file(teacher.state_dict(), str(folder / "ema.safetensors"))
    model = diffcomosvc.Model(replace(diffcomosvc.TOY, distilled=True))
    return model, Objective(Config(stage="student", teacher=folder, **settings), diffcomosvc, model)


def step(judge: Objective, optimiser: torch.optim.Optimizer, seed: int, batches: int = 1) -> float:
    """One step as the loop takes it: all batches have their turn, then the network moves, then all go on."""
    draw = torch.Generator().manual_seed(seed)
    batch = diffcomosvc.example(diffcomosvc.TOY, batch=8, generator=torch.Generator().manual_seed(1))
    turns = [judge.steps(batch, draw) for _ in range(batches)]
    losses = [sum(next(turn)[1].values()) for turn in turns]
    optimiser.zero_grad()
    torch.stack(losses).mean().backward()  # type: ignore[arg-type]
    optimiser.step()
    assert all(next(turn, None) is None for turn in turns)
    return float(losses[0].detach())  # type: ignore[union-attr]


def test_a_student_begins_as_its_teacher_and_trains_its_denoiser_alone(tmp_path: Path) -> None:
    model, judge = student(tmp_path)
    assert not torch.equal(model.denoiser.out.weight, torch.zeros_like(model.denoiser.out.weight))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if name.startswith("denoiser.")}
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = [step(judge, optimiser, seed) for seed in (0, 1, 0, 1, 0)]
    assert losses[4] != losses[0], "the student has moved"
    for name, value in model.state_dict().items():
        moves = name.startswith(("denoiser.", "target."))
        assert torch.equal(value, before[name]) != moves, name


def test_the_average_follows_once_a_step_whatever_the_batches(tmp_path: Path) -> None:
    averages = []
    for batches in (1, 3):
        model, judge = student(tmp_path, follow=0.5)
        optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0)
        model.denoiser.out.bias.data.add_(1.0)
        begun = model.target.out.bias.clone()
        step(judge, optimiser, 0, batches)
        averages.append(model.target.out.bias - begun)
        assert torch.allclose(averages[-1], torch.full_like(begun, 0.5), atol=1e-6)
        judge.validate(diffcomosvc.example(diffcomosvc.TOY))
        assert torch.equal(model.target.out.bias - begun, averages[-1]), "judging moves nothing"


def test_a_student_learns_to_agree_with_itself(tmp_path: Path) -> None:
    model, judge = student(tmp_path)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = [step(judge, optimiser, seed % 4) for seed in range(60)]
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    plain, distilled = (diffcomosvc.Model(replace(diffcomosvc.TOY, distilled=kind)) for kind in (False, True))
    with pytest.raises(UserError, match=r"stage student goes with model\.distilled true"):
        Objective(Config(stage="student", teacher=tmp_path), diffcomosvc, plain)
    with pytest.raises(UserError, match="name its run"):
        Objective(Config(stage="student"), diffcomosvc, distilled)
    with pytest.raises(UserError, match="neither a run, a checkpoint"):
        Objective(Config(stage="student", teacher=tmp_path / "nowhere"), diffcomosvc, distilled)
    (tmp_path / "bad.safetensors").write_bytes(b"not one")
    with pytest.raises(UserError, match="cannot be read"):
        Objective(Config(stage="student", teacher=tmp_path / "bad.safetensors"), diffcomosvc, distilled)
    save_file({"x": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(UserError, match="of another model: it lacks"):
        Objective(Config(stage="student", teacher=tmp_path / "other.safetensors"), diffcomosvc, distilled)
    wide = replace(diffcomosvc.TOY, denoiser=replace(diffcomosvc.TOY.denoiser, channels=10))
    save_file(diffcomosvc.Model(wide).state_dict(), str(tmp_path / "wide.safetensors"))
    with pytest.raises(UserError, match="other settings"):
        Objective(Config(stage="student", teacher=tmp_path / "wide.safetensors"), diffcomosvc, distilled)


def test_the_latest_checkpoint_of_a_run_is_the_teacher(tmp_path: Path) -> None:
    for number, name in ((2, "model"), (9, "model"), (10, "ema")):
        folder = tmp_path / "checkpoints" / f"step-{number:06d}"
        folder.mkdir(parents=True)
        torch.manual_seed(number)
        save_file(diffcomosvc.Model(diffcomosvc.TOY).state_dict(), str(folder / f"{name}.safetensors"))
    model = diffcomosvc.Model(replace(diffcomosvc.TOY, distilled=True))
    Objective(Config(stage="student", teacher=tmp_path), diffcomosvc, model)
    torch.manual_seed(10)
    want = diffcomosvc.Model(diffcomosvc.TOY)
    assert torch.equal(model.first.weight, want.first.weight)
    assert torch.equal(model.target.embed.weight, want.denoiser.embed.weight)
    started = diffcomosvc.started(want.state_dict(), model)
    assert model.state_dict().keys() == started.keys(), "--from a teacher fills a student"
