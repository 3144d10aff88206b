"""What a pattern names is frozen, and nothing else; a misspelt one names the near ones."""

import pytest
from torch import nn

from aoide.config import UserError
from aoide.nn.freeze import covers, freeze, train_mode


def network() -> nn.Module:
    return nn.ModuleDict(
        {
            "encoder": nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)),
            "decoder": nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)),
        }
    )


def trained(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["encoder"], {"decoder.0.weight", "decoder.0.bias", "decoder.1.weight", "decoder.1.bias"}),
        (["*", "!decoder.1"], {"decoder.1.weight", "decoder.1.bias"}),
        (["model.encoder", "decoder.*.bias"], {"decoder.0.weight", "decoder.1.weight"}),
        (["*", "!*.bias"], {"encoder.0.bias", "encoder.1.bias", "decoder.0.bias", "decoder.1.bias"}),
    ],
)
def test_patterns(patterns: list[str], left: set[str]) -> None:
    model = network()
    told = freeze({"model": model}, patterns)
    assert trained(model) == left
    assert [line.split(",")[0] for line in told] == [
        f"{'trained' if p.startswith('!') else 'frozen'}: {p}" for p in patterns
    ]


def test_a_name_covers_what_is_in_it_but_not_its_neighbours() -> None:
    assert covers("encoder", "encoder.0.weight") and not covers("enc", "encoder.0.weight")
    assert not covers("encoder", "encoder_norm.weight")


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["decodr"], r"called 'decodr'; did you mean decoder"),
        (["qqq"], r"called 'qqq'; there are encoder, decoder"),
        (["encoder", "decoder"], "nothing of the network model is left"),
    ],
)
def test_mistakes(patterns: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        freeze({"model": network()}, patterns)


def test_frozen_statistics_do_not_run() -> None:
    model = network()
    freeze({"model": model}, ["encoder"])
    train_mode(model)
    assert not model["encoder"][1].training and model["decoder"].training
