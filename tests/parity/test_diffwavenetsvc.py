"""DiffWaveNetSVC against Amphion's: condition, denoiser, loss, and sampling with three schedulers of diffusers."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.svc import diffwavenetsvc
from aoide.objectives import diffusion
from tests.parity import packs

PACKS = packs.matching("amphion_svc", "diffwavenetsvc")
SAMPLERS = {"DDPMScheduler": "ddpm", "DDIMScheduler": "ddim", "PNDMScheduler": "pndm"}


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_condition_denoiser_and_loss(name: str) -> None:
    pack = packs.load(name)
    model = diffwavenetsvc.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    content = torch.cat([inputs["whisper_feat"], inputs["contentvec_feat"]], dim=-1)
    speaker, voiced = inputs["spk_id"][:, 0], inputs["frame_uv"] == 0
    condition = model.conditions(content, inputs["frame_pitch"], inputs["frame_energy"], speaker, voiced=voiced)
    got = {"cond": condition, "eps": model.denoiser(inputs["noisy"], inputs["t"].float(), condition)}
    noise, step = pack.draws("loss")
    alpha = model.config.process.alphas().float()[step][:, None, None]
    got["noisy_mel"] = alpha.sqrt() * inputs["mel"] + (1 - alpha).sqrt() * noise
    model.conditions.forward = lambda *given, **more: condition  # type: ignore[method-assign]  (F0 has no gaps here)
    objective = diffusion.Objective(diffusion.Config(target="mel", where="real"), diffwavenetsvc, model)
    real = inputs["mask"][..., 0] > 0
    batch = {"content": content, "f0": inputs["frame_pitch"], "mel": model.span.back(inputs["mel"]), "real": real}
    got["loss"] = objective.losses(batch, step, noise)["diffusion"]
    packs.check(pack, got)


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_sampling(name: str, settled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = packs.load(name)
    model = diffwavenetsvc.from_official(pack.state, pack.config).eval()
    asked = []
    plain = model.denoiser.forward

    def heard(x: torch.Tensor, time: torch.Tensor, *more: torch.Tensor | None) -> torch.Tensor:
        asked.append(int(time[0]))
        return plain(x, time, *more)

    if not settled:
        monkeypatch.setattr(model.denoiser, "forward", heard)
        monkeypatch.setattr(
            diffwavenetsvc.denoise,
            "settle",
            lambda network, condition, mask, calls: lambda x, t: network(x, t, condition, mask),
        )
    schedulers = [key.removeprefix("sample_") for key in pack.out if key.startswith("sample_")]
    assert schedulers
    for scheduler in schedulers:
        asked.clear()
        steps = int(pack.meta["outputs"][f"out.sample_{scheduler}"].split()[0])
        fresh = pack.draws(f"sample_{scheduler}") or None
        x = model.sample(pack.out["cond"], pack.inputs["initial_noise"], steps, SAMPLERS[scheduler], fresh=fresh)
        got = {f"sample_{scheduler}": x}
        if not settled:
            got[f"timesteps_{scheduler}"] = torch.tensor(asked)
        packs.check(pack, got)


def test_what_does_not_fit_is_told() -> None:
    if not PACKS:
        pytest.skip(f"no parity packs at {packs.FOLDER}")
    pack = packs.load(PACKS[0])
    lacking = {key: value for key, value in pack.state.items() if "input.0.bias" not in key}
    with pytest.raises(UserError, match=r"DiffWaveNetSVC checkpoint.*lacks denoiser\.embed\.bias$"):
        diffwavenetsvc.from_official(lacking, pack.config)
