"""ACE-Step v1 against its own code: conditions, velocity, guessed features, guidance, schedules, sampling."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from aoide.config import UserError
from aoide.models.ttm import acestep
from aoide.objectives import flow
from tests.parity import packs

MODELS = packs.matching("ace_step", "transformer")
RULES = packs.matching("ace_step", "guidance_and_schedulers")
# How the pack was recorded, where it does not say so: the two strengths follow from its numbers by least squares.
OMEGA, TEXT_GUIDANCE, LYRIC_GUIDANCE = 10.0, 5.0, 1.5


def folded(latents: Tensor) -> Tensor:
    """(batch, channel, bin, frame), as published -> (batch, frame, channel * bin)."""
    return latents.permute(0, 3, 1, 2).flatten(2)


def unfolded(latents: Tensor, channels: int) -> Tensor:
    return latents.unflatten(-1, (channels, -1)).permute(0, 2, 3, 1)


def conditions(pack: packs.Pack) -> dict[str, Tensor]:
    inputs = pack.inputs
    return {
        "text": inputs["text"],
        "voice_vector": inputs["speaker"],
        "lyric": inputs["lyric_token_idx"],
        "text_mask": inputs["text_mask"].bool(),
        "lyric_mask": inputs["lyric_mask"].bool(),
    }


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_conditions_velocity_and_features(name: str) -> None:
    pack = packs.load(name)
    model = acestep.from_official(pack.state, pack.config).eval()
    seen: dict[str, Tensor] = {}
    for part, module in {"proj_in": model.patch, "block0": model.blocks[0], "lyric_encoder": model.lyrics.norm}.items():
        module.register_forward_hook(lambda module, _, out, part=part: seen.__setitem__(f"mid.{part}", out))
    told = model.tell(**conditions(pack))
    mask = pack.inputs["attention_mask"].bool()
    noisy = folded(pack.inputs["hidden_states"])
    output = model(noisy, 1 - pack.inputs["timestep"] / 1000, frame_mask=mask, **conditions(pack))
    got = seen | {
        "sample": unfolded(-output.prediction, model.config.channels),  # theirs goes from the sound to the noise
        "encoder_hidden_states": told.vectors,
        "encoder_hidden_mask": told.mask.float(),
    }
    for number, (theirs, ours) in enumerate({"mert": "mert", "m-hubert": "hubert"}.items()):
        rows = [pack.inputs[f"ssl.{number}.{item}"] for item in range(2)]
        wanted = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        real = torch.arange(wanted.shape[1]) < torch.tensor([[len(row)] for row in rows])
        got[f"proj_loss.{theirs}"] = acestep.LOSSES[ours](output, {ours: wanted, f"{ours}_mask": real})
    packs.check(pack, got)
    assert set(pack.out) == {key for key in got if not key.startswith("mid.")} | {"denoised", "timesteps", "sigmas"}


@pytest.mark.parametrize("name", MODELS)
def test_sampling(name: str) -> None:
    pack = packs.load(name)
    model = acestep.from_official(pack.state, pack.config).eval()
    noise = folded(pack.rng["sample.0"])
    latents = model.compose(
        frames=noise.shape[1],
        frame_mask=pack.inputs["attention_mask"].bool(),
        steps=4,
        guidance=7.0,
        middle=1.0,
        noise=noise,
        **conditions(pack),
    )
    noise_left = 1 - flow.shifted_times(4, 3.0)
    got = {
        "denoised": unfolded(latents, model.config.channels),
        "sigmas": noise_left,
        "timesteps": 1000 * noise_left[:-1],
    }
    packs.check(pack, got)


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_used(name: str) -> None:
    pack = packs.load(name)
    with pytest.raises(UserError, match="beyond the model extra"):
        acestep.from_official({**pack.state, "extra": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match=r"lacks steer\.bias$"):
        acestep.from_official({k: v for k, v in pack.state.items() if k != "t_block.1.bias"}, pack.config)
    with pytest.raises(UserError, match="no checkpoint of ACE-Step v1: it lacks proj_in"):
        acestep.from_official({}, {})
    fewer = {key: value for key, value in pack.state.items() if not key.startswith("projectors.")}
    assert acestep.from_official(fewer, pack.config).config.alike == {}


def rules(name: str) -> tuple[packs.Pack, Any]:
    """The pack, and the original's toy network as our velocity: the other way, told the time as ours is."""
    pack = packs.load(name)
    return pack, lambda x, time: -(torch.tanh(x) + 0.1 * pack.inputs["uncond"])


@pytest.mark.parametrize("name", RULES)
def test_guidance(name: str) -> None:
    pack, _ = rules(name)
    told, untold, some = (pack.inputs[key] for key in ("cond", "uncond", "only_text"))
    strength = pack.config["guidance"] - 1
    with_memory, plain = flow.Projection(), flow.Projection(momentum=None)
    got = {
        "apg.0": with_memory(told, untold, strength),
        "apg.1": with_memory(untold, some, strength),
        "apg_plain": plain(told, untold, strength),
        "cfg": flow.guided(lambda x, time: torch.cat([told, untold]), strength)(told, torch.zeros(2)),
        "cfg_zero.5": flow.rescaled(told, untold, strength),
    }
    double = flow.guided_twice(lambda x, time: torch.cat([told, some, untold]), LYRIC_GUIDANCE, TEXT_GUIDANCE)
    got["cfg_double"] = double(told, torch.zeros(2))
    packs.check(pack, got)
    assert not pack.out["cfg_zero.0"].any(), "the first steps of CFG-Zero* stand still"


@pytest.mark.parametrize("name", RULES)
def test_schedules(name: str) -> None:
    pack, call = rules(name)
    start = pack.inputs["cond"]
    times = flow.shifted_times(4, 3.0)
    got: dict[str, Tensor] = {}
    left = 1 - times
    for sampler in ("euler", "pingpong"):
        got |= {f"{sampler}.sigmas": left, f"{sampler}.timesteps": 1000 * left[:-1]}
    twice = torch.cat([left[:1], left[1:-1].repeat_interleave(2), left[-1:]])
    got |= {"heun.sigmas": twice, "heun.timesteps": 1000 * twice[:-1]}
    more = flow.contrasted(call, OMEGA)
    got["euler.sample"] = flow.integrate(more, start, times)
    got["heun.sample"] = flow.integrate(more, flow.integrate(more, start, times[:-1], "heun"), times[-2:])
    got["pingpong.sample"] = flow.ping_pong(call, start, times, noises=pack.draws("pingpong"))
    packs.check(pack, got)


def test_packs_say_whose_they_are() -> None:
    for name in (*MODELS, *RULES):
        with safe_open(str(packs.FOLDER / f"{name}.safetensors"), "pt") as file:
            assert json.loads(file.metadata()["source"])["repo"] == "ace-step/ACE-Step"
