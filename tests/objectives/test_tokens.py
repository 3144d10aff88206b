from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aoide.objectives import tokens
from aoide.objectives.tokens import Classes, Gaussians, Logistics, MuLaw

FAMILIES = [MuLaw(16), Logistics(3), Gaussians(1), Gaussians(2)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --------------------------------------------------------------------------------------------------------------- mu-law


def test_mu_law_there_and_back() -> None:
    family = MuLaw(256)
    assert family.encode(torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])).tolist() == [0, 0, 128, 255, 255]
    classes = torch.arange(256)
    assert torch.equal(family.encode(family.decode(classes)), classes)
    audio = torch.linspace(-1, 1, 1001)
    off = (family.decode(family.encode(audio)) - audio).abs()
    assert off.max() < 0.025 and off[400:600].max() < 0.006, "coarse where it is loud, fine where it is soft"
    assert family.level(classes[[0, 255]]).tolist() == [-1, 1]


def test_numbers_stay_numbers() -> None:
    audio = torch.tensor([-1.5, 0.25])
    for family in (Logistics(2), Gaussians(1)):
        values = family.encode(audio)
        assert values.tolist() == [-1.0, 0.25] and torch.equal(family.decode(values), family.level(values))


# --------------------------------------------------------------------------------------------------------------- losses


def test_classes_are_judged_by_cross_entropy() -> None:
    scores, target = torch.randn(7, 5), torch.randint(0, 5, (7,))
    want = nn.functional.cross_entropy(scores, target)
    torch.testing.assert_close(Classes(5).loss(scores, target).mean(), want)


@pytest.mark.parametrize("sharp", [0.0, -3.0, -6.0, -30.0])
def test_the_masses_of_all_levels_are_one(sharp: float) -> None:
    """A mixture of logistics spreads a probability of 1 over the 65,536 values that a sample can have."""
    family = Logistics(2)
    levels = torch.linspace(-1, 1, tokens.LEVELS, dtype=torch.float64).float()
    scores = torch.tensor([0.3, -0.4, 0.1, -0.95, sharp, sharp + 1]).expand(tokens.LEVELS, -1)
    loss = family.loss(scores, levels)
    assert torch.isfinite(loss).all()
    # beyond +-0.999 a level stands for all that would be clipped to it, so only the last of them counts
    inner = levels.abs() <= 0.999
    total = (-loss[inner]).double().exp().sum() + (-loss[[0, -1]]).double().exp().sum()
    assert float(total) == pytest.approx(1.0, abs=0.03)


def test_gaussians_are_judged_by_their_density() -> None:
    target = torch.randn(4).clamp(-1, 1)
    mean, scale, weights = torch.randn(4, 3), torch.rand(4, 3) - 1, torch.randn(4, 3)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=weights), torch.distributions.Normal(mean, scale.exp())
    )
    got = Gaussians(3).loss(torch.cat([weights, mean, scale], dim=-1), target)
    torch.testing.assert_close(got, -mixture.log_prob(target))
    alone = torch.distributions.Normal(mean[:, 0], scale[:, 0].exp())
    torch.testing.assert_close(
        Gaussians(1).loss(torch.stack([mean[:, 0], scale[:, 0]], dim=-1), target), -alone.log_prob(target)
    )


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_the_loss_is_least_where_the_target_is(family: Any) -> None:
    """Scores trained on one value come to expect it."""
    target = family.encode(torch.full((8,), 0.3))
    scores = torch.zeros(family.size, requires_grad=True)
    adam = torch.optim.Adam([scores], lr=0.1)
    losses = []
    for _ in range(60):
        loss = family.loss(scores.expand(8, -1), target).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 1
    drawn = family.sample(scores.detach().expand(50, -1).numpy(), family.noise((50,), generator()).numpy())
    assert abs(float(np.median(family.decode(torch.from_numpy(drawn)).numpy())) - 0.3) < 0.1


# ---------------------------------------------------------------------------------------------------------------- draws


def test_classes_are_drawn_as_often_as_they_are_likely() -> None:
    scores = torch.tensor([0.0, 1.0, 2.0, -1.0])
    count = 20_000
    drawn = Classes(4).sample(scores.expand(count, -1).numpy(), Classes(4).noise((count,), generator()).numpy())
    shares = np.bincount(drawn, minlength=4) / count
    assert np.abs(shares - scores.softmax(-1).numpy()).max() < 0.012  # 3.4 deviations of a share of one half


@pytest.mark.parametrize(("family", "deviation"), [(Logistics(2), np.pi / np.sqrt(3)), (Gaussians(2), 1.0)])
def test_bells_are_drawn_with_their_weights_means_and_scales(family: Any, deviation: float) -> None:
    scale = 0.02
    scores = torch.tensor([0.0, np.log(3.0), -0.5, 0.5, np.log(scale), np.log(scale)], dtype=torch.float32)
    count = 20_000
    drawn = family.sample(scores.expand(count, -1).numpy(), family.noise((count,), generator()).numpy())
    right = drawn > 0
    assert right.mean() == pytest.approx(0.75, abs=0.012)
    assert drawn[right].mean() == pytest.approx(0.5, abs=0.002)
    assert drawn[right].std() == pytest.approx(scale * deviation, rel=0.03)
    assert np.abs(drawn).max() <= 1


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_stream_is_the_same_for_the_same_seed(family: Any) -> None:
    one, two, other = (list(tokens.stream(family, 300, 2, generator(seed))) for seed in (1, 1, 2))
    assert len(one) == 300 and one[0].dtype == np.float32
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    assert family.sample(np.zeros((2, family.size), np.float32), one[0]).shape == (2,)


# ------------------------------------------------------------------------------------------------------------ objective


class _Output(NamedTuple):
    scores: Tensor
    targets: Tensor
    mask: Tensor


class _Same(nn.Module):
    """Gives every place the same scores."""

    family = Classes(4)

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.tensor([0.0, 1.0, 2.0, 3.0]))

    def forward(self, x: Tensor, mask: Tensor) -> _Output:
        return _Output(self.scores.expand(*x.shape, -1), x, mask)


MODULE = cast(ModuleType, SimpleNamespace(__name__="same", Model=_Same))


def test_the_loss_is_a_mean_over_what_is_real() -> None:
    model = _Same()
    objective = tokens.Objective(tokens.Config(), MODULE, model)
    batch = {"x": torch.tensor([[0, 1, 2], [3, 0, 0]]), "mask": torch.tensor([[True] * 3, [True, False, False]])}
    ((name, losses),) = objective.steps(batch)
    assert name == "model" and objective.networks == {"model": model}
    want = -model.scores.log_softmax(-1).mean()
    torch.testing.assert_close(losses["next"], want)
    torch.testing.assert_close(objective.validate(batch)["next"], want.detach())
    batch["x"][1, 1:] = 2
    torch.testing.assert_close(objective.validate(batch)["next"], want.detach())


def test_nothing_real_is_no_loss() -> None:
    objective = tokens.Objective(tokens.Config(), MODULE, _Same())
    none = torch.zeros(1, 2, dtype=torch.bool)
    assert objective.validate({"x": torch.zeros(1, 2, dtype=torch.int64), "mask": none})["next"] == 0


def test_a_models_own_losses_count_by_their_weight() -> None:
    module = cast(
        ModuleType,
        SimpleNamespace(__name__="same", Model=_Same, LOSSES={"far": lambda output, batch: output.scores.sum()}),
    )
    batch = {"x": torch.tensor([[0, 1]]), "mask": torch.ones(1, 2, dtype=torch.bool)}
    losses = tokens.Objective(tokens.Config(weights={"far": 0.5}), module, _Same()).validate(batch)
    assert set(losses) == {"next", "far"} and losses["far"] == 6.0
