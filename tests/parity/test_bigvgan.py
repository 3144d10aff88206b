"""BigVGAN against NVIDIA's code (v1 and v2) and Amphion's, over every pack of these forms."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.vocoder import bigvgan
from aoide.nn.fold import fold
from tests.parity import packs
from tests.parity.test_hifigan import activations, parameters

PACKS = [
    *packs.matching(
        "bigvgan",
        "generator_v1",
        "generator_v2",
        *(f"generator_{kind}_resblock{block}" for kind in ("snake", "snakebeta") for block in (1, 2)),
    ),
    *packs.matching(
        "amphion_vocoder",
        "bigvgan",
        *(f"bigvgan_{kind}_resblock{block}" for kind in ("snake", "snakebeta") for block in (1, 2)),
    ),
]


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_generator(name: str) -> None:
    pack = packs.load(name)
    got = activations(bigvgan.from_official(pack.state, pack.config).eval(), pack)
    packs.check(pack, got)
    assert set(got) == {*pack.out, *(f"mid.{name}" for name in pack.mid)}, "all that was recorded is compared"


@pytest.mark.parametrize("name", PACKS)
def test_generator_as_it_trains(name: str) -> None:
    """With gradients, with a mask and folded, other code runs than without."""
    pack = packs.load(name)
    model = bigvgan.from_official(pack.state, pack.config)
    mel = pack.inputs["mel"].mT
    packs.check(pack, {"wav": model(mel)[:, None]})
    packs.check(pack, {"wav": model(mel, torch.ones(mel.shape[:2], dtype=torch.bool))[:, None]})
    packs.check(pack, {"wav": fold(model)(mel)[:, None]})


def test_published_configurations() -> None:
    """Whole configurations as they come with the checkpoints give the sizes that their cards tell."""
    millions = {
        "bigvgan_v2_44khz_128band_512x": 122,
        "bigvgan_v2_24khz_100band_256x": 112,
        "bigvgan_base_24khz_100band": 14,
    }
    common = {
        "resblock": "1",
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
        "activation": "snakebeta",
        "snake_logscale": True,
        "fmax": None,
    }
    v2 = common | {"use_tanh_at_final": False, "use_bias_at_final": False, "upsample_initial_channel": 1536}
    configs = {
        "bigvgan_v2_44khz_128band_512x": v2
        | {"upsample_rates": [8, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [16, 8, 4, 4, 4, 4], "num_mels": 128}
        | {"sampling_rate": 44_100, "hop_size": 512, "n_fft": 2048, "win_size": 2048},
        "bigvgan_v2_24khz_100band_256x": v2
        | {"upsample_rates": [4, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4], "num_mels": 100}
        | {"sampling_rate": 24_000, "hop_size": 256, "n_fft": 1024, "win_size": 1024},
        "bigvgan_base_24khz_100band": common
        | {"upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4], "num_mels": 100}
        | {"sampling_rate": 24_000, "hop_size": 256, "n_fft": 1024, "win_size": 1024, "upsample_initial_channel": 512},
    }
    for name, config in configs.items():
        own = bigvgan.official_config(config)
        assert own.mel.fmax == own.mel.sample_rate / 2
        with torch.device("meta"):
            assert parameters(bigvgan.Model(own)) // 10**6 == millions[name], name
    assert bigvgan.official_config(configs["bigvgan_v2_24khz_100band_256x"]) == bigvgan.Config()


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load("bigvgan/generator_v1")
    key = next(key for key in pack.state if key.endswith("upsample.filter"))
    with pytest.raises(UserError, match="another anti-aliasing filter than BigVGAN's in .*filter$"):
        bigvgan.from_official(pack.state | {key: 2 * pack.state[key]}, pack.config)
    with pytest.raises(UserError, match="has the activation gelu; Aoide builds snake and snakebeta"):
        bigvgan.from_official(pack.state, pack.config | {"activation": "gelu"})
    with pytest.raises(UserError, match=r"lacks upsampler.*activation\.beta"):
        bigvgan.from_official({k: v for k, v in pack.state.items() if not k.endswith("beta")}, pack.config)
