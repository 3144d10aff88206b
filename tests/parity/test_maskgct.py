"""MaskGCT's two models and Metis against their originals (Amphion): networks, training losses, sampled codes."""

from __future__ import annotations

import re
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.tts import maskgct, maskgct_s2a, metis
from aoide.objectives import masked
from aoide.objectives.masked import Noise, Task
from tests.parity import packs


def phases(pack: packs.Pack, stem: str) -> list[str]:
    """The recorded calls whose name begins so: train, train2 ..."""
    return sorted({key.rpartition(".")[0] for key in pack.rng if key.startswith(stem)})


def drawn(pack: packs.Pack, phase: str) -> dict[str, Tensor]:
    """The random numbers of a training pass by what they were drawn for."""
    names = {"multinomial": "layer", "randint": "prompt", "bernoulli": "hidden"}
    found: dict[str, Tensor] = {}
    kinds = {entry["key"]: entry["fn"] for entry in pack.meta["rng"]}
    for number, value in enumerate(pack.draws(phase)):
        kind = kinds[f"rng.{phase}.{number}"]
        found[names.get(kind) or ("time" if "time" not in found else "told")] = value
    return found


def task(pack: packs.Pack, phase: str, least: float) -> tuple[Task, Tensor]:
    """What the original asked in a training pass, and the share that it wanted hidden; padding is not spared."""
    draws = drawn(pack, phase)
    time, count = draws["time"].clamp(min=masked.FIRST), len(draws["time"])
    assert float(draws["told"]) > pack.config.get("cfg", pack.config)["cfg_scale"], "a pass with a prompt was recorded"
    real = torch.ones_like(draws["hidden"], dtype=torch.bool)
    hidden = masked.hide(1 - draws["hidden"], time, draws["prompt"], real, least)
    layer = draws.get("layer", torch.zeros(1, dtype=torch.int64)).expand(count)
    asked = Task(time, draws["prompt"], hidden, layer, torch.zeros(count, dtype=torch.bool))
    return asked, masked.share(time).clamp(min=least)


def told(pack: packs.Pack, phase: str, asked: Task, share: Tensor) -> dict[str, Tensor]:
    """What the original says of its draws, in its form."""
    real = pack.inputs["x_mask"].bool()
    got = {
        "final_mask": (asked.masked & real)[..., None].float(),
        "prompt_len": asked.prompt.to(pack.out[f"{phase}.prompt_len"]),
        "mask_prob": share,
        "mask_layer": asked.layer[:1],
    }
    return {f"{phase}.{key}": value for key, value in got.items() if f"{phase}.{key}" in pack.out}


def noise(draws: list[Tensor], steps: int) -> Noise:
    """The uniform numbers of a sampling run as its Gumbel noise; the last of several steps draws no codes."""
    left = iter(draws)
    table = [(None if step + 1 == steps > 1 else next(left), next(left)) for step in range(steps)]

    def gumbel(uniform: Tensor) -> Tensor:
        return -torch.log(-torch.log(uniform + 1e-10) + 1e-10)

    def give(step: int, places: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        for_codes, for_frames = table[step]
        found = torch.zeros(codes.shape) if for_codes is None else gumbel(for_codes)[0, places].gather(1, codes)
        return found, gumbel(for_frames)[0, places]

    return give


def settings(pack: packs.Pack, output: str, own: masked.Sampling) -> tuple[masked.Sampling, list[int]]:
    """The arguments of the recorded call, and its steps."""
    text = pack.meta["outputs"][f"out.{output}"]
    names = {"cfg": "guidance", "rescale_cfg": "rescale", "temp": "temperature", "filter_thres": "threshold"}
    given = {name: float(value) for name, value in re.findall(r"\b(\w+)=([\d.]+)", text) if name in names}
    given = {"cfg": 1.0, "rescale_cfg": 1.0} | given
    (steps,) = re.findall(r"n_timesteps=(\[[\d, ]*\]|\d+)", text)
    return replace(own, **{names[k]: v for k, v in given.items()}), [int(x) for x in re.findall(r"\d+", steps)]


def composed(model: maskgct.Model, pack: packs.Pack, x: Tensor, time: Tensor) -> Tensor:
    """The original's arrangement: its padded phonemes stand between the others and the frames."""
    frames, real = x.shape[1], pack.inputs["x_mask"].bool()
    if "phone_id" in pack.inputs:
        x = torch.cat([model.text(pack.inputs["phone_id"]), x], dim=1)
        real = torch.cat([pack.inputs["phone_mask"].bool(), real], dim=1)
    return model.llama(x, real, model.time(time), last=frames)


@pytest.mark.parametrize("name", packs.matching("amphion_maskgct", "maskgct_t2s"))
@torch.no_grad()
def test_text_to_semantic(name: str) -> None:
    pack = packs.load(name)
    model = maskgct.from_official(pack.state, pack.config).eval()
    codes, real = pack.inputs["x0"], pack.inputs["x_mask"].bool()
    tokens, spoken = pack.inputs["phone_id"], pack.inputs["phone_mask"].bool()
    got = {"estimator": composed(model, pack, pack.inputs["xt"], pack.inputs["t"])}
    for phase in phases(pack, "train"):
        asked, share = task(pack, phase, maskgct.TRAINING.least)
        scores = model.head(composed(model, pack, model.frames(codes, asked.masked), asked.time))
        got |= {f"{phase}.logits": scores} | told(pack, phase, asked, share)
        hidden = asked.masked & real
        if f"{phase}.ce" in pack.out:
            got[f"{phase}.ce"] = torch.nn.functional.cross_entropy(scores[hidden], codes[hidden])
        whole = model(codes, asked.masked, asked.time, real, tokens, spoken).scores
        full = spoken.all(1)
        assert full.any() and torch.allclose(whole[full], scores[full], atol=1e-5)
    for output in ("sample", "sample_nocfg"):
        sampling, (steps,) = settings(pack, output, model.config.sampling)
        draws = noise(pack.draws(output), steps)
        length, prompt = pack.out[output].shape[1], pack.inputs["prompt"]
        (found,) = model.sample([length], [tokens[0]], [prompt[0]], steps=steps, sampling=sampling, noise=draws)
        got[output] = found[None]
    packs.check(pack, got)
    assert set(pack.out) == set(got), "every recorded output is compared"


@pytest.mark.parametrize("name", packs.matching("amphion_maskgct", "maskgct_s2a_1layer", "maskgct_s2a_full"))
@torch.no_grad()
def test_semantic_to_acoustic(name: str) -> None:
    pack = packs.load(name)
    model = maskgct_s2a.from_official(pack.state, pack.config).eval()
    codes, semantic, real = pack.inputs["x0"], pack.inputs["cond_code"], pack.inputs["x_mask"].bool()
    condition = model.mapper(model.semantic(semantic))
    got = {"estimator": model.llama(pack.inputs["xt"] + condition, real, model.time(pack.inputs["t"]))}
    for phase in phases(pack, "train"):
        asked, share = task(pack, phase, maskgct_s2a.TRAINING.least)
        shown, wanted = masked.conceal(codes, asked)
        scores = model(shown, semantic, asked.masked, asked.time, asked.layer, asked.prompt, real).scores
        got |= {f"{phase}.logits": scores} | told(pack, phase, asked, share)
        hidden = asked.masked & real
        if f"{phase}.ce" in pack.out:
            got[f"{phase}.ce"] = torch.nn.functional.cross_entropy(scores[hidden], wanted[hidden])
    for output in phases(pack, "sample"):
        sampling, steps = settings(pack, output, model.config.sampling)
        draws, tables = pack.draws(output), {}
        for number in range(model.given, len(steps)):
            count = 2 * steps[number] - (steps[number] > 1)
            tables[number], draws = noise(draws[:count], steps[number]), draws[count:]
        assert not draws, "all recorded noise is used"
        prompt, known = pack.inputs["prompt"], pack.inputs.get("gt_code")
        (found,) = model.sample(
            [semantic[0]], [prompt[0]], None if known is None else [known[0]], steps, sampling, tables.__getitem__
        )
        got[output] = found[None]
    packs.check(pack, got)
    assert set(pack.out) == set(got), "every recorded output is compared"


@pytest.mark.parametrize("name", packs.matching("amphion_maskgct", "metis_stage1_base", "metis_stage1_vc"))
@torch.no_grad()
def test_metis(name: str) -> None:
    pack = packs.load(name)
    model = metis.from_official(pack.state, pack.config).eval()
    codes, real = pack.inputs["x0"], pack.inputs["x_mask"].bool()
    content = pack.inputs.get("finetune_cond")
    got: dict[str, Tensor] = {}
    for phase in phases(pack, "train"):
        asked, share = task(pack, phase, metis.TRAINING.least)
        scores = model(codes, asked.masked, asked.time, real, content).scores
        got |= {f"{phase}.logits": scores} | told(pack, phase, asked, share)
    for output in phases(pack, "sample"):
        sampling, (steps,) = settings(pack, output, model.config.sampling)
        draws, prompt = noise(pack.draws(output), steps), pack.inputs["prompt"]
        length = pack.out[output].shape[1]
        if content is None:
            (found,) = model.base.sample([length], None, [prompt[0]], steps=steps, sampling=sampling, noise=draws)
        else:
            (found,) = model.sample([content[0]], [prompt[0]], steps, sampling, draws)
        got[output] = found[None]
    packs.check(pack, got)
    assert set(pack.out) == set(got), "every recorded output is compared"


def test_metis_of_three_files_is_that_of_merged_weights() -> None:
    pack = packs.load("amphion_maskgct/metis_stage1_vc")
    adapter = {f"model.{key}": value for key, value in pack.state.items() if key.startswith("cond_adapter.")}
    base = {key: value for key, value in pack.state.items() if not key.startswith("cond_adapter.")}
    name, draw = "diff_estimator.layers.1.mlp.down_proj", torch.Generator().manual_seed(0)
    rows, columns = base[f"{name}.weight"].shape
    down, up = torch.randn(4, columns, generator=draw), torch.randn(rows, 4, generator=draw)
    added = {f"model.{name}.lora_A.default.weight": down, f"model.{name}.lora_B.default.weight": up}
    laid = metis.from_official(base | adapter | added, {**pack.config["cfg"], "lora_alpha": 8})
    whole = pack.state | {f"{name}.weight": base[f"{name}.weight"] + 2 * up @ down}
    want = metis.from_official(whole, pack.config).state_dict()
    assert all(torch.equal(value, want[key]) for key, value in laid.state_dict().items())
    with pytest.raises(UserError, match="lay base and LoRA together"):
        metis.from_official(adapter | added, pack.config)
    with pytest.raises(UserError, match="takes no content"):
        metis.from_official(base, pack.config).sample([torch.zeros(5, 7)])


@pytest.mark.slow  # 2 s: shapes of 2 G parameters
@pytest.mark.parametrize(
    ("module", "change", "parameters"),
    [
        (maskgct, {}, 746_399_744),
        (maskgct_s2a, {"codebooks": 1, "given": 0}, 330_348_544),
        (maskgct_s2a, {}, 353_439_744),
    ],
)
def test_the_defaults_are_as_large_as_what_was_published(
    module: ModuleType, change: dict[str, int], parameters: int
) -> None:
    with torch.device("meta"):
        model = module.Model(replace(module.Config(), **change))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load("amphion_maskgct/maskgct_t2s")
    with pytest.raises(UserError, match="lacks head.bias$"):
        maskgct.from_official({k: v for k, v in pack.state.items() if k != "to_logit.bias"}, pack.config)
    with pytest.raises(UserError, match="has beyond the model strange"):
        maskgct.from_official(pack.state | {"strange": torch.zeros(1)}, {"model": {"t2s_model": pack.config}})
    pack = packs.load("amphion_maskgct/maskgct_s2a_full")
    with pytest.raises(UserError, match="lacks codes.weight; has beyond the model .*token_emb.0.weight"):
        maskgct_s2a.from_official({k: v for k, v in pack.state.items() if "token_emb.1" not in k}, pack.config)
