"""FastSpeech 2 against numbers recorded from Amphion's code, and the aligner against those from its JETS."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.tts import fastspeech2
from aoide.nn import align
from aoide.nn.lengths import mask_from_lengths
from aoide.objectives.regression import masked_l2
from tests.parity import packs
from tests.parity.packs import Pack


def _setup() -> tuple[Pack, fastspeech2.Model, Tensor]:
    pack = packs.load("amphion_tts/fastspeech2")
    model = fastspeech2.from_official(pack.state, pack.config).eval()
    return pack, model, mask_from_lengths(pack.inputs["text_len"])


def _spoken_with_targets(pack: Pack, model: fastspeech2.Model, token_mask: Tensor) -> fastspeech2.Output:
    given = {"durations": "durations", "token_pitch": "pitch", "token_energy": "energy"}
    chosen = {ours: pack.inputs[theirs] for ours, theirs in given.items()}
    return model.infer(pack.inputs["texts"], token_mask, **chosen)


@torch.no_grad()
def test_training_forward() -> None:
    pack, model, token_mask = _setup()
    output = _spoken_with_targets(pack, model, token_mask)
    got = {
        "forward.output": output.coarse_mel,
        "forward.postnet_output": output.mel,
        "forward.p_predictions": output.token_pitch,
        "forward.e_predictions": output.token_energy,
        "forward.log_d_predictions": output.log_durations,
        "forward.d_rounded": output.durations,
        "forward.mel_masks": ~output.frame_mask,
        "forward.mel_lens": output.durations.sum(1),
    }
    packs.check(pack, got)


@torch.no_grad()
def test_activations() -> None:
    pack, model, token_mask = _setup()
    heard: dict[str, Tensor] = {}
    model.decoder.register_forward_hook(lambda module, args, value: heard.update(decoder=value))
    _spoken_with_targets(pack, model, token_mask)
    encoded = model.encoder(model.embed(pack.inputs["texts"]), token_mask)
    packs.check(pack, {"mid.encoder_out": encoded, "mid.decoder_out": heard["decoder"]})


@torch.no_grad()
def test_losses() -> None:
    """Pitch and energy are given per phone here, where a batch of ours has frames: the distance itself is compared."""
    pack, model, token_mask = _setup()
    output = _spoken_with_targets(pack, model, token_mask)
    batch = {"mel": pack.inputs["mel"], "token_mask": token_mask}
    mel = fastspeech2.mel_loss(output, batch)
    coarse = fastspeech2.mel_loss(output._replace(mel=output.coarse_mel, coarse_mel=None), batch)
    losses = {
        "mel_loss": coarse,
        "postnet_mel_loss": mel - coarse,
        "duration_loss": fastspeech2.duration_loss(output, batch),
        "pitch_loss": masked_l2(output.token_pitch, pack.inputs["pitch"], token_mask),
        "energy_loss": masked_l2(output.token_energy, pack.inputs["energy"], token_mask),
    }
    losses["loss"] = torch.stack(list(losses.values())).sum()
    packs.check(pack, {f"loss.{name}": value for name, value in losses.items()})


@torch.no_grad()
def test_inference_with_the_original_controls() -> None:
    """They multiply what was predicted, one after the other: pitch 1.1, energy 0.9, rounded durations 1.2."""
    pack, model, token_mask = _setup()
    texts = pack.inputs["texts"]
    pitch = model.infer(texts, token_mask).token_pitch * 1.1
    output = model.infer(texts, token_mask, token_pitch=pitch)
    energy, frames = output.token_energy * 0.9, output.log_durations.exp().round() - 1
    stretched = (frames * 1.2).clamp(min=0) * token_mask
    output = model.infer(texts, token_mask, durations=stretched.long(), token_pitch=pitch, token_energy=energy)
    got = {
        "infer.output": output.coarse_mel,
        "infer.postnet_output": output.mel,
        "infer.p_predictions": pitch,
        "infer.e_predictions": energy,
        "infer.log_d_predictions": output.log_durations,
        "infer.d_rounded": stretched,
        "infer.mel_lens": output.durations.sum(1),
    }
    packs.check(pack, got)


@torch.no_grad()
def test_predicted_durations_are_those_of_the_original() -> None:
    pack, model, token_mask = _setup()
    durations = model.infer(pack.inputs["texts"], token_mask).durations
    assert torch.equal((durations * 1.2), pack.out["infer.d_rounded"])


def test_variants_that_are_not_known_are_refused() -> None:
    pack = packs.load("amphion_tts/fastspeech2")
    config = {**pack.config, "preprocess": {**pack.config["preprocess"], "use_frame_pitch": True}}
    with pytest.raises(UserError, match="frame by frame"):
        fastspeech2.from_official(pack.state, config)
    with pytest.raises(UserError, match=r"differs in shape out\.weight is \(9, 16\), not \(80, 16\)"):
        fastspeech2.from_official(pack.state, config | {"preprocess": {"n_mel": 80}})


# ------------------------------------------------------------------------------------------------------ aligner of JETS


def _jets() -> tuple[Pack, Tensor, Tensor, Tensor]:
    pack = packs.load("amphion_tts/jets")
    lengths = pack.out["forward.src_lens"], pack.out["forward.feats_lengths"]
    return pack, pack.out["forward.log_p_attn"], *lengths


def test_jets_alignment_losses_and_search() -> None:
    pack, scores, tokens, frames = _jets()
    token_mask, frame_mask = mask_from_lengths(tokens), mask_from_lengths(frames)
    durations = align.monotonic_search(scores, tokens, frames)
    got = {
        "forward.ds": durations.float(),
        "loss.forwardsum": align.forward_sum(scores, token_mask, frame_mask),
        "loss.bin": align.binarisation(scores, durations, frame_mask),
    }
    packs.check(pack, got)
