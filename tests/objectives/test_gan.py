from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from aoide.config import UserError, build
from aoide.models.vocoder import vocos
from aoide.nn.discriminators import Period, Resolution
from aoide.objectives import gan

SMALL = {
    "weights": {"mel": 45.0},
    "period": Period(periods=(2, 3), channels=(4, 8)),
    "resolution": Resolution(windows=(64, 32), channels=4, bands=(0.0, 0.5, 1.0)),
}


def _objective(**settings) -> gan.Objective:
    torch.manual_seed(0)
    return gan.Objective(gan.Config(**SMALL | settings), vocos, vocos.Model(vocos.TOY))


def _batch() -> dict[str, Tensor]:
    return vocos.example(vocos.TOY, generator=torch.Generator().manual_seed(1))


def _train(objective: gan.Objective, batch: dict[str, Tensor], steps: int = 1) -> list[dict[str, float]]:
    """The training loop in small; gives the losses of every step."""
    optimisers = {name: torch.optim.Adam(net.parameters(), lr=1e-3) for name, net in objective.networks.items()}
    log = []
    for _ in range(steps):
        seen = {}
        for name, losses in objective.steps(batch):
            optimisers[name].zero_grad()
            sum(losses.values()).backward()
            optimisers[name].step()
            seen |= {f"{name}/{key}": float(value.detach()) for key, value in losses.items()}
        log.append(seen)
    return log


def test_critics_first_then_the_generator() -> None:
    objective = _objective()
    steps = list(objective.steps(_batch()))
    assert [name for name, _ in steps] == ["critic", "generator"]
    assert list(steps[0][1]) == ["period", "resolution"]
    names = ["mel", "period_score", "period_feature", "resolution_score", "resolution_feature"]
    assert list(steps[1][1]) == names


def test_each_network_learns_from_its_own_losses_alone() -> None:
    objective = _objective()
    critic, generator = objective.networks["critic"], objective.networks["generator"]
    steps = objective.steps(_batch())
    _, losses = next(steps)
    sum(losses.values()).backward()
    assert all(p.grad is None for p in generator.parameters()) and all(p.grad is not None for p in critic.parameters())
    critic.zero_grad()
    _, losses = next(steps)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in generator.parameters()) and all(p.grad is None for p in critic.parameters())
    assert list(steps) == [] and all(p.requires_grad for p in critic.parameters())


def test_an_abandoned_step_leaves_the_critic_trainable() -> None:
    objective = _objective()
    steps = objective.steps(_batch())
    next(steps), next(steps)
    steps.close()
    assert all(p.requires_grad for p in objective.networks["critic"].parameters())


def test_warm_up_counts_steps_and_is_saved_with_the_critic() -> None:
    objective, batch = _objective(warmup=3), _batch()
    assert [len(step) for step in _train(objective, batch, 2)] == [1, 1], "reconstruction alone"
    resumed = _objective(warmup=3)
    resumed.networks["critic"].load_state_dict(objective.networks["critic"].state_dict())
    assert [len(step) for step in _train(resumed, batch, 3)] == [1, 7, 7]


def test_weights() -> None:
    def generator(**settings) -> dict[str, float]:
        _, losses = list(_objective(**settings).steps(_batch()))[-1]
        return {key: float(value.detach()) for key, value in losses.items()}

    plain = generator()
    weights = {"mel": 90.0, "stft": 1.0}
    other = generator(weights=weights, critic_weights={"resolution": 0.1}, adversarial=2.0, feature=3.0)
    assert other["mel"] == pytest.approx(2 * plain["mel"])
    assert other["stft"] > 0
    assert other["period_score"] == pytest.approx(2 * plain["period_score"])
    assert other["resolution_score"] == pytest.approx(0.2 * plain["resolution_score"])
    assert other["resolution_feature"] == pytest.approx(0.3 * plain["resolution_feature"])


def test_any_set_of_critics() -> None:
    for critics in (("resolution",), ("period",), ("resolution", "period")):
        objective = _objective(critics=critics)
        assert list(objective.critic.by_name) == list(critics)
        assert list(next(objective.steps(_batch()))[1]) == list(critics)


def test_least_squares_values() -> None:
    real, fake = [torch.tensor([[0.5, 1.0]])], [torch.tensor([[0.0, 2.0]])]
    assert float(gan.least_squares_critic(real, fake)) == pytest.approx(0.125 + 2.0)
    assert float(gan.least_squares_generator(fake)) == pytest.approx(1.0)
    assert float(gan.hinge_critic(real, fake)) == pytest.approx(0.25 + 2.0)
    assert float(gan.hinge_generator(fake)) == pytest.approx(0.5)
    assert float(gan.feature_matching([[real[0]], [real[0]]], [[fake[0]], [fake[0]]])) == pytest.approx(1.5)


def test_averages_over_the_parts_of_a_critic() -> None:
    objective, batch = _objective(loss="least_squares", critics=("period",)), _batch()
    with torch.no_grad():
        fake = objective.networks["generator"](batch["mel"])
        on_real, on_fake = (objective.critic(x)["period"].scores for x in (batch["audio"], fake))
    by_hand = gan.least_squares_critic(on_real, on_fake) / 2
    torch.testing.assert_close(next(objective.steps(batch))[1]["period"], by_hand)


def test_training_gets_better() -> None:
    objective, batch = _objective(weights={"mel": 1.0}), _batch()
    log = _train(objective, batch, 12)
    assert log[-1]["generator/mel"] < 0.9 * log[0]["generator/mel"]
    assert log[-1]["critic/period"] < log[0]["critic/period"]
    validation = objective.validate(batch)
    assert list(validation) == ["mel"] and not validation["mel"].requires_grad


def test_recordings_may_go_on_after_the_last_frame() -> None:
    batch = _batch()
    longer = batch | {"audio": torch.cat([batch["audio"], torch.randn(2, 7)], dim=1)}
    a, b = (list(_objective().steps(x))[1][1]["mel"] for x in (batch, longer))
    assert torch.equal(a, b)


def test_a_model_may_give_its_sound_as_a_field() -> None:
    class Output(NamedTuple):
        audio: Tensor
        gain: Tensor

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))
            self.config = None

        def forward(self, audio: Tensor) -> Output:
            return Output(self.gain * audio, self.gain)

    module = SimpleNamespace(__name__="louder", Model=Model, LOSSES={"gain": lambda output, batch: output.gain.abs()})
    objective = gan.Objective(gan.Config(**SMALL | {"weights": {"gain": 2.0}}), module, Model())  # type: ignore[arg-type]
    steps = list(objective.steps({"audio": torch.randn(2, 400)}))
    assert float(steps[1][1]["gain"].detach()) == 2.0


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"critics": ["perod"]}, "did you mean period"),
        ({"critics": []}, "one or more critics"),
        ({"critics": ["period", "period"]}, "each once"),
        ({"critics": ["period"], "critic_weights": {"resolution": 0.1}}, "names resolution, but the critics are"),
        ({"warmup": -1}, "number of steps"),
    ],
)
def test_wrong_settings_are_told(data: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build(gan.Config, data, "x.yaml")


def test_a_weight_for_no_loss_is_told() -> None:
    with pytest.raises(UserError, match=r"objective.weights.mle: .* did you mean mel\?"):
        _objective(weights={"mle": 1.0})


def test_a_batch_without_what_the_model_needs_is_told() -> None:
    batch = _batch()
    del batch["mel"]
    with pytest.raises(UserError, match="vocos needs mel but the data give frame_mask, audio"):
        next(_objective().steps(batch))
