"""Vocoders that are told a phase or noise: `source` is made once for a whole, may be cut like the mel, and goes on."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.models.vocoder import apnet, nsf_hifigan, parallel_wavegan, sourcefilter

SINE = replace(nsf_hifigan.TOY, source="sine")
CASES = {
    "apnet": (apnet, apnet.TOY),
    "nsf_hifigan": (nsf_hifigan, nsf_hifigan.TOY),
    "nsf_hifigan noise": (nsf_hifigan, replace(nsf_hifigan.TOY, noise=0.1)),
    "nsf_hifigan sine": (nsf_hifigan, SINE),
    "nsf_hifigan sine noise": (nsf_hifigan, replace(SINE, noise=0.1)),
    "nsf_hifigan none": (nsf_hifigan, replace(nsf_hifigan.TOY, source="none")),
    "parallel_wavegan": (parallel_wavegan, parallel_wavegan.TOY),
    "sourcefilter": (sourcefilter, sourcefilter.TOY),
    "sourcefilter odd hop": (sourcefilter, replace(sourcefilter.TOY, mel=replace(sourcefilter.TOY.mel, hop=15))),
}
WITH_SOURCE = [name for name in CASES if name != "apnet"]
FRAMES = 60


def _setup(case: str) -> tuple[Any, dict[str, Tensor]]:
    """A model whose parameters are all awake, and its inputs without a source."""
    module, config = CASES[case]
    torch.manual_seed(0)
    model = module.Model(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
            if name.endswith("weight.original0"):  # lengths of normalised weights, which begin near 0
                parameter.add_(1.0)
    batch = module.example(config, generator=torch.Generator().manual_seed(1))
    return model, {field: value[:, :FRAMES] for field, value in batch.items() if field in ("mel", "f0")}


def _sound(model: Any, **inputs: Any) -> Tensor:
    call = getattr(model, "vocode", model.forward)
    known = inspect.signature(call).parameters
    return call(**{name: value for name, value in inputs.items() if name in known})


def _source(model: Any, batch: dict[str, Tensor], **others: Any) -> Tensor:
    known = inspect.signature(model.source).parameters
    return model.source(**{name: value for name, value in batch.items() if name in known}, **others)


def _seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", WITH_SOURCE)
@torch.no_grad()
def test_a_seed_decides_and_a_source_made_before_is_the_same(name: str) -> None:
    model, batch = _setup(name)
    one, two = (_sound(model, **batch, generator=_seeded()) for _ in range(2))
    assert torch.equal(one, two)
    given = _sound(model, mel=batch["mel"], source=_source(model, batch, generator=_seeded()))
    torch.testing.assert_close(given, one)
    if name not in ("nsf_hifigan none", "nsf_hifigan sine"):  # which draw nothing
        assert not torch.allclose(one, _sound(model, **batch, generator=_seeded(4)))


@pytest.mark.parametrize("name", list(CASES))
@torch.no_grad()
def test_chunks_equal_the_whole(name: str) -> None:
    model, batch = _setup(name)
    hop = model.config.mel.hop
    rows = dict(batch)
    if name in WITH_SOURCE:
        rows = {"mel": batch["mel"], "source": _source(model, batch, generator=_seeded())}
    whole = _sound(model, **rows)
    assert whole.shape == (2, FRAMES * hop) and whole.std() > 0.001
    pieces = []
    for start in range(0, FRAMES, 11):
        end, first = min(start + 11, FRAMES), max(0, start - model.context)
        piece = _sound(model, **{field: value[:, first : end + model.context] for field, value in rows.items()})
        pieces.append(piece[:, (start - first) * hop : (end - first) * hop])
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-4 * float(whole.std()), rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in WITH_SOURCE if "f0" in _setup(name)[1]])
@torch.no_grad()
def test_a_source_goes_on_where_the_last_one_ended(name: str) -> None:
    """What follows from F0 is the same whether it is made at once or piece by piece, each with all before it."""
    model, batch = _setup(name)
    whole = _source(model, batch)
    pieces: list[Tensor] = []
    for start in range(0, FRAMES, 7):
        piece = {field: value[:, start : start + 7] for field, value in batch.items()}
        pieces.append(_source(model, piece, after=pieces[-1] if pieces else None))
    made = torch.cat(pieces, dim=1)
    apart = (made[..., 0] - whole[..., 0]).abs()
    assert float(torch.minimum(apart, 1 - apart).max()) < 1e-5, "phases, of which 1/2 and -1/2 are one"
    assert torch.equal(made[..., 1], whole[..., 1])
    if name == "nsf_hifigan":  # the offsets drawn at the beginning stay
        assert torch.equal(made[:, :1, 2:5].expand(-1, FRAMES, -1), made[..., 2:5]) and made[..., 3:5].any()


@pytest.mark.parametrize("name", WITH_SOURCE)
@torch.no_grad()
def test_an_item_is_the_same_beside_a_longer_one(name: str) -> None:
    model, batch = _setup(name)
    batch = {"mel": batch["mel"], "source": _source(model, batch, generator=_seeded())}
    lone = _sound(model, **{field: value[1:, :37] for field, value in batch.items()})
    mask = torch.ones(2, FRAMES, dtype=torch.bool)
    mask[1, 37:] = False
    together = _sound(model, **batch, frame_mask=mask)[1:]
    size = lone.shape[1]
    torch.testing.assert_close(together[:, :size], lone, atol=1e-4 * float(lone.std()), rtol=1e-4)
    assert not together[:, size:].any()


@torch.no_grad()
def test_the_source_filter_vocoder_sings_the_f0_it_is_given() -> None:
    """A flat filter on pulses alone: the sound repeats with the period of F0, whatever the mel says."""
    model = sourcefilter.Model(sourcefilter.TOY).eval()
    bins = sourcefilter.TOY.mel.bins
    model.head.weight.zero_()
    model.head.bias.copy_(torch.cat([torch.full((bins,), x) for x in (0.0, 0.0, -30.0, 0.0)]))
    mel = torch.randn(1, 200, 10, generator=_seeded())
    sound = model.vocode(mel, f0=torch.full((1, 200), 250.0))[0, 400:-400]
    torch.testing.assert_close(sound[32:], sound[:-32], atol=1e-3, rtol=0)  # 8,000 / 250 samples
    assert float((sound[16:] - sound[:-16]).abs().max()) > 0.1


def test_the_source_filter_vocoder_hears_the_pitch_it_was_taught() -> None:
    """The losses of F0 and voicing alone teach the mel of one band to mean one pitch."""
    torch.manual_seed(0)
    model = sourcefilter.Model(sourcefilter.TOY)
    mel = torch.full((1, 40, 10), -8.0)
    mel[:, :20, 3], mel[:, 20:, 7] = 2.0, 2.0
    f0 = torch.full((1, 40), 150.0)
    f0[:, 20:] = 0.0
    parameters = [*model.pitch.parameters(), *model.pitch_out.parameters()]
    for step in range(100):
        output = sourcefilter.Output(f0, *model.predict(mel))
        loss = sourcefilter.f0_distance(output, {"f0": f0}) + sourcefilter.voicing_distance(output, {"f0": f0})
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.sub_(slope.sign(), alpha=0.02 * (1 - step / 100))
    heard = model.f0(mel)[0].detach()
    assert heard[4:16].sub(150).abs().max() < 15 and not heard[24:].any()
