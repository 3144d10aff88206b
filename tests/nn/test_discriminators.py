from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aoide.config import UserError, build
from aoide.nn.discriminators import (
    CRITICS,
    OF_MELS,
    Band,
    Cqt,
    Critics,
    Period,
    Resolution,
    Scale,
    Stft,
    from_official,
)
from aoide.nn.discriminators.scale import MELGAN, VITS
from tests.toy import SMALL_CRITICS

RATE = 8_000
NO_SCORE_AMONG_THE_MAPS = ("stft", "cqt", "dilated")  # as in EnCodec and Parallel WaveGAN


def _critic(name: str, **changes) -> torch.nn.Module:
    torch.manual_seed(0)
    return replace(SMALL_CRITICS[name], **changes).critic(RATE).eval()


def _parameters(settings) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in settings.critic(24_000).parameters())


def test_each_critic_has_small_settings_here() -> None:
    assert set(SMALL_CRITICS) == {*CRITICS, *OF_MELS}
    assert all(isinstance(SMALL_CRITICS[name], settings) for name, settings in CRITICS.items())


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_judges_sounds_of_any_length(name: str) -> None:
    critic = _critic(name)
    for samples in (500, 501, 503):
        scores, features = critic(torch.randn(2, samples))
        assert len(scores) == len(features) == len(critic.parts)
        assert all(len(score) == 2 and torch.isfinite(score).all() for score in scores)
        for maps, score in zip(features, scores, strict=True):
            assert (maps[-1].numel() == score.numel()) == (name not in NO_SCORE_AMONG_THE_MAPS)
            assert name in NO_SCORE_AMONG_THE_MAPS or torch.equal(maps[-1].flatten(), score.flatten())


@pytest.mark.parametrize("name", CRITICS)
def test_items_of_a_batch_do_not_mix(name: str) -> None:
    critic, sound = _critic(name), torch.randn(3, 500)
    together, alone = critic(sound).scores, critic(sound[1:2]).scores
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", CRITICS)
def test_silence_gives_finite_gradients(name: str) -> None:
    sound = torch.zeros(1, 500, requires_grad=True)
    sum(score.sum() for score in _critic(name)(sound).scores).backward()
    assert torch.isfinite(sound.grad).all()


@pytest.mark.parametrize("name", CRITICS)
def test_half_precision_hears_nearly_the_same(name: str) -> None:
    critic, sound = _critic(name), torch.randn(2, 500)
    with torch.autocast("cpu", torch.bfloat16):
        half = critic(sound).scores
    for a, b in zip(half, critic(sound).scores, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=0.02, rtol=0.1)


@pytest.mark.parametrize("name", CRITICS)
def test_every_parameter_learns(name: str) -> None:
    critic = _critic(name).train()
    sum(score.square().sum() for score in critic(torch.randn(2, 500)).scores).backward()
    assert all(p.grad is not None and p.grad.any() for p in critic.parameters())


@pytest.mark.parametrize(
    ("settings", "millions"),
    [
        (Period(), 41.1),
        (Scale(), 29.6),
        (MELGAN, 16.9),
        (Resolution(), 0.28),
        (Band(), 1.41),
        (Stft(), 0.28),
        (Cqt(), 0.29),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, float) else "",
)
def test_default_sizes_are_those_of_the_papers(settings, millions: float) -> None:
    assert _parameters(settings) / 1e6 == pytest.approx(millions, rel=0.02)


def test_vits_has_one_scale_of_melgans_size() -> None:
    assert 3 * _parameters(VITS) == _parameters(MELGAN)


def test_published_maps_are_those_that_are_compared() -> None:
    sound = torch.randn(1, 500)
    for name in ("period", "band"):
        some, all_of_them = _critic(name)(sound).features, _critic(name, first_map=True)(sound).features
        assert all(len(a) < len(b) and torch.equal(a[-1], b[-1]) for a, b in zip(some, all_of_them, strict=True))


def test_last_stride_shortens_the_score() -> None:
    sound = torch.randn(1, 500)
    one, three = (_critic("period", last_stride=stride)(sound).scores for stride in (1, 3))
    assert all(2.5 < a.shape[1] / b.shape[1] <= 3 for a, b in zip(one, three, strict=True))


def test_band_critic_does_not_hear_loudness_or_offset() -> None:
    critic, sound = _critic("band"), torch.randn(1, 500)
    for a, b in zip(critic(sound).scores, critic(0.1 * sound + 0.3).scores, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_cqt_critic_hears_loudness_unless_told_not_to() -> None:
    sound = torch.randn(1, 500)
    for normalise in (False, True):
        critic = _critic("cqt", normalise=normalise)
        loud, soft = critic(sound).scores[0], critic(0.1 * sound).scores[0]
        assert torch.allclose(loud, soft, atol=1e-5, rtol=1e-3) == normalise


def test_scales_halve_the_rate() -> None:
    """A tone near the top of the band reaches the first scale and hardly the second."""
    n = torch.arange(2_000)
    low, high = (torch.sin(torch.pi * share * n)[None] for share in (0.02, 0.98))
    critic = _critic("scale")
    silent = [score.flatten() for score in critic(torch.zeros(1, 2_000)).scores]
    off = [[float((s.flatten() - z).std()) for s, z in zip(critic(x).scores, silent, strict=True)] for x in (low, high)]
    assert off[1][1] < 0.2 * off[1][0] and off[0][1] > 0.2 * off[0][0]


def test_melgan_form_mirrors_its_edges() -> None:
    torch.manual_seed(0)
    small = {"channels": (4, 8), "kernels": (5, 9), "strides": (1, 4), "groups": (1, 4), "spectral": 0, "scales": 1}
    zeros, mirror = (Scale(edges=edges, **small).critic(RATE) for edges in ("zeros", "mirror"))
    mirror.load_state_dict(zeros.state_dict())
    sound = torch.randn(1, 400) + 1
    a, b = (critic(sound).features[0][0] for critic in (zeros, mirror))
    assert torch.equal(a[..., 2:-2], b[..., 2:-2]) and not torch.allclose(a[..., :2], b[..., :2])


@pytest.mark.parametrize(
    ("cls", "data", "told"),
    [
        (Period, {"periods": [1, 2]}, "2 samples or more"),
        (Period, {"channels": [8]}, "two layers"),
        (Period, {"last_stride": 0}, "at least 1"),
        (Scale, {"scales": 0}, "1 or more"),
        (Scale, {"spectral": 4}, "at most that"),
        (Scale, {"kernels": [15, 41]}, "for every layer"),
        (Scale, {"groups": [1, 3, 16, 16, 16, 16, 1]}, "3 groups do not divide 128"),
        (Scale, {"kernels": [14, 41, 41, 41, 41, 41, 5]}, "odd"),
        (Resolution, {"resolutions": [[512, 600, 240]]}, "hop <= window <= n_fft"),
        (Band, {"windows": [16]}, "without a bin"),
        (Band, {"bands": [0.1, 1.0]}, "from 0 to 1"),
        (Stft, {"windows": [64]}, "of one length"),
        (Stft, {"windows": [64], "hops": [65]}, "at most the windows"),
        (Cqt, {"hops": [512]}, "of one length"),
        (Cqt, {"hops": [512, 256, 100]}, "multiples of 256"),
        (Cqt, {"bins": [24, 36, 0]}, "1 or more"),
    ],
)
def test_wrong_settings_are_told(cls: type, data: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build(cls, data, "x.yaml")


def test_octaves_above_the_rate_are_told() -> None:
    with pytest.raises(UserError, match="9 octaves reach up to .* above half the rate 16000"):
        Cqt().critic(8_000)


def test_sound_shorter_than_a_window_is_told() -> None:
    with pytest.raises(UserError, match="hears 64 samples at once, and the sound has 50"):
        _critic("stft")(torch.zeros(1, 50))


def test_a_set_answers_by_name() -> None:
    critics = Critics({name: _critic(name) for name in ("scale", "period")})
    assert list(critics(torch.randn(1, 500))) == ["scale", "period"]


def test_a_checkpoint_of_two_critics() -> None:
    """The do_... files of HiFi-GAN have both, beside optimisers."""
    own = {"mpd": _critic("period", first_map=True, channels=(4, 8, 8, 8, 8)), "msd": _critic("scale", **_hifigan())}
    state = {"steps": torch.tensor(3)}
    for owner, critic in own.items():
        for key, value in critic.state_dict().items():
            theirs = key
            for ours, old in _OLD_NAMES.items():
                theirs = theirs.replace(ours, old)
            state[f"{owner}.{theirs}"] = value.mT if value.ndim == 4 else value
    loaded, sound = from_official(state, {"mpd_reshapes": [2, 3]}).eval(), torch.randn(1, 500)
    for name, critic in (("period", own["mpd"]), ("scale", own["msd"])):
        for a, b in zip(loaded(sound)[name].scores, critic(sound).scores, strict=True):
            assert torch.equal(a, b)


_OLD_NAMES = {
    "parts.": "discriminators.",
    "post.": "conv_post.",
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
    "parametrizations.weight.original": "weight_orig",
    "parametrizations.weight.0._u": "weight_u",
    "parametrizations.weight.0._v": "weight_v",
}


def _hifigan() -> dict:
    """HiFi-GAN's layers with few channels."""
    return {
        "channels": (4, 4, 8, 8, 8, 8, 8),
        "kernels": Scale().kernels,
        "strides": Scale().strides,
        "groups": (1, 2, 4, 4, 4, 4, 1),
    }


def test_checkpoints_with_other_critics_or_none_are_refused() -> None:
    with pytest.raises(UserError, match="no weight of parts.0.convs.0"):
        from_official({"mpd.discriminators.0.convs.0.bias": torch.zeros(4)})
    with pytest.raises(UserError, match="needs a configuration with the sampling rate"):
        from_official({"mrd.discriminators.0.conv_pres.0.weight": torch.zeros(2, 2, 3, 9)})
    with pytest.raises(UserError, match="told the bandwidth"):
        from_official({"multiperioddisc.discriminators.0.emb.weight": torch.zeros(4, 1024)})
    with pytest.raises(UserError, match="has no critics"):
        from_official({"backbone.embed.bias": torch.zeros(4)})
