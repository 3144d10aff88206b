from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.nn.snake import AntiAliased, Snake, SnakeBeta, half_band, snake, without_filters


def _guarded(channels: int = 4) -> AntiAliased:
    torch.manual_seed(0)
    guard = AntiAliased(SnakeBeta(channels, log_scale=True))
    with torch.no_grad():
        guard.activation.alpha.normal_(std=0.5)
        guard.activation.beta.normal_(std=0.5)
    return guard


def test_snake_is_its_formula_and_log_scale_changes_nothing_but_the_parameter() -> None:
    torch.manual_seed(0)
    x, alpha, beta = torch.randn(2, 3, 7), torch.rand(3) + 0.5, torch.rand(3) + 0.5
    plain, beta_too = Snake(3), SnakeBeta(3)
    logs = SnakeBeta(3, log_scale=True)
    with torch.no_grad():
        plain.alpha.copy_(alpha)
        beta_too.alpha.copy_(alpha), beta_too.beta.copy_(beta)
        logs.alpha.copy_(alpha.log()), logs.beta.copy_(beta.log())
    wave = torch.sin(alpha[:, None] * x) ** 2
    torch.testing.assert_close(plain(x), x + wave / alpha[:, None])
    torch.testing.assert_close(beta_too(x), x + wave / beta[:, None])
    torch.testing.assert_close(logs(x), beta_too(x))


def test_snake_begins_as_x_plus_sine_squared() -> None:
    x = torch.linspace(-3, 3, 20).expand(1, 2, 20)
    for layer in (Snake(2), SnakeBeta(2), Snake(2, log_scale=True), SnakeBeta(2, log_scale=True)):
        torch.testing.assert_close(layer(x), x + x.sin() ** 2)


def test_snake_gives_the_same_with_and_without_gradients_and_leaves_its_input() -> None:
    x = torch.randn(1, 2, 5)
    before, alpha = x.clone(), torch.ones(2, requires_grad=True)
    with_gradient = snake(x, alpha, torch.ones(2))
    with torch.no_grad():
        torch.testing.assert_close(snake(x, alpha, torch.ones(2)), with_gradient.detach())
    assert torch.equal(x, before)


def test_filter_keeps_the_lower_half_and_stops_the_upper() -> None:
    taps = half_band()
    response = torch.fft.rfft(taps, 64).abs()  # bin 32 is half the rate
    torch.testing.assert_close(taps, taps.flip(0))
    torch.testing.assert_close(response[0], torch.tensor(1.0))
    assert response[:9].min() > 0.9 and response[25:].max() < 0.02


@pytest.mark.parametrize("time", [1, 2, 3, 30])
def test_guard_gives_the_same_in_every_layout_and_with_a_mask_of_all(time: int) -> None:
    guard = _guarded()
    x = torch.randn(2, 4, time)
    reference = guard._down(guard.activation(guard._up(x)))  # transposed and strided convolution, as published
    adjacent = x.mT.contiguous().mT
    for got in (guard(x), guard(adjacent), guard(x, torch.ones(2, 1, time, dtype=torch.bool))):
        torch.testing.assert_close(got, reference, atol=3e-6, rtol=1e-5)
    gradients = []
    for way in (guard, lambda y: guard._down(guard.activation(guard._up(y)))):
        leaf = x.clone().requires_grad_()
        gradients.append(torch.autograd.grad(way(leaf).sin().sum(), leaf)[0])
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_guard_ends_each_item_where_it_ends() -> None:
    guard = _guarded()
    short, long = torch.randn(1, 4, 9), torch.randn(1, 4, 20)
    both = torch.cat([torch.cat([short, 100 * torch.randn(1, 4, 11)], dim=2), long])
    mask = torch.arange(20) < torch.tensor([9, 20])[:, None, None]
    got = guard(both, mask)
    torch.testing.assert_close(got[:1, :, :9], guard(short), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got[1:], guard(long), atol=1e-5, rtol=1e-5)
    assert not got[0, :, 9:].any()


@torch.no_grad()
def test_guard_lets_less_alias_through() -> None:
    """A tone near half the rate: the square of the sine makes overtones that a bare Snake folds down.

    Twelve taps leave a third of them.
    """
    time = torch.arange(512.0)
    tone = torch.cos(2 * torch.pi * 0.4 * time).expand(1, 1, 512)
    bare, guard = Snake(1), AntiAliased(Snake(1))

    def aliased(x: Tensor) -> float:
        """Power at 0.2, to where 0.8 folds down, against all of it."""
        spectrum = torch.fft.rfft(x[0, 0] - x.mean()).abs().square()
        return float(spectrum[98:107].sum() / spectrum.sum())

    assert aliased(bare(tone)) > 0.1 and aliased(guard(tone)) < 0.4 * aliased(bare(tone))


def test_reach() -> None:
    guard = _guarded(1)
    x = torch.randn(1, 1, 41, requires_grad=True)
    guard(x)[0, 0, 20].backward()
    seen = x.grad[0, 0].nonzero()[:, 0]
    assert max(20 - int(seen.min()), int(seen.max()) - 20) <= guard.reach
    assert "filter" not in guard.state_dict(), "it follows from nothing that is trained"


def test_published_filters_are_checked_and_left_out() -> None:
    state = {"a.upsample.filter": half_band().view(1, 1, -1), "a.act.alpha": torch.ones(2)}
    assert set(without_filters(state, "x")) == {"a.act.alpha"}
    for wrong in (torch.ones(1, 1, 12), torch.ones(1, 1, 8)):
        with pytest.raises(UserError, match=r"this x has another anti-aliasing filter than BigVGAN's in b\.filter"):
            without_filters(state | {"b.filter": wrong}, "x")
