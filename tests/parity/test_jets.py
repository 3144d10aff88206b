"""JETS against Amphion's: alignment, what is predicted, a slice of sound, losses, speech."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.tts import fastspeech2, jets
from aoide.nn import align
from aoide.nn.lengths import mask_from_lengths, token_means
from aoide.objectives.regression import masked_l2
from tests.parity import packs

PACKS = packs.matching("amphion_tts", "jets")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_training_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = jets.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    tokens, mel = inputs["texts"], inputs["mel"]
    token_mask, frame_mask = mask_from_lengths(inputs["text_len"]), mask_from_lengths(inputs["target_len"])
    text = model.read(tokens, token_mask, None)
    scores, durations = model.align(tokens, text, mel, token_mask, frame_mask)
    pitch, energy = (token_means(inputs[key][..., 0], durations) for key in ("pitch", "energy"))
    starts = (pack.draws("forward")[0] * (inputs["target_len"] - model.config.segment)).long()
    output = model.learn(text, token_mask, durations, pitch, energy, frame_mask, starts)
    finite = pack.out["forward.log_p_attn"].isfinite()
    assert torch.equal(scores.isfinite(), finite)
    known = scores.where(finite, 0.0)
    pack.out["forward.log_p_attn"] = pack.out["forward.log_p_attn"].where(finite, 0.0)
    pack.mid["log_p_attn"] = pack.mid["log_p_attn"].where(finite, 0.0)
    output = output._replace(scores=scores)
    bins = align.binarisation(scores, durations, frame_mask)
    got = {
        "mid.log_p_attn": known,
        "forward.log_p_attn": known,
        "forward.bin_loss": bins,
        "forward.ds": durations.float(),
        "forward.ps": pitch[..., None],
        "forward.es": energy[..., None],
        "forward.log_d_predictions": output.log_durations,
        "forward.p_predictions": output.token_pitch,
        "forward.e_predictions": output.token_energy,
        "forward.src_lens": token_mask.sum(1),
        "forward.feats_lengths": frame_mask.sum(1),
        "forward.z_start_idxs": starts,
        "forward.wav": output.audio[:, None],
        "loss.bin": bins,
        "loss.forwardsum": jets.forward_sum_loss(output, {"token_mask": token_mask}),
        "loss.duration": fastspeech2.duration_loss(output, {"token_mask": token_mask}),  # type: ignore[arg-type]
        "loss.pitch": masked_l2(output.token_pitch, pitch, token_mask),
        "loss.energy": masked_l2(output.token_energy, energy, token_mask),
    }
    packs.check(pack, got)
    spoken = {key for key in pack.out if key.startswith("infer.")}
    assert set(pack.out) == spoken | {key for key in got if not key.startswith("mid.")}, "every output is compared"


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_speech(name: str) -> None:
    pack = packs.load(name)
    model = jets.from_official(pack.state, pack.config).eval()
    token_mask = mask_from_lengths(pack.inputs["text_len"])
    output = model.infer(pack.inputs["texts"], token_mask)
    packs.check(pack, {"infer.durations": output.durations, "infer.wav": output.audio[:, None]})


@pytest.mark.parametrize("name", PACKS)
def test_every_key_is_used(name: str) -> None:
    pack = packs.load(name)
    jets.from_official(pack.state, pack.config)
    with pytest.raises(UserError, match="beyond the model extra"):
        jets.from_official({**pack.state, "extra": torch.zeros(1)}, pack.config)
    lacking = {key: value for key, value in pack.state.items() if key != "pitch_embed.0.bias"}
    with pytest.raises(UserError, match=r"lacks pitch_embed\.bias$"):
        jets.from_official(lacking, pack.config)
