"""so-vits-svc 4.1 against numbers recorded from it: all forms of decoder and flow, losses, conversion, predicted F0."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aoide.config import UserError
from aoide.models.svc import sovits
from aoide.nn.latent import kl_divergence
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.segments import cut
from tests.parity import packs

PACKS = packs.matching("so_vits_svc", "nsf_hifigan", "nsf_snake_transformer_flow", "depthwise_shared_flow")


def chance(offsets: Tensor, noise: Tensor, frames: int) -> Tensor:
    """Recorded draws of the source, random phases and noise sample by sample, as `Decoder.draw` has them."""
    offsets = offsets.clone()
    offsets[:, 0] = 0
    return torch.cat([offsets[:, None].expand(-1, frames, -1), noise.unflatten(1, (frames, -1)).flatten(2)], dim=2)


def let_padding_be_heard(model: sovits.Model) -> None:
    """As in the original, whose first convolutions over content and F0 know no mask."""
    for conv in (model.content, model.predictor.first, model.predictor.course):
        conv.forward = lambda x, mask=None, conv=conv: type(conv).forward(conv, x)


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_training_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = sovits.from_official(pack.state, pack.config).eval()
    let_padding_be_heard(model)
    inputs, count = pack.inputs, model.config.segment
    f0, voiced, singer = inputs["f0"], inputs["uv"].bool(), model.singers(inputs["g"])
    mask = mask_from_lengths(inputs["lengths"], f0.shape[1])
    stretch, prior_noise, noise, chances, offsets, breath, _ = pack.draws("forward")
    x = model.features(inputs["c"].mT, voiced, mask, inputs.get("vol"))
    moves = sovits.course(f0, voiced, mask, stretch[:, 0])
    predicted = model.predictor(x, moves, mask, singer)
    prior = model.prior(x, f0, mask)
    posterior, hidden, moved = model.learn(inputs["spec"].mT, mask, singer, noise.mT)
    starts = (chances * (mask.sum(1) - count + 1)).long()
    slices = [cut(part, starts, count) for part in (hidden, mask, f0)]
    drawn = chance(offsets, breath, count)
    sound = model.decoder(slices[0], slices[1], singer, slices[2], drawn)
    got = {
        "mid.enc_p_z": prior.sample(prior_noise.mT).mT * mask[:, None],
        "mid.har_source": model.decoder.source(slices[2], drawn)[..., None],
        "forward.y_hat": sound[:, None],
        "forward.ids_slice": starts,
        "forward.z_mask": mask[:, None].float(),
        "forward.z": hidden.mT,
        "forward.z_p": moved.mT,
        "forward.m_p": prior.mean.mT,
        "forward.logs_p": prior.log_deviation.mT,
        "forward.m_q": posterior.mean.mT,
        "forward.logs_q": posterior.log_deviation.mT,
        "forward.lf0": sovits.height(f0)[:, None],
        "forward.norm_lf0": moves[:, None],
        "forward.pred_lf0": predicted[:, None],
        "loss.kl": kl_divergence(moved, posterior, prior, mask),
        "loss.lf0": functional.mse_loss(predicted, sovits.height(f0)),  # a mean over padded frames as well
    }
    packs.check(pack, got)
    assert {key for key in pack.out if key.startswith(("forward.", "loss."))} <= set(got), "every output is compared"


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_conversion(name: str) -> None:
    pack = packs.load(name)
    model = sovits.from_official(pack.state, pack.config).eval()
    inputs, frames = pack.inputs, pack.inputs["f0"].shape[1]
    voiced, singer = inputs["uv"].bool(), model.singers(inputs["g"])
    mask = torch.ones_like(voiced)  # theirs takes every item for full length
    x = model.features(inputs["c"].mT, voiced, mask, inputs.get("vol"))
    for predict in (0, 1):
        noise, offsets, breath, _ = pack.draws(f"infer_predict{predict}")
        f0 = model.intonate(x, inputs["f0"], voiced, mask, singer) if predict else inputs["f0"]
        # The sines are to be compared, not how F0 rounds into their phase.
        heard = pack.out[f"infer_predict{predict}.f0"]
        sound = model.sound(x, heard, mask, singer, 0.35, noise.mT, chance(offsets, breath, frames))
        packs.check(pack, {f"infer_predict{predict}.f0": f0, f"infer_predict{predict}.wav": sound[:, None]})


@torch.no_grad()
def test_conversion_is_these_steps() -> None:
    model = sovits.Model(sovits.TOY).eval()
    batch = sovits.example(sovits.TOY)
    steer = {"content": batch["content"], "f0": batch["f0"], "loudness": batch["loudness"], "speaker": batch["speaker"]}
    sounds = [model.convert(**steer, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert sounds[0].shape == batch["audio"].shape
    assert torch.equal(sounds[0], sounds[1]) and not torch.equal(sounds[0], sounds[2])
    shares = functional.one_hot(steer.pop("speaker"), sovits.TOY.speakers).float()
    mixed = model.convert(**steer, mixture=shares, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(mixed, sounds[0], atol=1e-6)
    predicted = model.convert(**steer, mixture=shares, predict=True, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(predicted, mixed)
    with pytest.raises(UserError, match="steered by speaker"):
        model.convert(**steer)


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load(PACKS[0])
    with pytest.raises(UserError, match="so-vits-svc checkpoint does not fit.*lacks"):
        sovits.from_official({k: v for k, v in pack.state.items() if k != "emb_uv.weight"}, pack.config)
    with pytest.raises(UserError, match="decoder melgan; known are nsf-hifigan"):
        sovits.from_official(pack.state, pack.config | {"vocoder_name": "melgan"})
    with pytest.raises(UserError, match=r"not that of so-vits-svc 4\.1"):
        sovits.from_official({}, pack.config)
