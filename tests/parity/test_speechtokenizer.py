"""SpeechTokenizer against its original: features, codes, sound, and what a training step does to the codebooks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.codec import speechtokenizer
from aoide.models.codec.speechtokenizer import mirror
from tests.parity import packs

PACKS = packs.matching("amphion_codec", "speechtokenizer")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_sound_to_codes_to_sound(name: str) -> None:
    pack = packs.load(name)
    model = speechtokenizer.from_official(pack.state, pack.config).eval()
    audio = pack.inputs["x"][:, 0]
    output, latents = model(audio), model.encoder(audio)
    parts = model.quantiser(latents).parts
    codes = model.encode(audio)
    got = {
        "mid.encoder_out": latents.mT,
        "wav": output.audio[:, None],
        "feature": output.semantic,
        "codes": codes.permute(2, 0, 1),
        "decode": model.decode(codes)[:, None],
    }
    if "codes_st1" in pack.out:  # encoded with the first few codebooks alone
        got["codes_st1"] = model.quantiser.encode(latents, codebooks=len(pack.out["codes_st1"])).permute(2, 0, 1)
    got |= {f"mid.layer_quantized.{i}": part.vectors.mT for i, part in enumerate(parts)}
    packs.check(pack, got)
    told = {"commit_loss"}  # 0 in use
    assert {key for key in pack.out if not key.startswith(("train.", "after."))} <= set(got) | told
    assert float(pack.out["commit_loss"]) == 0


@pytest.mark.parametrize("name", PACKS)
def test_a_training_step(name: str) -> None:
    """Theirs never replaces a dead code for good, so ours is told not to."""
    pack = packs.load(name)
    model = speechtokenizer.from_official(pack.state, pack.config).train()
    for layer in model.quantiser.layers:
        layer.dead_below = None
    output = model(pack.inputs["x"][:, 0])
    got = {"train.commit_loss": output.commitment.mean(), "train.wav": output.audio[:, None]}
    names = {"embed": "table", "embed_avg": "sums", "cluster_size": "uses"}
    for i, layer in enumerate(model.quantiser.layers):
        head = f"after.quantizer.vq.layers.{i}._codebook."
        got |= {head + theirs: getattr(layer, ours) for theirs, ours in names.items()}
    packs.check(pack, got)
    left = {key for key in pack.out if key.startswith(("train.", "after."))} - set(got)
    assert all(key.endswith("inited") for key in left)


@pytest.mark.parametrize("name", PACKS)
def test_what_does_not_fit_is_told(name: str) -> None:
    pack = packs.load(name)
    with pytest.raises(UserError, match="builds those with ELU"):
        speechtokenizer.from_official(pack.state, pack.config | {"activation": "Snake"})
    with pytest.raises(UserError, match=r"lacks decoder.last.conv.bias$"):
        state = {key: value for key, value in pack.state.items() if key != "decoder.model.12.conv.conv.bias"}
        speechtokenizer.from_official(state, pack.config)
    with pytest.raises(UserError, match="has beyond the model extra.0.1.weight"):
        speechtokenizer.from_official(pack.state | {"extra.0.1.weight": torch.zeros(1)}, pack.config)


def _plain_mirror(x: Tensor, left: int, right: int) -> Tensor:
    """EnCodec's padding: zeros first where the sound is too short to be mirrored, and as many less at the end."""
    more = max(0, max(left, right) + 1 - x.shape[2])
    padded = torch.nn.functional.pad(torch.nn.functional.pad(x, (0, more)), (left, right), mode="reflect")
    return padded[..., : padded.shape[2] - more]


@pytest.mark.parametrize(("left", "right"), [(3, 3), (2, 1), (0, 0), (6, 5)])
def test_mirrors_each_item_at_its_own_end(left: int, right: int) -> None:
    x = torch.randn(3, 2, 9, generator=torch.Generator().manual_seed(0))
    for length in range(1, 10):
        want = _plain_mirror(x[..., :length], left, right)
        assert torch.equal(mirror(x[..., :length], left, right), want)
        together = mirror(x, left, right, torch.full((3,), length))
        assert torch.equal(together[..., : length + left + right], want)
