"""DAC against its original: packs of its own where there are any, and the DAC that is a part of DualCodec's pack."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.codec import dac
from tests.parity import packs

INSIDE = packs.matching("amphion_codec", "dualcodec")


@pytest.mark.parametrize("name", INSIDE)
@torch.no_grad()
def test_decoder_inside_dualcodec(name: str) -> None:
    pack = packs.load(name)
    state = {key.removeprefix("dac."): value for key, value in pack.state.items() if key.startswith("dac.")}
    model = dac.from_official(state, pack.config).eval()
    latents = pack.out["forward.acoustic.z"].mT
    short = pack.out["decode"].shape[-1]
    sound = model.decoder(latents)
    packs.check(pack, {"forward.acoustic.x": sound[:, None], "decode": sound[:, None, :short]})
    assert short == sound.shape[1] - model.decoder.missing


@pytest.mark.parametrize("name", INSIDE)
def test_what_does_not_fit_is_told(name: str) -> None:
    pack = packs.load(name)
    state = {key.removeprefix("dac."): value for key, value in pack.state.items() if key.startswith("dac.")}
    with pytest.raises(UserError, match="lacks decoder.last.bias$"):
        dac.from_official({k: v for k, v in state.items() if k != "decoder.model.5.bias"}, pack.config)
    with pytest.raises(UserError, match="lacks quantiser.layers.3.inward.bias, "):
        dac.from_official(state, pack.config | {"n_codebooks": 4})
    with pytest.raises(UserError, match="codebooks of one size"):
        dac.from_official(state, pack.config | {"codebook_dim": [5, 5, 4]})


def test_published_settings() -> None:
    """What stands in metadata.kwargs of weights_24khz.pth and weights_44khz.pth."""
    rates = {"encoder_rates": [2, 4, 5, 8], "decoder_rates": [8, 5, 4, 2]}
    kwargs = {"encoder_dim": 64, "decoder_dim": 1536, "n_codebooks": 32, "codebook_size": 1024, "codebook_dim": 8}
    config = dac.official_config({**kwargs, **rates, "quantizer_dropout": 0.5, "sample_rate": 24_000})
    assert (config.hop, config.frame_rate, config.latent_dim, config.codebooks) == (320, 75.0, 1024, 32)
    assert dac.official_config({"quantizer_dropout": 0.5}) == dac.Config()
