"""DiffSinger's acoustic model against openvpi's: condition, first mel, denoiser, losses, every sampler."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.svs import diffsinger
from aoide.objectives import diffusion, flow
from tests.parity import packs

PACKS = [
    name
    for method in ("ddpm", "reflow")
    for kind in ("wavenet", "wavenet_shallow", "lynxnet", "lynxnet2")
    for name in packs.matching("diffsinger_openvpi", f"acoustic_{method}_{kind}")
]
SAMPLERS = {"pndm": "plms", "dpm-solver": "dpm_solver", "rk2": "midpoint"}
CURVES = {"energy": "loudness"}
NOT_CURVES = ("txt_tokens", "mel2ph", "f0", "mel", "x_t", "t", "cond", "languages", "spk_embed_id")


def fields(pack: packs.Pack) -> dict[str, Tensor]:
    inputs = pack.inputs
    tokens, mel2ph = inputs["txt_tokens"], inputs["mel2ph"]
    durations = torch.stack([(mel2ph == token + 1).sum(1) for token in range(tokens.shape[1])], dim=1)
    given = {"tokens": tokens, "token_mask": tokens != 0, "durations": durations, "f0": inputs["f0"]}
    names = {"languages": "language", "spk_embed_id": "speaker"}
    given |= {ours: inputs[theirs] for theirs, ours in names.items() if theirs in inputs}
    return given


def curves(pack: packs.Pack) -> dict[str, Tensor]:
    return {CURVES.get(key, key): value for key, value in pack.inputs.items() if key not in NOT_CURVES}


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_condition_denoiser_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = diffsinger.from_official(pack.state, pack.config).eval()
    given, inputs = fields(pack), pack.inputs
    encoded = []
    model.encoder.register_forward_hook(lambda module, args, out: encoded.append(out))
    condition = model.condition(**given, curves=curves(pack))
    backbone = model.denoiser(inputs["x_t"][:, 0].mT, inputs["t"].float(), inputs["cond"].mT)
    got = {"mid.encoder_out": encoded[0], "mid.condition": condition, "backbone": backbone.mT[:, None]}
    when, noise = pack.draws("train")
    noise = noise[:, 0].mT
    real = inputs["mel2ph"] > 0
    share = real.float().mean()  # theirs is a mean over all frames, where padded ones count as 0
    batch = {**given, **curves(pack), "mel": inputs["mel"], "real": real}
    if model.config.method == "flow":
        start = model.config.start if model.config.first else 0.0
        time = start + (1 - start) * when
        objective = flow.Objective(flow.Config(start=start, where="real"), diffsinger, model)
        got |= {"train.t": time, "train.loss": share * objective.losses(batch, time, noise)["flow"]}
        weighted = flow.Objective(flow.Config(start=start, where="real", emphasis="logit_normal"), diffsinger, model)
        got["train.loss_log_norm"] = share * weighted.losses(batch, time, noise)["flow"]
        noisy = flow.blend(model.normalise(inputs["mel"]), noise, time)
        output = model(**given, **curves(pack), noisy=noisy, time=time)
        got["train.v_pred"] = output.prediction.mT[:, None]
        got["train.v_gt"] = (model.normalise(inputs["mel"]) - noise).mT[:, None]
    else:
        objective = diffusion.Objective(diffusion.Config(target="mel", where="real"), diffsinger, model)
        got["train.loss"] = share * objective.losses(batch, when, noise)["diffusion"]
        alpha = model.config.process.alphas()[when].float()[:, None, None]
        noisy = alpha.sqrt() * model.normalise(inputs["mel"]) + (1 - alpha).sqrt() * noise
        output = model(**given, **curves(pack), noisy=noisy, step=when)
        got |= {"train.x_recon": output.prediction.mT[:, None], "train.noise": noise.mT[:, None]}
    if output.first is not None:
        got["train.aux_out"] = output.first
        whole = {**batch, "frame_mask": torch.ones_like(real)}
        got["train.loss_aux"] = diffsinger.FirstLoss(model.config)(output, whole)
    packs.check(pack, got)
    sampled = {key for key in pack.out if key.startswith("infer_")}
    assert set(pack.out) == sampled | {key for key in got if not key.startswith("mid.")}, "every output is compared"


@pytest.mark.parametrize("name", PACKS)
def test_every_sampler(name: str) -> None:
    pack = packs.load(name)
    model = diffsinger.from_official(pack.state, pack.config).eval()
    asked = [key.split(".")[0].removeprefix("infer_") for key in pack.out if key.endswith(".mel")]
    assert asked
    for theirs in asked:
        (noise,) = pack.draws(f"infer_{theirs}")
        items = len(noise)
        given = {key: value[:items] for key, value in fields(pack).items()}
        steps = pack.config["sampling_steps"]
        if model.config.method == "diffusion":
            upto = model.config.depth if model.config.first else pack.config["timesteps"]
            steps = upto // pack.config["diff_speedup"]
        mel = model.sing(
            **given,
            curves={key: value[:items] for key, value in curves(pack).items()},
            steps=steps,
            sampler=SAMPLERS.get(theirs, theirs),
            noise=noise[:, 0].mT,
        )
        real = (pack.inputs["mel2ph"][:items] > 0)[..., None]  # theirs is 0 where there is no phoneme
        got = {f"infer_{theirs}.mel": mel * real}
        if f"infer_{theirs}.aux_mel" in pack.out:
            condition = model.condition(**given, curves=curves(pack))
            first = model.first(condition, None)
            got[f"infer_{theirs}.aux_mel"] = model.denormalise(first).detach() * real
        packs.check(pack, got)


def test_what_does_not_fit_is_told() -> None:
    if not PACKS:
        pytest.skip(f"no parity packs at {packs.FOLDER}")
    pack = packs.load(PACKS[0])
    model = diffsinger.from_official({f"model.{key}": value for key, value in pack.state.items()}, pack.config)
    assert model.config.symbols == pack.config["vocab_size"]
    lacking = {key: value for key, value in pack.state.items() if "pitch_embed.bias" not in key}
    with pytest.raises(UserError, match=r"DiffSinger checkpoint.*lacks pitch\.bias$"):
        diffsinger.from_official(lacking, pack.config)
    with pytest.raises(UserError, match="use_mix_ln"):
        diffsinger.from_official(pack.state, {**pack.config, "use_mix_ln": True})
    with pytest.raises(UserError, match="backbone unet; known are wavenet"):
        diffsinger.from_official(pack.state, {**pack.config, "backbone_type": "unet"})
