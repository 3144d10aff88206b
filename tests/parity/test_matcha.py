"""Matcha-TTS against the original: text, alignment, U-Net, losses, speech."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.tts import matcha
from aoide.nn.lengths import mask_from_lengths, token_of_frame
from aoide.objectives import flow
from tests.parity import packs

PACKS = packs.matching("matcha_tts", "single_speaker", "multi_speaker")


def path(durations: Tensor, frames: int) -> Tensor:
    """Durations as the matrix of the original: (batch, tokens, frames)."""
    token = token_of_frame(durations, frames)
    return (token[:, None] == torch.arange(durations.shape[1])[:, None]).float()


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_training_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = matcha.from_official(pack.state, pack.config).eval()
    inputs, config = pack.inputs, model.config
    token_mask = mask_from_lengths(inputs["x_lengths"], inputs["x"].shape[1])
    frame_mask = mask_from_lengths(inputs["y_lengths"], inputs["y"].shape[2])
    mel = inputs["y"].mT * config.deviation + config.mean
    batch = {
        "tokens": inputs["x"],
        "token_mask": token_mask,
        "mel": mel,
        "frame_mask": frame_mask,
        **({"speaker": inputs["spks"]} if "spks" in inputs else {}),
    }
    time, noise = pack.draws("train")
    losses = flow.Objective(matcha.TRAINING, matcha, model).losses(batch, time.flatten(), noise.mT)
    beyond = (inputs["y"].mT - (1 - 1e-4) * noise.mT)[~frame_mask].square().sum()  # theirs counts what pads, as 0
    losses["flow"] += beyond / (frame_mask.sum() * mel.shape[2])
    who = model.voice(batch.get("speaker"))
    average, log_durations = model.read(inputs["x"], token_mask, who)
    output = model(**batch, noisy=mel, time=time.flatten())
    got = {
        "encoder.mu_x": average.mT,
        "encoder.logw": log_durations[:, None],
        "attn": path(output.durations, mel.shape[1]),
        "estimator": model.unet(inputs["noisy"].mT, inputs["t"], inputs["mu"].mT, who, frame_mask).mT,
        "loss.flow": losses["flow"],
        "loss.prior": losses["prior"],
        "loss.duration": losses["duration"],
    }
    packs.check(pack, got)
    assert set(pack.out) == set(got) | {key for key in pack.out if key.startswith("infer.")}


@pytest.mark.parametrize("name", PACKS)
def test_speech(name: str) -> None:
    pack = packs.load(name)
    model = matcha.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    token_mask = mask_from_lengths(inputs["x_lengths"], inputs["x"].shape[1])
    frames = pack.out["infer.mel"].shape[2]
    spoken = model.speak(
        inputs["x"],
        token_mask,
        inputs.get("spks"),
        speed=1 / 1.1,
        steps=4,
        noise=pack.draws("infer")[0].mT[:, :frames],
    )
    normal = (spoken.mel - model.config.mean) / model.config.deviation
    padded = pack.out["infer.attn"].shape[3]  # theirs is filled up to whole fours
    got = {
        "infer.mel": spoken.mel.mT,
        "infer.decoder_outputs": normal.mT,
        "infer.encoder_outputs": spoken.average.mT,
        "infer.attn": path(spoken.durations, padded)[:, None],
        "infer.mel_lengths": spoken.durations.sum(1),
    }
    packs.check(pack, got)


@pytest.mark.parametrize("name", PACKS)
def test_every_key_is_used(name: str) -> None:
    pack = packs.load(name)
    matcha.from_official(pack.state, {"model": pack.config})
    with pytest.raises(UserError, match="beyond the model extra"):
        matcha.from_official({**pack.state, "extra": torch.zeros(1)}, pack.config)
    lacking = {key: value for key, value in pack.state.items() if key != "encoder.proj_m.bias"}
    with pytest.raises(UserError, match=r"lacks average\.bias$"):
        matcha.from_official(lacking, pack.config)
    with pytest.raises(UserError, match="Conformer blocks"):
        changed = {**pack.config["decoder"], "mid_block_type": "conformer"}
        matcha.from_official(pack.state, {**pack.config, "decoder": changed})
