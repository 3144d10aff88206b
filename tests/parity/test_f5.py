"""F5, E2 and MMDiT against F5-TTS's code: velocity under each condition, losses, every step of two samplings."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide import trace
from aoide.config import UserError
from aoide.models.tts import _infill, e2, f5, f5_mmdit
from aoide.nn.lengths import mask_from_lengths
from aoide.objectives import flow
from tests.parity import packs

F5 = packs.matching("f5_tts", "dit_v0", "dit_v1", "dit_qknorm_longskip")
CASES: list[tuple[ModuleType, str]] = [
    *((f5, name) for name in F5),
    *((e2, name) for name in packs.matching("f5_tts", "unett_e2")),
    *((f5_mmdit, name) for name in packs.matching("f5_tts", "mmdit")),
]
IDS = [name for _, name in CASES]
SETTINGS: dict[str, dict[str, Any]] = {  # what the pack says of its two samplings
    "sample": {"steps": 4, "guidance": 2.0, "sway": -1.0},
    "sample_epss": {"steps": 5, "guidance": 0.0, "sway": 0.0},
}


def text(module: ModuleType, tokens: Tensor) -> dict[str, Tensor]:
    """The original's text, padded with -1, as the model takes it."""
    fields = {"tokens": tokens + 1}
    return fields | {"token_mask": tokens != -1} if module is f5_mmdit else fields


@pytest.mark.parametrize(("module", "name"), CASES, ids=IDS)
@torch.no_grad()
def test_velocity_and_losses(module: ModuleType, name: str) -> None:
    pack = packs.load(name)
    model = module.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    mask = mask_from_lengths(inputs["lens"], inputs["x"].shape[1])
    words = text(module, inputs["text"])
    asked = {**words, "noisy": inputs["x"], "time": inputs["t"], "given": inputs["cond"], "frame_mask": mask}
    quiet, untold = {"given": torch.zeros_like(inputs["cond"])}, {"drop_text": torch.ones(len(mask), dtype=torch.bool)}
    got = {
        "forward_cond": model(**asked),
        "forward_drop_audio": model(**{**asked, **quiet}),
        "forward_drop_all": model(**asked | quiet | untold),
    }
    for run in ("train", "train2"):
        share, place, noise, time, sound, everything = pack.draws(run)
        hidden = _infill.hole(inputs["lens"], share, place, mask.shape[1]) & mask
        mel = inputs["x"]
        given = mel.masked_fill(hidden[..., None], 0.0)
        dropped = float(everything) < model.config.conceal.drop_all
        unheard = dropped or float(sound) < model.config.conceal.drop_sound
        batch = {
            **words,
            "mel": mel,
            "frame_mask": mask,
            "hidden": hidden,
            "given": torch.zeros_like(given) if unheard else given,
            "drop_text": torch.full((len(mel),), dropped),
        }
        objective = flow.Objective(module.TRAINING, module, model)
        noisy = flow.blend(mel, noise, time)
        got[f"{run}.loss"] = objective.losses(batch, time, noise)["flow"]
        got[f"{run}.cond"] = given
        got[f"{run}.pred"] = model(
            **{**asked, **{key: batch[key] for key in ("given", "drop_text")}} | {"noisy": noisy, "time": time}
        )
    packs.check(pack, got)
    assert set(pack.out) == set(got) | {"sample", "sample_epss", "sample_trajectory"}, "every output is compared"


@pytest.mark.parametrize("run", SETTINGS)
@pytest.mark.parametrize(("module", "name"), CASES, ids=IDS)
def test_sampling(module: ModuleType, name: str, run: str) -> None:
    pack = packs.load(name)
    model = module.from_official(pack.state, pack.config).eval()
    noise = torch.nn.utils.rnn.pad_sequence(pack.draws(run), batch_first=True)
    items = len(noise)
    frames = torch.tensor([len(draw) for draw in pack.draws(run)])
    with trace.record() as recording:
        mel = model.speak(
            **text(module, pack.inputs["text"][:items]),
            prompt=pack.inputs["cond"][:items, :7],
            frames=frames,
            prompt_frames=torch.tensor([7, 5][:items]),
            noise=noise,
            **SETTINGS[run],
        )
    got = {run: mel}
    if run == "sample":
        got["sample_trajectory"] = torch.stack([noise, *recording.values("flow/x")])
    packs.check(pack, got)


@pytest.mark.parametrize(("module", "name"), CASES, ids=IDS)
def test_every_key_is_used(module: ModuleType, name: str) -> None:
    pack = packs.load(name)
    wrapped = {f"ema_model.{key}": value for key, value in pack.state.items()}
    wrapped |= {"initted": torch.tensor(True), "step": torch.tensor(3)}
    wrapped["ema_model.mel_spec.mel_stft.spectrogram.window"] = torch.zeros(4)
    yaml = {"model": {"arch": pack.config["transformer"], "mel_spec": {"mel_spec_type": "bigvgan"}}}
    model = module.from_official(wrapped, yaml)
    assert model.config.mel.norm == "slaney"
    with pytest.raises(UserError, match="beyond the model extra"):
        module.from_official({**wrapped, "ema_model.transformer.extra": torch.zeros(1)}, yaml)
    with pytest.raises(UserError, match=r"lacks time\.mlp\.2\.bias$"):
        module.from_official({k: v for k, v in wrapped.items() if not k.endswith("time_mlp.2.bias")}, yaml)
    with pytest.raises(UserError, match="louder: 3, which is not known"):
        module.from_official(wrapped, {"model": {"arch": {**pack.config["transformer"], "louder": 3}}})
