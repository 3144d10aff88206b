"""OpenVoice's converter and its base speaker against the authors' code."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.tts import vits
from aoide.models.vc import openvoice
from aoide.nn.lengths import mask_from_lengths
from tests.parity import packs
from tests.parity.test_vits import path, with_loud_padding

CONVERTERS = packs.matching("openvoice", "converter")
SPEAKERS = packs.matching("openvoice", "base_speaker_tts")


@pytest.mark.parametrize("name", CONVERTERS)
@torch.no_grad()
def test_converter(name: str) -> None:
    pack = packs.load(name)
    model = openvoice.from_official(pack.state, pack.config).eval()
    audio = pack.inputs["wav"]
    spectrum, everything = model.listen(audio)
    voice = model.voice(spectrum)
    mask = mask_from_lengths(pack.inputs["lengths"], spectrum.shape[1])
    got = {"spec": spectrum.mT, "speaker_embedding": voice[..., None]}
    for phase in {key.rpartition(".")[0] for key in pack.out if key.startswith("convert_tau")}:
        (noise,) = pack.draws(phase)
        variety = float(phase.removeprefix("convert_tau"))
        sound, turned, moved = model.revoice(spectrum, mask, voice, voice.flip(0), variety, noise.mT)
        loud = model.decoder(turned, None, model._told(voice.flip(0)))  # in the original padding sounds too
        whole = mask.all(1)
        assert whole.any() and torch.allclose(loud[whole], sound[whole], atol=1e-6)
        got |= {f"{phase}.wav": loud[:, None], f"{phase}.z_hat": turned.mT, f"{phase}.z_p": moved.mT}
        if everything.equal(mask):
            converted = model.convert(audio, audio.flip(0), variety=variety, noise=noise.mT)
            assert torch.allclose(converted, sound, atol=1e-5)
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"


@pytest.mark.parametrize("name", SPEAKERS)
@torch.no_grad()
def test_base_speaker(name: str) -> None:
    pack = packs.load(name)
    model = vits.from_official(pack.state, pack.config).eval()
    assert pack.meta["outputs"]["out.infer.wav"] == "noise_scale 0.667, noise_scale_w 0.6, sdp_ratio 0.2"
    rhythm, noise = pack.draws("infer")
    tokens, speaker = pack.inputs["x"], pack.inputs["sid"]
    mask = mask_from_lengths(pack.inputs["x_lengths"], tokens.shape[1])
    speech = model.infer(tokens, mask, speaker, rhythm=0.6, drawn=0.2, duration_noise=rhythm.mT, noise=noise.mT)
    got = {
        "infer.wav": with_loud_padding(model, speech, speaker),
        "infer.attn": path(speech.durations, noise.shape[2]) * speech.frame_mask[:, None, :, None],
        "infer.z": speech.hidden.mT,
        "infer.z_p": speech.moved.mT,
        "infer.m_p": speech.prior.mean.mT,
    }
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"


@torch.no_grad()
def test_second_version_tells_posterior_and_decoder_a_voice_of_zeros() -> None:
    pack = packs.load(CONVERTERS[0])
    first = openvoice.from_official(pack.state, pack.config).eval()
    blind = openvoice.from_official(pack.state, pack.config | {"zero_g": True}).eval()
    spectrum, mask = first.listen(pack.inputs["wav"])
    voice = first.voice(spectrum)
    nobody = torch.zeros_like(voice)[:, None]
    noise = torch.zeros(*mask.shape, first.config.latent)
    hidden = first.posterior(spectrum, mask, nobody).sample(noise)
    moved = first.flow(hidden, mask, voice[:, None])
    turned = first.flow(moved, mask, voice.flip(0)[:, None], inverse=True)
    sound = blind.revoice(spectrum, mask, voice, voice.flip(0), 0.3, noise)[0]
    assert torch.allclose(sound, first.decoder(turned, mask, nobody), atol=1e-6)


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load(CONVERTERS[0])
    with pytest.raises(UserError, match="OpenVoice converter does not fit.*lacks voice.norm.bias"):
        openvoice.from_official({k: v for k, v in pack.state.items() if k != "ref_enc.layernorm.bias"}, pack.config)
    with pytest.raises(UserError, match="has no ref_enc; base speakers are loaded by tts/vits"):
        openvoice.from_official({}, pack.config)
    model = openvoice.from_official(pack.state, pack.config)
    with pytest.raises(UserError, match="cannot be trained; it can convert"):
        model(torch.ones(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool), pack.inputs["wav"][:1])
