"""The parts of the VITS family: flows can be gone back and know their slopes; pieces are cut where they say."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from aoide.nn import align
from aoide.nn.duration import Plain, Stochastic
from aoide.nn.flow import Couplings, Flow
from aoide.nn.latent import Gaussian, kl_divergence
from aoide.nn.relative import RelativeEncoder
from aoide.nn.segments import cut, random_starts
from aoide.nn.spline import SplineFlow, rational_quadratic

FORMS = {
    "wavenet": Flow(couplings=3, layers=2),
    "shared": Flow(couplings=3, layers=2, shared=True),
    "transformer": Flow(network="transformer", couplings=2, layers=2, hidden=8, kernel=3),
}


def woken(module: torch.nn.Module) -> torch.nn.Module:
    """With parameters that all do something, in evaluation mode."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return module.eval()


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_couplings_can_be_gone_back_and_leave_the_speaker_behind(form: str) -> None:
    torch.manual_seed(0)
    flow = woken(Couplings(FORMS[form], 6, 8, condition=4))
    x, who, other = torch.randn(2, 11, 6), torch.randn(2, 1, 4), torch.randn(2, 1, 4)
    mask = torch.arange(11) < torch.tensor([[11], [7]])
    real = mask[..., None].float()
    moved = flow(x, mask, who)
    assert (moved - x * real).abs().max() > 0.1 and torch.equal(moved, moved * real)
    assert torch.allclose(flow(moved, mask, who, inverse=True), x * real, atol=1e-5)
    assert not torch.allclose(flow(moved, mask, other, inverse=True), x * real, atol=1e-2)
    alone = flow(x[1:, :7], mask[1:, :7], who[1:])
    assert torch.allclose(alone, moved[1:, :7], atol=1e-5), "padding changes nothing"


def test_spline_can_be_gone_back_and_knows_its_slope() -> None:
    torch.manual_seed(1)
    x = torch.linspace(-7, 7, 301, dtype=torch.float64, requires_grad=True)
    widths, heights, slopes = (torch.randn(301, size, dtype=torch.float64)[:1] for size in (10, 10, 9))
    shape = [part.expand(301, -1) for part in (widths, heights, slopes)]
    y, log_slope = rational_quadratic(x, *shape, tail=5.0)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(slope.log(), log_slope, atol=1e-9) and (y.diff() > 0).all()
    assert torch.equal(y[x.abs() > 5], x[x.abs() > 5]) and (y - x).abs().max() > 0.3
    back, log_back = rational_quadratic(y.detach(), *shape, tail=5.0, inverse=True)
    assert torch.allclose(back, x, atol=1e-9) and torch.allclose(log_back, -log_slope, atol=1e-6)


@torch.no_grad()
def test_spline_flow_moves_the_second_channel_alone() -> None:
    torch.manual_seed(2)
    flow = woken(SplineFlow(6, 3))
    x, text, mask = torch.randn(2, 5, 2), torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool)
    y, log_slope = flow(x, mask, text)
    assert torch.equal(y[..., 0], x[..., 0]) and not torch.equal(y[..., 1], x[..., 1])
    back, log_back = flow(y, mask, text, inverse=True)
    assert torch.allclose(back, x, atol=1e-5) and torch.allclose(log_back, -log_slope, atol=1e-4)


@pytest.mark.slow  # 10 s
def test_stochastic_durations_learn_what_they_see() -> None:
    """Tokens of two kinds, one short, one long: draws come near them, and the text is not taught."""
    torch.manual_seed(3)
    model = Stochastic(8, dropout=0.0, flows=2)
    kinds = torch.randint(0, 2, (16, 12))
    text = torch.nn.functional.one_hot(kinds, 8).float().requires_grad_()
    durations, mask = 3 + 9 * kinds, torch.ones(16, 12, dtype=torch.bool)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    costs = []
    for _ in range(40):
        cost = model.cost(text, mask, durations).mean() / 12
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
        costs.append(float(cost.detach()))
    assert costs[-1] < costs[0] - 1 and text.grad is None
    with torch.no_grad():
        frames = model.eval()(text, mask, scale=0.5).exp()
    short, long = frames[kinds == 0].median(), frames[kinds == 1].median()
    assert 1.5 < short < 4.5 and 8 < long < 15


@torch.no_grad()
def test_draws_of_durations_follow_their_noise() -> None:
    torch.manual_seed(3)
    model = woken(Stochastic(6, flows=2, condition=3))
    text, who, noise = torch.randn(2, 5, 6), torch.randn(2, 1, 3), torch.randn(2, 5, 2)
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    said = model(text, mask, who, noise)
    assert torch.equal(said, model(text, mask, who, noise)) and (said[1, 3:] == 0).all()
    assert torch.allclose(model(text[1:, :3], mask[1:, :3], who[1:], noise[1:, :3]), said[1:, :3], atol=1e-5)
    still = [model(text, mask, who, noise, scale=0.0), model(text, mask, who, -noise, scale=0.0)]
    assert torch.equal(*still) and not torch.equal(still[0], said)


def test_plain_duration_is_judged_by_its_logarithm() -> None:
    model = Plain(4, 4, condition=3).eval()
    mask = torch.tensor([[True, True, False]])
    text, who = torch.randn(1, 3, 4), torch.randn(1, 1, 3)
    said = model(text, mask, who)
    assert said[0, 2] == 0
    want = said.exp()
    assert model.cost(text, mask, want, who).item() == pytest.approx(0, abs=1e-9)
    assert model.cost(text, mask, 2 * want, who).item() == pytest.approx(2 * 0.4805, rel=1e-3)  # ln(2)^2 a token


@torch.no_grad()
def test_causal_encoder_does_not_look_ahead() -> None:
    torch.manual_seed(4)
    encoder = woken(RelativeEncoder(8, 2, 12, 2, window=0, causal=True, condition=3))
    x, steer = torch.randn(1, 9, 8), torch.randn(1, 1, 3)
    changed = torch.cat([x[:, :6], torch.randn(1, 3, 8)], dim=1)
    one, two = encoder(x, None, steer), encoder(changed, None, steer)
    assert torch.allclose(one[:, :6], two[:, :6], atol=1e-6) and not torch.allclose(one[:, 6:], two[:, 6:])
    assert not torch.allclose(one, encoder(x, None, steer + 1)), "the condition gates it"


def test_scores_are_log_densities() -> None:
    z, mean, log_deviation = torch.randn(2, 5, 3), torch.randn(2, 4, 3), 0.3 * torch.randn(2, 4, 3)
    want = Normal(mean[:, None], log_deviation.exp()[:, None]).log_prob(z[:, :, None]).sum(3)
    assert torch.allclose(align.gaussian_scores(z, mean, log_deviation), want, atol=1e-4)


def test_divergence_is_that_of_gaussians_on_the_whole() -> None:
    torch.manual_seed(5)
    shape = (1, 40_000, 2)
    posterior = Gaussian(torch.full(shape, 0.5), torch.full(shape, -0.7))
    prior = Gaussian(torch.zeros(shape), torch.full(shape, 0.2))
    mask = torch.ones(shape[:2], dtype=torch.bool)
    sides = [Normal(part.mean[0, 0], part.log_deviation[0, 0].exp()) for part in (posterior, prior)]
    want = float(torch.distributions.kl_divergence(*sides).sum())
    assert float(kl_divergence(posterior.sample(), posterior, prior, mask)) == pytest.approx(want, rel=0.02)


def test_pieces_lie_where_they_are_said_to() -> None:
    x = torch.arange(10).expand(3, -1)
    starts = random_starts(torch.tensor([10, 6, 2]), 4, chance=torch.tensor([0.999, 0.5, 0.999]))
    assert starts.tolist() == [6, 1, 0], "the last place, one in the middle, and a short item from its beginning"
    assert cut(x, starts, 4).tolist() == [[6, 7, 8, 9], [1, 2, 3, 4], [0, 1, 2, 3]]
    assert cut(x[:, :2], torch.zeros(3, dtype=torch.long), 3)[0].tolist() == [0, 1, 1]
    assert cut(torch.randn(3, 10, 5), starts, 4).shape == (3, 4, 5)
