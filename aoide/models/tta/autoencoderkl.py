"""AutoencoderKL: log-mel (batch, frames, mels) -> latents (batch, frames / factor, dim) -> log-mel again.

Idea         A mel as a picture is halved in both directions several times; what is left, a few channels a place, is so
             small and so even that a diffusion model learns it well. Each place is a Gaussian that is kept near the
             standard one by hardly more than a touch; a critic of patches keeps the picture sharp.
Objective    GAN on mels with an adaptive weight (aoide/objectives/gan.py)
Recipes      recipes/tta/autoencoderkl-folder.yaml
Papers       Rombach et al. 2022, arXiv:2112.10752; Liu et al. 2023, arXiv:2301.12503 (AudioLDM)
Code         github.com/open-mmlab/Amphion, models/tta/autoencoder (MIT)
Checkpoints  amphion/text_to_audio (autoencoder_kl...: 62.1 M of five levels, 60.3 M of four); `from_official`
Parity       tests/parity/test_audioldm.py
Differs      Padding is neither seen nor counted. Training moves both networks in every step, not in turns, and the
             critic sees recorded and made mels in one batch. The mel's settings are not published: these are those of
             16 kHz HiFi-GANs. `encode` gives the mean: its Gaussians are far narrower than what diffusion adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.nn import picture
from aoide.nn.autoencoder import Decoder, Encoder, Shape, official
from aoide.nn.official import adopt, part
from aoide.objectives import Batch, gan

MEL = MelConfig(
    sample_rate=16_000,
    n_fft=1024,
    hop=256,
    win=1024,
    n_mels=80,
    fmax=8_000,
    scale="slaney",
    norm="slaney",
    eps=1e-9,
    padding="same",
)
QUIETEST, LOUDEST = -30.0, 20.0  # of a log variance


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of Amphion's latents of 4 x 10 x 78 for 10 s."""

    mel: MelConfig = field(default_factory=lambda: MEL)
    shape: Shape = field(default_factory=Shape)

    def __post_init__(self) -> None:
        if self.mel.n_mels % self.shape.factor:
            raise ValueError(f"{self.mel.n_mels} mels do not divide by {self.shape.factor}, the levels of the shape")


class Output(NamedTuple):
    mel: Tensor  # (batch, frames, mels)
    mean: Tensor  # (batch, frames / factor, dim)
    log_variance: Tensor  # the same
    latent_mask: Tensor  # (batch, frames / factor), True = real


class Model(nn.Module):
    """See `aoide.models.tta.Autoencoder`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.spectrogram = MelSpectrogram(config.mel)
        self.encoder, self.decoder = Encoder(config.shape), Decoder(config.shape)
        latent = config.shape.latent
        self.inward, self.outward = nn.Conv2d(2 * latent, 2 * latent, 1), nn.Conv2d(latent, latent, 1)

    @property
    def sample_rate(self) -> int:
        return self.config.mel.sample_rate

    @property
    def hop(self) -> int:
        return self.config.mel.hop * self.config.shape.factor

    @property
    def frame_rate(self) -> float:
        return self.sample_rate / self.hop

    @property
    def dim(self) -> int:
        return self.config.shape.latent * self.bins

    @property
    def bins(self) -> int:
        """Rows of a latent seen as a picture."""
        return self.config.mel.n_mels // self.config.shape.factor

    @property
    def mel(self) -> MelConfig:
        """What `decode` gives: a vocoder of this mel makes the sound."""
        return self.config.mel

    @property
    def last(self) -> Tensor:
        """The weight at which the objective measures gradients."""
        return self.decoder.last.weight

    def forward(self, mel: Tensor, frame_mask: Tensor | None = None, noise: Tensor | None = None) -> Output:
        """mel (batch, frames, mels), frame_mask (batch, frames) with True = real -> see `Output`.

        Latents are drawn in training, or with `noise` (batch, frames / factor, dim); else they are the means.
        """
        mean, log_variance, mask = self.posterior(mel, frame_mask)
        latents = mean
        if noise is not None or self.training:
            noise = torch.randn_like(mean) if noise is None else noise
            latents = mean + torch.exp(0.5 * log_variance) * noise
        trace.report("autoencoder/latents", latents)
        made = self.decode(latents, mask)[:, : mel.shape[1]]
        if frame_mask is not None:
            made = made.masked_fill(~frame_mask[..., None], self.mel.silence)
        real = torch.ones(mean.shape[:2], dtype=torch.bool, device=mel.device) if mask is None else mask
        return Output(made, mean, log_variance, real)

    def posterior(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """mel, frame_mask -> means and log variances (batch, frames / factor, dim), and their mask.

        Silence fills what is left of the last frame of latents, also where padding begins in the middle of one.
        """
        factor, silence = self.config.shape.factor, self.mel.silence
        if frame_mask is not None:
            mel = mel.masked_fill(~frame_mask[..., None], silence)
        mel = functional.pad(mel, (0, 0, 0, -mel.shape[1] % factor), value=silence)
        mask = None if frame_mask is None else frame_mask[:, ::factor]
        real = picture.of_frames(mask)
        wide = None if real is None else real.repeat_interleave(factor, dim=-1)
        moments = self.inward(self.encoder(mel.mT[:, None], wide)[0])
        mean, log_variance = moments.chunk(2, dim=1)
        shut = picture.shut(mean, real), picture.shut(log_variance.clamp(QUIETEST, LOUDEST), real)
        return picture.unfold(shut[0]), picture.unfold(shut[1]), mask

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """audio (batch, samples) -> latents (batch, frames, dim), the means; silence fills the last frame."""
        return self.encode_mel(self.spectrogram(functional.pad(audio, (0, -audio.shape[1] % self.hop))))

    @torch.no_grad()
    def encode_mel(self, mel: Tensor) -> Tensor:
        """mel (batch, frames, mels) -> latents (batch, frames / factor, dim)."""
        return self.posterior(mel)[0]

    def decode(self, latents: Tensor, mask: Tensor | None = None) -> Tensor:
        """latents (batch, frames, dim), mask (batch, frames) -> mel (batch, frames * factor, mels)."""
        latent = self.outward(picture.fold(latents, self.config.shape.latent))
        return self.decoder(latent, picture.of_frames(mask))[:, 0].mT


# ------------------------------------------------------------------------------------------------------------- training


def mel_distance(output: Output, batch: Batch) -> Tensor:
    """L1 between the mels, a mean over what is real."""
    off = (output.mel - batch["mel"]).abs()
    return off.mean() if "frame_mask" not in batch else off[batch["frame_mask"]].mean()


def divergence(output: Output, batch: Batch) -> Tensor:
    """How far the Gaussians are from the standard one: nats of an item, summed over its places."""
    nats = 0.5 * (output.mean.square() + output.log_variance.exp() - 1 - output.log_variance)
    return (nats * output.latent_mask[..., None]).sum((1, 2)).mean()


LOSSES = {"mel": mel_distance, "kl": divergence}
TRAINING = gan.Config(
    critics=("patch",),
    loss="hinge_linear",
    weights={"mel": 1.0, "kl": 1e-8},
    feature=0.0,
    target="mel",
    adaptive=0.5,
)
NEEDS = ("mel",)
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=6, fmax=4_000),
    shape=Shape(channels=8, multiples=(1, 2), blocks=1, latent=2, groups=4),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels of 25 frames; every other one is shorter."""
    lengths = torch.tensor([25 - 6 * (i % 2) for i in range(batch)])
    return {
        "mel": torch.randn(batch, 25, config.mel.n_mels, generator=generator) - 4,
        "frame_mask": torch.arange(25) < lengths[:, None],
    }


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """An autoencoder of Amphion's checkpoints.

    Args:
        state: encoder, decoder, quant_conv, post_quant_conv; also as `model` of the training checkpoint.
        config: `model.autoencoderkl` of the configuration, or all of it: ch, ch_mult, num_res_blocks, z_channels.

    Raises:
        UserError: it does not fit its configuration.
    """
    config = config.get("model", config)
    config = config.get("autoencoderkl", config)
    shape = Shape(
        channels=config["ch"],
        multiples=tuple(config["ch_mult"]),
        blocks=config["num_res_blocks"],
        latent=config["z_channels"],
    )
    model = Model(Config(shape=shape))
    names = {"quant_conv.": "inward.", "post_quant_conv.": "outward."}
    renamed = official(part(state, "model"), len(shape.multiples))
    for theirs, ours in names.items():
        renamed = {ours + k[len(theirs) :] if k.startswith(theirs) else k: v for k, v in renamed.items()}
    own = {key: value for key, value in model.state_dict().items() if key.startswith("spectrogram.")}
    return adopt(model, renamed | own, "AutoencoderKL checkpoint")
