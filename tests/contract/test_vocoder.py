"""What vocoders promise beyond the common contract (aoide/models/vocoder/__init__.py)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.models import find
from aoide.objectives import inputs

VOCODERS = [name for name in find.names() if name.startswith("vocoder/")]


def _setup(name: str):
    module = find.find(name)
    torch.manual_seed(0)
    model = module.Model(module.TOY).eval()
    batch = inputs(module, module.example(module.TOY, generator=torch.Generator().manual_seed(1)))
    return model, batch, batch["frame_mask"].shape[1]


def _cut(batch: dict[str, Tensor], frames: slice, whole: int) -> dict[str, Tensor]:
    return {k: value[:, frames] if value.ndim > 1 and value.shape[1] == whole else value for k, value in batch.items()}


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_samples_are_frames_times_hop(name: str) -> None:
    model, batch, frames = _setup(name)
    hop = model.config.mel.hop if hasattr(model.config, "mel") else model.config.hop
    for count in (1, 2, frames):
        assert model(**_cut(batch, slice(0, count), frames)).shape == (2, count * hop)


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_chunks_with_context_equal_the_whole(name: str) -> None:
    model, batch, frames = _setup(name)
    whole = model(**batch)
    hop = whole.shape[1] // frames
    pieces = []
    for start in range(0, frames, 11):
        end = min(start + 11, frames)
        first = max(0, start - model.context)
        sound = model(**_cut(batch, slice(first, end + model.context), frames))
        pieces.append(sound[:, (start - first) * hop : (end - first) * hop])
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_padded_samples_are_silent(name: str) -> None:
    model, batch, frames = _setup(name)
    batch["frame_mask"][1, frames // 2 :] = False
    whole = model(**batch)
    assert whole[0, whole.shape[1] // 2 :].any() and whole[1].any()
    assert not whole[1, whole.shape[1] // 2 :].any()


@pytest.mark.parametrize("name", VOCODERS)
@torch.no_grad()
def test_half_precision_keeps_the_phase(name: str) -> None:
    """Under autocast the blocks compute in bfloat16, and what makes the waveform in float32."""
    model, batch, _ = _setup(name)
    whole = model(**batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(**batch)
    assert half.dtype == torch.float32
    assert (half - whole).square().mean() < 0.01 * whole.square().mean()
