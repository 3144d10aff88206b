"""Noro: the published key map at toy size, what its reference does, the noise and the losses of its training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.vc import noro

CONFIG: dict[str, Any] = {
    "sample_rate": 16_000,
    "n_fft": 1024,
    "hop_size": 200,
    "win_size": 800,
    "fmin": 0,
    "fmax": 8000,
    "model": {
        "reference_encoder": {
            "encoder_layer": 1,
            "encoder_hidden": 8,
            "encoder_head": 2,
            "conv_filter_size": 12,
            "conv_kernel_size": 3,
            "encoder_dropout": 0.2,
            "ref_in_dim": 6,
            "ref_out_dim": 8,
            "use_query_emb": True,
            "num_query_emb": 3,
        },
        "diffusion": {
            "beta_min": 0.05,
            "beta_max": 20,
            "diff_model_type": "WaveNet",
            "diff_wavenet": {
                "input_size": 6,
                "hidden_size": 8,
                "out_size": 6,
                "num_layers": 2,
                "cross_attn_per_layer": 3,
                "dilation_cycle": 2,
                "attn_head": 2,
            },
        },
        "vc_feature": {"content_feature_dim": 5, "hidden_dim": 8},
    },
}


def published() -> dict[str, Tensor]:
    """A state dict with the names and shapes of Amphion's Noro_VCmodel in these sizes."""
    torch.manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "reference_encoder.transformer_encoder.position_emb.pe": (5000, 1, 8),
        "reference_encoder.query_embs.weight": (3, 8),
    }

    def weights(name: str, *shape: int) -> None:
        shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    def attention(name: str) -> None:
        shapes.update({f"{name}.in_proj_weight": (24, 8), f"{name}.in_proj_bias": (24,)})
        weights(f"{name}.out_proj", 8, 8)

    weights("content_f0_enc.0", 6)
    weights("content_f0_enc.2", 8, 6, 3)
    weights("reference_encoder.in_linear", 8, 6)
    attention("reference_encoder.query_attn")
    weights("reference_encoder.transformer_encoder.last_ln", 8)
    layer = "reference_encoder.transformer_encoder.layers.0."
    attention(f"{layer}self_attn")
    for norm in ("ln_1", "ln_2"):
        weights(layer + norm, 8)
    weights(f"{layer}ffn.ffn_1", 12, 8, 3)
    weights(f"{layer}ffn.ffn_2", 8, 12)
    wave = "diffusion.diff_estimator."
    weights(f"{wave}in_proj", 8, 6, 1)
    weights(f"{wave}mlp.0", 32, 8)
    weights(f"{wave}mlp.2", 8, 32)
    weights(f"{wave}cond_ln", 8)
    for number in range(2):
        layer = f"{wave}layers.{number}."
        weights(f"{layer}dilated_conv", 16, 8, 3)
        weights(f"{layer}diffusion_proj", 8, 8)
        weights(f"{layer}cond_proj", 16, 8, 1)
        weights(f"{layer}out_proj", 16, 8, 1)
    attention(f"{wave}layers.0.attn")
    for name in ("gain", "bias"):
        weights(f"{wave}layers.0.film.{name}", 16, 8)
    weights(f"{wave}layers.0.ln", 8)
    weights(f"{wave}skip_proj", 8, 8, 1)
    weights(f"{wave}out_proj", 6, 8, 1)
    return {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}


@torch.no_grad()
def test_it_loads_what_was_published() -> None:
    state = published()
    model = noro.from_official(state, CONFIG).eval()
    assert model.config.mel.frame_rate == 80 and not model.config.places
    conv = state["diffusion.diff_estimator.layers.1.out_proj.weight"][..., 0]
    assert torch.equal(model.wavenet.layers[1].out.weight, conv)
    generator = torch.Generator().manual_seed(1)
    content, f0, prompt = torch.randn(1, 9, 5, generator=generator), torch.full((1, 9), 120.0), torch.randn(1, 7, 6)
    mels = [
        model.speak(content, f0, reference, steps=3, generator=torch.Generator().manual_seed(0))
        for reference in (prompt, prompt, prompt.flip(1), prompt + 1)
    ]
    assert mels[0].shape == (1, 9, 6) and torch.equal(mels[0], mels[1])
    assert not torch.allclose(mels[0], mels[3]), "it follows the reference"
    with pytest.raises(UserError, match="beyond the model strange"):
        noro.from_official(state | {"strange": torch.zeros(1)}, CONFIG)
    other = {**CONFIG["model"], "diffusion": {**CONFIG["model"]["diffusion"], "diff_model_type": "Transformer"}}
    with pytest.raises(UserError, match="no WaveNet or no questions"):
        noro.from_official(state, {**CONFIG, "model": other})
    with pytest.raises(UserError, match=r"\(1, 9, 5\) beside this F0, not \(1, 8, 5\)"):
        model.speak(content[:, :8], f0, prompt)


def test_noise_is_as_loud_as_asked() -> None:
    mel = torch.randn(2, 40, 6, generator=torch.Generator().manual_seed(0)) - 4
    mask = torch.arange(40) < torch.tensor([[40], [25]])
    for decibels in (0.0, 20.0):
        noisy = noro.with_noise(mel, mask, decibels, decibels, torch.Generator().manual_seed(1))
        added = ((2 * noisy).exp() - (2 * mel).exp()).mean(2)  # powers add up
        for item in range(2):
            real = mask[item]
            ratio = (2 * mel[item, real]).exp().mean() / added[item, real].mean()
            assert 10 * ratio.log10() == pytest.approx(decibels, abs=0.05)


def test_the_reference_is_cut_out_of_the_clip() -> None:
    model = noro.Model(noro.TOY)
    batch = noro.example(noro.TOY)
    batch["mel"] = torch.arange(20.0)[None, :, None].expand(2, 20, 6) / 10
    told = model.conceal(batch, torch.Generator().manual_seed(0))
    for item, frames in enumerate((20, 16)):
        heard = (told["prompt"][item, told["prompt_mask"][item], 0] * 10).round().long()
        assert 0.2 * frames <= len(heard) <= 0.45 * frames and torch.equal(
            heard.diff(), torch.ones(len(heard) - 1).long()
        )
        rest = told["asked"][item].nonzero()[:, 0]
        assert sorted([*heard.tolist(), *rest.tolist()]) == list(range(frames))


def test_voices_of_a_speaker_are_drawn_together() -> None:
    who = torch.tensor([0, 0, 1])
    apart = torch.eye(3)[[0, 0, 1]] * 4
    mixed = torch.eye(3)[[0, 1, 0]] * 4
    losses = [
        noro.speaker(noro.Output(torch.zeros(1), torch.zeros(1), voices, voices), {"speaker": who})
        for voices in (apart, mixed)
    ]
    assert losses[0] < losses[1]
