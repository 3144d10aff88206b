"""What vocoders promise beyond the common contract (aoide/models/vocoder/__init__.py)."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aoide.models import find
from tests import toy

VOCODERS = [name for name in find.names() if name.startswith("vocoder/")]


def _setup(name: str) -> tuple[nn.Module, dict[str, Tensor], int]:
    """The model, what its sounding call takes of a batch, and how many frames that has."""
    module = find.find(name)
    torch.manual_seed(0)
    model = module.Model(module.TOY).eval()
    example = module.example(module.TOY, generator=torch.Generator().manual_seed(1))
    batch = _asked(_call(model), example)
    return model, batch, batch["frame_mask"].shape[1]


def _call(model: nn.Module) -> Any:
    """What gives the sound: `vocode`, where forward is only the view of training."""
    return model.vocode if hasattr(model, "vocode") else model.forward


def _asked(call: Any, known: dict[str, Any]) -> dict[str, Any]:
    return {name: known[name] for name in inspect.signature(call).parameters if name in known}


def _sound(model: nn.Module, batch: dict[str, Tensor], seed: int = 2) -> Tensor:
    call = _call(model)
    sound = call(**batch, **_asked(call, {"generator": torch.Generator().manual_seed(seed)}))
    return toy.named(sound)["audio"]


def _cut(batch: dict[str, Tensor], frames: slice, whole: int) -> dict[str, Tensor]:
    return {k: value[:, frames] if value.ndim > 1 and value.shape[1] == whole else value for k, value in batch.items()}


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_samples_are_frames_times_hop(name: str) -> None:
    model, batch, frames = _setup(name)
    hop = model.config.mel.hop if hasattr(model.config, "mel") else model.config.hop
    for count in (1, 2, frames):
        assert _sound(model, _cut(batch, slice(0, count), frames)).shape == (2, count * hop)


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_same_seed_same_sound(name: str) -> None:
    model, batch, _ = _setup(name)
    sound = _sound(model, batch)
    assert torch.equal(sound, _sound(model, batch))
    if not hasattr(model, "context"):
        assert not torch.equal(sound, _sound(model, batch, seed=3)), "chance comes from the generator"


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_chunks_with_context_equal_the_whole(name: str) -> None:
    model, batch, frames = _setup(name)
    if not hasattr(model, "context"):
        pytest.skip("drawn sample by sample, or refined as a whole: cannot be made in pieces")
    if hasattr(model, "source"):  # what runs through the whole sound is made for the whole
        example = find.find(name).example(model.config, generator=torch.Generator().manual_seed(1))
        drawn = model.source(**_asked(model.source, example), generator=torch.Generator().manual_seed(2))
        batch = {key: value for key, value in batch.items() if key != "f0"} | {"source": drawn}
    whole = _sound(model, batch)
    hop = whole.shape[1] // frames
    pieces = []
    for start in range(0, frames, 11):
        end = min(start + 11, frames)
        first = max(0, start - model.context)
        sound = _sound(model, _cut(batch, slice(first, end + model.context), frames))
        pieces.append(sound[:, (start - first) * hop : (end - first) * hop])
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_padded_samples_are_silent(name: str) -> None:
    model, batch, frames = _setup(name)
    batch["frame_mask"][1, frames // 2 :] = False
    whole = _sound(model, batch)
    half = whole.shape[1] // 2
    assert whole[0, half:].any() and whole[1].any()
    assert not whole[1, half:].any()


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_half_precision_keeps_the_phase(name: str) -> None:
    """Under autocast the blocks compute in bfloat16, and what makes the waveform in float32."""
    model, batch, _ = _setup(name)
    if not hasattr(model, "context"):
        pytest.skip("every sample hangs on those before it, or every step on the last: rounding makes another sound")
    whole = _sound(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = _sound(model, batch)
    assert half.dtype == torch.float32
    assert (half - whole).square().mean() < 0.01 * whole.square().mean()
