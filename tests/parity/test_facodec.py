"""FACodec against its original (Amphion): factors, codes, voice, sound, predictors, training losses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import aoide
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate.likeness import Likeness, open_model
from aoide.models.codec import facodec
from tests.parity import packs


@pytest.mark.parametrize("name", packs.matching("amphion_codec", "facodec_encoder"))
@torch.no_grad()
def test_encoder(name: str) -> None:
    pack = packs.load(name)
    model = facodec.from_official(pack.state, pack.config).eval()
    packs.check(pack, {"z": model.latents(pack.inputs["x"][:, 0]).mT})
    assert set(pack.out) == {"z"}


@pytest.mark.parametrize("name", packs.matching("amphion_codec", "facodec_decoder"))
@torch.no_grad()
def test_decoder(name: str) -> None:
    pack = packs.load(name)
    model = facodec.from_official(pack.state, pack.config).eval()
    decoder = model.decoder
    assert decoder is not None
    latents = pack.inputs["z"].mT
    factors = decoder.factors(latents)
    parts = [part.vectors for part in factors if part is not None]
    codes = factors.all("codes")
    # The original adds to an item the position code of its number in the batch; a lone item has the number 0.
    voice = decoder.timbre(latents, numbered=True)
    assert torch.allclose(voice[:1], model.decoder.timbre(latents)[:1])
    (kept,) = pack.draws("train_forward")
    vectors = parts[0] + parts[1] + (parts[2] * kept[:, None, None] if len(parts) > 2 else 0)
    read = decoder.read(factors, vectors)
    got = {
        "mid.timbre_encoder": decoder.timbre.frames(latents, numbered=True),
        "quantized_sum": torch.stack(parts).sum(0).mT,
        "codes": codes.permute(2, 0, 1),
        "speaker_embedding": voice,
        "vq2emb": model.vectors(codes).mT,
        "wav": model.decode(codes, voice)[:, None],
        "preds.audio": decoder(vectors, voice)[:, None],
    }
    got |= {f"quantized.{number}": part.mT for number, part in enumerate(parts)}
    prefixes = {"prosody": "prosody_", "content": "content_", "residual": "res_", "pitch": "", "phones": ""}
    for name_of, prediction in read.items():
        prefix = prefixes.get(name_of.partition("_")[0])
        if name_of.endswith("pitch"):
            got |= {f"preds.{prefix}f0": prediction[..., 0], f"preds.{prefix}uv": prediction[..., 1]}
        else:
            got["preds.x_timbre" if prefix is None else f"preds.{prefix}phone"] = prediction
    trained = decoder.train().factors(latents)
    commitment = facodec.TRAINING.weights["commitment"] * trained.all("commitment") + trained.all("codebook")
    got["vq_train.commit_loss"] = commitment.mean(0)
    got["vq_train.quantized_sum"] = torch.stack([part.vectors for part in trained if part is not None]).sum(0).mT
    packs.check(pack, got)
    not_ours = {"commit_loss"}  # 0 by definition in eval mode, where ours is what it is
    assert set(pack.out) - not_ours <= set(got) and not pack.out["commit_loss"].any()


def test_forward_is_the_parts_one_after_the_other() -> None:
    """What the packs test in pieces is what training runs."""
    torch.manual_seed(0)
    model = facodec.Model(facodec.TOY).eval()
    audio = torch.randn(2, 40 * model.hop)
    output = model(audio)
    assert torch.equal(output.codes, model.encode(audio)) and torch.equal(output.voice, model.voice(audio))
    torch.testing.assert_close(output.audio, model.decode(output.codes, output.voice), atol=1e-5, rtol=1e-4)
    without = model(audio, kept=torch.tensor([True, False])).audio
    assert torch.equal(without[0], output.audio[0]) and not torch.equal(without[1], output.audio[1])


def test_the_halves_together(tmp_path: Path) -> None:
    """The two published files, laid together, are a codec; half of one says what it lacks."""
    encoder, decoder = packs.load("amphion_codec/facodec_encoder"), packs.load("amphion_codec/facodec_decoder")
    with pytest.raises(UserError, match="no encoder: it was made from the weights of the decoder alone"):
        facodec.from_official(decoder.state, decoder.config).encode(torch.zeros(1, 100))
    with pytest.raises(UserError, match="no codebooks and no decoder"):
        facodec.from_official(encoder.state, encoder.config).voice(torch.zeros(1, 100))
    dim = decoder.config["in_channels"]  # the packs' halves are of different widths: widen the last layer of the one
    last = max(int(key.split(".")[1]) for key in encoder.state)
    state = {
        key: value.repeat(2, *(1 for _ in value.shape[1:]))[:dim] if f"block.{last}." in key else value
        for key, value in encoder.state.items()
    }
    both = {f"encoder.{key}": value for key, value in state.items()} | decoder.state
    sections = {"encoder": encoder.config | {"out_channels": dim}, "decoder": decoder.config}
    model = facodec.from_official(both, sections).eval()
    audio = torch.randn(2, 10 * model.hop)
    sound = model.convert(audio, model.voice(audio.flip(0)))
    assert sound.shape == audio.shape and model.encode(audio).shape == (2, 10, model.codebooks)
    for file, half in zip(facodec.OFFICIAL_FILES, (state, decoder.state), strict=True):
        torch.save(half, tmp_path / file)
    (tmp_path / "config.json").write_text(json.dumps(sections))
    reference, source = (Sound(0.1 * x.numpy(), model.config.sample_rate) for x in torch.randn(2, 16_000))
    like = Likeness(open_model("codec/facodec", str(tmp_path), aoide.load), reference)
    voice = model.voice(torch.from_numpy(reference.samples)[None])
    expected = model.convert(torch.from_numpy(source.samples)[None], voice)[0, :16_000]
    np.testing.assert_allclose(like.convert(source).samples, expected.clamp(-1, 1).detach(), atol=1e-5)
    with pytest.raises(UserError, match="configuration of FACodec: the rates of encoder and decoder disagree"):
        facodec.from_official(both, sections | {"decoder": decoder.config | {"up_ratios": [2, 2]}})
    with pytest.raises(UserError, match="encoder.last.bias is"):
        facodec.from_official(encoder.state | decoder.state, sections)


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load("amphion_codec/facodec_decoder")
    with pytest.raises(UserError, match="version 2 or the re-decoder"):
        facodec.from_official(pack.state | {"melspec_linear.weight": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match="lacks decoder.predictors.pitch.out.weight"):
        kept = {key: value for key, value in pack.state.items() if not key.startswith("f0_predictor.heads")}
        facodec.from_official(kept, pack.config)
    with pytest.raises(UserError, match="has beyond the model strange"):
        facodec.from_official(pack.state | {"strange": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match="holds no weights"):
        facodec.from_official({}, pack.config)
    filters = {key: value + 1 for key, value in pack.state.items() if key.endswith("upsample.filter")}
    with pytest.raises(UserError, match="another anti-aliasing filter"):
        facodec.from_official(pack.state | filters, pack.config)
    model = facodec.from_official(pack.state, pack.config)
    with pytest.raises(UserError, match=r"voices \(2, 12\), not \(1, 12\)"):
        model.decode(torch.zeros(2, 3, 6, dtype=torch.int64), torch.zeros(1, 12))
