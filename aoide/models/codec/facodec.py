"""FACodec of NaturalSpeech 3: sound (batch, samples) at 16 kHz -> codes (batch, frames, 6) and a voice -> sound.

Idea         Speech taken apart: one codebook for prosody, two for content, three for the details that are left, and a
             vector for the voice. From prosody F0 is read, from content the phones; adversaries that look for F0 and
             phones in the details, and for the speaker in all codes, teach the encoder to leave them out.
Objective    adversarial with a multi-scale mel loss (aoide/objectives/gan.py), the predictors and the codebooks
Recipes      recipes/codec/facodec.yaml
Paper        Ju et al. 2024, arXiv:2403.03100 (NaturalSpeech 3), section 3.2
Code         github.com/open-mmlab/Amphion, models/codec/ns3_codec (MIT)
Checkpoints  amphion/naturalspeech3_facodec, ns3_facodec_encoder.bin and ns3_facodec_decoder.bin (Hugging Face,
             Apache-2.0): load either, or both laid together, with `from_official`
Parity       tests/parity/test_facodec.py
Differs      takes padding masks; sound that ends within a frame is filled up with silence. The original adds to every
             frame of an item the position code of the item's number in its batch, so that a voice depends on its
             neighbours; here all are number 0, as a lone item is. Outside training no details are left out by chance.
             Version 2 and the re-decoder are left out. How F0 is judged was not published: here by a smooth L1.

It is a `Codec` (aoide/models/codec/__init__.py) whose codes do not say who speaks: `decode` wants a voice, and `voice`
gives that of a recording. The first codebook is prosody, the next two content: `decode` of the first three leaves the
details out, which carry some of the voice. A model may be half a codec; the halves are published apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError, build
from aoide.models.codec import Numbers, check_codes, codebook, commitment, whole_frames
from aoide.models.codec.dac import MelDistance, rename_codebooks
from aoide.nn.attention import PreNormFFTBlock, sinusoids
from aoide.nn.lengths import mean_over_time, token_of_frame
from aoide.nn.official import adopt, modern_weight_norm
from aoide.nn.quantize import FactorisedVQ, Quantised, ResidualVQ
from aoide.nn.snake import AntiAliased, SnakeBeta, without_filters
from aoide.nn.strided import ResidualUnit, SoundDecoder, SoundEncoder, rename_official, rename_unit
from aoide.objectives import Batch, Loss, gan

Adversary = Literal["prosody_phones", "content_pitch", "residual_pitch", "residual_phones", "speakers"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Settings of the encoder of strided convolutions."""

    channels: int = 32  # after the first convolution; each stage doubles them
    rates: tuple[int, ...] = (2, 4, 5, 5)  # how many times shorter each stage makes the signal


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoder:
    """Settings of the decoder of transposed convolutions."""

    channels: int = 1024  # after the first convolution; each stage halves them
    rates: tuple[int, ...] = (5, 5, 4, 2)  # how many times longer each stage makes the signal


@dataclass(frozen=True, kw_only=True, slots=True)
class Timbre:
    """Settings of the Transformer that hears the voice."""

    layers: int = 4
    heads: int = 4
    hidden: int = 1024  # channels between the two layers of a feed-forward part
    kernel: int = 5  # of the first of them
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published checkpoints (4.2 and 98.1 M parameters).

    Null leaves the encoder or the decoder out; codebooks, voice and predictors belong to the decoder.
    """

    sample_rate: int = 16_000  # Hz
    dim: int = 256  # of the vectors that are coded, and of a voice
    prosody: int = 1  # codebooks
    content: int = 2
    residual: int = 3  # for what is left; may be 0
    codes: tuple[int, int, int] = (1024, 1024, 1024)  # entries of a codebook of prosody, of content, of the rest
    code_dim: int = 8
    symbols: int = 5003  # phones that are told apart
    speakers: int = 245_200
    adversaries: tuple[Adversary, ...] = ("residual_pitch", "residual_phones", "speakers")
    residual_kept: float = 0.25  # share of the training items whose details reach the decoder
    encoder: Encoder | None = field(default_factory=Encoder)
    decoder: Decoder | None = field(default_factory=Decoder)
    timbre: Timbre = field(default_factory=Timbre)

    def __post_init__(self) -> None:
        if self.encoder is None and self.decoder is None:
            raise ValueError("there is neither an encoder nor a decoder")
        hops = {math.prod(part.rates) for part in (self.encoder, self.decoder) if part is not None}
        if len(hops) > 1:
            raise ValueError(f"the rates of encoder and decoder disagree on the hop: {sorted(hops)} samples")
        if min(self.prosody, self.content) < 1 or self.residual < 0:
            raise ValueError("prosody and content have 1 codebook or more, residual 0 or more")
        if not self.residual and any(name.startswith("residual") for name in self.adversaries):
            raise ValueError("without residual codebooks there is nothing for their adversaries to look at")
        if not 0 <= self.residual_kept <= 1:
            raise ValueError(f"residual_kept is a share, 0 to 1, got {self.residual_kept}")
        if self.decoder and self.dim % self.timbre.heads:
            raise ValueError(f"dim {self.dim} does not divide among {self.timbre.heads} heads")

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod((self.encoder or self.decoder or Encoder()).rates)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop


class Factors(NamedTuple):
    """Speech taken apart; the vectors of each are (batch, frames, dim)."""

    prosody: Quantised
    content: Quantised
    residual: Quantised | None

    def all(self, field: str) -> Tensor:
        """codes, commitment or codebook of all codebooks, in this order on the last axis."""
        return torch.cat([getattr(part, field) for part in self if part is not None], dim=-1)


class Output(NamedTuple):
    """What a forward pass gives. F0 is the logarithm, less its mean and divided by its deviation over the item."""

    audio: Tensor  # (batch, frames * hop)
    codes: Tensor  # (batch, frames, codebooks) int64: prosody, content, residual
    commitment: Tensor  # (batch, codebooks)
    codebook: Tensor  # (batch, codebooks)
    voice: Tensor  # (batch, dim)
    pitch: Tensor  # (batch, frames, 2): F0, and a logit above 0 where voiced, read from prosody
    phones: Tensor  # (batch, frames, symbols) logits, read from content
    prosody_phones: Tensor | None = None  # what the adversaries read, in the same shapes
    content_pitch: Tensor | None = None
    residual_pitch: Tensor | None = None
    residual_phones: Tensor | None = None
    speakers: Tensor | None = None  # (batch, speakers) logits


# ---------------------------------------------------------------------------------------------------------------- voice


class TimbreEncoder(nn.Module):
    """Hears who speaks: vectors (batch, frames, dim) -> one voice an item, (batch, dim)."""

    def __init__(self, dim: int, config: Timbre) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        sizes = (config.heads, config.hidden, config.kernel, config.dropout)
        self.layers = nn.ModuleList(PreNormFFTBlock(dim, *sizes) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor | None = None, numbered: bool = False) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, dim)."""
        return mean_over_time(self.frames(x, mask, numbered), mask)

    def frames(self, x: Tensor, mask: Tensor | None = None, numbered: bool = False) -> Tensor:
        """The same before the mean over the frames, (batch, frames, dim).

        numbered: give every item the position code of its number in the batch, as the original does, and not of 0.
        """
        x = self.dropout(x + sinusoids(len(x) if numbered else 1, x.shape[2], like=x)[:, None])
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)


# ----------------------------------------------------------------------------------------------------------- predictors


def guarded(channels: int) -> nn.Module:
    """The activation between the convolutions."""
    return AntiAliased(SnakeBeta(channels, log_scale=True))


class Predictor(nn.Module):
    """Reads something from vectors: (batch, frames, dim) -> (batch, frames, size).

    Args:
        dim: of the vectors.
        size: of what is read.
        overall: read one thing from all frames: (batch, size).
    """

    def __init__(self, dim: int, size: int, overall: bool = False) -> None:
        super().__init__()
        self.units = nn.ModuleList(ResidualUnit(dim, dilation, guarded) for dilation in (1, 2, 3))
        self.activation = guarded(dim)
        self.out = nn.Linear(dim, size)
        self.overall = overall

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        now = None if mask is None else mask[:, None]
        y = x.mT if now is None else x.mT.masked_fill(~now, 0.0)
        for unit in self.units:
            y = unit(y, now)
        y = self.activation(y, now).mT
        return self.out(mean_over_time(y, mask) if self.overall else y)


def reverse(x: Tensor) -> Tensor:
    """x, with its gradient turned round: what helps those who read it teaches those who write it to hide it."""
    return 2 * x.detach() - x


# ---------------------------------------------------------------------------------------------------------------- model


class FactorDecoder(nn.Module):
    """Vectors -> factors -> sound: what is published as the decoder."""

    def __init__(self, config: Config, settings: Decoder) -> None:
        super().__init__()
        dim = config.dim
        self.prosody = _codebooks(config, config.prosody, config.codes[0])
        self.content = _codebooks(config, config.content, config.codes[1])
        self.residual = _codebooks(config, config.residual, config.codes[2]) if config.residual else None
        self.timbre = TimbreEncoder(dim, config.timbre)
        self.style = nn.Linear(dim, 2 * dim)  # voice -> scale and shift of every channel
        with torch.no_grad():
            self.style.bias.copy_(torch.cat([torch.ones(dim), torch.zeros(dim)]))
        self.sound = SoundDecoder(dim, settings.channels, settings.rates, guarded)
        sizes = {"pitch": 2, "phones": config.symbols, "speakers": config.speakers}
        self.predictors = nn.ModuleDict({name: Predictor(dim, sizes[name]) for name in ("pitch", "phones")})
        self.adversaries = nn.ModuleDict(
            {name: Predictor(dim, sizes[name.rpartition("_")[2]], name == "speakers") for name in config.adversaries}
        )

    def factors(self, latents: Tensor, mask: Tensor | None = None) -> Factors:
        """latents (batch, frames, dim) -> prosody and content each of them whole, and what both leave over."""
        prosody, content = self.prosody(latents, mask), self.content(latents, mask)
        if self.residual is None:
            return Factors(prosody, content, None)
        return Factors(prosody, content, self.residual(latents - (prosody.vectors + content.vectors).detach(), mask))

    def forward(self, vectors: Tensor, voice: Tensor, mask: Tensor | None = None) -> Tensor:
        """vectors (batch, frames, dim), voice (batch, dim) -> audio (batch, frames * hop), 0 where padded."""
        scale, shift = self.style(voice)[:, None].chunk(2, dim=2)
        return self.sound(functional.layer_norm(vectors, vectors.shape[2:]) * scale + shift, mask)

    def read(self, factors: Factors, vectors: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """What the predictors read from the factors, and the adversaries from what they should not.

        vectors: those that the sound is made of, for the adversary that looks for the speaker.
        """
        parts = {name: part.vectors for name, part in factors._asdict().items() if part is not None}
        sources = {"pitch": parts["prosody"], "phones": parts["content"]}
        found = {name: predictor(sources[name], mask) for name, predictor in self.predictors.items()}
        for name, adversary in self.adversaries.items():
            source = vectors if name == "speakers" else parts[name.partition("_")[0]]
            found[name] = adversary(reverse(source), mask)
        return found


def _codebooks(config: Config, count: int, size: int) -> ResidualVQ:
    project = config.dim != config.code_dim
    return ResidualVQ(FactorisedVQ(config.dim, size, config.code_dim, project=project) for _ in range(count))


class Model(Numbers, nn.Module):
    """Sound -> codes and a voice -> sound."""

    encoder: SoundEncoder | None
    decoder: FactorDecoder | None

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        encoder, decoder = config.encoder, config.decoder
        self.encoder = SoundEncoder(config.dim, encoder.channels, encoder.rates, guarded) if encoder else None
        self.decoder = FactorDecoder(config, decoder) if decoder else None

    @property
    def codebooks(self) -> int:
        """Those of prosody, of content and of the rest."""
        return self.config.prosody + self.config.content + self.config.residual

    @property
    def cardinality(self) -> int:
        """Entries of the largest codebook."""
        return max(self.config.codes)

    @property
    def context(self) -> int:
        """Frames before and after a frame that its codes and, given the voice, its sound depend on."""
        return max(self.encoder.reach if self.encoder else 0, self.decoder.sound.reach if self.decoder else 0)

    def forward(self, audio: Tensor, frame_mask: Tensor | None = None, kept: Tensor | None = None) -> Output:
        """audio (batch, frames * hop), frame_mask (batch, frames) with True = real -> see `Output`.

        kept (batch,) bool: the items whose details reach the decoder; in training drawn unless given, else all.
        """
        return self.reconstruct(self.latents(audio, frame_mask), frame_mask, kept)

    def reconstruct(self, latents: Tensor, mask: Tensor | None = None, kept: Tensor | None = None) -> Output:
        """latents (batch, frames, dim) of the encoder -> see `Output`; the rest as in `forward`."""
        decoder = self._decoder()
        factors = decoder.factors(latents, mask)
        vectors = factors.prosody.vectors.detach() + factors.content.vectors.detach()  # these learn by their predictors
        if factors.residual is not None:
            if kept is None and self.training:
                kept = torch.rand(len(latents), device=latents.device) < self.config.residual_kept
            details = factors.residual.vectors
            vectors = vectors + (details if kept is None else details * kept[:, None, None])
        voice = decoder.timbre(latents, mask)
        trace.report("facodec/codes", factors.all("codes"))
        trace.report("facodec/voice", voice)
        return Output(
            audio=decoder(vectors, voice, mask),
            codes=factors.all("codes"),
            commitment=factors.all("commitment"),
            codebook=factors.all("codebook"),
            voice=voice,
            **decoder.read(factors, vectors, mask),
        )

    def latents(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, frames * hop), mask (batch, frames) -> the vectors to be coded, (batch, frames, dim)."""
        if self.encoder is None:
            raise UserError("this codec has no encoder: it was made from the weights of the decoder alone")
        return self.encoder(audio, mask)

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) -> codes (batch, frames, codebooks) int64.

        Raises:
            UserError: half a codec, or no sound.
        """
        return self._decoder().factors(self.latents(whole_frames(audio, self), mask), mask).all("codes")

    def voice(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) -> who speaks, (batch, dim).

        Raises:
            UserError: half a codec, or no sound.
        """
        return self._decoder().timbre(self.latents(whole_frames(audio, self), mask), mask)

    def decode(self, codes: Tensor, voice: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or fewer), voice (batch, dim), mask (batch, frames) -> audio.

        Audio is (batch, frames * hop). Without the last codebooks, those of the rest, details are left out.

        Raises:
            UserError: half a codec, or codes or voices that are not of this one.
        """
        if voice.shape != (len(codes), self.config.dim):
            raise UserError(
                f"{len(codes)} items have voices ({len(codes)}, {self.config.dim}), not {tuple(voice.shape)}"
            )
        return self._decoder()(self.vectors(codes, mask), voice, mask)

    def vectors(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or fewer) -> what the decoder reads, (batch, frames, dim)."""
        check_codes(codes, self)
        decoder, first, parts = self._decoder(), 0, []
        for stack in (decoder.prosody, decoder.content, decoder.residual):
            own = codes[..., first:] if stack is None else codes[..., first : first + len(stack.layers)]
            if stack is not None and own.shape[2]:
                parts.append(stack.decode(own, mask))
                first += len(stack.layers)
        return torch.stack(parts).sum(0)

    def convert(self, audio: Tensor, voice: Tensor, mask: Tensor | None = None, details: bool = False) -> Tensor:
        """audio (batch, samples) in another voice (batch, dim), as `voice` gives it -> audio (batch, frames * hop).

        details: keep the details, which sounds better and less like the other voice.
        """
        codes = self.encode(audio, mask)
        return self.decode(codes if details else codes[..., : self.config.prosody + self.config.content], voice, mask)

    def _decoder(self) -> FactorDecoder:
        if self.decoder is None:
            raise UserError("this codec has no codebooks and no decoder: it was made from the encoder's weights alone")
        return self.decoder


# ------------------------------------------------------------------------------------------------------------- training


def pitch_distance(prediction: Tensor, batch: Batch) -> Tensor:
    """How far F0 and voicing are off: smooth L1 over the voiced frames, and cross-entropy over all.

    Args:
        prediction: (batch, frames, 2), see `Output.pitch`.
        batch: with `f0` (batch, frames) in Hz, 0 = unvoiced.
    """
    real = batch.get("frame_mask", torch.ones_like(batch["f0"], dtype=torch.bool))
    voiced = (batch["f0"] > 0) & real
    count = voiced.sum(1, keepdim=True).clamp(min=1)
    log_f0 = torch.where(voiced, batch["f0"], 1.0).log()
    centred = (log_f0 - log_f0.sum(1, keepdim=True) / count).masked_fill(~voiced, 0.0)  # the log is 0 where unvoiced
    target = centred / (centred.square().sum(1, keepdim=True) / count).sqrt().clamp(min=0.01)
    off = functional.smooth_l1_loss(prediction[..., 0], target, reduction="none").masked_fill(~voiced, 0.0)
    wrong = functional.binary_cross_entropy_with_logits(prediction[..., 1], voiced.to(target.dtype), reduction="none")
    return off.sum() / voiced.sum().clamp(min=1) + wrong.masked_fill(~real, 0.0).sum() / real.sum()


def phone_distance(prediction: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the phone of each frame.

    Args:
        prediction: (batch, frames, symbols) logits.
        batch: with `tokens` and `durations` (batch, tokens), in frames.
    """
    nothing = -100  # stands for frames after the last token
    phones = functional.pad(batch["tokens"], (0, 1), value=nothing)
    target = phones.gather(1, token_of_frame(batch["durations"], prediction.shape[1]))
    return functional.cross_entropy(prediction.flatten(0, 1), target.flatten(), ignore_index=nothing)


def speaker_distance(prediction: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the speaker: prediction (batch, speakers) logits, batch with `speaker` (batch,)."""
    return functional.cross_entropy(prediction, batch["speaker"])


def _of(name: str) -> Loss:
    """The loss of one predictor or adversary, named as its field of the output: how far off what it reads is."""
    distances = {"pitch": pitch_distance, "phones": phone_distance, "speakers": speaker_distance}

    def loss(output: Output, batch: Batch) -> Tensor:
        prediction = getattr(output, name)
        if prediction is None:
            raise UserError(f"objective.weights.{name}: model.adversaries does not name it; set the weight to 0")
        return distances[name.rpartition("_")[2]](prediction, batch)

    return loss


LOSSES: dict[str, Any] = {"mel": MelDistance, "commitment": commitment, "codebook": codebook}
LOSSES |= {name: _of(name) for name in ("pitch", "phones", *get_args(Adversary))}
TRAINING = gan.Config(
    loss="hinge",
    weights={"mel": 15.0, "commitment": 0.005, "codebook": 1.0, "pitch": 1.0, "phones": 5.0}
    | {"residual_pitch": 1.0, "residual_phones": 5.0, "speakers": 5.0},
)
NEEDS = ("audio", "f0", "tokens", "durations", "speaker")
TOY = Config(
    sample_rate=8_000, dim=8, codes=(8, 10, 12), residual=2, code_dim=4, symbols=9, speakers=3,
    encoder=Encoder(channels=4, rates=(25,)), decoder=Decoder(channels=8, rates=(25,)),
    timbre=Timbre(layers=1, heads=2, hidden=12, kernel=3),
)  # fmt: skip


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random sounds of 50 frames, spoken in 10 tokens."""
    frames, tokens = 50, 10
    voiced = torch.rand(batch, frames, generator=generator) < 0.6
    return {
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "f0": voiced * (100 + 100 * torch.rand(batch, frames, generator=generator)),
        "tokens": torch.randint(1, config.symbols, (batch, tokens), generator=generator),
        "token_mask": torch.ones(batch, tokens, dtype=torch.bool),
        "durations": torch.full((batch, tokens), frames // tokens),
        "speaker": torch.arange(batch) % config.speakers,
    }


# ------------------------------------------------------------------------------------------------ published checkpoints

_HEADS = {
    "f0_predictor": "predictors.pitch",
    "phone_predictor": "predictors.phones",
    "prosody_phone_predictor": "adversaries.prosody_phones",
    "content_f0_predictor": "adversaries.content_pitch",
    "res_f0_predictor": "adversaries.residual_pitch",
    "res_phone_predictor": "adversaries.residual_phones",
    "x_timbre_predictor": "adversaries.speakers",
}
_TIMBRE = {
    "ln_1": "attention_norm", "ln_2": "conv_norm", "last_ln": "norm", "self_attn": "attention", "out_proj": "out",
    "in_proj_weight": "project.weight", "in_proj_bias": "project.bias", "ffn_1": "expand", "ffn_2": "contract",
}  # fmt: skip


# In amphion/naturalspeech3_facodec; no configuration lies beside them.
OFFICIAL_FILES = ("ns3_facodec_encoder.bin", "ns3_facodec_decoder.bin")


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint: the part whose weights are given, or both.

    Args:
        state: the state dict of the encoder ("block...."), of the decoder ("quantizer....", "model...." and others) or
            both in one, with the original keys; "encoder." and "decoder." may stand before them.
        config: the arguments of the class of the part; of both, in the sections `encoder` and `decoder`. What is not
            named is as published, so {} will do for what was.

    Raises:
        UserError: another version of the model, or a state that does not fit the configuration.
    """
    plain = {key.removeprefix("encoder.").removeprefix("decoder."): value for key, value in state.items()}
    if any(key.startswith(("melspec_", "prosody_embs.")) for key in plain):
        raise UserError("this is version 2 or the re-decoder of FACodec; Aoide builds version 1")
    plain = without_filters(plain, "checkpoint of FACodec")
    sections = config if "encoder" in config or "decoder" in config else {"encoder": config, "decoder": config}
    encoder = {key: value for key, value in plain.items() if key.startswith("block.")}
    decoder = {key: value for key, value in plain.items() if key not in encoder}
    own: dict[str, Any] = {"encoder": None, "decoder": None}
    renamed: dict[str, Tensor] = {}
    if encoder:
        settings = sections.get("encoder", {})
        rates = tuple(settings.get("up_ratios", (2, 4, 5, 5)))
        own["encoder"] = Encoder(channels=settings.get("ngf", 32), rates=rates)
        own["dim"] = settings.get("out_channels", 256)
        renamed |= rename_official(encoder, "encoder.")
    if decoder:
        own |= _decoder_settings(sections.get("decoder", {}), decoder)
        renamed |= _rename_decoder(decoder)
    if not renamed:
        raise UserError("this checkpoint of FACodec holds no weights")
    return adopt(Model(build(Config, own, "configuration of FACodec")), renamed, "checkpoint of FACodec")


def _decoder_settings(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Their arguments, and what the original has as constants and the weights tell."""
    timbre = config.get("timbre_encoder", {})
    heads = {key.partition(".")[0] for key in state} & _HEADS.keys()
    rates = tuple(config.get("up_ratios", (5, 5, 4, 2)))
    own: dict[str, Any] = {
        "dim": config.get("in_channels", 256),
        "prosody": config.get("vq_num_q_p", 1),
        "content": config.get("vq_num_q_c", 2),
        "residual": config.get("vq_num_q_r", 3),
        "codes": tuple(2 ** config.get(f"codebook_size_{part}", 10) for part in ("prosody", "content", "residual")),
        "code_dim": config.get("codebook_dim", 8),
        "adversaries": tuple(n for n in get_args(Adversary) if any(_HEADS[h] == f"adversaries.{n}" for h in heads)),
        "decoder": Decoder(channels=config.get("upsample_initial_channel", 1024), rates=rates),
        "timbre": Timbre(
            layers=timbre.get("encoder_layer", 4),
            heads=timbre.get("encoder_head", 4),
            hidden=timbre.get("conv_filter_size", 1024),
            kernel=timbre.get("conv_kernel_size", 5),
        ),
    }
    sizes = {"symbols": "phone_predictor.heads.0.weight", "speakers": "x_timbre_predictor.1.heads.0.weight"}
    return own | {ours: len(state[theirs]) for ours, theirs in sizes.items() if theirs in state}


def _rename_decoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their keys of the decoder and all that belongs to it -> ours."""
    sound = {key: value for key, value in state.items() if key.startswith("model.")}
    renamed = rename_official(sound, "decoder.sound.")
    for number, part in enumerate(("prosody", "content", "residual")):
        renamed |= rename_codebooks(state, f"quantizer.{number}.layers.", f"decoder.{part}.layers.")
    for theirs, ours in _HEADS.items():
        stem = f"{theirs}.1." if ours.startswith("adversaries.") else f"{theirs}."  # the reversal of gradients is 0
        own = {key.removeprefix(stem): value for key, value in state.items() if key.startswith(stem)}
        renamed |= {f"decoder.{ours}.{key}": value for key, value in _rename_predictor(own).items()}
    for key, value in state.items():
        head, *name = key.split(".")
        if head == "timbre_encoder" and name[0] != "position_emb":
            name = ["decoder.timbre", *(_TIMBRE.get(word, word) for word in name if word != "ffn")]
            renamed[".".join(name)] = value
        elif head == "timbre_linear":
            renamed[f"decoder.style.{name[0]}"] = value
        elif head not in ("model", "quantizer", "timbre_encoder", *_HEADS):
            renamed[key] = value
    return renamed


def _rename_predictor(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their keys of one predictor -> ours, its heads one after the other in one layer."""
    renamed: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        heads = sorted(key for key in state if key.startswith("heads.") and key.endswith(kind))
        if heads:
            renamed[f"out.{kind}"] = torch.cat([state[key] for key in heads])
    for key, value in state.items():
        head, place, *name = key.split(".")
        if head == "model" and name[0] == "block":
            renamed[".".join(["units", place, *rename_unit(name)])] = value
        elif head == "model":
            renamed[f"activation.activation.{name[-1]}"] = value
    return modern_weight_norm(renamed)
