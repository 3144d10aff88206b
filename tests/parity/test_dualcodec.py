"""DualCodec against its original: both kinds of codes, what goes on between them, losses and sound."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.codec import dualcodec
from tests.parity import packs

PACKS = packs.matching("amphion_codec", "dualcodec")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_codes_sound_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = dualcodec.from_official(pack.state, pack.config).eval()
    audio, features = pack.inputs["audio"][:, 0], pack.inputs["semantic_repr"].mT
    output, codes = model(audio, features), model.encode(audio, features)
    told, content, rest = model.code(audio, features)
    assert torch.equal(output.codes, codes)
    short = pack.out["decode"].shape[-1]
    got = {
        "semantic_codes": codes[..., :1].mT,
        "acoustic_codes": codes[..., 1:].mT,
        "decode": model.decode(codes)[:, None, :short],
        "forward.acoustic.x": output.audio[:, None, : audio.shape[1]],
        "forward.acoustic.z": (rest.vectors + told).mT,
        "forward.acoustic.first_layer_quantized": rest.parts[0].vectors.mT,
        "forward.semantic.x": output.features.mT,
    }
    for side, quantised in (("semantic", content), ("acoustic", rest)):
        head = f"forward.{side}."
        got[head + "codes"] = quantised.codes.mT
        got[head + "latents"] = torch.cat([part.latents for part in quantised.parts], dim=2).mT
        got[head + "penalty"] = quantised.commitment.mean(0).sum()
        got[head + "vq_codebook_loss"] = quantised.codebook.mean(0).sum()
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"
    assert output.audio.shape[1] - short == model.decoder.missing


@pytest.mark.parametrize("name", PACKS)
def test_the_form_of_the_published_yaml(name: str) -> None:
    pack = packs.load(name)
    yaml = {"SAMPLE_RATE": pack.config["sample_rate"], "discriminator": {"_target_": "dualcodec.Discriminator"}}
    yaml["model"] = {**pack.config, "_target_": "dualcodec.model_codec.DualCodec", "sample_rate": "${..SAMPLE_RATE}"}
    plain, nested = (dualcodec.from_official(pack.state, form) for form in (pack.config, yaml))
    assert plain.config == nested.config


@pytest.mark.parametrize("name", PACKS)
def test_what_does_not_fit_is_told(name: str) -> None:
    pack = packs.load(name)
    with pytest.raises(UserError, match="decode_semantic_for_codec"):
        dualcodec.from_official(pack.state, pack.config | {"decode_semantic_for_codec": False})
    with pytest.raises(UserError, match="has beyond the model speaker.weight$"):
        dualcodec.from_official(pack.state | {"speaker.weight": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match=r"lacks semantic.inward.bias$"):
        state = {key: value for key, value in pack.state.items() if key != "convnext_encoder.0.bias"}
        dualcodec.from_official(state, pack.config)
    model = dualcodec.from_official(pack.state, pack.config).eval()
    audio, features = pack.inputs["audio"][:, 0], pack.inputs["semantic_repr"].mT
    with pytest.raises(UserError, match=r"sound of 9 frames and features of 5 are not of one clip"):
        model.encode(audio, features[:, :5])
    codes = model.encode(audio, features)
    codes[0, 0, 1] = model.config.acoustic.codes
    with pytest.raises(UserError, match="acoustic codes go from 0 to"):
        model.decode(codes)
