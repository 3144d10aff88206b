from __future__ import annotations

import math
from types import ModuleType, SimpleNamespace
from typing import NamedTuple, cast

import pytest
import torch
from torch import Tensor, nn

from aoide.objectives import likelihood
from aoide.objectives.likelihood import negative_log_likelihood


class _Output(NamedTuple):
    z: Tensor
    log_determinant: Tensor
    mask: Tensor


class _Scale(nn.Module):
    """The flow z = x * scale."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, mask: Tensor) -> _Output:
        return _Output(x * self.log_scale.exp(), self.log_scale * x.shape[2] * torch.ones_like(x[..., 0]), mask)


MODULE = cast(ModuleType, SimpleNamespace(__name__="scale", Model=_Scale))
MASK = torch.ones(4, 50, dtype=torch.bool)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_it_is_the_density_of_the_sound_but_for_a_constant(sigma: float) -> None:
    """With a linear flow the sound is Gaussian, so its density is known."""
    torch.manual_seed(0)
    x, matrix = torch.randn(2, 5, 3), torch.randn(3, 3)
    z = x @ matrix.T
    determinant = torch.linalg.slogdet(matrix)[1].expand(2, 5)
    covariance = torch.linalg.inv(matrix) @ torch.linalg.inv(matrix).T * sigma**2
    density = torch.distributions.MultivariateNormal(torch.zeros(3), covariance).log_prob(x).mean() / 3
    got = negative_log_likelihood(z, determinant, torch.ones(2, 5, dtype=torch.bool), sigma)
    torch.testing.assert_close(got + math.log(sigma * math.sqrt(2 * math.pi)), -density, atol=1e-4, rtol=1e-4)


def test_only_what_is_real_counts() -> None:
    z, determinant = torch.randn(2, 4, 3), torch.randn(2, 4)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    want = negative_log_likelihood(z, determinant, mask)
    z[~mask], determinant[~mask] = torch.nan, torch.inf
    torch.testing.assert_close(negative_log_likelihood(z, determinant, mask), want)
    assert negative_log_likelihood(z, determinant, torch.zeros_like(mask)) == 0


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_training_turns_sound_into_noise_of_deviation_sigma(sigma: float) -> None:
    model = _Scale()
    objective = likelihood.Objective(likelihood.Config(sigma=sigma), MODULE, model)
    adam = torch.optim.Adam(model.parameters(), lr=0.05)
    batch = {"x": 0.1 * torch.randn(4, 50, 2, generator=torch.Generator().manual_seed(0)), "mask": MASK}
    for _ in range(120):
        for name, losses in objective.steps(batch):
            assert name == "model"
            adam.zero_grad()
            losses["likelihood"].backward()
            adam.step()
    assert float(model(**batch).z.std()) == pytest.approx(sigma, rel=0.05)
    assert not objective.validate(batch)["likelihood"].requires_grad


def test_a_deviation_is_above_0() -> None:
    with pytest.raises(ValueError, match="sigma.*above 0"):
        likelihood.Config(sigma=0)
