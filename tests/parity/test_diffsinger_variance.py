"""DiffSinger's variance model against openvpi's: durations, pitch, curves; in training, in use, drawn anew in part."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.svs import diffsinger_variance as variance
from aoide.models.svs._variance import share_of_words
from aoide.objectives import flow
from tests.parity import packs

PACKS = packs.matching("diffsinger_openvpi", "variance_ddpm_wavenet", "variance_reflow_lynxnet2_melody")
THEIRS = {"loudness": "energy"}


def fields(pack: packs.Pack, model: variance.Model) -> dict[str, Tensor]:
    inputs = pack.inputs
    curves = [inputs["pitch"] - inputs["base_pitch"]]
    curves += [inputs[THEIRS.get(curve, curve)] for curve in model.config.curves]
    given = {
        "tokens": inputs["txt_tokens"],
        "token_mask": inputs["txt_tokens"] != 0,
        "words": inputs["ph2word"],
        "durations": inputs["ph_dur"],
        "midi": inputs["midi"],
        "base_pitch": inputs["base_pitch"],
        "curves": torch.stack(curves, dim=-1),
    }
    names = {
        "spk_id": "speaker",
        "note_midi": "notes",
        "note_rest": "note_rests",
        "note_dur": "note_durations",
        "note_glide": "note_glides",
    }
    return given | {ours: inputs[theirs] for theirs, ours in names.items() if theirs in inputs}


def retakes(pack: packs.Pack, model: variance.Model) -> Tensor:
    anew = [pack.inputs[f"retake_{THEIRS.get(curve, curve)}"] for curve in model.config.curves]
    return torch.stack([pack.inputs["pitch_retake"], *anew], dim=-1)


def bins(pack: packs.Pack, x: Tensor, curves: int) -> Tensor:
    """(batch, frames, curves * bins) as theirs, (batch, curves, bins, frames)."""
    return x.unflatten(-1, (curves, -1)).permute(0, 2, 3, 1)


def ours(x: Tensor) -> Tensor:
    """Theirs (batch, curves, bins, frames) as ours, (batch, frames, curves * bins)."""
    return x.permute(0, 3, 1, 2).flatten(-2)


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_training(name: str) -> None:
    pack = packs.load(name)
    model = variance.from_official(pack.state, pack.config).eval()
    given, inputs = fields(pack, model), pack.inputs
    given["retake"] = retakes(pack, model)
    when, noise, when_var, noise_var = pack.draws("train")
    noises, real, width = (ours(noise), ours(noise_var)), inputs["mel2ph"] > 0, model.pitch.width
    wanted = given["curves"].clone()
    if model.melody is None:
        wanted[..., 0] *= given["retake"][..., 0]  # a kept pitch belongs to the line that is followed
    target = model.normalise(wanted)
    encoded = []
    model.encoder.register_forward_hook(lambda module, args, out: encoded.append(out))
    got: dict[str, Tensor] = {}
    parts = (("pitch", slice(None, width), when, 1), ("var", slice(width, None), when_var, len(model.config.curves)))
    for part, where, time, count in parts:
        mixed = torch.cat(noises, dim=-1)
        if model.config.method == "flow":
            output = model(**given, noisy=flow.blend(target, mixed, time), time=time)
            way = (target - mixed)[..., where]
            off = (output.prediction[..., where] - way).square()
            off = off * flow.logit_normal(time)[:, None, None]
            got[f"train.{part}.v_pred"] = bins(pack, output.prediction[..., where], count)
            got[f"train.{part}.v_gt"] = bins(pack, way, count)
        else:
            alpha = model.config.process.alphas()[time].float()[:, None, None]
            output = model(**given, noisy=alpha.sqrt() * target + (1 - alpha).sqrt() * mixed, step=time)
            off = (output.prediction - mixed)[..., where].square()
            got[f"train.{part}.x_recon"] = bins(pack, output.prediction[..., where], count)
        got[f"train.{part}.loss"] = (off * real[..., None]).mean()  # theirs is a mean over all frames
    got |= {"train.dur_pred": output.durations, "mid.encoder_out": encoded[0]}
    padded = {**given, "token_mask": torch.ones_like(given["token_mask"])}  # and over all phonemes
    got["train.loss_dur"] = variance.DurationLoss(model.config)(output, padded)
    packs.check(pack, got)
    missing = {key for key in pack.out if key.startswith("train.")} - set(got)
    assert missing == set(), "every recorded output is compared"


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("phase", ["infer", "infer_retake"])
def test_filling_in(name: str, phase: str) -> None:
    pack = packs.load(name)
    model = variance.from_official(pack.state, pack.config).eval()
    given, inputs = fields(pack, model), pack.inputs
    pitch, curves = pack.draws(phase)
    known, anew = None, None
    if phase == "infer_retake":
        known, anew = given["curves"], retakes(pack, model)
    notes = tuple(given.get(key) for key in ("notes", "note_rests", "note_durations", "note_glides", "note_mask"))
    steps = pack.config["sampling_steps"]
    if model.config.method == "diffusion":
        steps = pack.config["timesteps"] // pack.config["diff_speedup"]
    filled = model.fill(
        *(given[key] for key in ("tokens", "token_mask", "words")),
        inputs["word_dur"],
        given["midi"],
        given["base_pitch"],
        durations=given["durations"],
        score=notes,
        speaker=given.get("speaker"),
        curves=known,
        retake=anew,
        steps=steps,
        noise={"pitch": ours(pitch), "curves": ours(curves)},
    )
    base = given["base_pitch"]
    if model.melody is None and anew is not None:
        base = base + known[..., 0] * ~anew[..., 0]
    got = {f"{phase}.pitch_delta": filled.pitch - base}
    got |= {f"{phase}.{THEIRS.get(curve, curve)}": value for curve, value in filled.curves.items()}
    if f"{phase}.dur_pred" in pack.out:
        got[f"{phase}.dur_pred"] = filled.frame_durations.clamp(min=0)
    packs.check(pack, got)
    assert {key for key in pack.out if key.startswith(f"{phase}.")} == set(got)


@pytest.mark.parametrize("name", PACKS)
def test_words_share_out_their_time(name: str) -> None:
    pack = packs.load(name)
    model = variance.from_official({f"model.{key}": value for key, value in pack.state.items()}, pack.config).eval()
    given = fields(pack, model)
    words = pack.inputs["word_dur"]
    notes = tuple(given.get(key) for key in ("notes", "note_rests", "note_durations", "note_glides", "note_mask"))
    heads = [given[key] for key in ("tokens", "token_mask", "words")]
    rest = {"score": notes, "speaker": given.get("speaker"), "steps": 1}
    filled = model.fill(*heads, words, given["midi"], given["base_pitch"], **rest)
    assert filled.durations.dtype == torch.int64
    total = share_of_words(given["words"], filled.durations).max(dim=1).values
    assert (total <= words.max(dim=1).values + given["tokens"].shape[1]).all()
    lacking = {key: value for key, value in pack.state.items() if key != "pitch_embed.bias"}
    with pytest.raises(UserError, match=r"variance checkpoint.*lacks around\.bias$"):
        variance.from_official(lacking, pack.config)
