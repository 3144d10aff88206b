"""VitsSVC against Amphion's: conditions, hidden frames on both sides of the flow, sound, conversion."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.svc import vitssvc
from aoide.nn.lengths import mask_from_lengths
from tests.parity import packs

PACKS = packs.matching("amphion_svc", "vitssvc")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_training_and_conversion(name: str) -> None:
    pack = packs.load(name)
    model = vitssvc.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    contents = [inputs[f"{network}_feat"] for network in model.config.conditions.content]
    f0, speaker = inputs["frame_pitch"], inputs["spk_id"][:, 0]
    condition = model.conditions(
        torch.cat(contents, dim=2), f0, inputs["frame_energy"], speaker, voiced=inputs["frame_uv"] == 0
    )
    _, noise, chance = pack.draws("forward")  # the first is that of a sample of the prior, which nobody reads
    real = mask_from_lengths(inputs["target_len"], f0.shape[1])
    starts = (chance * (real.sum(1) - model.config.segment + 1)).long()
    output = model.learn(condition, inputs["linear"], real, f0, speaker, noise.mT, starts=starts)
    (draw,) = pack.draws("infer")
    everything = torch.ones_like(real)
    moved = model.prior(condition, everything).sample(draw.mT, 0.35)
    hidden = model.flow(moved, everything, model.singer(speaker), inverse=True)
    got = {
        "forward.y_hat": output.audio[:, None],
        "forward.ids_slice": starts,
        "forward.x_mask": real[:, None].float(),
        "forward.z_mask": real[:, None].float(),
        "forward.z": output.hidden.mT,
        "forward.z_p": output.moved.mT,
        "forward.m_p": output.prior.mean.mT,
        "forward.logs_p": output.prior.log_deviation.mT,
        "forward.m_q": output.posterior.mean.mT,
        "forward.logs_q": output.posterior.log_deviation.mT,
        "infer.wav": model.decoder(hidden)[:, None],
    }
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"


@torch.no_grad()
def test_conversion_is_these_steps() -> None:
    model = vitssvc.Model(vitssvc.TOY).eval()
    batch = vitssvc.example(vitssvc.TOY)
    steer = {name: batch[name] for name in ("content", "f0", "energy", "speaker")}
    sounds = [model.convert(**steer, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert sounds[0].shape == batch["audio"].shape
    assert torch.equal(sounds[0], sounds[1]) and not torch.equal(sounds[0], sounds[2])
    with pytest.raises(UserError, match="steered by speaker"):
        model.convert(batch["content"], batch["f0"], batch["energy"])


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load(PACKS[0])
    cut = pack.state | {"enc_p.proj.bias": torch.zeros(3)}
    with pytest.raises(UserError, match=r"VitsSVC checkpoint does not fit.*out.bias is \(3,\), not"):
        vitssvc.from_official(cut, pack.config)
    other = pack.config | {"model": pack.config["model"] | {"generator": "melgan"}}
    with pytest.raises(UserError, match="decoder melgan; known is hifigan"):
        vitssvc.from_official(pack.state, other)
