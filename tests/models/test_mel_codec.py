"""The codec of mels: how it starts, what level and padding do, what is judged, and its two graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aoide.models.codec import mel as codec


def _model(**changes: object) -> codec.Model:
    torch.manual_seed(0)
    return codec.Model(replace(codec.TOY, **changes)).eval()  # type: ignore[arg-type]


def _frames(count: int) -> Tensor:
    """Frames of three kinds, of which the second band of the first kind is loud, and a little noise."""
    generator = torch.Generator().manual_seed(0)
    kinds = 3 * torch.randn(3, 20, generator=generator) - 4
    return kinds[torch.arange(count) % 3] + 0.01 * torch.randn(count, 20, generator=generator)


@torch.no_grad()
def test_it_starts_where_the_data_are() -> None:
    model, frames = _model(), _frames(600)
    mel = frames.reshape(1, -1, 10)
    before = (model(mel).mel - mel).abs().mean()
    model.start(frames)
    after = (model(mel).mel - mel).abs().mean()
    assert bool(model.started) and after < 0.02 < before, (before, after)
    squares = model.components.mT @ model.components
    torch.testing.assert_close(squares, torch.eye(len(squares)), atol=1e-5, rtol=0)


def test_training_starts_by_itself_when_it_has_heard_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "START", 100)
    model = _model().train()
    mel = _frames(60).reshape(1, -1, 10)
    model(mel)
    assert not model.started
    model(mel)
    assert model.started and not model._waiting
    middle = model.middle.clone()
    model(mel)
    assert torch.equal(model.middle, middle), "it starts once"


@torch.no_grad()
def test_frames_of_padding_are_not_started_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "START", 40)
    monkeypatch.setattr(codec, "GAINS", (0.0, 0.0))
    model = _model().train()
    mel = torch.cat([_frames(40).reshape(1, -1, 10), torch.full((1, 80, 10), 99.0)], dim=1)
    model(mel, torch.arange(160)[None] < 80)
    assert model.started
    torch.testing.assert_close(model.middle, _frames(40).mean(0), atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_frame_that_is_not_full_ends_in_silence() -> None:
    model = _model()
    mel = codec.example(codec.TOY)["mel"][:, :7]
    padded = torch.cat([mel, torch.full((2, 1, 10), codec.TOY.mel.silence)], dim=1)
    assert torch.equal(model.encode_mel(mel), model.encode_mel(padded))
    output = model(mel)
    assert output.mel.shape == mel.shape and output.codes.shape == (2, 4, 3)


def test_what_nobody_hears_counts_little() -> None:
    mel = torch.full((1, 30, 10), -2.0)
    mel[..., 5:] = -14.0
    nothing = torch.zeros(1, 3)
    output = codec.Output(mel.clone(), nothing, nothing, nothing)
    assert codec.heard(output, {"mel": mel}) == 0
    loud, faint = mel.clone(), mel.clone()
    loud[..., 0] += 1
    faint[..., 9] += 1
    of_loud, of_faint = (codec.heard(output._replace(mel=made), {"mel": mel}) for made in (loud, faint))
    assert of_loud.item() == pytest.approx(0.1, abs=1e-3) and 5 * of_faint < of_loud
    mask = torch.arange(30)[None] < 10
    spoilt = mel.clone()
    spoilt[:, 10:] = 99.0
    assert codec.heard(output._replace(mel=spoilt), {"mel": mel, "frame_mask": mask}) == 0


@torch.no_grad()
def test_graphs_compute_what_the_model_computes() -> None:
    model = _model()
    mel = codec.example(codec.TOY)["mel"]
    model.start(_frames(200))
    torch.nn.init.normal_(model.outward.weight)
    codes = codec.ExportedEncoder(model)(mel.reshape(2, 40, 20))
    assert torch.equal(codes, model.encode_mel(mel))
    decoder = codec.ExportedDecoder(model)
    torch.testing.assert_close(decoder(codes).reshape(2, 80, 10), model.decode(codes), atol=1e-5, rtol=1e-4)
    fewer = codes.clone()
    fewer[..., 2] = -1
    torch.testing.assert_close(decoder(fewer).reshape(2, 80, 10), model.decode(codes[..., :2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"stride": 0}, "1 or more"), ({"code_dim": 21}, "has 20 components"), ({"code_dim": 0}, "has 20 components")],
)
def test_settings_that_do_not_go_together(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(codec.TOY, **changes)
