"""DiffComoSVC against Amphion's CoMoSVC: first mel, preconditioning, losses and sampling of teacher and student."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.models.svc import diffcomosvc
from aoide.nn import denoise
from aoide.nn.ssim import ssim_loss
from aoide.objectives import consistency
from tests.parity import packs
from tests.parity.test_transformersvc import whole

TEACHERS = packs.matching("amphion_svc", "comosvc_teacher")
STUDENTS = packs.matching("amphion_svc", "comosvc_student")


class Case:
    """A pack's model, steered by the pack's condition, and what it gives that both kinds have."""

    def __init__(self, name: str) -> None:
        self.pack = pack = packs.load(name)
        self.model = model = diffcomosvc.from_official(*whole(pack, "comosvc")).eval()
        inputs = pack.inputs
        self.mask = inputs["x_mask"][..., 0] > 0
        self.first = model.first(model.encoder(inputs["x"], self.mask))
        model.prior = lambda *given, **more: self.first  # type: ignore[method-assign]  (the packs begin there)
        noisy, sigma = inputs["noisy"].mT, inputs["sigma"][:, 0, 0]
        shifted = noisy - sigma[:, None, None] * self.first
        precond = model.clean(model.denoiser, shifted, sigma, self.first)
        mel = inputs["mel"]
        output = diffcomosvc.Output(precond, self.first)
        batch = {"mel": model.span.back(mel), "frame_mask": self.mask}
        self.got = {
            "encoder_out": self.first,
            "precond": precond.mT,
            "loss.ssim": ssim_loss(self.first, mel),
            "loss.prior": diffcomosvc.PriorLoss(model.config)(output, batch) / mel.shape[-1],  # theirs divides twice
        }
        self.batch = {"content": inputs["x"], "f0": mel[..., 0], "mel": batch["mel"], "real": self.mask}

    def draws(self, phase: str) -> list[Tensor]:
        return [draw.mT if draw.ndim == 3 and draw.shape[-1] > 1 else draw for draw in self.pack.draws(phase)]


@pytest.fixture(autouse=True)
def padding_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the original, whose denoiser knows no mask."""
    plain = denoise.WaveNetDenoiser.forward
    monkeypatch.setattr(denoise.WaveNetDenoiser, "forward", lambda net, x, t, c, mask=None: plain(net, x, t, c))


@pytest.mark.parametrize("name", TEACHERS)
@torch.no_grad()
def test_teacher(name: str) -> None:
    case = Case(name)
    pack, model = case.pack, case.model
    objective = consistency.Objective(consistency.Config(where="real"), diffcomosvc, model)
    normal, noise = case.draws("loss")
    sigma = (
        normal[:, 0, 0] * pack.config["model"]["comosvc"]["P_std"] + pack.config["model"]["comosvc"]["P_mean"]
    ).exp()
    case.got["loss.diff"] = objective.teach(case.batch, sigma, noise)["diffusion"]
    steps = int(pack.meta["outputs"]["out.sample"].rpartition(" ")[2]) + 1  # theirs counts the intervals
    case.got["sample"] = model.sample(case.first, case.draws("sample")[0], steps)
    packs.check(pack, case.got)
    assert set(pack.out) == set(case.got), "every output is compared"


@pytest.mark.parametrize("name", STUDENTS)
@torch.no_grad()
def test_student(name: str, tmp_path: Any) -> None:
    from safetensors.torch import save_file

    case = Case(name)
    pack, model = case.pack, case.model
    case.got["sample"] = model.sample(case.first, case.draws("sample")[0])
    x = pack.inputs["noisy"].mT - case.first
    case.got["ct_sample4"] = model.sample(case.first, x, 4, fresh=case.draws("ct4")).mT

    teacher = {key: value for key, value in model.state_dict().items() if not key.startswith("target.")}
    prefix = "decoder.denoise_fn_pretrained."
    theirs = {key.removeprefix(prefix): value for key, value in pack.state.items() if key.startswith(prefix)}
    teacher |= denoise.amphion(theirs, model.config.denoiser.layers, "denoiser.")
    save_file(teacher, str(tmp_path / "teacher.safetensors"))
    before = copy.deepcopy(model.state_dict())
    config = consistency.Config(stage="student", teacher=tmp_path / "teacher.safetensors", where="real")
    objective = consistency.Objective(config, diffcomosvc, model)
    model.load_state_dict(before)  # the student and its average are on their way, in this pack
    objective.follow(model)  # as each step begins
    level, noise = pack.draws("loss")
    case.got["loss.diff"] = objective.distil(case.batch, level, noise.mT)["consistency"]
    packs.check(pack, case.got)
    assert set(pack.out) == set(case.got), "every output is compared"
