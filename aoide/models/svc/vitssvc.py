"""VitsSVC: content, F0, energy, singer -> audio (batch, samples), end to end on the parts of VITS.

Idea         What steers a conversion (content, F0, how loud, who) is added up to one condition a frame, and a
             Transformer makes a Gaussian of each. An autoencoder learns hidden frames of the recorded sound; a flow,
             told the singer, takes them to where those Gaussians are. To convert: condition -> Gaussians -> a draw ->
             flow back, told who shall sing -> decoder. No vocoder is needed.
Objective    adversarial with mel and KL losses (aoide/objectives/gan.py), on a slice of each sound
Recipes      recipes/svc/vitssvc-folder.yaml
Papers       Kim et al. 2021, arXiv:2106.06103 (VITS); Zhang et al. 2023, arXiv:2310.11160 (the conditions)
Code         github.com/open-mmlab/Amphion, models/svc/vits (MIT)
Checkpoints  none are known; `from_official` loads what Amphion's recipe trains with its HiFi-GAN decoder
Parity       tests/parity/test_vitssvc.py
Differs      by default the decoder has a source of sines that follows F0, so that pitch is steered where it sounds.
             Padded frames are silent for what stands beside them; in evaluation `forward` decodes all of a sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.models.svc._amphion import steers
from aoide.nn import conversion, decoder, flow, latent, relative
from aoide.nn.conversion import ConditionEncoder, Conditions
from aoide.nn.decoder import Decoder, Waveform
from aoide.nn.discriminators import Period
from aoide.nn.discriminators.scale import VITS as ONE_SCALE
from aoide.nn.flow import Couplings, Flow
from aoide.nn.latent import Gaussian, PosteriorEncoder, gaussian, kl_divergence
from aoide.nn.official import adopt
from aoide.nn.stft_loss import MelLoss
from aoide.objectives import Batch, gan


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the sizes are those of Amphion's config/vitssvc.json."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(fmax=12_000, scale="slaney", norm="slaney", eps=1e-6, padding="same")
    )  # the posterior encoder reads the spectrum that it is made of, the loss compares mels
    conditions: Conditions = field(default_factory=Conditions)
    latent: int = 384  # channels of the hidden frames
    hidden: int = 256  # channels inside a Transformer layer's convolutions
    heads: int = 2
    layers: int = 6
    kernel: int = 3
    dropout: float = 0.1
    posterior_layers: int = 16
    flow: Flow = field(default_factory=Flow)
    decoder: Waveform = field(
        default_factory=lambda: Waveform(rates=(8, 4, 2, 2, 2), kernels=(16, 8, 4, 4, 4), partials=9, plain_ends=False)
    )
    singers: int | None = 512  # rows of the table of singers for flow and posterior; null = one singer
    singer_dim: int = 256
    segment: int = 32  # frames of a slice that is decoded in training

    def __post_init__(self) -> None:
        if self.conditions.dim % self.heads or self.latent % 2:
            raise ValueError(
                f"heads must divide conditions.dim and latent be even, got {self.heads}, {self.conditions.dim}, "
                f"{self.latent}"
            )
        if self.decoder.hop != self.mel.hop:
            raise ValueError(f"decoder.rates make {self.decoder.hop} samples of a frame, mel.hop is {self.mel.hop}")


class Output(NamedTuple):
    """What training hears; frames that are padded hold no meaning."""

    audio: Tensor  # (batch, samples)
    start: Tensor | None  # (batch,) int64, the sample at which it begins, where it is a slice
    frame_mask: Tensor  # (batch, frames)
    hidden: Tensor  # (batch, frames, latent), what is decoded
    moved: Tensor  # the same on the other side of the flow
    prior: Gaussian  # of the conditions
    posterior: Gaussian  # of the recording


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, singer = config.conditions.dim, config.singer_dim if config.singers else 0
        self.spectrum = MelSpectrogram(config.mel)
        self.conditions = ConditionEncoder(config.conditions)
        self.encoder = relative.RelativeEncoder(
            dim, config.heads, config.hidden, config.layers, kernel=config.kernel, dropout=config.dropout
        )
        self.out = nn.Linear(dim, 2 * config.latent)
        self.posterior = PosteriorEncoder(
            config.mel.bins, dim, config.latent, config.posterior_layers, condition=singer
        )
        self.flow = Couplings(config.flow, config.latent, dim, singer)
        self.decoder = Decoder(config.decoder, config.latent, sample_rate=config.mel.sample_rate)
        self.singers = nn.Embedding(config.singers, singer) if config.singers else None

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        content: Tensor,
        f0: Tensor,
        audio: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        frame_mask: Tensor | None = None,
        noise: Tensor | None = None,
        source_noise: Tensor | None = None,
    ) -> Output:
        """Hears how something was sung, and sings it again; in training a slice of it.

        Args:
            content: (batch, frames, values). f0: (batch, frames) Hz, 0 = unvoiced. energy: (batch, frames).
            audio: (batch, samples), samples = frames * hop.
            speaker: (batch,), rows of the tables.
            frame_mask: (batch, frames), True = real.
            noise: (batch, frames, latent), of the hidden frames; None: torch's own draw.
            source_noise: (batch, frames, config.decoder.noise), likewise.
        """
        if frame_mask is None:
            frame_mask = torch.ones(f0.shape, dtype=torch.bool, device=f0.device)
        lengths = frame_mask.sum(1) * self.config.mel.hop
        spectrum = self.spectrum.magnitude(audio.float(), lengths, f0.shape[1])
        condition = self.conditions(content, f0, energy, speaker, mask=frame_mask)
        return self.learn(condition, spectrum, frame_mask, f0, speaker, noise, source_noise)

    def learn(  # noqa: PLR0913  (all that a step reads)
        self,
        condition: Tensor,
        spectrum: Tensor,
        frame_mask: Tensor,
        f0: Tensor,
        speaker: Tensor | None = None,
        noise: Tensor | None = None,
        source_noise: Tensor | None = None,
        starts: Tensor | None = None,
    ) -> Output:
        """What `forward` gives for a condition (batch, frames, dim) and a spectrum (batch, frames, bins).

        Args:
            starts: (batch,) int64, the first frame of the slice to decode, as in `nn/decoder.Decoder.learn`.
        """
        singer = self.singer(speaker)
        prior = self.prior(condition, frame_mask)
        posterior = self.posterior(spectrum, frame_mask, singer)
        hidden = posterior.sample(noise).masked_fill(~frame_mask[..., None], 0.0)
        moved = self.flow(hidden, frame_mask, singer)
        sound, start = self.decoder.learn(
            hidden, frame_mask, f0=f0, chance=source_noise, count=self.config.segment, starts=starts
        )
        return Output(sound, start, frame_mask, hidden, moved, prior, posterior)

    def prior(self, condition: Tensor, frame_mask: Tensor) -> Gaussian:
        """Where the conditions (batch, frames, dim) say that the moved hidden frames are."""
        x = condition.masked_fill(~frame_mask[..., None], 0.0)
        return gaussian(self.out(self.encoder(x, frame_mask)), frame_mask)

    @torch.no_grad()
    def convert(  # noqa: PLR0913  (what can be steered)
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        *,
        frame_mask: Tensor | None = None,
        variety: float = 0.35,
        noise: Tensor | None = None,
        source_noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sings in another voice: samples (batch, frames * hop).

        Args:
            content, f0, energy, speaker, frame_mask: as in `aoide.models.svc`; one singer a sound, of the table.
            variety: of the draw of hidden frames; 0 draws nothing.
            noise: (batch, frames, latent), source_noise (batch, frames, config.decoder.noise): instead of drawing.
            generator: what to draw from; None: torch's own.
        """
        if frame_mask is None:
            frame_mask = torch.ones(f0.shape, dtype=torch.bool, device=f0.device)
        if noise is None:
            shape = (*f0.shape, self.config.latent)
            noise = torch.randn(shape, generator=generator, device=f0.device)
        if source_noise is None:
            source_noise = self.decoder.draw(f0, generator)
        singer = self.singer(speaker)
        condition = self.conditions(content, f0, energy, speaker, mask=frame_mask)
        moved = self.prior(condition, frame_mask).sample(noise, variety)
        hidden = self.flow(moved, frame_mask, singer, inverse=True)
        return self.decoder(hidden, frame_mask, f0=f0, chance=source_noise)

    def singer(self, speaker: Tensor | None) -> Tensor | None:
        """The singers' vectors (batch, 1, singer_dim) for flow and posterior; None for a model of one voice.

        Raises:
            UserError: none is given.
        """
        if self.singers is None:
            return None
        if speaker is None:
            raise UserError("this model is steered by speaker: give it")
        return self.singers(speaker)[:, None]


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"])


def kl_loss(output: Output, batch: Batch) -> Tensor:
    """What the recording's hidden frames say beyond the conditions, nats a frame."""
    return kl_divergence(output.moved, output.posterior, output.prior, output.frame_mask)


TRAINING = gan.Config(
    critics=("scale", "period"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 45.0, "kl": 1.0},
    feature=2.0,
    period=Period(first_map=True),
    scale=ONE_SCALE,
)
LOSSES = {"mel": MelDistance, "kl": kl_loss}
NEEDS = ("content", "f0", "energy", "audio", "speaker")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    conditions=Conditions(content={"whisper": 5, "contentvec": 3}, dim=8, f0_bins=8, energy_bins=6, speakers=3),
    latent=6,
    hidden=12,
    layers=1,
    posterior_layers=2,
    flow=Flow(couplings=2, layers=1),
    decoder=Waveform(
        dim=16, rates=(4, 4), kernels=(8, 8), block_kernels=(3,), dilations=((1, 2),), partials=2, plain_ends=False
    ),
    singers=3,
    singer_dim=4,
    segment=9,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of 20 frames: all that steers, noise for sound, and the noise of its draws."""
    fields = steers(config.conditions, config.mel, batch, generator)
    del fields["mel"]
    frames = fields["f0"].shape[1]
    return fields | {
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
        "noise": torch.randn(batch, frames, config.latent, generator=generator),
        "source_noise": torch.randn(batch, frames, config.decoder.noise, generator=generator),
    }


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """What Amphion's recipe trains: the state dict of its SynthesizerTrn, and args.json.

    Raises:
        UserError: a decoder that is not known here, or a state that does not fit the configuration.
    """
    sizes, kind = config["model"], config["model"].get("generator", "hifigan")
    if kind != "hifigan":
        raise UserError(f"this VitsSVC checkpoint has the decoder {kind}; known is hifigan")
    vits, conditions = sizes["vits"], conversion.official_conditions(sizes["condition_encoder"])
    waveform = decoder.official_settings(sizes["generator_config"][kind], plain_ends=False)
    singers = state.get("emb_g.weight")
    own = Config(
        mel=latent.official_mel(config, state["enc_q.pre.weight"].shape[1], waveform.hop),
        conditions=conditions,
        latent=vits["inter_channels"],
        hidden=vits["filter_channels"],
        heads=vits["n_heads"],
        layers=vits["n_layers"],
        kernel=vits["kernel_size"],
        dropout=vits.get("p_dropout", 0.1),
        flow=Flow(layers=vits["n_flow_layer"]),  # theirs is told so many layers where couplings are meant
        decoder=waveform,
        singers=None if singers is None else len(singers),
        singer_dim=1 if singers is None else singers.shape[1],
        segment=latent.official_segment(config, waveform.hop, 32 * waveform.hop),
    )
    return adopt(Model(own), _rename(state, own), "VitsSVC checkpoint")


def _rename(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    parts = latent.official_parts(state)
    encoder = {key.removeprefix("enc_."): v for key, v in parts["enc_p"].items() if key.startswith("enc_.")}
    renamed = {f"out.{kind}": parts["enc_p"][f"proj.{kind}"].squeeze(-1) for kind in ("weight", "bias")}
    renamed |= relative.official(encoder, "encoder.")  # its f0_emb is not used
    renamed |= conversion.official(parts["condition_encoder"], "conditions.")
    renamed |= latent.official(parts["enc_q"], config.posterior_layers, "posterior.")
    renamed |= flow.official(parts["flow"], config.flow, "flow.")
    renamed |= decoder.official(parts["dec"], config.decoder, "decoder.")
    if "emb_g" in parts:
        renamed["singers.weight"] = parts["emb_g"]["weight"]
    return renamed
