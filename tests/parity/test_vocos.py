"""Vocos against its original (gemelo-ai/vocos): every head and backbone, the EnCodec variant, critics and losses."""

from __future__ import annotations

import pytest
import torch

from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.models.vocoder import vocos, vocos_encodec
from aoide.nn import discriminators
from aoide.nn.stft_loss import MelLoss
from aoide.objectives import gan
from tests.parity import packs

MEL_PACKS = ("mel_istft_center", "mel_istft_same", "mel_imdct", "mel_resnet")


@pytest.mark.parametrize("name", MEL_PACKS)
@torch.no_grad()
def test_mel_to_sound(name: str) -> None:
    pack = packs.load(f"vocos/{name}")
    model = vocos.from_official(pack.state, pack.config).eval()
    wav = pack.inputs["wav"]
    centred = model.config.mel.padding == "center"
    # The original keeps the frame centred on the end of the sound, and for it gives one hop less of sound than we do.
    mel = MelSpectrogram(model.config.mel)(wav, frames=wav.shape[1] // model.config.mel.hop + centred)
    got = {
        "features_of_wav": mel.mT,
        "mid.backbone_of_mel": model.backbone(pack.inputs["mel"].mT),
        "wav_of_mel": model(pack.inputs["mel"].mT),
        "wav_of_wav": model(mel),
    }
    cut = {key: value[..., : pack.out[key].shape[-1]] if key.startswith("wav") else value for key, value in got.items()}
    lost = {got[key].shape[-1] - cut[key].shape[-1] for key in got if key.startswith("wav")}
    assert lost == {model.config.mel.hop if centred else 0}
    packs.check(pack, cut)
    assert set(pack.out) <= set(got), "every recorded output is compared"


@pytest.mark.parametrize("name", packs.matching("amphion_vevo", "vevo_vocos"))
@torch.no_grad()
def test_mel_of_vevo_to_sound(name: str) -> None:
    pack = packs.load(name)
    model = vocos.from_official(pack.state, pack.config).eval()
    mel = pack.inputs["mel"].mT
    packs.check(pack, {"mid.backbone": model.backbone(mel), "wav": model(mel)[:, None]})
    assert set(pack.out) == {"wav"}
    published = {"model": {"vocos": pack.config}, "preprocess": {"mel_mean": -4.92, "mel_var": 8.14, "fmax": 12_000}}
    other = vocos.from_official(pack.state, published)
    torch.testing.assert_close(other(mel * 8.14**0.5 - 4.92), model(mel), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_encodec_codes_to_sound() -> None:
    pack = packs.load("vocos/encodec_adanorm")
    model = vocos_encodec.from_official(pack.state, pack.config).eval()
    codes = pack.inputs["codes"].permute(1, 2, 0)
    wav = model(codes, pack.inputs["bandwidth_id"].expand(len(codes)))
    packs.check(pack, {"features": model.features(codes).mT, "wav": wav})


def test_critics_and_losses() -> None:
    pack = packs.load("vocos/discriminators_and_losses")
    critics = discriminators.from_official(pack.state).eval()
    real, fake = pack.inputs["y"][:, 0], pack.inputs["y_hat"][:, 0]
    with torch.no_grad():
        on_real, on_fake = critics(real), critics(fake)
    got = {
        "mid.mpd.fmap_real.0.1": on_real["period"].features[0][1].mT,
        "mid.mrd.fmap_real.0.1": on_real["band"].features[0][1],
    }
    for short, name in (("mpd", "period"), ("mrd", "band")):
        for kind, judgement in (("real", on_real[name]), ("gen", on_fake[name])):
            ordered = [maps[-1].mT.flatten(1) for maps in judgement.features] if short == "mpd" else judgement.scores
            got |= {f"{short}.score_{kind}.{i}": score for i, score in enumerate(ordered)}
        hinge, (real_maps, fake_maps) = gan.SCORE_LOSSES["hinge"], (on_real[name].features, on_fake[name].features)
        got[f"{short}.loss_discriminator"] = gan.critic_loss(hinge, on_real[name].scores, on_fake[name].scores, "sum")[
            None
        ]
        got[f"{short}.loss_generator"] = gan.generator_loss(hinge, on_fake[name].scores, "sum")[None]
        got[f"{short}.loss_feature"] = gan.feature_matching(real_maps, fake_maps, "sum")[None]
    mel = MelConfig(sample_rate=24_000, n_fft=256, hop=64, win=256, n_mels=20, fmax=12_000, floor=1e-7)
    got["loss_mel"] = MelLoss(mel)(fake, real)
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"


def test_published_configuration_form() -> None:
    """The config.yaml on Hugging Face names classes; the packs give only their arguments."""
    pack = packs.load("vocos/mel_istft_center")
    classes = {
        "feature_extractor": "vocos.feature_extractors.MelSpectrogramFeatures",
        "backbone": "vocos.models.VocosBackbone",
        "head": "vocos.heads.ISTFTHead",
    }
    config = {part: {"class_path": path, "init_args": pack.config[part]} for part, path in classes.items()}
    mel = pack.inputs["mel"].mT
    with torch.no_grad():
        one, two = (vocos.from_official(pack.state, form)(mel) for form in (config, pack.config))
    assert torch.equal(one, two)


def test_what_does_not_fit_is_told() -> None:
    pack, encodec = packs.load("vocos/mel_istft_center"), packs.load("vocos/encodec_adanorm")
    with pytest.raises(UserError, match="vocoder/vocos_encodec"):
        vocos.from_official(encodec.state, encodec.config)
    with pytest.raises(UserError, match="load it as vocoder/vocos"):
        vocos_encodec.from_official(pack.state, pack.config)
    with pytest.raises(UserError, match="lacks backbone.embed.bias$"):
        vocos.from_official({k: v for k, v in pack.state.items() if k != "backbone.embed.bias"}, pack.config)
    with pytest.raises(UserError, match="has beyond the model extra.0, extra.1, extra.2, extra.3, extra.4 and 2 more"):
        vocos.from_official(pack.state | {f"extra.{i}": torch.zeros(1) for i in range(7)}, pack.config)
    with pytest.raises(UserError, match=r"backbone.embed.weight is \(14, 9, 7\), not \(15, 9, 7\)"):
        vocos.from_official(pack.state, pack.config | {"backbone": pack.config["backbone"] | {"dim": 15}})
    wrong_rate = pack.config | {"feature_extractor": pack.config["feature_extractor"] | {"sample_rate": 16_000}}
    with pytest.raises(UserError, match="another mel filterbank"):
        vocos.from_official(pack.state, wrong_rate)
    with pytest.raises(UserError, match="must be the same"):
        vocos.from_official(pack.state, pack.config | {"head": pack.config["head"] | {"padding": "same"}})
    with pytest.raises(UserError, match="reads MelConfig.*n_mels=9"):
        vocos.from_official(pack.state, pack.config)(torch.zeros(1, 5, 80))
