"""Pictures of sounds: odd sizes go down and up, padding is not seen, and what is folded comes back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aoide.nn import picture
from aoide.nn.autoencoder import Decoder, Encoder
from aoide.nn.autoencoder import Shape as Levels
from aoide.nn.picture import Norm
from aoide.nn.unet2d import Shape, UNet2d

SHAPE = Shape(channels=8, multiples=(1, 2, 2), blocks=1, attends=(False, True, False), heads=2, groups=4)


def awake(network: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network.eval()


@pytest.mark.parametrize(("bins", "frames"), [(5, 39), (8, 16), (1, 1), (7, 4)])
@torch.no_grad()
def test_any_size_goes_down_and_up(bins: int, frames: int) -> None:
    network = awake(UNet2d(SHAPE, 3, 2, 6))
    x, text = torch.randn(2, 3, bins, frames), torch.randn(2, 4, 6)
    assert network(x, torch.tensor([1, 7]), text).shape == (2, 2, bins, frames)


@torch.no_grad()
def test_what_pads_frames_and_words_is_not_seen() -> None:
    network = awake(UNet2d(SHAPE, 2, 2, 6))
    x, text, time = torch.randn(1, 2, 5, 13), torch.randn(1, 3, 6), torch.tensor([4])
    alone = network(x, time, text)
    wide = torch.cat([x, torch.randn(1, 2, 5, 8)], dim=3)
    told = torch.cat([text, torch.randn(1, 2, 6)], dim=1)
    mask = picture.of_frames(torch.arange(21)[None] < 13)
    beside = network(wide, time, told, torch.arange(5)[None] < 3, mask)
    torch.testing.assert_close(beside[..., :13], alone, atol=2e-5, rtol=1e-4)
    assert not torch.allclose(network(wide, time, told)[..., :13], alone, atol=1e-3), "this test can fail"


@torch.no_grad()
def test_norm_of_the_real_frames_is_group_norm_of_them() -> None:
    norm, x = awake(Norm(2, 4)), torch.randn(2, 4, 3, 6)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])[:, None, None]
    got = norm(x, mask)
    torch.testing.assert_close(got[:1], norm(x[:1]))
    torch.testing.assert_close(got[1:, ..., :4], norm(x[1:, ..., :4]))
    assert picture.of_frames(torch.ones(2, 6, dtype=torch.bool)) is None


@torch.no_grad()
def test_the_autoencoder_halves_as_often_as_it_has_levels() -> None:
    shape = Levels(channels=4, multiples=(1, 2, 2), blocks=1, latent=3, groups=2)
    moments, mask = awake(Encoder(shape))(torch.randn(2, 1, 8, 12))
    assert shape.factor == 4 and moments.shape == (2, 6, 2, 3) and mask is None
    assert awake(Decoder(shape))(moments[:, :3]).shape == (2, 1, 8, 12)


def test_latents_are_folded_and_come_back() -> None:
    latents = torch.arange(2 * 5 * 6.0).reshape(2, 5, 6)
    folded = picture.fold(latents, 2)
    assert folded.shape == (2, 2, 3, 5) and torch.equal(folded[0, 1, :, 4], latents[0, 4, 3:])
    assert torch.equal(picture.unfold(folded), latents)


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match="must divide by groups"):
        Shape(channels=8, multiples=(1,), attends=(True,))
    with pytest.raises(ValueError, match="attends says of each of the 2 levels"):
        Shape(multiples=(1, 2))
    with pytest.raises(ValueError, match="must divide by 32"):
        Levels(channels=8)
