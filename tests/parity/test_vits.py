"""VITS against the authors' code and Amphion's: training with recorded draws, losses, speech, and another's voice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.tts import vits
from aoide.nn.lengths import mask_from_lengths, token_of_frame
from tests.parity import packs

PACKS = [
    *packs.matching("vits", "single_speaker", "multi_speaker", "duration_predictor"),
    *packs.matching("amphion_tts", "vits_single", "vits_multispeaker"),
]
# Amphion and the authors name inputs differently.
NAMES = {"x": "phone_seq", "x_lengths": "phone_len", "y_spec": "linear", "y_lengths": "target_len", "sid": "spk_id"}


def given(pack: packs.Pack) -> dict[str, Tensor | None]:
    inputs = {name: pack.inputs.get(name, pack.inputs.get(other)) for name, other in NAMES.items()}
    speaker = inputs["sid"]
    return {
        "tokens": inputs["x"],
        "token_mask": mask_from_lengths(inputs["x_lengths"], inputs["x"].shape[1]),
        "spectrum": inputs["y_spec"].mT,
        "frame_mask": mask_from_lengths(inputs["y_lengths"], inputs["y_spec"].shape[2]),
        "speaker": None if speaker is None else speaker.flatten(),
    }


def path(durations: Tensor, frames: int) -> Tensor:
    """Durations as the matrix of the originals: (batch, 1, frames, tokens)."""
    token = token_of_frame(durations, frames)
    return (token[..., None] == torch.arange(durations.shape[1])).float()[:, None]


def with_loud_padding(model: vits.Model, output: vits.Output, speaker: Tensor | None) -> Tensor:
    """The sound as the originals make it, whose decoder lets what pads an item sound; (batch, 1, samples)."""
    sound = model.decoder(output.hidden, None, model.voice(speaker))
    whole = output.frame_mask.all(1)
    assert whole.any() and torch.allclose(sound[whole], output.audio[whole], atol=1e-6), "the longest has no padding"
    return sound[:, None]


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_training_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = vits.from_official(pack.state, pack.config).eval()
    fields = given(pack)
    noise, *rhythm, chance = pack.draws("forward")
    length = pack.config["segment_size"]
    starts = (chance * (fields["frame_mask"].sum(1) - length + 1)).long()
    seen = {}
    model.text.encoder.register_forward_hook(lambda module, args, out: seen.update({"mid.text_encoding": out.mT}))
    model.posterior.stack.register_forward_hook(lambda module, args, out: seen.update({"mid.posterior_wn": out.mT}))
    output = model.learn(**fields, noises=(noise.mT, rhythm[0].mT if rhythm else None), starts=starts)
    real = fields["frame_mask"][:, None]
    seen["mid.posterior_wn"] = seen["mid.posterior_wn"].masked_fill(~real, 0.0)
    assert model.config.segment == length and torch.equal(output.start, starts * model.config.mel.hop)
    losses = {"kl": vits.kl_loss(output, fields), "dur": vits.duration_loss(output, fields)}
    got = {
        "y_hat": output.audio[:, None],
        "l_length": output.duration_cost / fields["token_mask"].sum(),
        "attn": path(output.durations, real.shape[2]) * real[:, :, :, None],
        "ids_slice": starts,
        "x_mask": fields["token_mask"][:, None].float(),
        "z_mask": real.float(),
        "z": output.hidden.mT,
        "z_p": output.moved.mT,
        "m_p": output.prior.mean.mT,
        "logs_p": output.prior.log_deviation.mT,
        "m_q": output.posterior.mean.mT,
        "logs_q": output.posterior.log_deviation.mT,
    }
    got = {f"forward.{key}": value for key, value in got.items()} | {f"loss.{k}": v for k, v in losses.items()} | seen
    packs.check(pack, got)
    assert {key for key in pack.out if key.startswith(("forward.", "loss."))} <= set(got), "every output is compared"


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_speech(name: str) -> None:
    pack = packs.load(name)
    model = vits.from_official(pack.state, pack.config).eval()
    fields = given(pack)
    *rhythm, noise = pack.draws("infer")
    speech = model.infer(
        fields["tokens"],
        fields["token_mask"],
        fields["speaker"],
        speed=1 / 1.1,
        duration_noise=rhythm[0].mT if rhythm else None,
        noise=noise.mT,
    )
    assert "noise_scale 0.667, noise_scale_w 0.8, length_scale 1.1" in " ".join(pack.meta["outputs"].values())
    mask = speech.frame_mask[:, None].float()
    got = {
        "wav": with_loud_padding(model, speech, fields["speaker"]),
        "attn": path(speech.durations, mask.shape[2]) * mask[..., None],
        "y_mask": mask,
        "z": speech.hidden.mT,
        "z_p": speech.moved.mT,
        "m_p": speech.prior.mean.mT,
        "logs_p": speech.prior.log_deviation.mT,
    }
    theirs = {"wav": "y_hat", "y_mask": "mask"} if "infer.y_hat" in pack.out else {}
    got = {f"infer.{theirs.get(key, key)}": value for key, value in got.items()}
    packs.check(pack, got)
    assert {key for key in pack.out if key.startswith("infer.")} <= set(got), "every output is compared"


@pytest.mark.parametrize("name", [name for name in PACKS if "multi" in name or "duration" in name])
@torch.no_grad()
def test_the_voice_of_another(name: str) -> None:
    pack = packs.load(name)
    model = vits.from_official(pack.state, pack.config).eval()
    fields = given(pack)
    (noise,) = pack.draws("vc")
    output = model.revoice(fields["spectrum"], fields["frame_mask"], fields["speaker"], torch.tensor([0, 1]), noise.mT)
    wave = "vc.wav" if "vc.wav" in pack.out else "vc.y_hat"
    sound = with_loud_padding(model, output, torch.tensor([0, 1]))
    packs.check(pack, {wave: sound, "vc.z_hat": output.hidden.mT})


@torch.no_grad()
def test_training_checkpoint_and_its_configuration() -> None:
    """G_*.pth holds an optimiser as well, and config.json has sections."""
    pack = packs.load(PACKS[0])
    state = {f"model.{key}": value for key, value in pack.state.items()} | {"optimizer.state.0.exp_avg": torch.ones(1)}
    sizes = {key: value for key, value in pack.config.items() if key != "segment_size"}
    data = {"sampling_rate": 16_000, "hop_length": 8, "mel_fmin": 30.0, "mel_fmax": None, "n_mel_channels": 40}
    model = vits.from_official(state, {"train": {"segment_size": 160}, "data": data, "model": sizes})
    plain = vits.from_official(pack.state, pack.config)
    assert model.config.segment == 160 // 8 and model.config.mel.sample_rate == 16_000
    assert model.config.mel.fmin == 30 and model.config.mel.fmax == 8_000 and model.config.mel.n_mels == 40
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in model.state_dict().items())


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load(PACKS[0])
    with pytest.raises(UserError, match="VITS checkpoint does not fit.*lacks posterior.out.bias"):
        vits.from_official({k: v for k, v in pack.state.items() if k != "enc_q.proj.bias"}, pack.config)
    with pytest.raises(UserError, match="not that of a VITS generator"):
        vits.from_official({}, pack.config)
