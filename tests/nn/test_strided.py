"""Strided encoders and decoders: lengths, how far they reach, padding, and published names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aoide.nn.snake import AntiAliased, Snake, SnakeBeta
from aoide.nn.strided import SoundDecoder, SoundEncoder, rename_official, rename_unit

RATES = [(2,), (3,), (4, 3), (5, 2, 3)]


def guarded(channels: int) -> nn.Module:
    return AntiAliased(SnakeBeta(channels, log_scale=True))


def wake(module: nn.Module) -> None:
    """Larger weights than the first ones, so that what is far away is heard."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("activation", [Snake, guarded])
@torch.no_grad()
def test_whole_frames_go_in_and_come_out(rates: tuple[int, ...], activation) -> None:
    encoder, decoder = SoundEncoder(6, 2, rates, activation), SoundDecoder(6, 8, rates[::-1], activation)
    frames = encoder(torch.randn(2, 9 * encoder.hop))
    assert frames.shape == (2, 9, 6) and decoder.hop == encoder.hop
    audio = decoder(frames)
    assert audio.shape == (2, 9 * encoder.hop) and audio.abs().max() <= 1
    assert encoder(torch.randn(1, encoder.hop)).shape == (1, 1, 6)


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("activation", [Snake, guarded])
def test_reach_is_far_enough(rates: tuple[int, ...], activation) -> None:
    """The gradient of the middle ends within the reach, and the reach is not a guess far beyond it."""
    torch.manual_seed(0)
    for part in (SoundEncoder(3, 2, rates, activation), SoundDecoder(3, 8, rates, activation)):
        part.double()
        wake(part)
        frames, middle = 2 * part.reach + 5, part.reach + 2
        encodes = isinstance(part, SoundEncoder)
        x = torch.randn((1, frames * part.hop) if encodes else (1, frames, 3), dtype=torch.float64, requires_grad=True)
        y = part(x)
        one = y[0, middle] if encodes else y[0, middle * part.hop : (middle + 1) * part.hop]
        (gradient,) = torch.autograd.grad(one.abs().sum(), x)
        heard = gradient[0].reshape(frames, -1).abs().amax(1).nonzero().flatten() - middle
        assert -part.reach <= heard.min() and heard.max() <= part.reach
        assert max(-heard.min(), heard.max()) >= 0.85 * part.reach - 2, "the guard's filters are counted a little long"


@pytest.mark.parametrize("activation", [Snake, guarded])
@torch.no_grad()
def test_padding_changes_nothing_real(activation) -> None:
    torch.manual_seed(0)
    encoder, decoder = SoundEncoder(3, 2, (4, 3), activation), SoundDecoder(3, 8, (3, 4), activation)
    wake(encoder)
    wake(decoder)
    mask = torch.arange(20) < torch.tensor([[20], [13]])
    audio, vectors = torch.randn(2, 20 * 12), torch.randn(2, 20, 3)
    frames, sound = encoder(audio, mask), decoder(vectors, mask)
    torch.testing.assert_close(frames[1:, :13], encoder(audio[1:, : 13 * 12]), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(sound[1:, : 13 * 12], decoder(vectors[1:, :13]), atol=1e-6, rtol=1e-5)
    assert not frames[1, 13:].any() and not sound[1, 13 * 12 :].any()


def test_channels_must_divide() -> None:
    with pytest.raises(ValueError, match="halve the channels 2 times: 6 do not divide so often"):
        SoundDecoder(3, 6, (2, 2), Snake)


def test_published_names() -> None:
    weights = torch.zeros(2, 1, 7)
    state = {
        "block.0.weight_v": weights,
        "block.1.block.2.block.0.alpha": torch.zeros(1, 2, 1),
        "block.1.block.2.block.3.bias": torch.zeros(2),
        "block.1.block.3.act.beta": torch.zeros(2),
        "block.1.block.4.weight_g": torch.zeros(4, 1, 1),
        "block.2.alpha": torch.zeros(1, 4, 1),
        "block.3.bias": torch.zeros(3),
    }
    renamed = rename_official(state, "encoder.")
    assert {key: tuple(value.shape) for key, value in renamed.items()} == {
        "encoder.first.parametrizations.weight.original1": (2, 1, 7),
        "encoder.stages.0.units.2.before.alpha": (2,),
        "encoder.stages.0.units.2.mix.bias": (2,),
        "encoder.stages.0.activation.activation.beta": (2,),
        "encoder.stages.0.down.parametrizations.weight.original0": (4, 1, 1),
        "encoder.last_activation.alpha": (4,),
        "encoder.last.bias": (3,),
    }
    assert rename_official({"model.1.block.1.bias": torch.zeros(1), "model.3.bias": torch.zeros(1)}).keys() == {
        "stages.0.up.bias",
        "last.bias",
    }
    assert rename_unit(["block", "2", "act", "alpha"]) == ["between", "activation", "alpha"]
    assert rename_unit(["alpha"]) == ["alpha"] and rename_official({}) == {}
