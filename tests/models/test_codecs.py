"""MaskGCT's codecs and FACodec: what training tells their parts, voices and conversion, halves, bad settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.codec import facodec, maskgct_acoustic, maskgct_semantic
from aoide.objectives import named_losses


@pytest.fixture
def codec() -> facodec.Model:
    torch.manual_seed(0)
    return facodec.Model(facodec.TOY).eval()


def sound(model, frames: int = 30) -> Tensor:
    return 0.3 * torch.randn(2, frames * model.hop, generator=torch.Generator().manual_seed(1))


# -------------------------------------------------------------------------------------------------------------- FACodec


@torch.no_grad()
def test_another_voice_changes_the_sound_and_not_the_codes(codec: facodec.Model) -> None:
    audio = sound(codec)
    voices = codec.voice(audio)
    assert voices.shape == (2, facodec.TOY.dim) and not torch.allclose(voices[0], voices[1])
    codes = codec.encode(audio)
    own, other = codec.decode(codes, voices), codec.decode(codes, voices.flip(0))
    assert own.shape == audio.shape and not torch.allclose(own, other)
    converted = codec.convert(audio, voices.flip(0))
    assert torch.equal(converted, codec.decode(codes[..., :3], voices.flip(0))), "without the details"
    assert torch.equal(codec.convert(audio, voices, details=True), own)


@torch.no_grad()
def test_a_voice_is_that_of_the_real_frames_alone(codec: facodec.Model) -> None:
    audio = sound(codec)
    mask = torch.arange(30) < torch.tensor([[30], [17]])
    voices = codec.voice(audio, mask)
    torch.testing.assert_close(voices[1:], codec.voice(audio[1:, : 17 * codec.hop]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(voices[:1], codec.voice(audio[:1]), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_decoding_in_pieces_equals_the_whole(codec: facodec.Model) -> None:
    frames = 3 * codec.context
    codes = torch.randint(8, (1, frames, codec.codebooks), generator=torch.Generator().manual_seed(0))
    voice = torch.randn(1, facodec.TOY.dim)
    whole, around, pieces = codec.decode(codes, voice), codec.context, []
    for start in range(0, frames, 7):
        first = max(0, start - around)
        piece = codec.decode(codes[:, first : start + 7 + around], voice)
        pieces.append(piece[:, (start - first) * codec.hop :][:, : 7 * codec.hop])
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-6, rtol=1e-4)


def test_prosody_and_content_do_not_learn_from_the_sound(codec: facodec.Model) -> None:
    """They learn from what is read from them; the sound teaches the details, the voice and the decoder."""
    codec.train()(sound(codec), kept=torch.tensor([True, True])).audio.square().sum().backward()
    assert codec.decoder is not None and codec.decoder.residual is not None
    learnt = {name: p.grad is not None for name, p in codec.decoder.named_parameters()}
    assert not any(got for name, got in learnt.items() if name.startswith(("prosody.", "content.")))
    assert learnt["residual.layers.0.outward.bias"] and learnt["style.weight"] and learnt["timbre.norm.weight"]


def test_an_adversary_turns_the_gradient_round() -> None:
    x = torch.randn(3, requires_grad=True)
    y = facodec.reverse(x)
    y.sum().backward()
    assert torch.equal(y, x) and torch.equal(x.grad, -torch.ones(3))  # type: ignore[arg-type]


def test_details_are_left_out_by_chance_in_training_alone(codec: facodec.Model) -> None:
    batch = sound(codec)[:1].repeat(64, 1)
    with torch.no_grad():
        assert torch.equal(codec(batch[:2]).audio, codec(batch[:2]).audio)
        plain = codec(batch[:1], kept=torch.tensor([False])).audio
        codec.train()
        codec.decoder.timbre.eval()  # type: ignore[union-attr]  (its dropout would make every item another)
        different = (codec(batch).audio - plain).abs().amax(1) > 1e-6
    assert 4 <= int(different.sum()) <= 30, "a quarter of 64, give or take"


def test_pitch_is_judged_where_voiced_and_voicing_everywhere() -> None:
    f0 = torch.tensor([[100.0, 200.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    batch = {"f0": f0, "frame_mask": torch.tensor([[True, True, True, False], [True, True, False, False]])}
    right = torch.zeros(2, 4, 2)
    right[0, :2, 0] = torch.tensor([-1.0, 1.0])  # the log of two values lies one deviation from their mean
    right[..., 1] = torch.where(f0 > 0, 30.0, -30.0)
    assert facodec.pitch_distance(right, batch) < 1e-6
    beyond = right.clone()
    beyond[0, 3] = 99.0
    assert torch.equal(facodec.pitch_distance(beyond, batch), facodec.pitch_distance(right, batch)), "padding is mute"
    higher, silent = right.clone(), right.clone()
    higher[0, 0, 0] += 1
    silent[1, 0, 1] = 30.0
    assert facodec.pitch_distance(higher, batch).item() == pytest.approx(0.25, abs=1e-5)  # 0.5 over 2 voiced frames
    assert facodec.pitch_distance(silent, batch).item() == pytest.approx(6.0, abs=1e-4)  # 30 nats over 5 real frames


def test_phones_are_those_of_the_frame() -> None:
    batch = {"tokens": torch.tensor([[4, 2, 7], [3, 5, 0]]), "durations": torch.tensor([[2, 1, 3], [1, 4, 0]])}
    phones = torch.tensor([[4, 4, 2, 7, 7, 7], [3, 5, 5, 5, 5, 1]])
    right = 50.0 * torch.nn.functional.one_hot(phones, 9).float()
    assert facodec.phone_distance(right, batch) < 1e-6, "what comes after the last token does not count"
    right[0, 2] = 50.0 * torch.nn.functional.one_hot(torch.tensor(3), 9)
    assert facodec.phone_distance(right, batch).item() == pytest.approx(50 / 11, rel=1e-4)


def test_a_weight_for_an_adversary_that_is_not_there_is_told(codec: facodec.Model) -> None:
    (loss,) = named_losses(facodec, facodec.TOY, {"content_pitch": 1.0}).values()
    with pytest.raises(UserError, match="weights.content_pitch: model.adversaries does not name it"):
        loss(codec(sound(codec)), facodec.example(facodec.TOY))


def test_without_a_residual() -> None:
    model = facodec.Model(replace(facodec.TOY, residual=0, adversaries=("content_pitch", "prosody_phones"))).eval()
    output = model(sound(model))
    assert output.codes.shape == (2, 30, 3) and output.content_pitch is not None and output.residual_pitch is None
    codes = model.encode(sound(model))
    assert model.decode(codes, output.voice).shape == (2, 30 * model.hop)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": None, "decoder": None}, "neither an encoder nor a decoder"),
        ({"encoder": facodec.Encoder(channels=4, rates=(3,))}, "disagree on the hop"),
        ({"prosody": 0}, "1 codebook or more"),
        ({"residual": 0}, "nothing for their adversaries"),
        ({"residual_kept": 1.5}, "residual_kept is a share"),
        ({"dim": 9}, "does not divide among 2 heads"),
    ],
)
def test_settings_of_facodec_that_do_not_go_together(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(facodec.TOY, **changes)


# -------------------------------------------------------------------------------------------------------------- MaskGCT


def test_codebooks_of_running_means_train() -> None:
    """They move without gradients; what stands around them has gradients."""
    torch.manual_seed(0)
    config = replace(
        maskgct_acoustic.TOY,
        table="means",
        fourier=None,
        convolutions=maskgct_acoustic.Convolutions(channels=8, rates=(4, 3)),
    )
    model = maskgct_acoustic.Model(config).train()
    assert model.quantiser is not None
    before = {key: value.clone() for key, value in model.state_dict().items() if "means." in key}
    output = model(sound(model))
    (output.audio.square().sum() + output.commitment.sum()).backward()
    assert before and all(not torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    codes = model.encode(sound(model))
    torch.testing.assert_close(model.decode(codes), model(sound(model)).audio)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"convolutions": maskgct_acoustic.Convolutions()}, "one decoder"),
        ({"encoder": None, "fourier": None}, "neither an encoder nor a decoder"),
        ({"encoder": maskgct_acoustic.Encoder(channels=4, rates=(5,))}, "encoder 5, fourier 12 samples"),
    ],
)
def test_settings_of_the_acoustic_codec_that_do_not_go_together(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(maskgct_acoustic.TOY, **changes)


def test_without_a_word_the_settings_are_those_published() -> None:
    """The repositories of the weights hold no configuration."""
    own = maskgct_acoustic._encoder_settings({}) | maskgct_acoustic._decoder_settings({})
    assert maskgct_acoustic.Config(**own) == maskgct_acoustic.Config()
    named = facodec.Config(**facodec._decoder_settings({}, {}))
    assert named == replace(facodec.Config(), adversaries=()), "which adversaries there are, the weights tell"


@torch.no_grad()
def test_semantic_codes_and_features() -> None:
    torch.manual_seed(0)
    model = maskgct_semantic.Model(maskgct_semantic.TOY).eval()
    semantic = torch.randn(2, 20, 10)
    mask = torch.arange(20) < torch.tensor([[20], [12]])
    codes = model.encode(semantic, mask)
    assert codes.shape == (2, 20, 1) and not codes[1, 12:].any()
    assert torch.equal(codes[1:, :12], model.encode(semantic[1:, :12]))
    torch.testing.assert_close(model.decode(codes, mask)[1, :12], model.decode(codes[1:, :12])[0])
    with pytest.raises(UserError, match="reads features"):
        model.encode(torch.zeros(2, 0, 10))
    with pytest.raises(ValueError, match="1 or more"):
        replace(maskgct_semantic.TOY, layers=0)


def test_reconstruction_counts_real_frames() -> None:
    target = torch.zeros(1, 4, 10)
    output = maskgct_semantic.Output(torch.ones(1, 4, 10), *(torch.zeros(1, 1) for _ in range(3)))
    output.semantic[0, 2:] = 100.0
    mask = torch.tensor([[True, True, False, False]])
    assert maskgct_semantic.reconstruction(output, {"semantic": target, "frame_mask": mask}) == 1.0
    assert maskgct_semantic.reconstruction(output, {"semantic": target}) == 50.5
