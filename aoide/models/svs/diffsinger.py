"""DiffSinger as openvpi builds it, the acoustic model: phonemes, their durations and F0 -> mel (batch, frames, mels).

Idea         Transformer blocks encode the phonemes with their durations; each is repeated for its frames, and F0, how
             far each frame is into its phoneme, and curves that a musician may draw (loudness, breathiness, ...) are
             added. From this condition a denoiser makes the mel, starting from noise; or, shallow, from a first mel
             that a few convolutions give, so that it only draws in what they cannot.
Objective    flow (aoide/objectives/flow.py, the default), or diffusion (aoide/objectives/diffusion.py)
Recipe       recipes/svs/diffsinger-folder.yaml
Papers       Liu et al. 2021, arXiv:2105.02446 (DiffSinger, the shallow start); Liu et al. 2022, arXiv:2209.03003 (flow)
Code         github.com/openvpi/DiffSinger (Apache-2.0), which also is the form that OpenUtau sings with
Checkpoints  of the community's voices: `model_ckpt_steps_*.ckpt` with config.yaml; load with `from_official`
Parity       tests/parity/test_diffsinger.py
Differs      Padding is silenced before convolutions, so a phrase sings alone as in a batch (`from_official` does as the
             original); no dropout in the first mel's decoder. Checkpoints whose normalisation
             mixes singers (use_mix_ln) are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError, near
from aoide.models.svs import _openvpi
from aoide.nn import denoise
from aoide.nn.conv import Conv1d
from aoide.nn.convnext import ConvNeXtBlock
from aoide.nn.denoise import Denoiser
from aoide.nn.lengths import token_of_frame
from aoide.nn.official import adopt
from aoide.nn.singing import Activation, Encoder, Positions, Sizes, Stretch
from aoide.objectives import Batch, diffusion, flow
from aoide.objectives.diffusion import Process
from aoide.objectives.regression import masked_l1

CURVES = {"loudness": 1 / 96, "breathiness": 1 / 96, "voicing": 1 / 96, "tension": 0.1, "key_shift": 1 / 12, "speed": 1}
Curve = Literal["loudness", "breathiness", "voicing", "tension", "key_shift", "speed"]
TIME_SCALE = 1000  # of the time of a flow, for the denoiser


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    """The decoder that gives the first mel, where sampling starts shallow."""

    channels: int = 512
    layers: int = 6
    kernel: int = 7
    gradient: float = 0.1  # share of its gradient that reaches the encoder


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of DiffSinger; the defaults are those of openvpi's configs/acoustic.yaml."""

    symbols: int = 80  # size of the phoneme table, with padding
    languages: int | None = None  # told apart by an embedding of each token; null = one
    speakers: int | None = None  # singers told apart by an embedding; null = one
    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=44_100,
            n_fft=2048,
            hop=512,
            win=2048,
            n_mels=128,
            fmin=40.0,
            fmax=16_000.0,
            scale="slaney",
            norm="slaney",
            padding="same",
        )
    )
    low: tuple[float, ...] = (-12.0,)  # log mel that is brought to -1, one for all bands or one a band
    high: tuple[float, ...] = (0.0,)  # and to 1
    dim: int = 384
    heads: int = 2
    layers: int = 4
    kernel: int = 3  # tokens that a block's convolution sees; odd
    activation: Activation = "gelu"
    dropout: float = 0.1
    positions: Positions = "halves"  # rotary positions, or a code that is added
    scaled: bool = True  # whether durations and curves come in numbers of about 1; older checkpoints have it false
    stretch: bool = True  # whether a frame knows how far into its phoneme it is
    curves: tuple[Curve, ...] = ()  # that the singer follows, frame by frame
    method: Literal["flow", "diffusion"] = "flow"  # what the denoiser was trained with
    process: Process = field(default_factory=Process)  # of diffusion
    first: First | None = field(default_factory=First)  # null = sampling starts at noise
    start: float = 0.4  # of a flow: the time from which on it goes, where there is a first mel
    depth: int = 400  # of diffusion: how many of its steps are gone, where there is a first mel
    leaky_padding: bool = False  # let padding be heard by its neighbours, as the published code does in a batch
    denoiser: Denoiser = field(
        default_factory=lambda: Denoiser(kind="lynxnet2", channels=1024, layers=6, expansion=1, kernel=31)
    )

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.kernel % 2 == 0:
            raise ValueError(f"dim {self.dim} is a multiple of 2 heads ({self.heads}), kernel odd, got {self.kernel}")
        if len(self.low) != len(self.high) or len(self.low) not in (1, self.mel.n_mels):
            raise ValueError(f"low and high have 1 or {self.mel.n_mels} numbers, got {len(self.low)}, {len(self.high)}")
        if not 0 <= self.start < 1 or not 1 <= self.depth <= len(self.process.alphas()):
            raise ValueError("start is in [0, 1), depth a number of steps of the process")


class Output(NamedTuple):
    prediction: Tensor  # (batch, frames, mels), what the objective asks for, in numbers around -1 to 1
    first: Tensor | None  # (batch, frames, mels), the first mel, in the same numbers


# ---------------------------------------------------------------------------------------------------------------- parts


class FirstMel(nn.Module):
    """Condition -> a first mel by ConvNeXt blocks: (batch, frames, dim) -> (batch, frames, mels)."""

    def __init__(self, first: First, dim: int, mels: int) -> None:
        super().__init__()
        self.embed = Conv1d(dim, first.channels, first.kernel)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(first.channels, 4 * first.channels, layer_scale=1e-6) for _ in range(first.layers)
        )
        self.out = Conv1d(first.channels, mels, first.kernel)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.embed(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        return self.out(x, mask)


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """Phonemes with durations, F0 -> mel."""

    low: Tensor
    high: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embed = nn.Embedding(config.symbols, dim, padding_idx=0)
        self.languages = nn.Embedding(config.languages + 1, dim, padding_idx=0) if config.languages else None
        self.speakers = nn.Embedding(config.speakers, dim) if config.speakers else None
        self.duration = nn.Linear(1, dim)
        self.encoder = Encoder(Sizes.of(config))
        self.stretch = Stretch(dim) if config.stretch else None
        self.pitch = nn.Linear(1, dim)
        self.curves = nn.ModuleDict({curve: nn.Linear(1, dim) for curve in config.curves})
        self.first = FirstMel(config.first, dim, config.mel.n_mels) if config.first else None
        self.denoiser = denoise.build(config.denoiser, config.mel.n_mels, dim)
        self.register_buffer("low", torch.tensor(config.low), persistent=False)
        self.register_buffer("high", torch.tensor(config.high), persistent=False)

    def normalise(self, mel: Tensor) -> Tensor:
        """A log mel in the numbers, around -1 to 1, in which noise is added."""
        return (mel - self.low) / (self.high - self.low) * 2 - 1

    def denormalise(self, x: Tensor) -> Tensor:
        """The other way."""
        return (x + 1) / 2 * (self.high - self.low) + self.low

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        durations: Tensor,
        f0: Tensor,
        noisy: Tensor,
        time: Tensor | None = None,
        step: Tensor | None = None,
        frame_mask: Tensor | None = None,
        language: Tensor | None = None,
        speaker: Tensor | None = None,
        loudness: Tensor | None = None,
        breathiness: Tensor | None = None,
        voicing: Tensor | None = None,
        tension: Tensor | None = None,
        key_shift: Tensor | None = None,
        speed: Tensor | None = None,
    ) -> Output:
        """What the objective asks for, and the first mel: the view of training.

        Args:
            tokens, token_mask: (batch, tokens), 0 = padding.
            durations: (batch, tokens) int64 frames, 0 at padded tokens.
            f0: (batch, frames) Hz, without gaps: also where nothing is voiced.
            noisy: (batch, frames, mels), a normalised mel with noise.
            time, step: (batch,), how noisy: of a flow, or of diffusion.
            frame_mask: (batch, frames), True = real.
            language: (batch, tokens), from 1. speaker: (batch,).
            loudness, breathiness, voicing: (batch, frames) dB. tension: (batch, frames), as a logit.
            key_shift: (batch, frames) semitones by which the formants are shifted. speed: (batch, frames).

        Raises:
            ValueError: neither time nor step, or a curve that the model follows is not given.
        """
        curves = {
            "loudness": loudness,
            "breathiness": breathiness,
            "voicing": voicing,
            "tension": tension,
            "key_shift": key_shift,
            "speed": speed,
        }
        condition = self.condition(tokens, token_mask, durations, f0, language, speaker, curves)
        if (time is None) == (step is None):
            raise ValueError("give time (of a flow) or step (of diffusion), and not both")
        when = step.to(noisy.dtype) if step is not None else TIME_SCALE * time  # type: ignore[operator]
        return Output(self.denoiser(noisy, when, condition, frame_mask), self._first(condition, frame_mask))

    def condition(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        durations: Tensor,
        f0: Tensor,
        language: Tensor | None = None,
        speaker: Tensor | None = None,
        curves: Mapping[str, Tensor | None] | None = None,
    ) -> Tensor:
        """What steers the denoiser: (batch, frames, dim). Arguments as in `forward`."""
        lasting = durations[..., None].to(f0.dtype)
        more = self.duration(lasting.log1p() if self.config.scaled else lasting)
        if self.languages is not None:
            more = more + self.languages(_given(language, "language"))
        text = self.encoder(self.embed(tokens), more, token_mask)
        token = token_of_frame(durations, f0.shape[1])
        beyond = functional.pad(text, (0, 0, 0, 1))  # what no token has: nothing
        x = beyond.gather(1, token[..., None].expand(-1, -1, text.shape[2]))
        if self.stretch is not None:
            x = self.stretch(x, durations, token)
        if self.speakers is not None:
            x = x + self.speakers(_given(speaker, "speaker"))[:, None]
        x = x + self.pitch((f0 / 700).log1p()[..., None])
        for curve, layer in self.curves.items():
            value = _given((curves or {}).get(curve), curve)
            x = x + layer(value[..., None] * (CURVES[curve] if self.config.scaled else 1.0))
        trace.report("condition", x)
        return x

    def _first(self, condition: Tensor, mask: Tensor | None) -> Tensor | None:
        if self.first is None or self.config.first is None:
            return None
        share = self.config.first.gradient
        return self.first(share * condition + (1 - share) * condition.detach(), mask)

    @torch.no_grad()
    def sing(  # noqa: PLR0913  (what steers a singer)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        durations: Tensor,
        f0: Tensor,
        *,
        frame_mask: Tensor | None = None,
        language: Tensor | None = None,
        speaker: Tensor | None = None,
        curves: Mapping[str, Tensor] | None = None,
        steps: int = 20,
        sampler: str | None = None,
        start: float | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sings: (batch, frames, mels) of `config.mel`.

        Args:
            tokens, token_mask, durations, f0, frame_mask, language, speaker: as in `forward`.
            curves: name -> (batch, frames), those of `config.curves`.
            steps: of the sampler.
            sampler: a solver of `objectives/flow.py` (euler, the default; midpoint, heun, rk4, rk5) or a sampler of
                `objectives/diffusion.py` (ddim, the default; ddpm, plms, pndm, dpm_solver, unipc), as it was trained.
            start: of a model with a first mel, how much of the way is left out, from what it was trained with (None) up
                to 1: the later, the faster, and the nearer to the first mel.
            noise: (batch, frames, mels), what to start from instead of drawing.

        Raises:
            UserError: a sampler of another method, more steps than were trained, or a start that the model lacks.
        """
        condition = self.condition(tokens, token_mask, durations, f0, language, speaker, curves)
        first = self._first(condition, frame_mask)
        if first is not None and self.config.leaky_padding:
            sung = torch.arange(f0.shape[1], device=f0.device) < durations.sum(1, keepdim=True)
            first = torch.where(sung[..., None], first, self.normalise(torch.zeros_like(first)))
        shape = (*f0.shape, self.config.mel.n_mels)
        noise = diffusion.draw(shape, generator, f0.device) if noise is None else noise

        call = denoise.settle(self.denoiser, condition, frame_mask, steps)
        mel = self.denormalise(sample(call, noise, later(self.config, start), steps, sampler, first))
        return mel if frame_mask is None else mel.masked_fill(~frame_mask[..., None], self.config.mel.silence)


def later(config: Config, start: float | None) -> Config:
    """The settings of a singer that begins at `start`, see `Model.sing`.

    Raises:
        UserError: no first mel to begin at, or a start before that of the training.
    """
    if start is None:
        return config
    if config.first is None:
        raise UserError("--start: this singer begins at noise, since it has no first mel; leave it out")
    steps = len(config.process.alphas())
    least = config.start if config.method == "flow" else 1 - config.depth / steps
    if not least <= start < 1:
        raise UserError(f"--start: this singer learned to go on from {least:g} or later, below 1; got {start:g}")
    if config.method == "flow":
        return replace(config, start=start)
    return replace(config, depth=max(1, round((1 - start) * steps)))


def sample(
    call: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    config: Any,
    steps: int,
    sampler: str | None,
    first: Tensor | None = None,
) -> Tensor:
    """What a denoiser makes of noise; or of `first` with noise, from `config.start` (flow) or `depth` (diffusion) on.

    Args:
        call: (x, time or step as the denoiser wants it) -> prediction.
        config: has `method` and `process`, and `start` and `depth` where there is a first.
        sampler: see `Model.sing`.

    Raises:
        UserError: a sampler of another method, or more steps than were trained.
    """
    if config.method == "flow":
        start = 0.0 if first is None else config.start
        x = noise if first is None else flow.blend(first, noise, start)
        solver: Any = sampler or "euler"
        return flow.integrate(lambda x, time: call(x, TIME_SCALE * time), x, flow.times(steps, start), solver)
    process, name = config.process, sampler or "ddim"
    if name not in diffusion.SAMPLERS:
        raise UserError(f"there is no sampler {name!r}{near(name, diffusion.SAMPLERS)}")
    upto = len(process.alphas()) if first is None else config.depth
    x = noise if first is None else process.blend(first, noise, upto - 1)
    if name in ("dpm_solver", "unipc"):
        walk = process.between(steps, upto)
    else:
        walk = process.every(steps, upto, leave_first=name != "ddpm")
    return diffusion.SAMPLERS[name](call, x, process, walk)


def _given(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise ValueError(f"this singer follows {name}: give it")
    return value


# ------------------------------------------------------------------------------------------------------------- training


class FirstLoss(nn.Module):
    """The mean absolute difference of the first mel from the recorded one, both normalised; 0 where there is none."""

    low: Tensor
    high: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(config.low), persistent=False)
        self.register_buffer("high", torch.tensor(config.high), persistent=False)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        if output.first is None:
            return output.prediction.new_zeros(())
        want = (batch["mel"] - self.low) / (self.high - self.low) * 2 - 1
        return masked_l1(output.first, want, batch["frame_mask"])


def follows(config: Config) -> tuple[str, ...]:
    """What a singer of these settings needs of a batch beside NEEDS."""
    return (*config.curves, *(("language",) if config.languages else ()))


TRAINING = flow.Config(start=0.4, weights={"first": 0.2})
LOSSES = {"first": FirstLoss}
NEEDS = ("tokens", "durations", "mel", "f0", "speaker")
GAPLESS = True  # F0 goes on where nothing is voiced
TOY = Config(
    symbols=12,
    speakers=3,
    languages=2,
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, scale="slaney", norm="slaney"),
    dim=8,
    layers=1,
    curves=("loudness", "tension"),
    process=Process(steps=20, first=1e-3, last=0.2),
    depth=10,
    first=First(channels=8, layers=1, kernel=3),
    denoiser=Denoiser(kind="lynxnet2", channels=8, layers=1, expansion=1, kernel=3),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 5 tokens and 20 frames with every curve that the singer follows."""
    tokens, frames = 5, 20
    shape = (batch, frames)
    fields = {
        "tokens": torch.randint(1, config.symbols, (batch, tokens), generator=generator),
        "token_mask": torch.ones(batch, tokens, dtype=torch.bool),
        "durations": torch.full((batch, tokens), frames // tokens),
        "frame_mask": torch.ones(shape, dtype=torch.bool),
        "f0": 200 + 200 * torch.rand(shape, generator=generator),
        "mel": torch.randn(*shape, config.mel.n_mels, generator=generator) - 5,
        "noisy": torch.randn(*shape, config.mel.n_mels, generator=generator),
        "time": torch.rand(batch, generator=generator),
    }
    if config.languages:
        fields["language"] = torch.randint(1, config.languages + 1, (batch, tokens), generator=generator)
    if config.speakers:
        fields["speaker"] = torch.randint(0, config.speakers, (batch,), generator=generator)
    return fields | {curve: torch.randn(shape, generator=generator) for curve in config.curves}


# ---------------------------------------------------------------------------------------------------- published weights

_SWITCHES = {"use_key_shift_embed": "key_shift", "use_speed_embed": "speed"}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """openvpi's acoustic model: the state dict of its checkpoint (with or without the prefix "model.") and config.yaml.

    Raises:
        UserError: a variant that is not known here, or keys or shapes that do not fit the configuration.
    """
    if config.get("use_mix_ln"):
        raise UserError(
            "this DiffSinger checkpoint has use_mix_ln: a normalisation that mixes singers is not known here"
        )
    bare = _openvpi.constants_aside(state)
    settings = _settings(bare, config)
    return adopt(
        Model(settings), _openvpi.acoustic_keys(bare, settings.method, settings.denoiser), "DiffSinger checkpoint"
    )


def _settings(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Config:
    speakers, languages = state.get("fs2.spk_embed.weight"), state.get("fs2.lang_embed.weight")
    curves = [ours for theirs, ours in _openvpi.CURVES.items() if config.get(f"use_{theirs}_embed")]
    curves += [ours for switch, ours in _SWITCHES.items() if config.get(switch)]
    shallow = config.get("shallow_diffusion_args", {}) if config.get("use_shallow_diffusion") else None
    mels = config.get("out_dims") or config["audio_num_mel_bins"]
    return Config(
        symbols=len(state["fs2.txt_embed.weight"]),
        languages=None if languages is None else len(languages) - 1,
        speakers=None if speakers is None else len(speakers),
        mel=_mel(config, mels),
        low=_span(config["spec_min"], mels),
        high=_span(config["spec_max"], mels),
        dim=config["hidden_size"],
        heads=config["num_heads"],
        layers=config["enc_layers"],
        kernel=config["enc_ffn_kernel_size"],
        activation=config.get("ffn_act", "gelu"),
        dropout=config.get("dropout", 0.1),
        positions=_openvpi.positions(config),
        scaled=bool(config.get("use_variance_scaling")),
        stretch=bool(config.get("use_stretch_embed")),
        curves=tuple(curves),  # type: ignore[arg-type]
        method="flow" if config.get("diffusion_type", "ddpm") == "reflow" else "diffusion",
        process=_openvpi.process(config),
        first=None if shallow is None else _first(shallow),
        start=config.get("T_start", 0.0),
        depth=config.get("K_step", config.get("timesteps", 1000)),
        leaky_padding=True,
        denoiser=_openvpi.denoiser(config["backbone_type"], config["backbone_args"]),
    )


def _mel(config: Mapping[str, Any], mels: int) -> MelConfig:
    known = Config().mel
    rate = config.get("audio_sample_rate", known.sample_rate)
    return MelConfig(
        sample_rate=rate,
        n_fft=config.get("fft_size", known.n_fft),
        hop=config.get("hop_size", known.hop),
        win=config.get("win_size", known.win),
        n_mels=mels,
        fmin=config.get("fmin", known.fmin),
        fmax=config.get("fmax", known.fmax),
        scale="slaney",
        norm="slaney",
        padding="same",
        log="log10" if str(config.get("mel_base", "e")) == "10" else "ln",
    )


def _span(values: list[float], mels: int) -> tuple[float, ...]:
    values = list(values)[:mels]
    return tuple(values) if len(values) == mels else (values[0],)


def _first(arguments: Mapping[str, Any]) -> First:
    sizes = arguments["aux_decoder_args"]
    return First(
        channels=sizes["num_channels"],
        layers=sizes["num_layers"],
        kernel=sizes["kernel_size"],
        gradient=arguments["aux_decoder_grad"],
    )
