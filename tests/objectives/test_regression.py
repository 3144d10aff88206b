from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.objectives import regression
from aoide.objectives.regression import log_duration, masked_l1, masked_l2

MASK = torch.tensor([[True, True, False], [True, False, False]])


@pytest.mark.parametrize(
    ("distance", "torchs"), [(masked_l1, nn.functional.l1_loss), (masked_l2, nn.functional.mse_loss)]
)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_masked_means_are_those_of_what_is_real(distance, torchs, shape: tuple[int, ...]) -> None:
    prediction, target = torch.randn(shape), torch.randn(shape)
    want = torchs(prediction[MASK], target[MASK])
    torch.testing.assert_close(distance(prediction, target, MASK), want)
    prediction[~MASK], target[~MASK] = torch.nan, torch.inf
    torch.testing.assert_close(distance(prediction, target, MASK), want)


def test_nothing_real_is_no_loss() -> None:
    assert masked_l1(torch.randn(2, 3), torch.randn(2, 3), torch.zeros_like(MASK)) == 0


def test_padding_gives_no_nan_to_the_gradient() -> None:
    prediction = torch.randn(2, 3, requires_grad=True)
    masked_l2(prediction, torch.full((2, 3), 2.0).masked_fill(~MASK, torch.inf), MASK).backward()
    assert torch.isfinite(prediction.grad).all() and not prediction.grad[~MASK].any()


def test_log_duration_is_right_at_log_of_one_more() -> None:
    durations = torch.tensor([[3, 0, 7], [1, 9, 9]])
    right = torch.log(durations + 1.0)
    assert log_duration(right, durations, MASK) == 0
    torch.testing.assert_close(log_duration(right + 0.5, durations, MASK), torch.tensor(0.25))


# ------------------------------------------------------------------------------------------------------------ objective


class _Line(nn.Module):
    config = None

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor, offset: float = 0.0) -> Tensor:
        return self.slope * x + offset


MODULE = cast(
    ModuleType,
    SimpleNamespace(
        __name__="aoide.models.line",
        Model=_Line,
        LOSSES={
            "square": lambda output, batch: (output - batch["y"]).square().mean(),
            "size": lambda output, batch: output.abs().mean(),
            "broken": lambda output, batch: 1 / 0,
        },
    ),
)
BATCH = {"x": torch.tensor([1.0, 2.0]), "y": torch.tensor([3.0, 6.0])}


def _objective(**weights: float) -> regression.Objective:
    return regression.Objective(regression.Config(weights=weights), MODULE, _Line())


def test_losses_are_weighted_and_those_without_weight_not_computed() -> None:
    ((name, losses),) = _objective(square=2.0, size=0.5, broken=0.0).steps(BATCH)
    assert name == "model" and list(losses) == ["square", "size"]
    assert losses["square"].item() == 2 * (9 + 36) / 2


def test_trains() -> None:
    objective = _objective(square=1.0)
    optimiser = torch.optim.SGD(objective.networks["model"].parameters(), lr=0.1)
    for _ in range(50):
        for _, losses in objective.steps(BATCH):
            optimiser.zero_grad()
            losses["square"].backward()
            optimiser.step()
    assert objective.validate(BATCH)["square"] < 1e-6
    assert not objective.validate(BATCH)["square"].requires_grad


def test_unknown_or_missing_weights_are_told() -> None:
    with pytest.raises(UserError, match=r"weights\.sqare: .* did you mean square\?"):
        _objective(sqare=1.0)
    with pytest.raises(UserError, match="no loss has a weight; aoide.models.line has square, size, broken"):
        _objective(size=0.0)
