"""NaturalSpeech 2 against Amphion's: the codec's tables, what steers the WaveNet, every loss, a sampling."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.tts import naturalspeech2
from aoide.objectives import diffusion
from tests.parity import packs

PACKS = packs.matching("amphion_tts", "naturalspeech2")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_training_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = naturalspeech2.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    codes, mask, token_mask = inputs["code"].mT, inputs["mask"].bool(), inputs["phone_mask"].bool()
    latent = model.latents(codes)
    prompt, prompt_mask = model.latents(inputs["ref_code"].mT), inputs["ref_mask"].bool()
    heard = model.listen(prompt, prompt_mask)
    prior = model.prepare(inputs["phone_id"], token_mask, heard, inputs["duration"], inputs["pitch"], mask)
    time, noise = pack.draws("forward")
    time, noise = time.clamp(1e-5, 1 - 1e-5), noise.mT
    batch = {
        "tokens": inputs["phone_id"],
        "token_mask": token_mask,
        "durations": inputs["duration"],
        "f0": inputs["pitch"],
        "prompt": prompt,
        "prompt_mask": prompt_mask,
        "codes": codes,
        "latent": latent,
        "aims": model.nearest(latent)[0],
        "frame_mask": mask,
        "asked": mask,
    }
    weights = dict.fromkeys(naturalspeech2.LOSSES, 1.0)
    config = diffusion.Config(target="latent", distance="l1", where="asked", weights=weights)
    losses = diffusion.Objective(config, naturalspeech2, model).losses(batch, time, noise)
    alpha = model.config.process.alpha(time)[:, None, None]
    noisy = alpha.sqrt() * latent + (1 - alpha).sqrt() * noise
    output = model(**{key: batch[key] for key in list(batch)[:6]}, noisy=noisy, step=time, frame_mask=mask)
    process = model.config.process
    frames = output.log_durations.expm1()
    got = {
        "latent_of_code": latent.mT,
        "codes_again": model.nearest(latent)[0].permute(2, 0, 1),
        "mid.prompt_encoder": heard.frames,
        "mid.query_attn": heard.answers,
        "forward.prior_out": prior.condition,
        "forward.dur_pred": frames,
        "forward.dur_pred_log": output.log_durations,
        "forward.dur_pred_round": frames.round().clamp(min=0).long(),
        "forward.mel_len": prior.durations.sum(1),
        "forward.pitch_pred_log": output.log_f0,
        "forward.pitch_token": torch.bucketize(inputs["pitch"], model.edges),
        "forward.x0_pred": output.prediction.mT,
        "forward.noise": noise.mT,
        "forward.noise_pred": process.noise(noisy, output.prediction, alpha).mT,
        "loss.diff_x0": losses["diffusion"],
        "loss.diff_noise": losses["score"],
        "loss.ce_rvq": losses["codes"],
        "loss.duration": losses["duration"],
        "loss.pitch": losses["pitch"],
    }
    packs.check(pack, got)
    sampled = {key for key in pack.out if key.startswith("infer.")}
    assert set(pack.out) == sampled | {key for key in got if not key.startswith("mid.")}, "every output is compared"


@pytest.mark.parametrize("name", PACKS)
def test_sampling(name: str) -> None:
    pack = packs.load(name)
    model = naturalspeech2.from_official(pack.state, pack.config).eval()
    tokens, codes = pack.inputs["phone_id"], pack.inputs["ref_code"].mT
    latents, prior = model.speak(
        tokens,
        torch.ones_like(tokens, dtype=torch.bool),  # theirs does not look at padding when it speaks
        codes,
        pack.inputs["ref_mask"].bool(),
        steps=3,
        noise=pack.draws("infer")[0].mT / 1.2,
    )
    got = {"infer.x0": latents.mT, "infer.prior_out": prior.condition, "infer.dur_pred_round": prior.durations}
    packs.check(pack, got)


@pytest.mark.parametrize("name", PACKS)
def test_every_key_is_used(name: str) -> None:
    pack = packs.load(name)
    naturalspeech2.from_official(pack.state, {"model": pack.config})
    with pytest.raises(UserError, match="beyond the model extra"):
        naturalspeech2.from_official({**pack.state, "extra": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match=r"lacks questions$"):
        naturalspeech2.from_official({k: v for k, v in pack.state.items() if k != "query_emb.weight"}, pack.config)
    with pytest.raises(UserError, match="trained with flow matching"):
        changed = {**pack.config["diffusion"], "diffusion_type": "flow"}
        naturalspeech2.from_official(pack.state, {**pack.config, "diffusion": changed})
