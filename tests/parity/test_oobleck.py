"""The Oobleck autoencoder against diffusers' at toy size, and by the key names of stable-audio-tools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.codec import oobleck
from aoide.objectives import gan

diffusers = pytest.importorskip("diffusers")

SIZES = {"downsampling_ratios": [2, 4], "channel_multiples": [1, 2], "sampling_rate": 8000}
UNITS = ("snake1", "conv1", "snake2", "conv2")


@pytest.fixture(scope="module", params=[1, 2], ids=["mono", "stereo"])
def theirs(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    model = diffusers.AutoencoderOobleck(
        encoder_hidden_size=6, decoder_channels=4, decoder_input_channels=3, audio_channels=request.param, **SIZES
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def test_stereo_is_not_trained() -> None:
    model = oobleck.Model(replace(oobleck.TOY, sides=2))
    with pytest.raises(UserError, match=r"model\.sides=1"):
        gan.Objective(oobleck.TRAINING, oobleck, model)


def named_as_in_the_tools(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights by the names of stable-audio-tools, below the head that a whole model puts before them."""
    renamed = {}
    for key, value in state.items():
        side, *words = key.split(".")
        count = len({other.split(".")[2] for other in state if other.startswith(f"{side}.block.")})
        places: list[int] = []
        if words[0] == "block":
            _, stage, part, *words = words
            encoder = side == "encoder"
            inside = {"snake1": 3 if encoder else 0, "conv1": 4, "conv_t1": 1}
            unit = int(part.removeprefix("res_unit")) - 1 if part.startswith("res_unit") else None
            places = [1 + int(stage), inside[part] if unit is None else unit + (0 if encoder else 2)]
            if unit is not None:
                places.append(UNITS.index(words.pop(0)))
        else:
            places = [{"conv1": 0, "snake1": count + 1, "conv2": count + 2}[words.pop(0)]]
        name = ".".join(["pretransform.model", side, *(f"layers.{place}" for place in places), *words])
        renamed[name] = value.flatten() if words[-1] in ("alpha", "beta") else value
    return renamed


@pytest.mark.parametrize("names", ["diffusers", "stable-audio-tools"])
@torch.no_grad()
def test_latents_and_sound_are_those_of_diffusers(theirs: Any, names: str) -> None:
    state = dict(theirs.state_dict())
    config = dict(theirs.config)
    if names != "diffusers":
        state, config = named_as_in_the_tools(state), {"sample_rate": 8000}
    ours = oobleck.from_official(state, config).eval()
    assert (ours.hop, ours.sample_rate, ours.dim) == (8, 8000, 3)
    sides = theirs.config.audio_channels
    audio = torch.randn(2, 8 * 20, sides, generator=torch.Generator().manual_seed(1))
    posterior = theirs.encode(audio.mT).latent_dist
    heard = audio[..., 0] if sides == 1 else audio
    mean, deviation = ours.distribution(heard)
    torch.testing.assert_close(mean, posterior.mean.mT)
    torch.testing.assert_close(deviation, posterior.std.mT)
    sound = theirs.decode(posterior.mean).sample.mT
    torch.testing.assert_close(ours.decode(mean), sound[..., 0] if sides == 1 else sound)
    output = ours(heard)
    torch.testing.assert_close(output.audio, ours.decode(mean))
    torch.testing.assert_close(oobleck.kl(output, {}), posterior.kl())


@torch.no_grad()
def test_context_is_how_far_a_frame_reaches(theirs: Any) -> None:
    ours = oobleck.from_official(dict(theirs.state_dict()), dict(theirs.config)).eval()
    latents = torch.randn(1, 4 * ours.context + 3, 3)
    middle = latents.shape[1] // 2
    whole = ours.decode(latents)
    piece = ours.decode(latents[:, middle - ours.context : middle + ours.context + 1])
    hop, context = ours.hop, ours.context
    torch.testing.assert_close(
        piece[:, context * hop : (context + 1) * hop], whole[:, middle * hop : (middle + 1) * hop]
    )
    changed = latents.clone()
    changed[:, middle] += 1
    moved = (ours.decode(changed) - whole).abs().reshape(1, latents.shape[1], -1).amax(2)[0] > 1e-7
    assert int(moved.nonzero().min()) >= middle - ours.context and int(moved.nonzero().max()) <= middle + ours.context


def test_what_does_not_fit_is_told(theirs: Any) -> None:
    state = dict(theirs.state_dict())
    with pytest.raises(UserError, match="no Oobleck autoencoder"):
        oobleck.from_official({"a": torch.zeros(1)}, {})
    with pytest.raises(UserError, match=r"lacks decoder\.last_activation\.beta$"):
        oobleck.from_official({k: v for k, v in state.items() if k != "decoder.snake1.beta"}, {})
    model = oobleck.Model(oobleck.TOY)
    with pytest.raises(UserError, match="hears 1 channels, not 2"):
        model.encode(torch.zeros(1, 80, 2))
    with pytest.raises(UserError, match=r"not \(1, 0\)"):
        model.encode(torch.zeros(1, 0))
