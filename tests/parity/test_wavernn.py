"""WaveRNN against Amphion's: the mel at the rate of samples, the context, the scores of every sample."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.vocoder import wavernn
from tests.parity import packs

PACKS = packs.matching("amphion_vocoder", "wavernn")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_scores(name: str) -> None:
    pack = packs.load(name)
    model = wavernn.from_official(pack.state, pack.config).eval()
    mel = pack.inputs["mel"].mT  # with the frames around it
    stretched, context = model.upsample(mel, model.config.around, mel)
    scores = model.predict(pack.inputs["x"], stretched, context)
    packs.check(pack, {"mid.mels_up": stretched, "mid.aux": context, "logits": scores})
    assert set(pack.out) == {"logits"}, "every recorded output is compared"
    assert scores.shape[-1] == model.family.size


@pytest.mark.parametrize("name", PACKS)
def test_what_does_not_fit_is_told(name: str) -> None:
    pack = packs.load(name)
    state = {key: value for key, value in pack.state.items() if key != "fc3.bias"}
    with pytest.raises(UserError, match=r"WaveRNN checkpoint.*lacks out\.bias$"):
        wavernn.from_official(state, pack.config)
    with pytest.raises(UserError, match="reads MelConfig.*n_mels"):
        wavernn.from_official(pack.state, pack.config).vocode(torch.zeros(1, 5, 80))
