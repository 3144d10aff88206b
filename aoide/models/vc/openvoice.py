"""OpenVoice's tone-colour converter: a recording and a voice -> the recording in that voice, audio (batch, samples).

Idea         An autoencoder of sound as in VITS, whose flow is told the voice of a recording by a network that listens
             to it. On the other side of the flow training asks for what the text alone says, so the voice is left
             behind there; the flow back is told another voice. Style, rhythm and accent stay, which base speech of any
             text-to-speech model can give (OpenVoice's own base speakers load into tts/vits).
Objective    adversarial with mel and KL losses (aoide/objectives/gan.py), on a slice of each sound
Recipes      recipes/vc/openvoice-folder.yaml
Paper        Qin et al. 2023, arXiv:2312.01479
Code         github.com/myshell-ai/OpenVoice (MIT)
Checkpoints  myshell-ai/OpenVoice (checkpoints/converter) and myshell-ai/OpenVoiceV2 (converter), MIT: `from_official`
Parity       tests/parity/test_openvoice.py
Differs      the authors have not published how they train; here it is VITS's training with the voice of the recording
             itself, and the text encoder that it needs is part of the model (published weights lack it: they convert,
             and cannot be trained further). Padded frames are silent. Nothing marks the sound as converted, which the
             authors' program does with a watermark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.nn import align, decoder, flow, latent
from aoide.nn.decoder import Decoder, Waveform
from aoide.nn.discriminators import Period
from aoide.nn.discriminators.scale import VITS as ONE_SCALE
from aoide.nn.flow import Couplings, Flow
from aoide.nn.latent import Gaussian, PosteriorEncoder, TextPrior, kl_divergence
from aoide.nn.lengths import expand
from aoide.nn.official import adopt, count, modern_weight_norm
from aoide.nn.stft_loss import MelLoss
from aoide.objectives import Batch, gan


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of OpenVoice's second version."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=22_050, n_mels=80, fmax=11_025, scale="slaney", norm="slaney", eps=1e-6, padding="same"
        )
    )  # encoders read the spectrum that it is made of, the loss compares mels
    latent: int = 192  # channels of the hidden frames
    dim: int = 192
    posterior_layers: int = 16
    flow: Flow = field(default_factory=Flow)
    decoder: Waveform = field(default_factory=Waveform)
    voice: int = 256  # values that describe a voice
    voice_channels: tuple[int, ...] = (32, 32, 64, 64, 128, 128)  # of the convolutions that listen to it
    voice_hidden: int = 128  # state of the recurrent layer after them
    blind: bool = True  # posterior and decoder are told no voice, the flow alone is (second version)
    symbols: int | None = 178  # size of the phoneme table of the text in training; null = it can only convert
    heads: int = 2  # of the text encoder, and so on
    hidden: int = 768
    layers: int = 6
    kernel: int = 3
    dropout: float = 0.1
    segment: int = 32  # frames of a slice that is decoded in training

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.latent % 2:
            raise ValueError(f"heads must divide dim and latent be even, got {self.heads}, {self.dim}, {self.latent}")
        if self.decoder.hop != self.mel.hop:
            raise ValueError(f"decoder.rates make {self.decoder.hop} samples of a frame, mel.hop is {self.mel.hop}")


class Output(NamedTuple):
    """What training hears; frames that are padded hold no meaning."""

    audio: Tensor  # (batch, samples)
    start: Tensor | None  # (batch,) int64, the sample at which it begins, where it is a slice
    durations: Tensor  # (batch, tokens) int64 frames, found by the search
    frame_mask: Tensor  # (batch, frames)
    voice: Tensor  # (batch, voice)
    hidden: Tensor  # (batch, frames, latent), what is decoded
    moved: Tensor  # the same on the other side of the flow
    prior: Gaussian  # of the text, frame by frame
    posterior: Gaussian  # of the recording


class VoiceEncoder(nn.Module):
    """Listens who it is: spectrum (batch, frames, bins) -> (batch, voice).

    Convolutions of stride 2 over time and frequency, and a recurrent layer whose last state tells.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.mel.bins)
        sizes = zip((1, *config.voice_channels), config.voice_channels, strict=False)
        self.convs = nn.ModuleList(weight_norm(nn.Conv2d(a, b, 3, 2, 1)) for a, b in sizes)
        bins = config.mel.bins
        for _ in config.voice_channels:
            bins = _halved(bins)
        self.recurrent = nn.GRU(bins * config.voice_channels[-1], config.voice_hidden, batch_first=True)
        self.out = nn.Linear(config.voice_hidden, config.voice)

    def forward(self, spectrum: Tensor, mask: Tensor | None = None) -> Tensor:
        """spectrum (batch, frames, bins) magnitudes, mask (batch, frames), True = real -> (batch, voice)."""
        frames = spectrum.new_full((len(spectrum),), spectrum.shape[1], dtype=torch.long)
        left = frames if mask is None else mask.sum(1)
        x = _silent(self.norm(spectrum)[:, None], left)
        for conv in self.convs:
            left = _halved(left)
            x = _silent(conv(x).relu(), left)
        states, _ = self.recurrent(x.transpose(1, 2).flatten(2))
        return self.out(states[torch.arange(len(x), device=x.device), left - 1])


def _halved(size: Any) -> Any:
    """How many steps a convolution of stride 2, kernel 3 and padding 1 leaves of so many."""
    return (size - 1) // 2 + 1


def _silent(x: Tensor, frames: Tensor) -> Tensor:
    """x (batch, channels, time, bins), 0 after so many frames of each item."""
    real = torch.arange(x.shape[2], device=x.device) < frames[:, None]
    return x.masked_fill(~real[:, None, :, None], 0.0)


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.spectrum = MelSpectrogram(config.mel)
        self.voice = VoiceEncoder(config)
        told = 0 if config.blind else config.voice
        self.posterior = PosteriorEncoder(
            config.mel.bins, config.dim, config.latent, config.posterior_layers, condition=told
        )
        self.flow = Couplings(config.flow, config.latent, config.dim, config.voice)
        self.decoder = Decoder(config.decoder, config.latent, told)
        self.text = None
        if config.symbols is not None:
            self.text = TextPrior(
                config.symbols,
                config.latent,
                dim=config.dim,
                heads=config.heads,
                hidden=config.hidden,
                layers=config.layers,
                kernel=config.kernel,
                dropout=config.dropout,
            )

    def forward(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        audio: Tensor,
        frame_mask: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Output:
        """Hears who said the text and how, and says it again; in training a slice of it.

        Args:
            tokens, token_mask: (batch, tokens), what was said.
            audio: (batch, samples), samples = frames * hop.
            frame_mask: (batch, frames), True = real.
            noise: (batch, frames, latent), of the hidden frames; None: torch's own draw.

        Raises:
            UserError: an item has fewer frames than tokens, or published weights, which have no text encoder.
        """
        if self.text is None:
            raise UserError("this converter has no text encoder, so it cannot be trained; it can convert")
        spectrum, frame_mask = self.listen(audio, frame_mask)
        voice = self.voice(spectrum, frame_mask)
        posterior, hidden, moved = self._encode(spectrum, frame_mask, voice, noise)
        _, of_tokens = self.text(tokens, token_mask)
        with torch.no_grad():
            scores = align.gaussian_scores(moved, *of_tokens)
            durations = align.monotonic_search(scores, token_mask.sum(1), frame_mask.sum(1))
            trace.report("align/durations", durations)
        prior = Gaussian(*(expand(part, durations, frame_mask.shape[1])[0] for part in of_tokens))
        sound, start = self.decoder.learn(hidden, frame_mask, self._told(voice), count=self.config.segment)
        return Output(sound, start, durations, frame_mask, voice, hidden, moved, prior, posterior)

    def listen(self, audio: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """audio (batch, samples), frame_mask (batch, frames) -> magnitudes (batch, frames, bins), and the mask."""
        hop = self.config.mel.hop
        if frame_mask is None:
            frame_mask = torch.ones(len(audio), audio.shape[1] // hop, dtype=torch.bool, device=audio.device)
        return self.spectrum.magnitude(audio.float(), frame_mask.sum(1) * hop, frame_mask.shape[1]), frame_mask

    def _encode(
        self, spectrum: Tensor, mask: Tensor, voice: Tensor, noise: Tensor | None, variety: float = 1.0
    ) -> tuple[Gaussian, Tensor, Tensor]:
        """The posterior, a sample of it, and where the flow takes that."""
        posterior = self.posterior(spectrum, mask, self._told(voice))
        hidden = posterior.sample(noise, variety).masked_fill(~mask[..., None], 0.0)
        return posterior, hidden, self.flow(hidden, mask, voice[:, None])

    def _told(self, voice: Tensor) -> Tensor | None:
        """What posterior and decoder are told of a voice."""
        return None if self.config.blind else voice[:, None]

    @torch.no_grad()
    def convert(
        self,
        audio: Tensor,
        reference: Tensor,
        *,
        frame_mask: Tensor | None = None,
        reference_mask: Tensor | None = None,
        variety: float = 0.3,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The audio in the voice of the reference: (batch, frames * hop).

        Args:
            audio, reference, frame_mask, reference_mask: as in `aoide.models.vc`; a frame has `config.mel.hop` samples.
            variety: of the draw of hidden frames; 0 draws nothing.
            noise: (batch, frames, latent), instead of drawing.
            generator: what to draw from; None: torch's own.
        """
        target = self.voice(*self.listen(reference, reference_mask))
        spectrum, mask = self.listen(audio, frame_mask)
        return self.revoice(spectrum, mask, self.voice(spectrum, mask), target, variety, noise, generator)[0]

    def revoice(
        self,
        spectrum: Tensor,
        frame_mask: Tensor,
        source: Tensor,
        target: Tensor,
        variety: float = 0.3,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """From one voice to another, both as (batch, voice): several recordings of one make a better mean.

        Returns:
            The sound (batch, frames * hop), the hidden frames that it is decoded from, and those between the flows.
        """
        if noise is None:
            shape = (*frame_mask.shape, self.config.latent)
            noise = torch.randn(shape, generator=generator, device=spectrum.device)
        _, _, moved = self._encode(spectrum, frame_mask, source, noise, variety)
        turned = self.flow(moved, frame_mask, target[:, None], inverse=True)
        return self.decoder(turned, frame_mask, self._told(target)), turned, moved


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"])


def kl_loss(output: Output, batch: Batch) -> Tensor:
    """What the recording's hidden frames say beyond text and voice, nats a frame."""
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
NEEDS = ("tokens", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    latent=6,
    dim=8,
    posterior_layers=2,
    flow=Flow(couplings=2, layers=1),
    decoder=Waveform(dim=16, rates=(4, 4), kernels=(8, 8), block_kernels=(3,), dilations=((1, 2),)),
    voice=5,
    voice_channels=(4, 4, 6),
    voice_hidden=6,
    blind=False,
    symbols=12,
    hidden=12,
    layers=1,
    segment=9,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of 7 tokens and 30 frames of noise, with the noise of its draw."""
    tokens, frames = 7, 30
    return {
        "tokens": torch.randint(1, config.symbols or 2, (batch, tokens), generator=generator),
        "token_mask": torch.ones(batch, tokens, dtype=torch.bool),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "noise": torch.randn(batch, frames, config.latent, generator=generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the converter of a published checkpoint, which has no text encoder.

    Args:
        state: of its checkpoint.pth, or the part "model", with the original keys.
        config: its config.json with the sections `data` and `model`, or the arguments of SynthesizerTrn in one level.

    Raises:
        UserError: a state that is not that of a converter, or does not fit the configuration.
    """
    state = latent.official_state(state)
    if "ref_enc.proj.weight" not in state:
        raise UserError("this checkpoint is not that of OpenVoice's converter: it has no ref_enc; base speakers are "
                        "loaded by tts/vits")  # fmt: skip
    sizes = {**config, **config.get("model", {})}
    waveform = decoder.official_settings(sizes)
    channels = [len(state[f"ref_enc.convs.{i}.bias"]) for i in range(count(state, "ref_enc.convs."))]
    audio = config.get("data", config)
    own = Config(
        mel=latent.official_mel({"data": {"win_length": audio.get("filter_length"), **audio}},
                                state["enc_q.pre.weight"].shape[1], waveform.hop),
        latent=sizes["inter_channels"],
        dim=sizes["hidden_channels"],
        decoder=waveform,
        voice=len(state["ref_enc.proj.bias"]),
        voice_channels=tuple(channels),
        voice_hidden=state["ref_enc.proj.weight"].shape[1],
        blind=bool(sizes.get("zero_g")),
        symbols=None,
        heads=sizes.get("n_heads", 2),
    )  # fmt: skip
    return adopt(Model(own), _rename(state, own), "OpenVoice converter")


def _rename(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    parts = latent.official_parts(state)
    names = {"layernorm": "norm", "gru": "recurrent", "proj": "out"}
    listening = {}
    for key, value in parts["ref_enc"].items():
        top, _, rest = key.partition(".")
        listening[f"voice.{names.get(top, top)}.{rest}"] = value
    renamed = modern_weight_norm(listening)
    heard = latent.official(parts["enc_q"], config.posterior_layers, "posterior.")
    renamed |= flow.official(parts["flow"], config.flow, "flow.")
    sounding = decoder.official(parts["dec"], config.decoder, "decoder.")
    if config.blind:  # what is told of a voice of zeros is its bias
        sounding["decoder.upsampler.first.bias"] = sounding["decoder.upsampler.first.bias"] + sounding.pop(
            "decoder.condition.bias"
        )
        del sounding["decoder.condition.weight"]
        heard = {key: value for key, value in heard.items() if ".condition." not in key}
    return renamed | heard | sounding
