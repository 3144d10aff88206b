"""SongFlow with one stem against DiffRhythm's code: velocity under each condition, loss, sampling; JAM by its keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aoide.config import UserError
from aoide.generate import published
from aoide.models.ttm import songflow
from aoide.nn.lengths import mask_from_lengths
from aoide.objectives import flow
from tests.parity import packs

CASES = packs.matching("diffrhythm", "dit_base", "dit_full_song")


def places(pack: packs.Pack, model: songflow.Model) -> Tensor:
    """What the original calls start_time and duration."""
    theirs = {"start": "start_time", "share": "duration"}
    return torch.stack([pack.inputs[theirs[name]] for name in model.config.told], dim=-1)


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_velocity_and_loss(name: str) -> None:
    pack = packs.load(name)
    model = songflow.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    asked = {
        "noisy": inputs["x"],
        "time": inputs["t"],
        "lyric": inputs["text"],
        "style_vector": inputs["style_prompt"],
        "given": inputs["cond"],
        "place_vector": places(pack, model),
    }
    quiet, untold = {"given": None}, {"drop_lyric": torch.ones(len(inputs["x"]), dtype=torch.bool)}
    got = {
        "forward_full": model(**asked),
        "forward_drop_audio": model(**asked | quiet),
        "forward_drop_text_prompt": model(
            **asked | untold | {"style_vector": torch.zeros_like(inputs["style_prompt"])}
        ),
    }
    if "train.loss" in pack.out:
        hidden = mask_from_lengths(torch.tensor([48, 39]), inputs["x"].shape[1])
        *_, noise, normal, _, _, _ = pack.draws("train")
        latents = inputs["x"]
        batch = {
            **{key: asked[key] for key in ("lyric", "style_vector", "place_vector")},
            "latents": latents,
            "hidden": hidden,
            "given": latents.masked_fill(hidden[..., None], 0.0),
        }
        objective = flow.Objective(songflow.TRAINING, songflow, model)
        time = normal.sigmoid()
        got["train.loss"] = objective.losses(batch, time, noise)["flow"]
        noisy = flow.blend(latents, noise, time)
        got["train.pred"] = model(**asked | {"noisy": noisy, "time": time, "given": batch["given"]})
    packs.check(pack, got)
    assert set(pack.out) == set(got) | {"sample"}, "every output is compared"


@pytest.mark.parametrize("name", CASES)
def test_sampling(name: str) -> None:
    pack = packs.load(name)
    model = songflow.from_official(pack.state, pack.config).eval()
    first, last = map(int, pack.meta["outputs"]["out.sample"].split("[[")[1].split("]]")[0].split(","))
    noise = torch.stack(pack.draws("sample"))
    frame = torch.arange(noise.shape[1])
    one = {key: value[:1].repeat(len(noise), *(1 for _ in value.shape[1:])) for key, value in pack.inputs.items()}
    latents = model.compose(
        one["text"],
        one["style_prompt"],
        untold=one["negative_style_prompt"],
        place_vector=places(pack, model)[:1].repeat(len(noise), 1),
        kept=one["cond"],
        fresh=((frame >= first) & (frame < last)).expand(len(noise), -1),
        steps=3,
        guidance=3.0,
        noise=noise,
    )
    packs.check(pack, {"sample": latents})


@pytest.mark.parametrize("name", CASES)
def test_every_key_is_used(name: str, tmp_path: Path) -> None:
    pack = packs.load(name)
    halves = {key: value.half() for key, value in pack.state.items()}
    torch.save({"model_state_dict": halves, "step": 3}, tmp_path / "cfm_model.pt")
    model = published.load("ttm/songflow", songflow, tmp_path)  # as the hub has it, without a configuration
    theirs = pack.state["transformer.proj_out.weight"]
    assert torch.equal(model.out.weight, theirs.half().float()) and model.config.longest in (2048, 6144)
    with pytest.raises(UserError, match="beyond the model extra"):
        songflow.from_official({**pack.state, "transformer.extra": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match=r"lacks steer\.linear\.bias$"):
        songflow.from_official({k: v for k, v in pack.state.items() if "norm_out.linear.bias" not in k}, pack.config)
    with pytest.raises(UserError, match=r"no checkpoint of DiffRhythm or JAM: it lacks input_embed"):
        songflow.from_official({"a": torch.zeros(1)}, {})


def jam() -> dict[str, Tensor]:
    """A checkpoint of JAM's keys (src/jam/model/dit.py, be6c0d2), small and random: no pack of it is recorded."""
    dim, text, style, latents, hidden, layers = 64, 16, 16, 9, 128, 3
    shapes: dict[str, tuple[int, ...]] = {
        "input_embed.proj": (dim, 2 * latents + text + 2 * style),
        "norm_out.linear": (2 * dim, style),
        "proj_out": (latents, dim),
    }
    for stem in ("time", "start_time", "duration_abs", "duration_rel"):
        shapes |= {f"{stem}_embed.time_mlp.0": (style, 256), f"{stem}_embed.time_mlp.2": (style, style)}
    shapes |= {f"input_embed.conv_pos_embed.conv1d.{i}": (dim, dim // 16, 31) for i in (0, 2)}
    shapes |= {f"text_embed.downsample_blocks.{i}": (text, text, 4) for i in (0, 1)}
    shapes |= {f"text_fusion_linears.{i}.0": (dim, style) for i in range(layers // 2)}
    block = {"dwconv": (text, 1, 7), "norm": (text,), "pwconv1": (2 * text, text), "pwconv2": (text, 2 * text)}
    shapes |= {f"text_embed.text_blocks.0.{part}": shape for part, shape in block.items()}
    state = {f"{stem}.weight": torch.randn(shape) * 0.2 for stem, shape in shapes.items()}
    state |= {f"{stem}.bias": torch.randn(shape[0]) * 0.2 for stem, shape in shapes.items()}
    state |= {f"text_embed.text_blocks.0.grn.{part}": torch.randn(1, 1, 2 * text) * 0.2 for part in ("gamma", "beta")}
    state |= {"text_embed.text_embed.weight": torch.randn(64, text), "duration_pad_bias": torch.randn(text)}
    for number in range(layers):
        head = f"transformer_blocks.{number}."
        state |= {f"{head}self_attn.{which}_proj.weight": torch.randn(dim, dim) * 0.1 for which in "qkvo"}
        state |= {f"{head}mlp.{which}_proj.weight": torch.randn(hidden, dim) * 0.1 for which in ("gate", "up")}
        state |= {f"{head}mlp.down_proj.weight": torch.randn(dim, hidden) * 0.1}
        state |= {f"{head}{which}_layernorm.weight": torch.ones(dim) for which in ("input", "post_attention")}
    return {f"transformer.{key}": value for key, value in state.items()}


@torch.no_grad()
def test_jam_loads_and_its_finer_grid_is_folded_into_frames() -> None:
    torch.manual_seed(0)
    state = jam()
    model = songflow.from_official(state, {"dit": {"max_frames": 40}}).eval()
    assert (model.config.lyric_rate, model.config.told) == (4, ("start", "seconds", "share"))
    assert (model.config.longest, model.config.ending, model.config.symbols) == (40, True, 64)
    assert songflow.from_official(state, {}).config.longest == 5000
    lyric = torch.randint(0, 64, (1, 4 * 40))
    text = model._text(lyric, 40, None, None)
    want = model.text(lyric, 160).mT
    for i in (0, 1):
        stem = f"transformer.text_embed.downsample_blocks.{i}."
        want = functional.conv1d(want, state[f"{stem}weight"], state[f"{stem}bias"], stride=2, padding=1)
    torch.testing.assert_close(text, want.mT)
    latents = model.compose(
        lyric,
        torch.randn(1, 16),
        untold=torch.randn(16),
        place_vector=torch.tensor([[0.0, 0.3, 0.5]]),
        steps=4,
        guidance=4.7,
        lyric_guidance=2.6,
        between=(0.05, 1.0),
        generator=torch.Generator().manual_seed(0),
    )
    assert latents.shape == (1, 40, 9) and torch.isfinite(latents).all()


@torch.no_grad()
def test_guided_twice_is_jams_formula() -> None:
    every, some, none = torch.randn(3, 2, 5, 3).unbind()
    call = flow.guided_twice(lambda x, time: torch.cat([every, some, none]), 4.7, 2.6)
    want = 4.7 * (every - some) + 2.6 * (some - none) + none
    torch.testing.assert_close(call(torch.zeros_like(every), torch.zeros(2)), want)
    early = flow.during(call, lambda x, time: x, 0.05, 1.0)
    assert not early(torch.zeros_like(every), torch.zeros(2)).any()
    torch.testing.assert_close(early(torch.zeros_like(every), torch.full((2,), 0.5)), want)
