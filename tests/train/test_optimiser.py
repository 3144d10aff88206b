"""Learning rates as functions of the step, settings per network, and the average of the weights."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from aoide.config import UserError
from aoide.train import optimiser
from aoide.train.ema import Average
from aoide.train.optimiser import Config, Different


def test_warm_up_then_constant() -> None:
    config = Config(lr=1.0, warmup=4)
    assert [optimiser.rate(config, step, 100) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_ends_at_the_floor() -> None:
    config = Config(lr=2.0, warmup=10, schedule="cosine", floor=0.1)
    assert optimiser.rate(config, 10, 110) == 2.0
    assert optimiser.rate(config, 60, 110) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert optimiser.rate(config, 110, 110) == pytest.approx(0.2) == optimiser.rate(config, 1000, 110)


def test_exponential_decays_per_hundred_steps_down_to_the_floor() -> None:
    config = Config(lr=1.0, schedule="exponential", decay=0.5, floor=0.1)
    assert [optimiser.rate(config, step, 10) for step in (0, 100, 200)] == [1.0, 0.5, 0.25]
    assert optimiser.rate(config, 50, 10) == pytest.approx(math.sqrt(0.5))
    assert optimiser.rate(config, 1000, 10) == 0.1


def test_settings_per_network_and_decay_of_matrices_alone() -> None:
    config = Config(lr=1e-3, weight_decay=0.1, networks={"critic": Different(lr=1e-4, betas=(0.5, 0.6))})
    networks = {"critic": nn.Linear(2, 2), "generator": nn.Linear(2, 2)}
    made = optimiser.build(config, networks)
    decays = [(group["weight_decay"], [p.ndim for p in group["params"]]) for group in made["critic"].param_groups]
    assert decays == [(0.1, [2]), (0.0, [1])]
    assert made["critic"].param_groups[0]["betas"] == (0.5, 0.6) and isinstance(made["critic"], torch.optim.AdamW)
    assert optimiser.of_network(config, "critic").lr == 1e-4 and optimiser.of_network(config, "generator").lr == 1e-3
    with pytest.raises(UserError, match=r"optimiser.networks.crtic: .* did you mean critic\?"):
        optimiser.build(Config(networks={"crtic": Different()}), networks)


def test_frozen_parameters_are_left_out() -> None:
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    (made,) = optimiser.build(Config(method="adam"), {"model": network}).values()
    assert [p is network.weight for group in made.param_groups for p in group["params"]] == [True]


@pytest.mark.parametrize(
    "settings", [{"lr": 0.0}, {"warmup": -1}, {"decay": 0.0}, {"floor": 2.0}, {"betas": (0.9, 1.0)}]
)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Config(**settings)


def test_the_average_follows_its_formula() -> None:
    network = nn.BatchNorm1d(1)
    average = Average(network, decay=0.5)
    expected = 1.0
    for update in range(12):
        with torch.no_grad():
            network.weight.fill_(float(update))
            network.running_mean.fill_(float(update))
            network.num_batches_tracked += 1
        average.update()
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * update
    assert average.weights["weight"].item() == pytest.approx(expected)
    assert average.weights["running_mean"].item() == 11.0 and average.weights["num_batches_tracked"].item() == 12


def test_the_average_is_worn_and_taken_off() -> None:
    network = nn.Linear(1, 1)
    average = Average(network, decay=0.5)
    own = network.weight.clone()
    average.weights["weight"].fill_(7.0)
    with pytest.raises(RuntimeError), average.worn() as worn:
        assert worn.weight.item() == 7.0
        raise RuntimeError
    assert torch.equal(network.weight, own)
