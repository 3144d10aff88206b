"""WaveGlow against Amphion's: noise, scales and determinants of each flow, the likelihood; and the way back."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from aoide import trace
from aoide.config import UserError
from aoide.models.vocoder import waveglow
from aoide.objectives.likelihood import negative_log_likelihood
from tests.parity import packs

PACKS = packs.matching("amphion_vocoder", "waveglow")


def _padded(pack: packs.Pack, hop: int) -> torch.Tensor:
    """The sound filled up to whole frames: the original takes any number of samples."""
    wav, frames = pack.inputs["wav"], pack.inputs["mel"].shape[2]
    return torch.nn.functional.pad(wav, (0, frames * hop - wav.shape[1]))


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_noise_and_likelihood(name: str) -> None:
    pack = packs.load(name)
    model = waveglow.from_official(pack.state, pack.config).eval()
    config, mel, wav = model.config, pack.inputs["mel"].mT, pack.inputs["wav"]
    places = wav.shape[1] // config.group
    # a sound that ends within a frame: the places after its end are no part of the original
    condition, _ = model.conditions(mel)
    model.conditions = lambda mel, frame_mask: (condition[:, :places], None)  # type: ignore[method-assign]
    with trace.record() as recording:
        output = model(wav[:, : places * config.group], mel)
    got = {"z": output.z.mT, "nll": negative_log_likelihood(*output)}
    scales = recording.values("waveglow/log_scale")
    got |= {f"log_s.{flow}": scale.mT for flow, scale in enumerate(scales)}
    determinants = torch.stack([flow.mix.log_determinant() for flow in model.flows])
    got["log_det_W"] = determinants * output.mask.sum()
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"
    back = model.undo(output.z, mel)
    assert (back - wav[:, : back.shape[1]]).abs().max() <= 1e-4
    assert all(one.shape[-1] <= two.shape[-1] for two, one in pairwise(scales)), "channels leave, none comes"


@pytest.mark.parametrize("name", PACKS)
def test_weights_without_their_norm(name: str) -> None:
    """NVIDIA's published checkpoints for inference have had weight normalisation removed."""
    pack = packs.load(name)
    state = {key: value for key, value in pack.state.items() if not key.endswith(("weight_g", "weight_v"))}
    for key, scale in pack.state.items():
        if key.endswith("weight_g"):
            value = pack.state[key.replace("weight_g", "weight_v")]
            state[key.replace("weight_g", "weight")] = scale * value / value.norm(dim=(1, 2), keepdim=True)
    mel = pack.inputs["mel"].mT
    sounds = [
        waveglow.from_official(form, pack.config).vocode(mel, generator=torch.Generator().manual_seed(0))
        for form in (state, pack.state)
    ]
    torch.testing.assert_close(sounds[0], sounds[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PACKS)
def test_what_does_not_fit_is_told(name: str) -> None:
    pack = packs.load(name)
    state = {key: value for key, value in pack.state.items() if key != "WN.0.end.bias"}
    with pytest.raises(UserError, match=r"WaveGlow checkpoint.*lacks flows\.0\.coupling\.end\.bias$"):
        waveglow.from_official(state, pack.config)
    with pytest.raises(UserError, match="reads MelConfig.*n_mels"):
        waveglow.from_official(pack.state, pack.config).vocode(torch.zeros(1, 5, 80))


def test_published_configuration_form() -> None:
    """config.json of NVIDIA's repository, at their sizes but for the channels."""
    stack = {"n_layers": 2, "n_channels": 4, "kernel_size": 3}
    config = {
        "data_config": {
            "sampling_rate": 22050,
            "filter_length": 1024,
            "hop_length": 256,
            "win_length": 1024,
            "mel_fmin": 0.0,
            "mel_fmax": 8000.0,
        },
        "waveglow_config": {
            "n_mel_channels": 80,
            "n_flows": 12,
            "n_group": 8,
            "n_early_every": 4,
            "n_early_size": 2,
            "WN_config": stack,
        },
    }
    settings = waveglow._nvidia(config)
    assert settings == waveglow.Config(layers=2, channels=4)
    assert [settings.width(flow) for flow in range(12)] == [8] * 4 + [6] * 4 + [4] * 4
