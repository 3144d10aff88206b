"""A stack made ready for many calls gives what the plain one gives: any length, dilation, mask, and way of the time."""

from __future__ import annotations

import pytest
import torch

from aoide.nn import denoise
from aoide.nn.denoise import Denoiser, SharedTime
from aoide.nn.settled import Settled


@pytest.mark.parametrize("frames", [1, 5, 16, 37])
@pytest.mark.parametrize("time", [None, SharedTime(sinusoids=4, hidden=6)])
def test_same_numbers(frames: int, time: SharedTime | None) -> None:
    torch.manual_seed(0)
    network = denoise.build(Denoiser(channels=8, layers=5, cycle=4, time=time), 5, 6).eval()
    torch.nn.init.normal_(network.out.weight)
    x, condition, step = torch.randn(3, frames, 5), torch.randn(3, frames, 6), torch.tensor([0.0, 7.0, 900.0])
    short = torch.arange(frames) < torch.tensor([[frames], [max(1, frames - 3)], [1]])
    with torch.no_grad():
        for mask in (None, short):
            call = denoise.settle(network, condition, mask)
            assert isinstance(call, denoise.SettledDenoiser)
            for _ in range(2):
                torch.testing.assert_close(call(x, step), network(x, step, condition, mask), atol=1e-5, rtol=1e-5)


def test_plain_where_it_would_not_help() -> None:
    torch.manual_seed(0)
    network = denoise.build(Denoiser(channels=8, layers=2), 5, 6)
    torch.nn.init.normal_(network.out.weight)
    x, condition, step = torch.randn(1, 4, 5), torch.randn(1, 4, 6), torch.tensor([3.0])
    call = denoise.settle(network, condition)
    call(x, step).sum().backward()  # gradients are asked for
    assert network.out.weight.grad is not None
    with torch.no_grad():
        assert not isinstance(denoise.settle(network, condition, calls=1), denoise.SettledDenoiser)
        lynx = denoise.build(Denoiser(kind="lynxnet2", channels=8, layers=1, kernel=3), 5, 6)
        assert torch.equal(denoise.settle(lynx, condition)(x, step), lynx(x, step, condition))


def test_condition_of_one_frame_is_for_all() -> None:
    torch.manual_seed(0)
    network = denoise.build(Denoiser(channels=8, layers=3, cycle=2), 5, 6).eval()
    x, step = torch.randn(2, 9, 8), torch.randn(2, 8)
    condition = torch.randn(2, 1, 6)
    with torch.no_grad():
        want = network.stack(x, condition, step)
        torch.testing.assert_close(Settled(network.stack, condition)(x.clone(), step), want, atol=1e-5, rtol=1e-5)
