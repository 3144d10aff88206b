"""MelGAN against Amphion's code, over every pack of this form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.vocoder import melgan
from tests.parity import packs

PACKS = packs.matching("amphion_vocoder", "melgan")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_generator(name: str) -> None:
    pack = packs.load(name)
    model = melgan.from_official(pack.state, pack.config).eval()
    got: dict[str, Tensor] = {}
    places = {"conv_in": model.first, "resnet0": model.stages[0].blocks[0]}
    for mid in pack.mid:
        places[mid].register_forward_hook(
            lambda module, inputs, output, mid=mid: got.setdefault(f"mid.{mid}", output.clone()) is None or None
        )
    got["wav"] = model(pack.inputs["mel"].mT)[:, None]
    packs.check(pack, got)
    assert set(got) == {*pack.out, *(f"mid.{name}" for name in pack.mid)}, "all that was recorded is compared"


@pytest.mark.parametrize("name", PACKS)
def test_generator_as_it_trains(name: str) -> None:
    pack = packs.load(name)
    model = melgan.from_official(pack.state, pack.config)
    mel = pack.inputs["mel"].mT
    packs.check(pack, {"wav": model(mel)[:, None]})
    packs.check(pack, {"wav": model(mel, torch.ones(mel.shape[:2], dtype=torch.bool))[:, None]})


@torch.no_grad()
def test_lone_frame() -> None:
    """Too short to be mirrored in theirs; it is not silence here."""
    pack = packs.load("amphion_vocoder/melgan")
    model = melgan.from_official(pack.state, pack.config).eval()
    wav = model(pack.inputs["mel"].mT[:, :1])
    assert wav.shape == (2, model.config.mel.hop) and wav.isfinite().all() and wav.abs().max() > 1e-3


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load("amphion_vocoder/melgan")
    with pytest.raises(UserError, match=r"MelGAN checkpoint does not fit its configuration: it lacks first\.bias"):
        melgan.from_official({k: v for k, v in pack.state.items() if k != "model.1.bias"}, pack.config)
    with pytest.raises(UserError, match="hop_size is 256"):
        preprocess = {**pack.config["preprocess"], "hop_size": 256}
        melgan.from_official(pack.state, {**pack.config, "preprocess": preprocess})
