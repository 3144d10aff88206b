"""Conversion: mels within their span, seeds, singers, steps, silence beyond the end; size of the default; bad input."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.models.svc import diffcomosvc, diffwavenetsvc, transformersvc

MODELS = [diffwavenetsvc, transformersvc, diffcomosvc]


def build(module: ModuleType, **settings: object) -> tuple[nn.Module, dict[str, Tensor]]:
    torch.manual_seed(0)
    model = module.Model(replace(module.TOY, **settings)).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    example = module.example(module.TOY, generator=torch.Generator().manual_seed(1))
    return model, {key: example[key] for key in ("content", "f0", "energy", "speaker")}


def steps(module: ModuleType) -> dict[str, int]:
    return {} if module is transformersvc else {"steps": 3}


@pytest.mark.parametrize("module", MODELS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_converts(module: ModuleType) -> None:
    model, fields = build(module)
    seeds = {} if module is transformersvc else {"generator": None}

    def convert(seed: int = 0, **changes: Tensor) -> Tensor:
        drawn = {key: torch.Generator().manual_seed(seed) for key in seeds}
        return model.convert(**{**fields, **changes}, **drawn, **steps(module))  # type: ignore[operator]

    mel = convert()
    assert mel.shape == (2, 20, model.config.mel.n_mels) and torch.isfinite(mel).all()  # type: ignore[union-attr]
    assert torch.equal(mel, convert()), "same seed, same mel"
    if seeds:
        assert not torch.equal(mel, convert(seed=1))
    assert not torch.equal(mel, convert(speaker=(fields["speaker"] + 1) % 3)), "another singer, another voice"
    assert not torch.equal(mel, convert(f0=1.5 * fields["f0"]))
    table = torch.nn.functional.one_hot(fields["speaker"], 3).float()
    torch.testing.assert_close(mel, convert(speaker=None, mixture=table), atol=1e-4, rtol=1e-4)
    mask = torch.arange(20) < torch.tensor([[20], [12]])
    cut = convert(frame_mask=mask)
    assert (cut[1, 12:] == model.config.mel.silence).all()  # type: ignore[union-attr]


def test_wavenet_stays_within_the_span_with_every_sampler() -> None:
    model, fields = build(diffwavenetsvc)
    low, high = model.config.low[0], model.config.high[0]  # type: ignore[union-attr, index]
    for sampler in ("pndm", "ddim", "ddpm", "plms", "dpm_solver", "unipc"):
        mel = model.convert(**fields, steps=4, sampler=sampler, generator=torch.Generator().manual_seed(0))  # type: ignore[operator]
        assert mel.min() >= low - 1e-4 and mel.max() <= high + 1e-4, sampler
    with pytest.raises(UserError, match=r"no sampler 'ddjm'"):
        model.convert(**fields, sampler="ddjm")  # type: ignore[operator]


def test_student_takes_one_call_and_its_average_sings(monkeypatch: pytest.MonkeyPatch) -> None:
    model, fields = build(diffcomosvc, distilled=True)
    calls = []
    model.target.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr]
    model.denoiser.register_forward_hook(lambda *_: pytest.fail("the student itself does not sing"))  # type: ignore[union-attr]
    model.convert(**fields)  # type: ignore[operator]
    assert calls == [1]


def test_the_default_is_the_form_of_the_paper() -> None:
    with torch.device("meta"):
        model = diffwavenetsvc.Model(diffwavenetsvc.Config())
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(31.0e6, rel=0.01)


def test_spans_by_band() -> None:
    bands = diffwavenetsvc.TOY.mel.n_mels
    model, _ = build(diffwavenetsvc, low=tuple(-12.0 + i for i in range(bands)), high=(2.0,) * bands)
    mel = torch.randn(1, 4, bands)
    torch.testing.assert_close(model.span.back(model.normalise(mel)), mel)  # type: ignore[operator, union-attr]
    with pytest.raises(ValueError, match="numbers"):
        replace(diffwavenetsvc.TOY, low=(-12.0, -11.0))
