from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from aoide.config import UserError, build
from aoide.models.vocoder import vocos
from aoide.nn.discriminators import CRITICS
from aoide.objectives import gan
from tests.toy import SMALL_CRITICS

SMALL = {"weights": {"mel": 45.0}, **SMALL_CRITICS}


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
    assert list(steps[0][1]) == ["period", "band"]
    names = ["mel", "period_score", "period_feature", "band_score", "band_feature"]
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
    other = generator(weights=weights, critic_weights={"band": 0.1}, adversarial=2.0, feature=3.0)
    assert other["mel"] == pytest.approx(2 * plain["mel"])
    assert other["stft"] > 0
    assert other["period_score"] == pytest.approx(2 * plain["period_score"])
    assert other["band_score"] == pytest.approx(0.2 * plain["band_score"])
    assert other["band_feature"] == pytest.approx(0.3 * plain["band_feature"])


@pytest.mark.parametrize(
    "critics", [*((name,) for name in CRITICS), ("cqt", "scale", "period"), tuple(CRITICS)], ids=str
)
def test_any_set_of_critics(critics: tuple[gan.Critic, ...]) -> None:
    objective = _objective(critics=critics)
    assert list(objective.critic.by_name) == list(critics)
    steps = list(objective.steps(_batch()))
    assert list(steps[0][1]) == list(critics)
    assert list(steps[1][1]) == ["mel", *(f"{name}_{kind}" for name in critics for kind in ("score", "feature"))]
    assert all(torch.isfinite(loss) for _, losses in steps for loss in losses.values())


def test_values_of_the_score_losses() -> None:
    real, fake = [torch.tensor([[0.5, 1.0]])], [torch.tensor([[0.0, 2.0]])]
    for name, of_critic, of_generator in (
        ("least_squares", 0.125 + 2.0, 1.0),
        ("hinge", 0.25 + 2.0, 0.5),
        ("hinge_linear", 0.25 + 2.0, -1.0),
    ):
        loss = gan.SCORE_LOSSES[name]
        assert float(gan.critic_loss(loss, real, fake)) == pytest.approx(of_critic)
        assert float(gan.generator_loss(loss, fake)) == pytest.approx(of_generator)
        assert float(gan.generator_loss(loss, fake * 3, "sum")) == pytest.approx(3 * of_generator)
        assert float(gan.generator_loss(loss, fake * 3, "mean")) == pytest.approx(of_generator)


def test_values_of_feature_matching() -> None:
    """Two parts, of two maps and of one; every map is off by 1.5 on average, the recorded ones have 0.75 on average."""
    real, fake = torch.tensor([[0.5, -1.0]]), torch.tensor([[2.0, -2.5]])
    features = ([[real, real], [real]], [[fake, fake], [fake]])
    assert float(gan.feature_matching(*features)) == pytest.approx((3.0 + 1.5) / 2)
    assert float(gan.feature_matching(*features, parts="sum")) == pytest.approx(4.5)
    assert float(gan.feature_matching(*features, maps="mean")) == pytest.approx(1.5)
    assert float(gan.feature_matching(*features, maps="mean", relative=True)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "hinge"},
        {"loss": "least_squares", "reduction": "sum", "feature": 2.0},
        {"loss": "hinge_linear", "reduction": "sum", "feature": 10.0},
        {"loss": "hinge", "maps": "mean", "relative": True, "adversarial": 3.0, "feature": 3.0},
    ],
    ids=("vocos", "hifigan", "melgan", "encodec"),
)
def test_steps_give_the_losses_of_the_plain_formulation(settings: dict) -> None:
    """Real and fake apart, nothing shared or kept: what the published training loops do."""
    objective, batch = _objective(critics=("scale", "period"), **settings), _batch()
    config, critics = objective.config, objective.critic.eval()
    loss = gan.SCORE_LOSSES[config.loss]
    fake = objective.networks["generator"](batch["mel"]).detach()
    on_real, on_fake = critics(batch["audio"]), critics(fake)
    steps = dict(objective.steps(batch))
    for name in config.critics:
        (real_scores, real_maps), (fake_scores, fake_maps) = on_real[name], on_fake[name]
        expected = gan.critic_loss(loss, real_scores, fake_scores, config.reduction)
        torch.testing.assert_close(steps["critic"][name], expected)
        expected = config.adversarial * gan.generator_loss(loss, fake_scores, config.reduction)
        torch.testing.assert_close(steps["generator"][f"{name}_score"], expected)
        distance = gan.feature_matching(real_maps, fake_maps, config.reduction, config.maps, config.relative)
        torch.testing.assert_close(steps["generator"][f"{name}_feature"], config.feature * distance)


def test_the_generator_gets_the_gradient_of_the_plain_formulation() -> None:
    objective, batch = _objective(critics=("scale", "period"), loss="least_squares", reduction="sum"), _batch()
    generator, critics = objective.networks["generator"], objective.critic.eval()
    *_, (_, losses) = objective.steps(batch)
    sum(value for name, value in losses.items() if name != "mel").backward()
    got = [p.grad.clone() for p in generator.parameters()]
    generator.zero_grad()
    on_real, on_fake = critics(batch["audio"]), critics(generator(batch["mel"]))
    plain = sum(
        gan.generator_loss(gan.SCORE_LOSSES["least_squares"], on_fake[name].scores, "sum")
        + gan.feature_matching(on_real[name].features, on_fake[name].features, "sum")
        for name in on_real
    )
    plain.backward()
    for a, parameter in zip(got, generator.parameters(), strict=True):
        torch.testing.assert_close(a, parameter.grad, atol=1e-6, rtol=1e-4)


def test_maps_without_weight_are_not_compared() -> None:
    objective = _objective(critics=("period",), feature=0.0)
    heard = []
    objective.critic.register_forward_hook(lambda *_: heard.append(1))
    steps = dict(objective.steps(_batch()))
    assert list(steps["generator"]) == ["mel", "period_score"]
    assert len(heard) == 2, "both together, and the generated sound for the generator"


def test_weights_are_normalised_once_in_the_generators_turn() -> None:
    objective = _objective(critics=("period",))
    calls = []
    norm = objective.critic.by_name["period"].parts[0].post.parametrizations.weight[0]
    norm.register_forward_hook(lambda *_: calls.append(1))
    steps = objective.steps(_batch())
    for turn in (1, 2):
        next(steps)
        assert len(calls) == turn


def test_the_cqt_critic_learns_the_rate_from_the_model() -> None:
    right, wrong = (SMALL_CRITICS["cqt"].critic(vocos.TOY.mel.sample_rate * factor) for factor in (1, 2))
    kernels = _objective(critics=("cqt",)).critic.by_name["cqt"].parts[0].transform.kernels
    assert torch.equal(kernels, right.parts[0].transform.kernels)
    assert not torch.equal(kernels, wrong.parts[0].transform.kernels)
    with pytest.raises(UserError, match="12 octaves reach up to"):
        _objective(critics=("cqt",), cqt=replace(SMALL_CRITICS["cqt"], octaves=12, hops=(2048,), bins=(4,)))


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
        ({"critics": ["period"], "critic_weights": {"band": 0.1}}, "names band, but the critics are"),
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


def test_a_piece_is_compared_with_what_was_recorded_there() -> None:
    """A model that makes only a piece of each sound says where it begins."""
    objective = _objective()
    audio = torch.randn(2, 96)
    start = torch.tensor([10, 40])
    piece = torch.stack([sound[begin : begin + 32] for sound, begin in zip(audio, start, strict=True)])
    heard = {}

    class Saying(nn.Module):
        def forward(self, **fields: Tensor) -> SimpleNamespace:
            return SimpleNamespace(audio=piece, start=start)

    objective.networks["generator"] = Saying()
    objective._reconstruction = {"mel": lambda output, batch: heard.update(batch) or output.audio.new_zeros(())}
    objective.validate(_batch() | {"audio": audio})
    assert torch.equal(heard["audio"], piece)


def test_the_adaptive_weight_balances_the_gradients_of_the_last_layer() -> None:
    """Esser et al. 2021, equation 7: what pleases the critic moves it as much as what reconstructs."""
    last = torch.tensor([[1.0, 2.0]], requires_grad=True)
    near, far = (last * 3).sum(), (last * 0.01).sum()
    weight = gan.balance(near, far, last, most=1e4)
    assert float(weight) == pytest.approx(3 * 2**0.5 / (0.01 * 2**0.5 + 1e-4)) and not weight.requires_grad
    assert float(gan.balance(near, far, last, most=10.0)) == 10.0


def test_critics_of_mels_judge_mels_and_nothing_else() -> None:
    with pytest.raises(ValueError, match="critics of a target audio: patch judges something else"):
        gan.Config(critics=("patch",))
    with pytest.raises(ValueError, match="critics of a target mel: band judges something else"):
        gan.Config(critics=("band",), target="mel")
    with pytest.raises(UserError, match="does not say which weight is its last"):
        _objective(adaptive=0.5)
