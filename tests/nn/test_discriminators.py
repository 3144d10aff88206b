from __future__ import annotations

import pytest
import torch

from aoide.config import UserError, build
from aoide.nn.discriminators import CRITICS, Critics, Period, Resolution, from_official

SMALL = {"period": Period(periods=(2, 3), channels=(4, 8, 8)), "resolution": Resolution(windows=(128, 64), channels=4)}


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_judges_sounds_of_any_length(name: str) -> None:
    torch.manual_seed(0)
    critic = CRITICS[name][1](SMALL[name])
    for samples in (500, 501, 503):
        scores, features = critic(torch.randn(2, samples))
        assert len(scores) == len(features) == 2
        assert all(len(score) == 2 and torch.isfinite(score).all() for score in scores)
        for part, score in zip(features, scores, strict=True):
            assert torch.equal(part[-1].flatten(), score.flatten())


@pytest.mark.parametrize("name", CRITICS)
def test_items_of_a_batch_do_not_mix(name: str) -> None:
    torch.manual_seed(0)
    critic, sound = CRITICS[name][1](SMALL[name]), torch.randn(3, 500)
    together, alone = critic(sound).scores, critic(sound[1:2]).scores
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-6, rtol=1e-4)


def test_default_sizes_are_those_of_the_paper() -> None:
    critics = Critics({"period": Period(), "resolution": Resolution()})
    millions = {name: sum(p.numel() for p in net.parameters()) / 1e6 for name, net in critics.by_name.items()}
    assert millions == pytest.approx({"period": 41.1, "resolution": 1.41}, abs=0.05)


def test_resolution_critic_does_not_hear_loudness_or_offset() -> None:
    torch.manual_seed(0)
    critic, sound = CRITICS["resolution"][1](SMALL["resolution"]), torch.randn(1, 500)
    for a, b in zip(critic(sound).scores, critic(0.1 * sound + 0.3).scores, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_silence_gives_finite_gradients() -> None:
    sound = torch.zeros(1, 500, requires_grad=True)
    sum(score.sum() for judgement in Critics(SMALL)(sound).values() for score in judgement.scores).backward()
    assert torch.isfinite(sound.grad).all()


@pytest.mark.parametrize(
    ("cls", "data", "told"),
    [
        (Period, {"periods": [1, 2]}, "2 samples or more"),
        (Period, {"channels": [8]}, "two layers"),
        (Resolution, {"windows": [16]}, "without a bin"),
        (Resolution, {"bands": [0.1, 1.0]}, "from 0 to 1"),
    ],
)
def test_wrong_settings_are_told(cls: type, data: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build(cls, data, "x.yaml")


def test_checkpoints_with_other_critics_or_none_are_refused() -> None:
    with pytest.raises(UserError, match="told the bandwidth"):
        from_official({"multiperioddisc.discriminators.0.emb.weight": torch.zeros(4, 1024)})
    with pytest.raises(UserError, match="no critics of Vocos"):
        from_official({"backbone.embed.bias": torch.zeros(4)})
