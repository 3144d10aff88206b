"""Vocoders whose sound is drawn: what is fast must be what is plain, and what can be undone must come back."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError
from aoide.models.vocoder import diffwave, waveglow, wavenet, wavernn
from aoide.objectives import tokens

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FAMILIES = [("mu_law", 16), ("logistics", 2), ("gaussians", 1)]


def awake(model: nn.Module) -> Any:
    """In evaluation mode, with every weight moved off its first value."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def built(module: ModuleType, **changes: Any) -> Any:
    from dataclasses import replace

    torch.manual_seed(0)
    return awake(module.Model(replace(module.TOY, **changes)))


def mel_of(module: ModuleType, frames: int = 6, batch: int = 2) -> Tensor:
    return torch.randn(batch, frames, module.TOY.mel.n_mels, generator=torch.Generator().manual_seed(5))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/workers/wavernn.py; its line to the benchmark, which takes stdout, is left out."""
    monkeypatch.setitem(sys.modules, "talk", ModuleType("talk"))
    monkeypatch.syspath_prepend(str(BENCHMARKS / "workers"))
    monkeypatch.delitem(sys.modules, "wavernn", raising=False)
    import wavernn as module

    return module


# ------------------------------------------------------------------------------------------------------- autoregressive


@torch.no_grad()
def judged_again(model: Any, module: ModuleType, mel: Tensor, seed: int) -> Tensor:
    """What `vocode` drew, drawn again from what `forward` says of each sample, given the samples before."""
    sound = model.vocode(mel, generator=seeded(seed))
    scores = model(sound, mel).scores
    noise = np.stack(list(tokens.stream(model.family, sound.shape[1], len(mel), seeded(seed))), axis=1)
    drawn = model.family.sample(scores.contiguous().numpy(), noise)
    return torch.stack([sound, model.family.decode(torch.from_numpy(drawn))])


@pytest.mark.parametrize(("samples", "count"), FAMILIES)
@pytest.mark.parametrize("module", [wavenet, wavernn])
def test_sampling_draws_from_what_training_sees(module: ModuleType, samples: str, count: int) -> None:
    model = built(module, samples=samples, count=count)
    sound, again = judged_again(model, module, mel_of(module), seed=3)
    assert float(sound.std()) > 0.01
    torch.testing.assert_close(again, sound, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize(("samples", "count"), FAMILIES)
def test_the_fast_loop_gives_what_the_plain_one_gives(
    worker: ModuleType, samples: str, count: int, together: int
) -> None:
    model = built(wavernn, samples=samples, count=count)
    with torch.inference_mode():
        conditions = model.conditions(mel_of(wavernn, batch=together))
    noise = list(tokens.stream(model.family, 48, together, seeded()))
    plain, ours = (side(model, *conditions, noise) for side in (worker.one_by_one, worker.ours))
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("samples", "count"), FAMILIES)
def test_the_compiled_loop_gives_what_numpy_gives(samples: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    model = built(wavernn, samples=samples, count=count)
    monkeypatch.setattr(wavernn, "BLOCK", 20)  # states and levels go on from block to block
    with torch.inference_mode():
        conditions = model.conditions(mel_of(wavernn, batch=2))
        noise = list(tokens.stream(model.family, 48, 2, seeded()))
        fast, slow = (wavernn.Loop(model, 2, compiled).run(*conditions, noise) for compiled in (True, False))
    assert fast.dtype == slow.dtype and fast.shape == slow.shape
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)


def test_the_benchmark_compares_both(worker: ModuleType) -> None:
    figures = worker.compare(units=16, together=2, samples=40, repeats=1)
    assert figures["units"] == 16 and figures["ratio"] > 0 and figures["ours_samples_per_second"] > 0


def test_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mel's share is computed in blocks, which must not be heard."""
    for module in (wavenet, wavernn):
        model, mel = built(module), mel_of(module)
        whole = model.vocode(mel, generator=seeded())
        monkeypatch.setattr(module, "BLOCK", 7)
        assert torch.equal(model.vocode(mel, generator=seeded()), whole)


def test_folding() -> None:
    model, mel = built(wavernn), mel_of(wavernn, frames=11)
    hop = model.config.mel.hop
    whole = model.vocode(mel, generator=seeded())
    assert torch.equal(model.vocode(mel, generator=seeded(), fold=11, overlap=0), whole), "one piece is the whole"
    folded = model.vocode(mel, generator=seeded(), fold=4, overlap=2)
    assert folded.shape == whole.shape == (2, 11 * hop)
    assert not torch.equal(folded, whole)
    for fold, overlap in ((0, 0), (4, 5), (4, -1)):
        with pytest.raises(UserError, match="fold"):
            model.vocode(mel, fold=fold, overlap=overlap)


def test_pieces_are_laid_where_they_were_cut() -> None:
    x = torch.arange(22.0)[None, :, None].expand(2, -1, 1)
    folded = wavernn._fold(x, length=8, overlap=4)
    assert folded.shape == (6, 12, 1)
    back = wavernn._unfold(folded[..., 0].reshape(2, 3, 12), 4)[:, :22]
    assert torch.equal(back[0], torch.arange(22.0)), "where pieces agree, fading changes nothing"


def test_published_sizes_can_be_built() -> None:
    """fatchord's 512 units and r9y9's mixture preset, as far as they are settings here."""
    assert wavernn.Config(samples="logistics", count=10, rnn=512, hidden=512).rnn == 512
    assert wavenet.Config(samples="logistics", count=10).layers == 24
    for module, bad in ((wavernn, {"context": 6}), (wavernn, {"stretch": (2, 2)}), (wavenet, {"stretch": (2, 2)})):
        with pytest.raises(ValueError, match="context|stretch"):
            built(module, **bad)


@pytest.mark.parametrize("module", [wavenet, wavernn, waveglow, diffwave])
def test_a_mel_without_sound_is_told(module: ModuleType) -> None:
    model, mel = built(module), mel_of(module)
    with pytest.raises(UserError, match="a mel without frames has no sound"):
        model.vocode(mel[:, :0])
    mel[0, 2, 3] = torch.nan
    with pytest.raises(UserError, match="the mel holds NaN or infinity"):
        model.vocode(mel)


# ----------------------------------------------------------------------------------------------------------------- flow


@torch.no_grad()
def test_a_flow_is_undone() -> None:
    model = built(waveglow)
    batch = waveglow.example(waveglow.TOY, generator=seeded())
    batch["frame_mask"][1, 7:] = False
    output = model(**batch)
    back = model.undo(output.z, batch["mel"], batch["frame_mask"])
    real = batch["frame_mask"].repeat_interleave(waveglow.TOY.mel.hop, dim=1)
    assert (back - batch["audio"])[real].abs().max() <= 1e-4


def test_the_log_determinant_is_that_of_the_flow() -> None:
    model = built(waveglow)
    batch = waveglow.example(waveglow.TOY, batch=1, generator=seeded())
    batch = {"mel": batch["mel"][:, :2], "audio": batch["audio"][:, :16]}

    def noise(audio: Tensor) -> Tensor:
        return model(audio, batch["mel"]).z.flatten()

    jacobian = torch.autograd.functional.jacobian(noise, batch["audio"])[:, 0]
    want = torch.linalg.slogdet(jacobian.double())[1].float()
    torch.testing.assert_close(model(**batch).log_determinant.sum(), want, atol=1e-4, rtol=1e-4)


def test_sigma() -> None:
    model, mel = built(waveglow), mel_of(waveglow)
    calm, loud = (model.vocode(mel, generator=seeded(), sigma=sigma) for sigma in (0.0, 1.0))
    assert torch.equal(calm, model.vocode(mel, generator=seeded(1), sigma=0.0)), "without noise there is no chance"
    assert not torch.equal(calm, loud)
    with pytest.raises(UserError, match="sigma"):
        model.vocode(mel, sigma=-1.0)
    with pytest.raises(ValueError, match="leave 2 channels"):
        built(waveglow, early_every=1)


# ------------------------------------------------------------------------------------------------------------ diffusion


def test_fast_and_full_schedule() -> None:
    model, mel = built(diffwave), mel_of(diffwave)
    for fast, steps in ((True, len(diffwave.TOY.fast)), (False, diffwave.TOY.process.steps)):
        with trace.record() as recording:
            sound = model.vocode(mel, generator=seeded(), fast=fast)
        assert len(recording.values("diffusion/x")) == steps
        assert float(sound.abs().max()) <= 1


@torch.no_grad()
def test_a_span_brings_the_mel_to_0_to_1() -> None:
    plain, spanned = built(diffwave), built(diffwave, span=(-4.0, 1.0))
    mel = 4 * mel_of(diffwave)
    noisy, step = torch.zeros(2, mel.shape[1] * diffwave.TOY.mel.hop), torch.zeros(2, dtype=torch.int64)
    torch.testing.assert_close(spanned(noisy, step, mel), plain(noisy, step, ((mel + 4) / 5).clamp(0, 1)))
    with pytest.raises(ValueError, match="span"):
        built(diffwave, span=(1.0, 1.0))
