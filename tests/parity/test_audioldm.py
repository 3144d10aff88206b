"""AudioLDM of Amphion: U-Net, sampling with guidance, autoencoder and its critic against the recorded originals."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from aoide.config import UserError
from aoide.models.tta import audioldm, autoencoderkl
from aoide.nn import picture
from aoide.nn.discriminators import patch
from aoide.objectives import gan
from tests.parity import packs


@torch.no_grad()
def test_unet_and_sampling() -> None:
    pack = packs.load("amphion_tta/audioldm_unet")
    model = audioldm.from_official(pack.state, pack.config).eval()
    x, text = pack.inputs["x"], pack.inputs["context"]
    eps = model(picture.unfold(x), pack.inputs["t"], text)
    noise = picture.unfold(pack.draws("sample")[0])
    options = {"steps": 4, "guidance": 2.5, "noise": noise}
    made = model.generate((text, None), (pack.inputs["uncond"], None), x.shape[3], **options)
    walk = model.config.process.every(4, leave_first=True, offset=1)
    told = [int(step) for step in reversed(walk.steps)]
    told.insert(1, told[1])  # the first step of plms asks twice
    channels = model.config.channels
    packs.check(
        pack,
        {
            "eps": picture.fold(eps, channels),
            "sample": picture.fold(made, channels),
            "sample_timesteps": torch.tensor(told),
        },
    )


@torch.no_grad()
def test_autoencoder() -> None:
    pack = packs.load("amphion_tta/autoencoderkl")
    model = autoencoderkl.from_official(pack.state, pack.config).eval()
    mel = pack.inputs["x"][:, 0].mT
    encoded = model.encoder(mel.mT[:, None])[0]
    mode, drawn = model(mel), model(mel, noise=picture.unfold(pack.draws("forward")[0]))
    batch = {"mel": mel}
    latent = model.config.shape.latent
    packs.check(
        pack,
        {
            "mid.encoder_out": encoded,
            "mean": picture.fold(mode.mean, latent),
            "logvar": picture.fold(mode.log_variance, latent),
            "recon_mode": mode.mel.mT[:, None],
            "recon_sampled": drawn.mel.mT[:, None],
            "kl": torch.stack([autoencoderkl.divergence(_item(mode, i), batch) for i in range(len(mel))]),
            "loss.kl": autoencoderkl.divergence(mode, batch),
            "loss.rec": autoencoderkl.mel_distance(drawn, batch),
        },
    )


def _item(output: autoencoderkl.Output, i: int) -> autoencoderkl.Output:
    return autoencoderkl.Output(*(field[i : i + 1] for field in output))


def test_critic_and_its_adaptive_weight() -> None:
    pack = packs.load("amphion_tta/autoencoderkl_discriminator")
    critic = patch.from_official(pack.state, pack.config).eval()
    last = pack.inputs["last_layer"].clone().requires_grad_()
    mel = pack.inputs["x"][:, 0].mT
    recon = functional.conv2d(pack.inputs["h"], last, padding=1)
    made = recon[:, 0].mT
    real, fake = critic(mel).scores, critic(made).scores
    loss = gan.SCORE_LOSSES["hinge_linear"]
    rec = (made - mel).abs().mean()
    spread = pack.state["logvar"]  # a parameter that Amphion's optimisers leave alone; 0 with us
    nll = rec / spread.exp() + spread
    pleasing = gan.generator_loss(loss, fake)
    weight = pack.config["disc_weight"] * gan.balance(nll, pleasing, last, pack.config["max_adapt_d_weight"])
    mean, log_variance = pack.inputs["moments"].chunk(2, dim=1)
    mask = torch.ones(len(mean), mean.shape[3], dtype=torch.bool)
    output = autoencoderkl.Output(made, picture.unfold(mean), picture.unfold(log_variance), mask)
    kl = autoencoderkl.divergence(output, {})
    packs.check(
        pack,
        {
            "recon": recon,
            "logits": real[0],
            "g.loss": nll + pack.config["kl_weight"] * kl + weight * pleasing,
            "g.kl_loss": kl,
            "g.rec_loss": rec,
            "g.nll_loss": nll,
            "g.g_loss": pleasing,
            "g.d_weight": weight,
            "g.disc_factor": torch.tensor(1.0),
            "d.d_loss": 0.5 * gan.critic_loss(loss, real, fake),
            "d.logits_real": real[0].mean(),
            "d.logits_fake": fake[0].mean(),
        },
    )


def test_weights_of_another_network_are_refused() -> None:
    model = audioldm.Model(audioldm.TOY)
    settings = {
        "model_channels": 32, "channel_mult": [1, 1], "num_res_blocks": 1, "attention_resolutions": [1], "num_heads": 2,
        "context_dim": 10, "in_channels": 4, "out_channels": 4,
    }  # fmt: skip
    with pytest.raises(UserError, match="this AudioLDM checkpoint does not fit"):
        audioldm.from_official(model.state_dict(), settings)
    with pytest.raises(UserError, match="this patch critic does not fit"):
        patch.from_official(nn.Linear(2, 2).state_dict(), {})
