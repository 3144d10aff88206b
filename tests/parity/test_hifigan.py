"""HiFi-GAN against jik876's code and Amphion's, over every pack of these forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aoide.audio.mel import MelSpectrogram
from aoide.config import UserError
from aoide.models.vocoder import hifigan
from aoide.nn.fold import fold
from tests.parity import packs
from tests.parity.packs import Pack

PACKS = [
    *packs.matching("hifigan", *(f"generator_v{n}" for n in range(10))),
    *packs.matching("amphion_vocoder", "hifigan", "hifigan_resblock1", "hifigan_resblock2"),
]


def activations(model: torch.nn.Module, pack: Pack) -> dict[str, Tensor]:
    """The waveform and the activations that a pack of a generator of this kind has, by their names there."""
    network = model.upsampler
    last = network.stages[-1].blocks[-1]
    places = {
        "conv_pre": network.first,
        "ups0": network.stages[0].up,
        "activation0": network.stages[0].blocks[0].activations[0],
        "resblock0": network.stages[0].blocks[0],
        "resblock_last": last,
    }
    heard: dict[str, Tensor] = {}

    def listen(name: str) -> None:
        def hook(module: object, inputs: object, output: Tensor) -> None:
            heard.setdefault(f"mid.{name}", output.clone())  # the next layer may write over it

        places[name].register_forward_hook(hook)

    for name in pack.mid:
        listen(name)
    heard["wav"] = model(pack.inputs["mel"].mT)[:, None]
    return heard


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_generator(name: str) -> None:
    pack = packs.load(name)
    got = activations(hifigan.from_official(pack.state, pack.config).eval(), pack)
    packs.check(pack, got)
    assert set(got) == {*pack.out, *(f"mid.{name}" for name in pack.mid)}, "all that was recorded is compared"


@pytest.mark.parametrize("name", PACKS)
def test_generator_as_it_trains(name: str) -> None:
    """With gradients, and with a mask, other code runs than without."""
    pack = packs.load(name)
    model = hifigan.from_official(pack.state, pack.config)
    mel = pack.inputs["mel"].mT
    packs.check(pack, {"wav": model(mel)[:, None]})
    packs.check(pack, {"wav": model(mel, torch.ones(mel.shape[:2], dtype=torch.bool))[:, None]})


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_folded_weights(name: str) -> None:
    """Ours without its norms, and theirs after remove_weight_norm."""
    pack = packs.load(name)
    model = fold(hifigan.from_official(pack.state, pack.config)).eval()
    packs.check(pack, {"wav": model(pack.inputs["mel"].mT)[:, None]})
    removed = {}
    for key, value in pack.state.items():
        if key.endswith("weight_v"):
            stem = key.removesuffix("_v")
            removed[stem] = torch._weight_norm(value, pack.state[f"{stem}_g"], 0)
        elif not key.endswith("weight_g"):
            removed[key] = value
    again = hifigan.from_official(removed, pack.config).eval()
    packs.check(pack, {"wav": again(pack.inputs["mel"].mT)[:, None]})


@pytest.mark.parametrize("name", packs.matching("hifigan", "mel_and_l1_loss"))
@torch.no_grad()
def test_mel_and_loss(name: str) -> None:
    """The mel of `from_official` is theirs, and so is the distance that training minimises."""
    pack = packs.load(name)
    mel = hifigan.official_mel(pack.config, pack.config["hop_size"])
    real, fake = pack.inputs["y"][:, 0], pack.inputs["y_hat"][:, 0]
    distance = hifigan.MelDistance(replace(hifigan.Config(), mel=mel))
    loss = hifigan.TRAINING.weights["mel"] * distance(fake, {"audio": real})
    wide = MelSpectrogram(replace(mel, fmax=mel.sample_rate / 2))
    packs.check(pack, {"mel": MelSpectrogram(mel)(real).mT, "mel_loss_target": wide(real).mT, "loss.mel": loss})


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load("hifigan/generator_v1")
    with pytest.raises(UserError, match=r"lacks upsampler\.last\.bias$"):
        hifigan.from_official({k: v for k, v in pack.state.items() if not k.endswith("conv_post.bias")}, pack.config)
    with pytest.raises(UserError, match="has beyond the model extra"):
        hifigan.from_official(pack.state | {"generator.extra": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match="24 samples of a frame, hop_size is 256"):
        hifigan.from_official(pack.state, pack.config | {"hop_size": 256})
    with pytest.raises(UserError, match="reads MelConfig.*n_mels=80"):
        hifigan.from_official(pack.state, pack.config)(torch.zeros(1, 5, 9))


def test_published_configurations() -> None:
    """Whole configurations as they come with the checkpoints give the sizes that their cards tell."""
    v1 = {
        "resblock": "1",
        "upsample_rates": [8, 8, 2, 2],
        "upsample_kernel_sizes": [16, 16, 4, 4],
        "upsample_initial_channel": 512,
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
        "num_mels": 80,
        "n_fft": 1024,
        "hop_size": 256,
        "win_size": 1024,
        "sampling_rate": 22050,
        "fmin": 0,
        "fmax": 8000,
        "fmax_for_loss": None,
    }
    sizes, mel = hifigan.official_sizes(v1, "hifigan")
    assert hifigan.Config(mel=mel, **sizes) == hifigan.Config()
    with torch.device("meta"):
        assert parameters(hifigan.Model(hifigan.Config())) == 13_936_130  # weights and norms, as in their checkpoint
    amphion = {
        "preprocess": {"n_mel": 100, "sample_rate": 24000},
        "model": {
            "generator": "hifigan",
            "hifigan": v1
            | {
                "upsample_rates": [8, 4, 2, 2, 2],
                "upsample_kernel_sizes": [16, 8, 4, 4, 4],
                "upsample_initial_channel": 768,
                "resblock_kernel_sizes": [3, 5, 7],
            },
        },
    }
    sizes, mel = hifigan.official_sizes(amphion, "hifigan")
    with torch.device("meta"):
        assert parameters(hifigan.Model(hifigan.Config(mel=mel, **sizes))) == 23_650_946


def parameters(model: torch.nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())
