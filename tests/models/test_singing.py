"""DiffSinger's two models beyond the contract: sampling made ready is sampling, and what training does not tell."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.svs import diffsinger, diffsinger_variance
from aoide.nn import denoise
from aoide.nn.denoise import Denoiser


@pytest.mark.parametrize("method", ["flow", "diffusion"])
def test_a_wavenet_made_ready_sings_the_same(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = replace(diffsinger.TOY, denoiser=Denoiser(channels=8, layers=3, cycle=2), curves=(), method=method)
    model = diffsinger.Model(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    batch = diffsinger.example(config)
    fields = {name: batch[name] for name in ("tokens", "token_mask", "durations", "f0", "language", "speaker")}
    calls = []

    def plain(denoiser: Any, condition: Tensor, mask: Tensor | None = None, calls_: int = 50) -> Any:
        return lambda x, time: denoiser(x, time, condition, mask)

    whole = denoise.SettledDenoiser.__call__

    def counted(self: Any, x: Tensor, time: Tensor) -> Tensor:
        calls.append(len(x))
        return whole(self, x, time)

    noise = torch.randn(2, 20, config.mel.n_mels)
    monkeypatch.setattr(denoise.SettledDenoiser, "__call__", counted)
    settled = model.sing(**fields, steps=4, noise=noise)
    assert calls
    monkeypatch.setattr(denoise, "settle", plain)
    assert torch.allclose(model.sing(**fields, steps=4, noise=noise), settled, atol=1e-4)


def test_half_of_the_frames_are_to_be_drawn_and_the_others_told() -> None:
    model = diffsinger_variance.Model(diffsinger_variance.TOY)
    batch = {"curves": torch.randn(400, 50, 3), "base_pitch": torch.full((400, 50), 60.0)}
    told = model.conceal(batch, torch.Generator().manual_seed(0))
    assert set(told) == {"retake"} and told["retake"].shape == batch["curves"].shape
    assert abs(told["retake"].float().mean() - 0.5) < 0.05
    whole = told["retake"].all(dim=1).float().mean()
    assert 0.2 < whole < 0.32, "of a quarter everything"
    edges = told["retake"][:, 1:] != told["retake"][:, :-1]
    assert edges.sum(dim=1).max() <= 2, "one stretch"
    assert model.conceal(batch | told, None) == {}, "what the data say counts"


def test_without_notes_the_pitch_that_stays_belongs_to_the_line() -> None:
    model = diffsinger_variance.Model(replace(diffsinger_variance.TOY, melody=None))
    batch = {"curves": torch.randn(8, 50, 3), "base_pitch": torch.full((8, 50), 60.0)}
    told = model.conceal(batch, torch.Generator().manual_seed(0))
    drawn = told["retake"][..., 0]
    assert (told["curves"][..., 0][~drawn] == 0).all()
    assert torch.equal(told["curves"][..., 0][drawn], batch["curves"][..., 0][drawn])
    whole = told["base_pitch"] + told["curves"][..., 0]
    assert torch.allclose(whole, batch["base_pitch"] + batch["curves"][..., 0])


@pytest.mark.parametrize("method", ["flow", "diffusion"])
def test_a_later_start_leaves_steps_out_and_stays_nearer_to_the_first_mel(method: Any) -> None:
    torch.manual_seed(0)
    process = replace(diffsinger.TOY.process, steps=100)
    config = replace(diffsinger.TOY, method=method, process=process, curves=(), start=0.4, depth=60)
    model = diffsinger.Model(config).eval()
    given = {name: value for name, value in diffsinger.example(config).items() if name != "mel"}
    given = _asked_by(model.sing, given)
    noise = torch.randn(*given["f0"].shape, config.mel.n_mels, generator=torch.Generator().manual_seed(1))
    sung = [model.sing(**given, noise=noise, steps=4, start=start) for start in (None, 0.7, 0.9)]
    first = model.denormalise(model._first(model.condition(**_asked_by(model.condition, given)), given["frame_mask"]))
    apart = [float((mel - first)[given["frame_mask"]].detach().abs().mean()) for mel in sung]
    assert apart[0] > apart[1] > apart[2]
    with pytest.raises(UserError, match="go on from"):
        model.sing(**given, noise=noise, start=0.1)
    with pytest.raises(UserError, match="no first mel"):
        diffsinger.later(replace(config, first=None), 0.5)


def _asked_by(method: Any, given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in inspect.signature(method).parameters}
