"""MaskGCT's semantic and acoustic codec against their originals (Amphion): vectors, codes, sound, training losses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.codec import maskgct_acoustic, maskgct_semantic
from tests.parity import packs


def used(pack: packs.Pack, share: float) -> Tensor:
    """How many codebooks each item used in the original's training pass: the first `share` of them as drawn."""
    (drawn,) = pack.draws("train_mode")
    few = torch.arange(len(drawn)) < int(len(drawn) * share)
    return torch.where(few, drawn, maskgct_acoustic.Config().codebooks + 1)


@pytest.mark.parametrize("name", packs.matching("amphion_maskgct", "semantic_repcodec"))
@torch.no_grad()
def test_semantic_codec(name: str) -> None:
    pack = packs.load(name)
    model = maskgct_semantic.from_official(pack.state, pack.config).eval()
    features = pack.inputs["x"]
    output, codes = model(features), model.encode(features)
    got = {
        "mid.encoder_backbone": model.encoder.backbone(features),
        "quantize.indices": codes[..., 0],
        "quantize.quantized": model.vectors(codes),
        "forward.indices": output.codes.permute(2, 0, 1),
        "forward.recon": output.semantic,
    }
    trained = model.train()(features)
    weights = maskgct_semantic.TRAINING.weights
    losses = weights["codebook"] * trained.codebook + weights["commitment"] * trained.commitment
    packs.check(pack, got | {"train.recon": trained.semantic, "train.codebook_loss": losses.mean()})
    assert torch.equal(model.eval().decode(codes), output.semantic)
    assert set(pack.out) == set(got) - {"mid.encoder_backbone"} | {"train.recon", "train.codebook_loss"}


@pytest.mark.parametrize("name", packs.matching("amphion_maskgct", "acoustic_codec_encoder"))
@torch.no_grad()
def test_acoustic_encoder(name: str) -> None:
    pack = packs.load(name)
    model = maskgct_acoustic.from_official(pack.state, pack.config).eval()
    audio = pack.inputs["x"]
    assert model.encoder is not None
    first = model.encoder.first(audio)
    got = {
        "z": model.latents(audio[:, 0]).mT,
        "mid.conv_in": first,
        "mid.block0": model.encoder.stages[0](first, None, None),
    }
    packs.check(pack, got)
    assert set(pack.out) == {"z"}


@pytest.mark.parametrize(
    "name", packs.matching("amphion_maskgct", "acoustic_codec_decoder", "acoustic_codec_decoder_conv")
)
@torch.no_grad()
def test_acoustic_decoder(name: str) -> None:
    pack = packs.load(name)
    model = maskgct_acoustic.from_official(pack.state, pack.config).eval()
    latents = pack.inputs["z"].mT
    whole, two = model.quantise(latents), model.quantise(latents, used=2)
    got = {
        "quantized": whole.vectors.mT,
        "codes": whole.codes.permute(2, 0, 1),
        "vq2emb": model.vectors(whole.codes).mT,
        "wav": model.decode(whole.codes)[:, None],
        "quantized_2": two.vectors.mT,
        "codes_2": two.codes.permute(2, 0, 1),
    }
    if "train.quantized" in pack.out:
        trained = model.train().quantise(latents, used=used(pack, pack.config["quantizer_dropout"]))
        got["train.quantized"] = trained.vectors.mT
        got["train.commit_losses"] = pack.config["commitment"] * trained.commitment.mean(0)
        got["train.codebook_losses"] = pack.config["codebook_loss_weight"] * trained.codebook.mean(0)
    packs.check(pack, {key: value for key, value in got.items() if key in pack.out})
    assert set(pack.out) <= set(got), "every recorded output is compared"


def test_the_halves_together() -> None:
    """The two published files, laid together, are a codec; half of one says what it lacks."""
    encoder = packs.load("amphion_maskgct/acoustic_codec_encoder")
    decoder = packs.load("amphion_maskgct/acoustic_codec_decoder_conv")
    half = maskgct_acoustic.from_official(decoder.state, {"decoder": decoder.config}).eval()
    assert half.decode(torch.zeros(2, 5, half.codebooks, dtype=torch.int64)).shape == (2, 5 * half.hop)
    with pytest.raises(UserError, match="no encoder: it was made from the weights of the decoder alone"):
        half.encode(torch.zeros(1, 100))
    with pytest.raises(UserError, match="no codebooks and no decoder"):
        maskgct_acoustic.from_official(encoder.state, encoder.config).encode(torch.zeros(1, 100))
    settings = {"encoder": encoder.config, "decoder": decoder.config}
    with pytest.raises(UserError, match="acoustic codec: the parts disagree on the hop"):
        maskgct_acoustic.from_official(encoder.state | decoder.state, settings)

    # The packs' halves are of different hops: take the last stage out of the encoder.
    count = len(encoder.config["up_ratios"]) - 1
    channels = encoder.config["d_model"] << count
    state = {key: value for key, value in encoder.state.items() if int(key.split(".")[1]) <= count}
    state[f"block.{count + 1}.alpha"] = encoder.state[f"block.{count + 2}.alpha"][:, :channels]
    for key in ("bias", "weight_g", "weight_v"):
        state[f"block.{count + 2}.{key}"] = encoder.state[f"block.{count + 3}.{key}"]
    state[f"block.{count + 2}.weight_v"] = state[f"block.{count + 2}.weight_v"][:, :channels]
    settings["encoder"] = encoder.config | {"up_ratios": encoder.config["up_ratios"][:-1]}
    both = {f"encoder.{key}": value for key, value in state.items()} | decoder.state
    model = maskgct_acoustic.from_official(both, {"model": {"acoustic_codec": settings}}).eval()
    codes = model.encode(torch.randn(2, 4 * model.hop))
    assert torch.equal(model.decode(codes), half.decode(codes)) and codes.shape == (2, 4, model.codebooks)


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load("amphion_maskgct/acoustic_codec_encoder")
    with pytest.raises(UserError, match="weights of the encoder, but the configuration has no section encoder"):
        maskgct_acoustic.from_official(pack.state, {"decoder": {}})
    with pytest.raises(UserError, match="not the weights of MaskGCT's acoustic codec"):
        maskgct_acoustic.from_official({"x": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match="lacks encoder.first.bias$"):
        maskgct_acoustic.from_official({k: v for k, v in pack.state.items() if k != "block.0.bias"}, pack.config)
    with pytest.raises(UserError, match="has beyond the model strange"):
        maskgct_acoustic.from_official(pack.state | {"strange": torch.zeros(1)}, pack.config)
    decoder = packs.load("amphion_maskgct/acoustic_codec_decoder")
    with pytest.raises(UserError, match="codebooks of kind lfq; Aoide builds fvq"):
        maskgct_acoustic.from_official(decoder.state, decoder.config | {"quantizer_type": "lfq"})
    semantic = packs.load("amphion_maskgct/semantic_repcodec")
    model = maskgct_semantic.from_official(semantic.state, {"model": {"semantic_codec": semantic.config}})
    with pytest.raises(UserError, match=r"reads features \(batch, frames, 18\), not \(2, 5, 17\)"):
        model.encode(torch.zeros(2, 5, 17))
