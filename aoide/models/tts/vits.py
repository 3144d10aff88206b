"""VITS: phonemes -> waveform in one network, which learns by itself how long each phoneme lasts and can say it anew.

    tokens (batch, tokens) -> audio (batch, samples) in -1 to 1, durations (batch, tokens) frames

Idea      An autoencoder of sound whose hidden frames are Gaussians: a WaveNet stack reads the linear spectrum, the
          network of HiFi-GAN decodes. Text says where those frames should lie: a Transformer gives each phoneme a
          Gaussian, a flow takes the hidden frames there, the likeliest monotonic path between both tells the durations,
          and the distance is a loss. A second flow learns the distribution of the durations, so that rhythm can be
          drawn. To speak: text -> durations -> Gaussians -> a draw -> flow back -> decoder. With the speaker's vector
          exchanged between flow and flow back, a recording of one known speaker becomes that of another: `revoice`.
Trained   adversarial with mel, KL and duration losses (objectives/gan.py), on a slice of each sound
Recipes   recipes/tts/vits-folder.yaml
Paper     Kim et al. 2021, arXiv:2106.06103
Code      github.com/jaywalnut310/vits (MIT); github.com/open-mmlab/Amphion (MIT)
Weights   those of jaywalnut310's repository (LJ Speech, VCTK), amphion/vits_ljspeech, base speakers of OpenVoice:
          `from_official`, parity in tests/parity/test_vits.py. Their text goes in with
          their symbol 0 between all phonemes.
Differs   padded frames are silent for what stands beside them, so an item gives the same alone as in a batch; in
          evaluation `forward` decodes all of a sound, not a slice. Symbols need no blank between them, since the
          search for durations lets each last one frame or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.nn import align, decoder, duration, flow, latent
from aoide.nn.decoder import Decoder, Waveform
from aoide.nn.discriminators import Period
from aoide.nn.discriminators.scale import VITS as ONE_SCALE
from aoide.nn.flow import Couplings, Flow
from aoide.nn.latent import Gaussian, PosteriorEncoder, TextPrior, kl_divergence
from aoide.nn.lengths import expand
from aoide.nn.official import adopt
from aoide.nn.stft_loss import MelLoss
from aoide.objectives import Batch, gan

NEEDS = ("tokens", "audio", "speaker")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are the paper's."""

    symbols: int = 178  # size of the phoneme table, with padding
    speakers: int | None = None  # voices told apart by an embedding; null = one voice
    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=22_050, n_mels=80, fmax=11_025, scale="slaney", norm="slaney", eps=1e-6, padding="same"
        )
    )  # the posterior encoder reads the spectrum that it is made of, the loss compares mels
    latent: int = 192  # channels of the hidden frames
    dim: int = 192
    heads: int = 2
    hidden: int = 768  # channels inside a Transformer layer's convolutions
    layers: int = 6
    kernel: int = 3
    dropout: float = 0.1
    posterior_layers: int = 16
    flow: Flow = field(default_factory=Flow)
    decoder: Waveform = field(default_factory=Waveform)
    condition: int = 256  # channels of a speaker's vector
    durations: Literal["stochastic", "plain", "both"] = "stochastic"  # a draw, a number, or a mixture of the two
    duration_hidden: int = 256  # channels of the plain predictor
    segment: int = 32  # frames of a slice that is decoded in training

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.latent % 2:
            raise ValueError(f"heads must divide dim and latent be even, got {self.heads}, {self.dim}, {self.latent}")
        if self.decoder.hop != self.mel.hop:
            raise ValueError(f"decoder.rates make {self.decoder.hop} samples of a frame, mel.hop is {self.mel.hop}")
        if self.segment < 1:
            raise ValueError(f"segment is a number of frames, got {self.segment}")


class Output(NamedTuple):
    """What the model says; frames that are padded hold no meaning."""

    audio: Tensor  # (batch, samples)
    start: Tensor | None  # (batch,) int64, the sample at which it begins, where it is a slice
    durations: Tensor  # (batch, tokens) int64 frames, found by the search or predicted
    frame_mask: Tensor  # (batch, frames)
    hidden: Tensor  # (batch, frames, latent), what is decoded
    moved: Tensor  # the same on the other side of the flow
    prior: Gaussian  # of the text, frame by frame
    posterior: Gaussian | None  # of the recording
    duration_cost: Tensor | None  # (batch,), summed over the tokens of an item


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        condition = config.condition if config.speakers else 0
        self.spectrum = MelSpectrogram(config.mel)
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
        self.posterior = PosteriorEncoder(
            config.mel.bins, config.dim, config.latent, config.posterior_layers, condition=condition
        )
        self.flow = Couplings(config.flow, config.latent, config.dim, condition)
        self.decoder = Decoder(config.decoder, config.latent, condition)
        self.speakers = nn.Embedding(config.speakers, condition) if config.speakers else None
        plain, drawn = config.durations != "stochastic", config.durations != "plain"
        self.rhythm = duration.Stochastic(config.dim, condition=condition) if drawn else None
        self.pace = duration.Plain(config.dim, config.duration_hidden, condition=condition) if plain else None

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        audio: Tensor | None = None,
        frame_mask: Tensor | None = None,
        speaker: Tensor | None = None,
        noise: Tensor | None = None,
        duration_noise: Tensor | None = None,
    ) -> Output:
        """Hears how the text was said, and says it again; in training a slice of it. Without audio it speaks.

        Args:
            tokens, token_mask: (batch, tokens).
            audio: (batch, samples), samples = frames * hop.
            frame_mask: (batch, frames); None: all of the audio is real.
            speaker: (batch,) int64, for a model of several.
            noise: (batch, frames, latent), of the hidden frames; None: torch's own draw.
            duration_noise: (batch, tokens, 2), likewise.

        Raises:
            UserError: an item has fewer frames than tokens.
            ValueError: no speaker for a model of several.
        """
        if audio is None:
            return self.infer(tokens, token_mask, speaker, noise=noise, duration_noise=duration_noise)
        if frame_mask is None:
            frames = audio.shape[1] // self.config.mel.hop
            frame_mask = torch.ones(len(audio), frames, dtype=torch.bool, device=audio.device)
        spectrum = self.listen(audio, frame_mask)
        return self.learn(tokens, token_mask, spectrum, frame_mask, speaker, (noise, duration_noise))

    def listen(self, audio: Tensor, frame_mask: Tensor) -> Tensor:
        """The magnitudes that the posterior encoder reads: (batch, samples) -> (batch, frames, bins)."""
        frames = frame_mask.shape[1]
        return self.spectrum.magnitude(audio.float(), frame_mask.sum(1) * self.config.mel.hop, frames)

    def learn(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        spectrum: Tensor,
        frame_mask: Tensor,
        speaker: Tensor | None = None,
        noises: tuple[Tensor | None, Tensor | None] = (None, None),
        starts: Tensor | None = None,
    ) -> Output:
        """What `forward` gives for a spectrum (batch, frames, bins).

        Args:
            noises: the `noise` and the `duration_noise` of `forward`.
            starts: (batch,) int64, the first frame of the slice to decode; None: a random one in training, all of it in
                evaluation.
        """
        condition = self.voice(speaker)
        codes, of_tokens = self.text(tokens, token_mask)
        posterior = self.posterior(spectrum, frame_mask, condition)
        hidden = posterior.sample(noises[0]).masked_fill(~frame_mask[..., None], 0.0)
        moved = self.flow(hidden, frame_mask, condition)
        durations = self._search(moved, of_tokens, token_mask, frame_mask)
        prior = Gaussian(*(expand(part, durations, frame_mask.shape[1])[0] for part in of_tokens))
        cost = self._duration_cost(codes, token_mask, durations, condition, noises[1])
        sound, start = self.decoder.learn(hidden, frame_mask, condition, count=self.config.segment, starts=starts)
        return Output(sound, start, durations, frame_mask, hidden, moved, prior, posterior, cost)

    @torch.no_grad()
    def _search(self, moved: Tensor, prior: Gaussian, token_mask: Tensor, frame_mask: Tensor) -> Tensor:
        """The durations (batch, tokens) of the likeliest path from frames to tokens."""
        scores = align.gaussian_scores(moved, *prior)
        durations = align.monotonic_search(scores, token_mask.sum(1), frame_mask.sum(1))
        if trace.active("align/soft"):
            seen = scores.masked_fill(~token_mask[:, None], -torch.inf)
            trace.report("align/soft", seen.softmax(-1))  # (batch, frames, tokens)
        trace.report("align/durations", durations)
        return durations

    def _duration_cost(
        self, codes: Tensor, mask: Tensor, durations: Tensor, condition: Tensor | None, noise: Tensor | None
    ) -> Tensor:
        cost = codes.new_zeros(len(codes))
        if self.rhythm is not None:
            cost = cost + self.rhythm.cost(codes, mask, durations, condition, noise)
        if self.pace is not None:
            cost = cost + self.pace.cost(codes, mask, durations, condition)
        return cost

    def infer(  # noqa: PLR0913  (what can be steered)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        speaker: Tensor | None = None,
        *,
        speed: Tensor | float = 1.0,
        variety: float = 0.667,
        rhythm: float = 0.8,
        drawn: float = 1.0,
        durations: Tensor | None = None,
        noise: Tensor | None = None,
        duration_noise: Tensor | None = None,
    ) -> Output:
        """Speaks.

        Args:
            tokens, token_mask: (batch, tokens).
            speaker: (batch,) int64, for a model of several.
            speed: a number or (batch,); above 1 is faster.
            variety: of the draw of hidden frames: 0 says it as usual, 1 as varied as the recordings.
            rhythm: the same of the durations.
            drawn: with durations "both", the share of the drawn logarithm, the rest is the plain one's.
            durations: (batch, tokens) int64 frames, instead of predicted ones.
            noise: (batch, frames, latent); None: torch's own draw.
            duration_noise: (batch, tokens, 2); None: torch's own draw.
        """
        condition = self.voice(speaker)
        codes, of_tokens = self.text(tokens, token_mask)
        if durations is None:
            log_frames = self._log_frames(codes, token_mask, condition, duration_noise, rhythm, drawn)
            slower = 1 / (speed[:, None] if isinstance(speed, Tensor) else speed)
            durations = (log_frames.exp() * slower).ceil().masked_fill(~token_mask, 0.0).long()
        trace.report("durations", durations)
        mean, frame_mask = expand(of_tokens.mean, durations)
        prior = Gaussian(mean, expand(of_tokens.log_deviation, durations, mean.shape[1])[0])
        moved = prior.sample(noise, variety)
        hidden = self.flow(moved, frame_mask, condition, inverse=True)
        sound = self.decoder(hidden, frame_mask, condition)
        return Output(sound, None, durations, frame_mask, hidden, moved, prior, None, None)

    def _log_frames(
        self,
        codes: Tensor,
        mask: Tensor,
        condition: Tensor | None,
        noise: Tensor | None,
        rhythm: float,
        drawn: float,
    ) -> Tensor:
        """Predicted logarithms of durations: (batch, tokens)."""
        if self.rhythm is None:
            assert self.pace is not None
            return self.pace(codes, mask, condition)
        random = self.rhythm(codes, mask, condition, noise, rhythm)
        return random if self.pace is None else drawn * random + (1 - drawn) * self.pace(codes, mask, condition)

    def revoice(
        self, spectrum: Tensor, frame_mask: Tensor, speaker: Tensor, target: Tensor, noise: Tensor | None = None
    ) -> Output:
        """A recording of one speaker in the voice of another.

        Args:
            spectrum: (batch, frames, bins) of `listen`.
            frame_mask: (batch, frames).
            speaker, target: (batch,) int64, who spoke and who is to speak.
            noise: (batch, frames, latent); None: torch's own draw.
        """
        source, goal = self.voice(speaker), self.voice(target)
        posterior = self.posterior(spectrum, frame_mask, source)
        hidden = posterior.sample(noise).masked_fill(~frame_mask[..., None], 0.0)
        moved = self.flow(hidden, frame_mask, source)
        turned = self.flow(moved, frame_mask, goal, inverse=True)
        sound = self.decoder(turned, frame_mask, goal)
        durations = frame_mask.long()
        return Output(sound, None, durations, frame_mask, turned, moved, posterior, posterior, None)

    def voice(self, speaker: Tensor | None) -> Tensor | None:
        """The speakers' vectors (batch, 1, condition); None for a model of one voice."""
        if self.speakers is None:
            return None
        if speaker is None:
            raise ValueError(f"this model has {self.config.speakers} speakers: say which one")
        return self.speakers(speaker)[:, None]


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"])


def kl_loss(output: Output, batch: Batch) -> Tensor:
    """What the recording's hidden frames say beyond the text, nats a frame."""
    assert output.posterior is not None
    return kl_divergence(output.moved, output.posterior, output.prior, output.frame_mask)


def duration_loss(output: Output, batch: Batch) -> Tensor:
    """Of durations, a token."""
    assert output.duration_cost is not None
    return output.duration_cost.sum() / batch["token_mask"].sum()


TRAINING = gan.Config(
    critics=("scale", "period"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 45.0, "kl": 1.0, "duration": 1.0},
    feature=2.0,
    period=Period(first_map=True),
    scale=ONE_SCALE,
)
LOSSES = {"mel": MelDistance, "kl": kl_loss, "duration": duration_loss}
TOY = Config(
    symbols=12,
    speakers=3,
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    latent=6,
    dim=8,
    hidden=12,
    layers=1,
    posterior_layers=2,
    flow=Flow(couplings=2, layers=1),
    decoder=Waveform(dim=16, rates=(4, 4), kernels=(8, 8), block_kernels=(3, 5), dilations=((1, 2), (1,))),
    condition=4,
    durations="both",
    duration_hidden=8,
    segment=9,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of 7 tokens and 30 frames of noise, with the noise of its draws."""
    tokens, frames = 7, 30
    return {
        "tokens": torch.randint(1, config.symbols, (batch, tokens), generator=generator),
        "token_mask": torch.ones(batch, tokens, dtype=torch.bool),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "noise": torch.randn(batch, frames, config.latent, generator=generator),
        "duration_noise": torch.randn(batch, tokens, 2, generator=generator),
        "speaker": torch.randint(0, config.speakers or 1, (batch,), generator=generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: of G_*.pth, or the generator's state dict, with the original keys.
        config: its config.json with the sections `data` and `model`, Amphion's args.json with `preprocess` and `model`,
            or the arguments of SynthesizerTrn in one level.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    state = latent.official_state(state)
    own = _settings(state, config)
    return adopt(Model(own), _rename(state, own), "VITS checkpoint")


def _settings(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Config:
    sizes = {**config, **config.get("model", {})}
    sizes |= sizes.get("vits", {})  # Amphion
    if "dec.conv_pre.weight" not in state or "enc_p.emb.weight" not in state:
        raise UserError("this checkpoint is not that of a VITS generator: it has no enc_p.emb or no dec.conv_pre")
    speakers, bins = state.get("emb_g.weight"), state["enc_q.pre.weight"].shape[1]
    waveform = decoder.official_settings(sizes)
    plain = "dp.conv_1.weight" in state
    stochastic = "dp.flows.0.m" in state or "sdp.flows.0.m" in state
    return Config(
        symbols=len(state["enc_p.emb.weight"]),
        speakers=None if speakers is None else len(speakers),
        mel=latent.official_mel(config, bins, waveform.hop),
        latent=sizes["inter_channels"],
        dim=sizes["hidden_channels"],
        heads=sizes["n_heads"],
        hidden=sizes["filter_channels"],
        layers=sizes["n_layers"],
        kernel=sizes["kernel_size"],
        dropout=sizes.get("p_dropout", 0.1),
        decoder=waveform,
        condition=1 if speakers is None else speakers.shape[1],
        durations="both" if plain and stochastic else "plain" if plain else "stochastic",
        duration_hidden=len(state["dp.conv_1.weight"]) if plain else 256,
        segment=latent.official_segment(config, waveform.hop, 8192),
    )


def _rename(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    parts = latent.official_parts(state)
    renamed = latent.official_text(parts["enc_p"], "text.")
    renamed |= latent.official(parts["enc_q"], config.posterior_layers, "posterior.")
    renamed |= flow.official(parts["flow"], config.flow, "flow.")
    renamed |= decoder.official(parts["dec"], config.decoder, "decoder.")
    if "emb_g" in parts:
        renamed["speakers.weight"] = parts["emb_g"]["weight"]
    for part in ("dp", "sdp"):
        if part in parts and "flows.0.m" in parts[part]:
            renamed |= duration.official_stochastic(parts[part], "rhythm.")
        elif part in parts:
            renamed |= duration.official_plain(parts[part], "pace.")
    return renamed
