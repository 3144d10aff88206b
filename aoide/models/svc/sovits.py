"""so-vits-svc 4.1 (SoftVC VITS): content, F0, singer -> audio (batch, samples), end to end on the parts of VITS.

Idea         Content features (ContentVec) say what is sung; F0 in bins, voicing and perhaps loudness are added, and a
             Transformer makes a Gaussian of each frame. An autoencoder learns hidden frames of the recorded sound; a
             flow, told the singer, takes them to where those Gaussians are; NSF-HiFiGAN, told F0 and singer, decodes. A
             small network can say how the singer would intonate what is spoken (`predict`): for speech, not for songs.
Objective    adversarial with mel, KL and F0 losses (aoide/objectives/gan.py), on a slice of each sound
Recipes      recipes/svc/sovits-folder.yaml
Papers       Kim et al. 2021, arXiv:2106.06103 (VITS); van Niekerk et al. 2021, arXiv:2111.02392 (soft content)
Code         github.com/svc-develop-team/so-vits-svc (AGPL-3.0), of which nothing stands here: this was written from the
             papers, from what its files of weights contain, and from numbers recorded from it
Checkpoints  G_*.pth of version 4.1 with its config.json, in all forms of its decoder and flow: `from_official`
Parity       tests/parity/test_sovits.py
Differs      F0 with gaps goes in: they are bridged here. Padded frames are silent for what stands beside them; in
             evaluation `forward` decodes all of a sound. Chance comes from a generator, not from a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.nn import decoder, flow, latent, relative
from aoide.nn.conv import Conv1d
from aoide.nn.decoder import Decoder, Waveform
from aoide.nn.discriminators import Period
from aoide.nn.discriminators.scale import VITS as ONE_SCALE
from aoide.nn.flow import Couplings, Flow
from aoide.nn.latent import Gaussian, PosteriorEncoder, gaussian, kl_divergence
from aoide.nn.official import adopt
from aoide.nn.stft_loss import MelLoss
from aoide.nn.variance import bridge
from aoide.objectives import Batch, gan

LOW, HIGH, BINS = 50.0, 1100.0, 256  # Hz, Hz, and into how many bins of the mel scale F0 is put between them
_TRANSPOSED = (0.8, 1.2)  # by how much the F0 that the predictor hears is stretched in training


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published template for 44.1 kHz."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=44_100,
            n_fft=2048,
            hop=512,
            win=2048,
            n_mels=80,
            fmax=22_050,
            scale="slaney",
            norm="slaney",
            eps=1e-6,
            padding="same",
        )
    )  # fmt: skip; the posterior encoder reads the spectrum that it is made of, the loss compares mels
    content: int = 768  # values a frame of the content features
    latent: int = 192  # channels of the hidden frames
    dim: int = 192
    hidden: int = 768  # channels inside a Transformer layer's convolutions
    heads: int = 2
    layers: int = 6
    kernel: int = 3
    dropout: float = 0.1
    posterior_layers: int = 16
    flow: Flow = field(default_factory=Flow)
    separable: bool = False  # the WaveNet stacks have convolutions in two steps
    decoder: Waveform = field(
        default_factory=lambda: Waveform(rates=(8, 8, 2, 2, 2), kernels=(16, 16, 4, 4, 4), partials=9, plain_ends=False)
    )
    speakers: int = 200  # rows of the table of singers
    condition: int = 768  # values that describe a singer
    loudness: bool = False  # follows how loud each frame is
    predictor: bool = True  # can predict F0
    segment: int = 20  # frames of a slice that is decoded in training

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.latent % 2:
            raise ValueError(f"heads must divide dim and latent be even, got {self.heads}, {self.dim}, {self.latent}")
        if self.decoder.hop != self.mel.hop:
            raise ValueError(f"decoder.rates make {self.decoder.hop} samples of a frame, mel.hop is {self.mel.hop}")
        if not self.decoder.partials:
            raise ValueError("the decoder follows F0: decoder.partials must be 1 or more")


class Output(NamedTuple):
    """What training hears; frames that are padded hold no meaning."""

    audio: Tensor  # (batch, samples)
    start: Tensor | None  # (batch,) int64, the sample at which it begins, where it is a slice
    frame_mask: Tensor  # (batch, frames)
    hidden: Tensor  # (batch, frames, latent), what is decoded
    moved: Tensor  # the same on the other side of the flow
    prior: Gaussian  # of the conditions
    posterior: Gaussian  # of the recording
    melody: Tensor  # (batch, frames), the F0 of the recording in numbers of `height`
    predicted: Tensor | None  # (batch, frames), the predicted one


class Predictor(nn.Module):
    """How a singer would intonate: features, the rough course of F0, singer -> F0 (batch, frames) in `height`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim = config.dim
        self.first = Conv1d(dim, dim, 3)
        self.course = Conv1d(1, dim, 3)
        self.singer = nn.Linear(config.condition, dim)
        self.encoder = relative.RelativeEncoder(
            dim, config.heads, config.hidden, config.layers, kernel=config.kernel, dropout=config.dropout, window=0,
            causal=True,
        )  # fmt: skip
        self.out = nn.Linear(dim, 1)

    def forward(self, x: Tensor, course: Tensor, mask: Tensor, singer: Tensor) -> Tensor:
        """x (batch, frames, dim), which is not taught, course (batch, frames), singer (batch, 1, condition)."""
        x = x.detach() + self.singer(singer.detach()) + self.course(course[..., None], mask)
        x = self.first(x, mask).masked_fill(~mask[..., None], 0.0)
        return self.out(self.encoder(x, mask))[..., 0].masked_fill(~mask, 0.0)


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.spectrum = MelSpectrogram(config.mel)
        self.singers = nn.Embedding(config.speakers, config.condition)
        self.content = Conv1d(config.content, dim, 5)
        self.voicing = nn.Embedding(2, dim)
        self.loudness = nn.Linear(1, dim) if config.loudness else None
        self.pitch = nn.Embedding(BINS, dim)
        self.encoder = relative.RelativeEncoder(
            dim, config.heads, config.hidden, config.layers, kernel=config.kernel, dropout=config.dropout
        )
        self.out = nn.Linear(dim, 2 * config.latent)
        self.posterior = PosteriorEncoder(
            config.mel.bins, dim, config.latent, config.posterior_layers, condition=config.condition,
            separable=config.separable,
        )  # fmt: skip
        self.flow = Couplings(config.flow, config.latent, dim, config.condition, config.separable)
        self.decoder = Decoder(config.decoder, config.latent, config.condition, config.mel.sample_rate)
        self.predictor = Predictor(config) if config.predictor else None

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        content: Tensor,
        f0: Tensor,
        speaker: Tensor,
        audio: Tensor,
        loudness: Tensor | None = None,
        frame_mask: Tensor | None = None,
        noise: Tensor | None = None,
        source_noise: Tensor | None = None,
        stretch: Tensor | None = None,
    ) -> Output:
        """Hears how something was sung, and sings it again; in training a slice of it.

        Args:
            content: (batch, frames, values). f0: (batch, frames) Hz, 0 = unvoiced. speaker: (batch,).
            audio: (batch, samples), samples = frames * hop.
            loudness: (batch, frames) dB of full scale, where the model follows it.
            frame_mask: (batch, frames), True = real.
            noise: (batch, frames, latent), of the hidden frames; None: torch's own draw.
            source_noise: (batch, frames, config.decoder.noise), likewise.
            stretch: (batch,), of the F0 that the predictor hears; None: drawn in training, else 1.
        """
        if frame_mask is None:
            frame_mask = torch.ones(f0.shape, dtype=torch.bool, device=f0.device)
        lengths = frame_mask.sum(1) * self.config.mel.hop
        spectrum = self.spectrum.magnitude(audio.float(), lengths, f0.shape[1])
        voiced = (f0 > 0) & frame_mask
        f0 = bridge(f0, voiced)
        x = self.features(content, voiced, frame_mask, amplitude(loudness))
        singer = self.singers(speaker)[:, None]
        posterior, hidden, moved = self.learn(spectrum, frame_mask, singer, noise)
        sound, start = self.decoder.learn(hidden, frame_mask, singer, f0, source_noise, count=self.config.segment)
        predicted = None
        if self.predictor is not None:
            if stretch is None and self.training:
                low, high = _TRANSPOSED
                stretch = low + (high - low) * torch.rand(len(f0), device=f0.device)
            predicted = self.predictor(x, course(f0, voiced, frame_mask, stretch), frame_mask, singer)
        prior = self.prior(x, f0, frame_mask)
        return Output(sound, start, frame_mask, hidden, moved, prior, posterior, height(f0), predicted)

    def features(self, content: Tensor, voiced: Tensor, frame_mask: Tensor, level: Tensor | None = None) -> Tensor:
        """What is sung, whether it is voiced, how loud (an amplitude): (batch, frames, dim)."""
        x = self.content(content, frame_mask).masked_fill(~frame_mask[..., None], 0.0) + self.voicing(voiced.long())
        if self.loudness is not None:
            if level is None:
                raise UserError("this model follows loudness: give it")
            x = x + self.loudness(level[..., None])
        return x

    def learn(
        self, spectrum: Tensor, frame_mask: Tensor, singer: Tensor, noise: Tensor | None = None
    ) -> tuple[Gaussian, Tensor, Tensor]:
        """The posterior of a spectrum (batch, frames, bins), a sample of it, and where the flow takes that."""
        posterior = self.posterior(spectrum, frame_mask, singer)
        hidden = posterior.sample(noise).masked_fill(~frame_mask[..., None], 0.0)
        return posterior, hidden, self.flow(hidden, frame_mask, singer)

    def prior(self, x: Tensor, f0: Tensor, frame_mask: Tensor) -> Gaussian:
        """Where features and F0 say that the moved hidden frames are."""
        x = (x + self.pitch(coarse(f0))).masked_fill(~frame_mask[..., None], 0.0)
        return gaussian(self.out(self.encoder(x, frame_mask)), frame_mask)

    @torch.no_grad()
    def convert(  # noqa: PLR0913  (what can be steered)
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        *,
        mixture: Tensor | None = None,
        loudness: Tensor | None = None,
        frame_mask: Tensor | None = None,
        predict: bool = False,
        variety: float = 0.35,
        noise: Tensor | None = None,
        source_noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sings in another voice: samples (batch, frames * hop).

        Args:
            content, f0, speaker, frame_mask: as in `aoide.models.svc`; energy is not read.
            mixture: (batch, speakers), shares of the table, in speaker's place.
            loudness: (batch, frames) dB of full scale, where the model follows it.
            predict: intonate anew, for speech.
            variety: of the draw of hidden frames; 0 draws nothing.
            noise: (batch, frames, latent), source_noise (batch, frames, config.decoder.noise): instead of drawing.
            generator: what to draw from; None: torch's own.

        Raises:
            UserError: no singer, or a model that cannot predict F0.
        """
        if frame_mask is None:
            frame_mask = torch.ones(f0.shape, dtype=torch.bool, device=f0.device)
        voiced = (f0 > 0) & frame_mask
        f0 = bridge(f0, voiced)
        x = self.features(content, voiced, frame_mask, amplitude(loudness))
        singer = self._singer(speaker, mixture)
        if predict:
            f0 = self.intonate(x, f0, voiced, frame_mask, singer)
        if noise is None:
            shape = (*f0.shape, self.config.latent)
            noise = torch.randn(shape, generator=generator, device=f0.device)
        source_noise = self.decoder.draw(f0, generator) if source_noise is None else source_noise
        return self.sound(x, f0, frame_mask, singer, variety, noise, source_noise)

    def intonate(self, x: Tensor, f0: Tensor, voiced: Tensor, frame_mask: Tensor, singer: Tensor) -> Tensor:
        """F0 (batch, frames) Hz as the predictor has it.

        Raises:
            UserError: a model without one.
        """
        if self.predictor is None:
            raise UserError("this model cannot predict F0; convert with that of the source")
        return hertz(self.predictor(x, course(f0, voiced, frame_mask), frame_mask, singer)).masked_fill(~frame_mask, 0)

    def sound(
        self,
        x: Tensor,
        f0: Tensor,
        frame_mask: Tensor,
        singer: Tensor,
        variety: float,
        noise: Tensor,
        source_noise: Tensor,
    ) -> Tensor:
        """From features to samples (batch, frames * hop); see `convert`."""
        moved = self.prior(x, f0, frame_mask).sample(noise, variety)
        hidden = self.flow(moved, frame_mask, singer, inverse=True)
        return self.decoder(hidden, frame_mask, singer, f0, source_noise)

    def _singer(self, speaker: Tensor | None, mixture: Tensor | None) -> Tensor:
        if mixture is not None:
            return (mixture @ self.singers.weight)[:, None]
        if speaker is None:
            raise UserError("this model is steered by speaker: give it")
        return self.singers(speaker)[:, None]


def coarse(f0: Tensor) -> Tensor:
    """Hz -> the number of its bin, 1 to 255; the mel scale of speech, 1127 ln(1 + f / 700)."""
    low, high = (1127 * math.log(1 + hz / 700) for hz in (LOW, HIGH))
    place = (1127 * (f0 / 700).log1p() - low) * ((BINS - 2) / (high - low)) + 1
    return place.clamp(1, BINS - 1).round().long()


def amplitude(loudness: Tensor | None) -> Tensor | None:
    """dB of full scale -> root mean square, 1 at full scale."""
    return None if loudness is None else 10 ** (loudness / 20)


def height(f0: Tensor) -> Tensor:
    """Hz -> thousands of mels, about: the numbers in which F0 is predicted."""
    return 2595 * torch.log10(1 + f0 / 700) / 500


def hertz(numbers: Tensor) -> Tensor:
    """The inverse of `height`."""
    return 700 * (10 ** (numbers * 500 / 2595) - 1)


def course(f0: Tensor, voiced: Tensor, frame_mask: Tensor, stretch: Tensor | None = None) -> Tensor:
    """How F0 moves, without how high it is: (batch, frames), around 0 where voiced, in numbers of `height`.

    Args:
        stretch: (batch,), how much wider.
    """
    numbers = height(f0)
    middle = numbers.masked_fill(~voiced, 0.0).sum(1, keepdim=True) / voiced.sum(1, keepdim=True).clamp(min=1)
    moves = numbers - middle if stretch is None else (numbers - middle) * stretch[:, None]
    return moves.masked_fill(~frame_mask, 0.0)


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


def f0_loss(output: Output, batch: Batch) -> Tensor:
    """The squared error of the predicted F0, of a real frame; 0 without a predictor."""
    if output.predicted is None:
        return output.moved.new_zeros(())
    return functional.mse_loss(output.predicted[output.frame_mask], output.melody[output.frame_mask])


TRAINING = gan.Config(
    critics=("scale", "period"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 45.0, "kl": 1.0, "f0": 1.0},
    feature=2.0,
    period=Period(first_map=True),
    scale=ONE_SCALE,
)
LOSSES = {"mel": MelDistance, "kl": kl_loss, "f0": f0_loss}
NEEDS = ("content", "f0", "audio", "speaker", "loudness")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    content=5,
    latent=6,
    dim=8,
    hidden=12,
    layers=1,
    posterior_layers=2,
    flow=Flow(couplings=2, layers=1, shared=True),
    separable=True,
    decoder=Waveform(
        dim=16, rates=(4, 4), kernels=(8, 8), block_kernels=(3,), dilations=((1, 2),), partials=2, plain_ends=False
    ),
    speakers=3,
    condition=4,
    loudness=True,
    segment=9,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of 20 frames: all that steers, noise for sound, and the noise of its draws."""
    shape = (batch, 20)
    return {
        "content": torch.randn(*shape, config.content, generator=generator),
        "f0": (200 + 200 * torch.rand(shape, generator=generator)) * (torch.rand(shape, generator=generator) > 0.3),
        "speaker": torch.randint(0, config.speakers, (batch,), generator=generator),
        "loudness": -20 * torch.rand(shape, generator=generator),
        "frame_mask": torch.ones(shape, dtype=torch.bool),
        "audio": 0.1 * torch.randn(batch, shape[1] * config.mel.hop, generator=generator),
        "noise": torch.randn(*shape, config.latent, generator=generator),
        "source_noise": torch.randn(*shape, config.decoder.noise, generator=generator),
    }


# ---------------------------------------------------------------------------------------------------- published weights

_DECODERS = {"nsf-hifigan": "leaky_relu", "nsf-snake-hifigan": "snake"}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a checkpoint of version 4.1.

    Args:
        state: of G_*.pth, or its part "model", with the original keys.
        config: its config.json with the sections `train`, `data` and `model`, or the arguments of SynthesizerTrn in one
            level.

    Raises:
        UserError: a decoder that is not known here, or a state that does not fit the configuration.
    """
    state = latent.official_state(state)
    if "enc_p.f0_emb.weight" not in state:
        raise UserError("this checkpoint is not that of so-vits-svc 4.1: it has no enc_p.f0_emb")
    own = _settings(state, {**config, **config.get("data", {}), **config.get("model", {})})
    return adopt(Model(own), _rename(state, own), "so-vits-svc checkpoint")


def _settings(state: Mapping[str, Tensor], sizes: Mapping[str, Any]) -> Config:
    kind = sizes.get("vocoder_name", "nsf-hifigan")
    if kind not in _DECODERS:
        raise UserError(f"this so-vits-svc checkpoint has the decoder {kind}; known are {', '.join(_DECODERS)}")
    merge = state["dec.m_source.l_linear.weight"]
    waveform = decoder.official_settings(sizes, partials=merge.shape[1], plain_ends=False, activation=_DECODERS[kind])
    network = sizes.get("n_flow_layer", 4)
    if sizes.get("use_transformer_flow"):
        couplings = Flow(
            network="transformer",
            couplings=network,
            layers=sizes.get("n_layers_trans_flow", 3),
            shared=bool(sizes.get("flow_share_parameter")),
            hidden=sizes["filter_channels"],
            heads=sizes["n_heads"],
            dropout=sizes.get("p_dropout", 0.1),
        )
    else:  # theirs is told so many layers where couplings are meant
        couplings = Flow(layers=network, shared=bool(sizes.get("flow_share_parameter")))
    speakers, content = state["emb_g.weight"], state["pre.weight"]
    return Config(
        mel=latent.official_mel(
            {"data": {**sizes, "win_length": None}}, state["enc_q.pre.weight"].shape[1], waveform.hop
        ),
        content=content.shape[1],
        latent=sizes["inter_channels"],
        dim=sizes["hidden_channels"],
        hidden=sizes["filter_channels"],
        heads=sizes["n_heads"],
        layers=sizes["n_layers"],
        kernel=sizes["kernel_size"],
        dropout=sizes.get("p_dropout", 0.1),
        flow=couplings,
        separable=bool(sizes.get("use_depthwise_conv")),
        decoder=waveform,
        speakers=len(speakers),
        condition=speakers.shape[1],
        loudness="emb_vol.weight" in state,
        predictor="f0_decoder.proj.weight" in state,
        segment=latent.official_segment(sizes, waveform.hop, 10_240),
    )


def _rename(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    parts = latent.official_parts(state)
    prior, melody = parts["enc_p"], parts.get("f0_decoder", {})
    names = {"emb_g": "singers", "pre": "content", "emb_uv": "voicing", "emb_vol": "loudness"}
    renamed = {
        f"{ours}.{kind}": value for theirs, ours in names.items() for kind, value in parts.get(theirs, {}).items()
    }
    renamed["pitch.weight"] = prior["f0_emb.weight"]
    renamed |= {f"out.{kind}": prior[f"proj.{kind}"].squeeze(-1) for kind in ("weight", "bias")}
    renamed |= relative.official(_under(prior, "enc_."), "encoder.")
    renamed |= latent.official(parts["enc_q"], config.posterior_layers, "posterior.")
    renamed |= flow.official(parts["flow"], config.flow, "flow.")
    renamed |= decoder.official(parts["dec"], config.decoder, "decoder.")
    renamed |= relative.official(_under(melody, "decoder."), "predictor.encoder.")
    inner = {"prenet": "first", "f0_prenet": "course", "cond": "singer", "proj": "out"}
    for key, value in melody.items():
        part, _, kind = key.partition(".")
        if part in inner:
            flat = part in ("cond", "proj") and kind == "weight"
            renamed[f"predictor.{inner[part]}.{kind}"] = value[..., 0] if flat else value
    return renamed


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What stands under a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
