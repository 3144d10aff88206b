"""TransformerSVC's two acoustic models against Amphion's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.svc import transformersvc
from tests.parity import packs

PACKS = packs.matching("amphion_svc", "transformersvc", "transformersvc_plain")


def conditions(dim: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A condition encoder in Amphion's form, which these packs lack: its settings and its weights."""
    settings = {
        "merge_mode": "add",
        "n_bins_melody": 8,
        "n_bins_loudness": 8,
        "use_contentvec": True,
        "contentvec_dim": 3,
        "content_encoder_dim": dim,
        "singer_table_size": 2,
    }
    shapes = {
        "melody_encoder.nn.weight": (8, dim),
        "melody_encoder.uv_embedding.weight": (2, dim),
        "loudness_encoder.energy_bins": (7,),
        "loudness_encoder.nn.weight": (8, dim),
        "singer_encoder.nn.weight": (2, dim),
        "contentvec_encoder.nn.weight": (dim, 3),
        "contentvec_encoder.nn.bias": (dim,),
    }
    return settings, {f"0.{key}": torch.zeros(shape) for key, shape in shapes.items()}


def whole(
    pack: packs.Pack, part: str, *, more: dict[str, Any] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The pack's acoustic model with a condition encoder, as a checkpoint has it, and the configuration of both."""
    own = pack.config.get("model", {part: pack.config})
    settings, encoder = conditions(own[part]["input_dim"])
    config = {"preprocess": {"n_mel": own[part]["output_dim"]}, "model": {**own, "condition_encoder": settings}}
    return {**encoder, **{f"1.{key}": value for key, value in pack.state.items()}}, config


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_mel(name: str) -> None:
    pack = packs.load(name)
    model = transformersvc.from_official(*whole(pack, "transformer")).eval()
    mask = pack.inputs["x_mask"][..., 0] > 0
    heard = mask if model.config.encoder == "near" else None  # the original's plain one hears padding
    packs.check(pack, {"mel": model.out(model.encoder(pack.inputs["x"], heard))})


def test_what_does_not_fit_is_told() -> None:
    if not PACKS:
        pytest.skip(f"no parity packs at {packs.FOLDER}")
    pack = packs.load(PACKS[0])
    state, config = whole(pack, "transformer")
    config["model"]["condition_encoder"]["merge_mode"] = "concat"
    with pytest.raises(UserError, match="condition encoder merges"):
        transformersvc.from_official(state, config)
