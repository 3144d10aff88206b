"""WaveNet against Amphion's: the mel at the rate of samples, the scores of every sample."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.vocoder import wavenet
from tests.parity import packs

PACKS = packs.matching("amphion_vocoder", "wavenet")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_scores(name: str) -> None:
    pack = packs.load(name)
    model = wavenet.from_official(pack.state, pack.config).eval()
    condition = model.upsample(pack.inputs["mel"].mT, model.config.around)
    x = pack.inputs["x"]
    before = x[:, 0] if pack.config["VOCODER"]["SCALAR_INPUT"] else x.argmax(1)
    scores = model.predict(before, condition)
    got = {"mid.mel_up": condition.mT, "logits": scores.mT, "softmax": scores.softmax(-1).mT}
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"
    assert scores.shape[-1] == model.family.size


@pytest.mark.parametrize("name", PACKS)
def test_what_does_not_fit_is_told(name: str) -> None:
    pack = packs.load(name)
    state = {key: value for key, value in pack.state.items() if key != "first_conv.bias"}
    with pytest.raises(UserError, match=r"WaveNet checkpoint.*lacks embed\.bias$"):
        wavenet.from_official(state, pack.config)
    with pytest.raises(UserError, match="reads MelConfig.*n_mels"):
        wavenet.from_official(pack.state, pack.config).vocode(torch.zeros(1, 5, 80))
