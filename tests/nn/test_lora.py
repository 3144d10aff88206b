"""LoRA: nothing changes at first, only the additions learn, and merged they say the same."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from aoide.config import UserError
from aoide.nn import lora
from aoide.nn.attention import SelfAttention


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = SelfAttention(16, 2)
        self.conv = nn.Conv1d(16, 12, 3, padding=1)
        self.normed = weight_norm(nn.Conv1d(12, 12, 3, padding=1))
        self.up = nn.ConvTranspose1d(12, 10, 4, 2, 1)
        self.depthwise = nn.Conv1d(10, 10, 3, groups=10)
        self.head = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x).mT
        return self.head(self.depthwise(self.up(self.normed(self.conv(x)))).mT)


def toy() -> Toy:
    torch.manual_seed(0)
    return Toy()


X = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(1))


def moved(config: lora.Config) -> tuple[Toy, Tensor]:
    """A network whose additions took a step, and what it says."""
    model = toy()
    lora.add(model, config)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # down has no gradient while up is 0
        optimiser.zero_grad()
        model(X).square().sum().backward()
        optimiser.step()
    return model, model(X).detach()


def test_what_is_adapted_by_default() -> None:
    model = toy()
    names = lora.add(model, lora.Config(rank=4))
    # the depthwise kernels have 3 columns each: rank 4 would be larger than they are
    assert names == ["attention.project", "attention.out", "conv", "normed", "up"]
    assert torch.equal(model(X), toy()(X)), "additions start at 0"
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all(name.endswith((".up", ".down")) for name in trained)


def test_only_additions_and_what_is_named_move() -> None:
    model, after = moved(lora.Config(rank=2, targets=("conv",), train=("head",)))
    plain = toy().state_dict()
    assert not torch.allclose(after, toy()(X))
    assert torch.equal(model.state_dict()["conv.parametrizations.weight.original"], plain["conv.weight"])
    assert not torch.equal(model.state_dict()["head.weight"], plain["head.weight"])
    assert torch.equal(model.state_dict()["up.weight"], plain["up.weight"])


def test_the_addition_is_that_of_the_paper() -> None:
    weight = torch.randn(6, 4, 3)
    part = lora.LowRank(weight, rank=2, alpha=8.0)
    nn.init.normal_(part.up)
    expected = weight.reshape(6, 12) + 8.0 / 2 * part.up @ part.down
    assert torch.allclose(part(weight), expected.reshape(6, 4, 3))
    assert torch.linalg.matrix_rank((part(weight) - weight).reshape(6, 12).detach()) == 2


def test_merged_it_is_a_plain_network_that_says_the_same() -> None:
    model, after = moved(lora.Config(rank=3))
    lora.merge(model)
    assert torch.allclose(model(X), after, atol=1e-6)
    assert set(model.state_dict()) - {"normed.weight"} <= set(toy().state_dict())
    assert not lora.adapters(model.state_dict())


def test_a_small_file_makes_the_base_say_the_same(tmp_path: Path) -> None:
    config = lora.Config(rank=2, targets=("attention", "conv"))
    model, after = moved(config)
    lora.save(tmp_path / "adapters.safetensors", model.state_dict(), config)
    base = toy()
    lora.attach(base, tmp_path / "adapters.safetensors")
    assert torch.allclose(base(X), after, atol=1e-6)
    numbers = 2 * (16 + 48) + 2 * (16 + 16) + 2 * (12 + 48)
    assert sum(value.numel() for value in lora.adapters(model.state_dict()).values()) == numbers
    with pytest.raises(UserError, match="of another network: this one has no layer attention"):
        lora.attach(nn.Linear(2, 2), tmp_path / "adapters.safetensors")
    (tmp_path / "other").write_bytes(b"what")
    with pytest.raises(UserError, match="not a file of LoRA"):
        lora.attach(base, tmp_path / "other")


def test_plain_weights_go_into_a_network_with_additions() -> None:
    model = toy()
    other = {name: value + 1 for name, value in toy().state_dict().items()}
    lora.add(model, lora.Config(rank=2, targets=("conv", "normed")))
    model.load_state_dict(lora.widen(other, model))
    plain = toy()
    plain.load_state_dict(other)
    assert torch.equal(model(X), plain(X))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"targets": ("atention",)}, "no layer is called 'atention'; did you mean attention"),
        ({"targets": ("depthwise",), "rank": 4}, "no such layer larger than rank 4"),
        ({"targets": ("conv",), "train": ("haed",)}, "no weight or module is called 'haed'; did you mean head"),
    ],
)
def test_mistakes(config: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UserError, match=message):
        lora.add(toy(), lora.Config(**config))


@pytest.mark.parametrize("settings", [{"rank": 0}, {"alpha": 0.0}, {"targets": ()}])
def test_settings_are_checked(settings: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=next(iter(settings))):
        lora.Config(**settings)
