"""HiFT-Net: log-mel (batch, frames, mels) -> waveform (batch, samples), sines of its own F0 filtered into a spectrum.

Idea         Convolutions raise the mel from frames to a small spectrum of nine bins, 120 times a frame, and an inverse
             STFT makes the last factor of four. A sum of sines that follows F0 is taken apart by the same STFT and
             joins at every stage, so pitch need not be invented, only coloured. F0 is found in the mel itself.
Objective    GAN (aoide/objectives/gan.py) on waveforms; mel distance, L1 of F0 in Hz
Recipes      recipes/vocoder/hift-folder.yaml
Paper        Li et al. 2023, arXiv:2309.09493; the inverse STFT Kaneko et al. 2022, arXiv:2203.02395
Code         github.com/FunAudioLLM/CosyVoice, cosyvoice/hifigan (Apache-2.0)
Checkpoints  FunAudioLLM/CosyVoice2-0.5B, hift.pt (Hugging Face): load with `from_official`
Parity       tests/parity/test_recorded.py, from mel and source on, and of F0 and the sines
Differs      the phase is summed in float64; padding is silent to its neighbours. The published training adds a
             discriminator of several resolutions and the truncated pointwise loss; here the critics are HiFi-GAN's.

What chance there is, the noise beside the sines, is part of `source`; see aoide/models/vocoder/__init__.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder import check_mel
from aoide.nn import sourcefilter, upsampler
from aoide.nn.istft import InverseSTFT
from aoide.nn.official import adopt, modern_weight_norm
from aoide.nn.snake import Snake
from aoide.nn.stft_loss import MelLoss
from aoide.nn.upsampler import LAST_SLOPE, SLOPE, Convolution, ResidualBlock1, Transposed, convolution, normalised
from aoide.objectives import Batch, gan, regression

VOICED_ABOVE = 10.0  # Hz; F0 below it means unvoiced
LOUDEST = 0.99  # of full scale
HIGHEST = 100.0  # magnitude
PITCH_LAYERS = 5  # of the network that finds F0
STATE = 3  # numbers of the source a frame besides its noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of CosyVoice 2 (20.8 M parameters)."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=24_000, n_fft=1920, hop=480, win=1920, n_mels=80, fmax=8_000,
            scale="slaney", norm="slaney", eps=1e-9, padding="same",
        )
    )  # fmt: skip
    partials: int = 9  # F0 and its overtones
    dim: int = 512  # channels before the first stage; each stage halves them
    rates: tuple[int, ...] = (8, 5, 3)  # how many times longer each stage makes the signal
    kernels: tuple[int, ...] = (16, 11, 7)  # of the transposed convolutions
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
    source_kernels: tuple[int, ...] = (7, 7, 11)  # of the block that hears the source, one a stage
    source_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
    n_fft: int = 16  # of the inverse STFT, and of that of the source
    stft_hop: int = 4
    pitch_dim: int = 512  # channels of the network that finds F0

    def __post_init__(self) -> None:
        upsampler.check(self.dim, self.rates, self.kernels, self.block_kernels, self.dilations)
        if math.prod(self.rates) * self.stft_hop != self.mel.hop:
            raise ValueError(
                f"rates {self.rates} and stft_hop {self.stft_hop} make {math.prod(self.rates) * self.stft_hop} samples "
                f"of a frame, mel.hop is {self.mel.hop}"
            )
        if not len(self.source_kernels) == len(self.source_dilations) == len(self.rates):
            raise ValueError("each stage has one of source_kernels and of source_dilations")
        if self.partials < 1:
            raise ValueError(f"partials is 1 or more, got {self.partials}")

    @property
    def steps(self) -> list[int]:
        """How many columns of the source's spectrum are one sample of each stage."""
        return [math.prod(self.rates[i + 1 :]) for i in range(len(self.rates))]


class Output(NamedTuple):
    audio: Tensor  # (batch, samples)
    heard_f0: Tensor  # (batch, frames) Hz, found in the mel


class Stage(nn.Module):
    """Makes the signal longer, adds what it hears of the source, and takes the mean of residual blocks."""

    def __init__(self, config: Config, number: int) -> None:
        super().__init__()
        dim, step = config.dim // 2 ** (number + 1), config.steps[number]
        self.up = normalised(Transposed(2 * dim, dim, config.kernels[number], config.rates[number]))
        bins = config.n_fft + 2
        self.hear = nn.Conv1d(bins, dim, 1) if step == 1 else nn.Conv1d(bins, dim, 2 * step, step, padding=step // 2)
        self.heard = ResidualBlock1(dim, config.source_kernels[number], config.source_dilations[number], Snake)
        self.blocks = nn.ModuleList(
            ResidualBlock1(dim, kernel, spread, Snake)
            for kernel, spread in zip(config.block_kernels, config.dilations, strict=True)
        )
        self.last = number + 1 == len(config.rates)

    def forward(self, x: Tensor, spectrum: Tensor, mask: Tensor | None) -> Tensor:
        """x (batch, channels, time), spectrum (batch, bins, columns), mask (batch, 1, longer time)."""
        x = self.up(functional.leaky_relu(x, SLOPE))
        if self.last:  # the spectrum has one column more than the signal has hops
            x = torch.cat([x[..., 1:2], x], dim=2)
        heard = upsampler.masked(self.hear(spectrum), mask)
        x = upsampler.masked(x + self.heard(heard, mask), mask)
        return torch.stack([block(x, mask) for block in self.blocks]).mean(0)


class Pitch(nn.Module):
    """F0 of a mel: (batch, mels, frames) -> (batch, frames) Hz."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [config.mel.n_mels, *[config.pitch_dim] * PITCH_LAYERS]
        self.layers = nn.ModuleList(convolution(a, b, 3) for a, b in zip(sizes, sizes[1:], strict=False))
        self.out = nn.Linear(config.pitch_dim, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for layer in self.layers:
            x = functional.elu(layer(x, mask))
        return self.out(x.mT)[..., 0].abs()


class Model(nn.Module):
    """Log-mel -> waveform."""

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.pitch = Pitch(config)
        self.merge = nn.Linear(config.partials, 1)
        self.first = convolution(config.mel.n_mels, config.dim, upsampler.ENDS)
        self.stages = nn.ModuleList(Stage(config, number) for number in range(len(config.rates)))
        self.out: Convolution = convolution(config.dim // 2 ** len(config.rates), config.n_fft + 2, upsampler.ENDS)
        self.istft = InverseSTFT(config.n_fft, config.stft_hop)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on, once the source is given."""
        config, rate, frames = self.config, 1, float(upsampler.ENDS // 2)
        for stage in self.stages:
            assert isinstance(stage, Stage)
            frames += stage.up.kernel_size[0] / stage.up.stride[0] / rate
            rate *= stage.up.stride[0]
            heard = stage.heard.reach + 2
            frames += (max(cast("int", block.reach) for block in stage.blocks) + heard) / rate
        ends = upsampler.ENDS // 2 + 2 * config.n_fft // config.stft_hop + 1
        return math.ceil(frames + ends / rate) + 1

    # ---------------------------------------------------------------------------------------------------------- source

    def f0(self, mel: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """The F0 that the model hears: mel (batch, frames, mels) -> (batch, frames) Hz; below 10 = unvoiced."""
        check_mel(mel, self.config.mel)
        x = mel.mT if frame_mask is None else mel.mT.masked_fill(~frame_mask[:, None], 0.0)
        return self.pitch(x, None if frame_mask is None else frame_mask[:, None])

    def source(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        frame_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        after: Tensor | None = None,
    ) -> Tensor:
        """What runs through the whole sound and must be made before it is cut: the phase, and the noise.

        The phase passes in straight lines from the middle of a frame to that of the next, at the pace of the later one,
        and stands still before the first and after the last middle.

        Args:
            mel: (batch, frames, mels).
            f0: (batch, frames) Hz, 0 = unvoiced; None: as the model hears it.
            frame_mask: (batch, frames), True = real.
            generator: what to draw from, on the device of the mel; None: torch's own.
            after: (batch, frames, numbers) the source of the frames before, where the sound goes on.

        Returns:
            (batch, frames, 3 + hop * partials): the phase in the middle of the frame in cycles, how far it has moved
            from the middle before, F0 in Hz, and noise.
        """
        config = self.config
        f0 = (self.f0(mel, frame_mask) if f0 is None else f0).detach()
        moves = f0.double() * (config.mel.hop / config.mel.sample_rate)
        start = 0.0 if after is None else after[:, -1:, 0].double()
        phase = start + moves.cumsum(1)
        going = moves.clone()
        if after is None:
            going[:, 0] = 0.0
        state = torch.stack([phase - phase.round(), going], dim=2).to(mel.dtype)
        shape = (*f0.shape, config.mel.hop * config.partials)
        noise = sourcefilter.drawn(torch.randn, shape, mel, generator)
        return torch.cat([state, f0[..., None].to(mel.dtype), noise], dim=2)

    def excitation(self, source: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """(batch, frames, numbers) of `source` -> what enters the network: (batch, frames * hop)."""
        hop = self.config.mel.hop
        phase, going, f0 = (x[..., None] for x in source[..., :STATE].unbind(2))
        coming = functional.pad(going[:, 1:], (0, 0, 0, 1))
        if frame_mask is not None:  # nothing comes after the end of an item
            coming = coming.masked_fill(~functional.pad(frame_mask[:, 1:], (0, 1))[..., None], 0.0)
        place = (torch.arange(hop, device=source.device, dtype=source.dtype) + 0.5) / hop - 0.5
        cycles = phase + torch.where(place < 0, place * going, place * coming)
        offsets = torch.zeros(1, self.config.partials, device=source.device, dtype=source.dtype)
        sines = sourcefilter.partials(cycles - cycles.round(), offsets)
        voiced = f0[..., 0].masked_fill(f0[..., 0] <= VOICED_ABOVE, 0.0)
        noisy = sourcefilter.breathing(sines, voiced, source[..., STATE:].view_as(sines))
        signal = torch.tanh(self.merge(noisy))[..., 0]
        if frame_mask is not None:
            signal = signal.masked_fill(~frame_mask[..., None], 0.0)
        return signal.flatten(1)

    # ----------------------------------------------------------------------------------------------------------- sound

    def forward(
        self,
        mel: Tensor,
        frame_mask: Tensor | None = None,
        source: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Output:
        """mel (batch, frames, mels) of `config.mel` -> waveform (batch, frames * hop), and the F0 that was heard.

        Args:
            frame_mask: (batch, frames), True = real.
            source: of the method `source`, cut like the mel.
            generator: for `source`.

        Raises:
            UserError: a mel of another number of bands.
        """
        f0 = self.f0(mel, frame_mask)
        if source is None:
            source = self.source(mel, f0, frame_mask, generator)
        return Output(self._sound(mel, source, frame_mask), f0)

    def vocode(
        self,
        mel: Tensor,
        frame_mask: Tensor | None = None,
        *,
        source: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The sound alone: mel (batch, frames, mels) -> waveform (batch, frames * hop); arguments as in `forward`."""
        if source is None:
            source = self.source(mel, None, frame_mask, generator)
        return self._sound(mel, source, frame_mask)

    def _sound(self, mel: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        with torch.autocast(mel.device.type, enabled=False):
            signal = self.excitation(source.float(), mask)
        trace.report("hift/source", signal)
        return self.filtered(mel, signal, mask)

    def filtered(self, mel: Tensor, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels) and source signal (batch, frames * hop) -> waveform (batch, frames * hop)."""
        config = self.config
        lengths = None if mask is None else mask.sum(1)
        spectrum = self._spectrum(signal.float(), lengths)
        now = None if mask is None else mask[:, None]
        x = self.first(mel.mT if now is None else mel.mT.masked_fill(~now, 0.0), now)
        for number, stage in enumerate(self.stages):
            if now is not None:
                now = now.repeat_interleave(config.rates[number], dim=2)
                if number + 1 == len(self.stages):
                    now = functional.pad(now, (1, 0), value=True)
            x = stage(x, spectrum, now)
        with torch.autocast(mel.device.type, enabled=False):
            x = self.out(functional.leaky_relu(x.float(), LAST_SLOPE), now).mT
            magnitude, phase = x.split(config.n_fft // 2 + 1, dim=2)
            spectra = torch.polar(magnitude.exp().clamp(max=HIGHEST), torch.sin(phase))
            sound = self.istft(spectra, None if now is None else now[:, 0])[:, : signal.shape[1]]
        sound = sound.clamp(-LOUDEST, LOUDEST)
        return sound if mask is None else sound.masked_fill(~mask.repeat_interleave(config.mel.hop, dim=1), 0.0)

    def _spectrum(self, signal: Tensor, lengths: Tensor | None) -> Tensor:
        """Real and imaginary parts of the source's STFT, mirrored at the ends of each item: (batch, n_fft + 2, samples
        / stft_hop + 1)."""
        n_fft, hop = self.config.n_fft, self.config.stft_hop
        size = torch.full_like(signal[:, :1], signal.shape[1], dtype=torch.long)
        size = size if lengths is None else lengths[:, None] * self.config.mel.hop
        place = (
            torch.arange(-(n_fft // 2), signal.shape[1] + n_fft // 2, device=signal.device).abs().expand(len(size), -1)
        )
        place = torch.where(place >= size, 2 * (size - 1) - place, place).clamp(min=0)
        frames = signal.gather(1, place).unfold(1, n_fft, hop) * self.window
        found = torch.fft.rfft(frames)
        if lengths is not None:
            columns = torch.arange(found.shape[1], device=signal.device)
            found = found.masked_fill((columns > size // hop)[..., None], 0.0)
        return torch.cat([found.real, found.imag], dim=2).mT


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound, over all frequencies."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"][:, : output.audio.shape[1]])


def f0_distance(output: Output, batch: Batch) -> Tensor:
    """L1 of F0 in Hz; where there is no voice it is 0."""
    mask = batch.get("frame_mask")
    real = torch.ones_like(batch["f0"], dtype=torch.bool) if mask is None else mask
    return regression.masked_l1(output.heard_f0, batch["f0"], real)


TRAINING = gan.Config(
    critics=("period", "scale"), loss="least_squares", reduction="sum", weights={"mel": 45.0, "f0": 1.0}, feature=2.0
)
LOSSES = {"mel": MelDistance, "f0": f0_distance}
NEEDS = ("mel", "f0", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    partials=3,
    dim=16,
    rates=(4, 2),
    kernels=(8, 4),
    block_kernels=(3, 5),
    dilations=((1, 2), (1,)),
    source_kernels=(3, 5),
    source_dilations=((1, 2), (1,)),
    n_fft=8,
    stft_hop=2,
    pitch_dim=8,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels, F0, sources and sounds of 80 frames; a third of the frames has no voice."""
    frames = 80
    f0 = 100 + 300 * torch.rand(batch, frames, 1, generator=generator)
    f0 = f0.masked_fill(torch.rand(batch, frames, 1, generator=generator) < 0.3, 0.0)
    state = 0.1 * torch.randn(batch, frames, 2, generator=generator)
    noise = torch.randn(batch, frames, config.mel.hop * config.partials, generator=generator)
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 3,
        "f0": f0[..., 0],
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "source": torch.cat([state, f0, noise], dim=2),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints

OFFICIAL_FILES = ("hift.pt",)  # of CosyVoice2-0.5B; cosyvoice2.yaml beside it is in a language of its own


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """CosyVoice 2's vocoder: the state dict of hift.pt; its sizes are in it, but for the rates and the STFT's hop.

    Args:
        config: may hold `upsample_rates`, `hop_len` and `sampling_rate`, and dilations as the original names them,
            where they are not as published.

    Raises:
        UserError: weights of something else.
    """
    plain = modern_weight_norm({key.removeprefix("generator."): value for key, value in state.items()})
    try:
        own = _sizes(plain, config)
    except KeyError as error:
        raise UserError(f"not the weights of CosyVoice's vocoder: they lack {error}") from None
    renamed = {_renamed(key, len(own.block_kernels)): value for key, value in plain.items()}
    for key in [key for key in renamed if key.endswith(".alpha")]:
        renamed[key] = renamed[key].flatten()
    return adopt(Model(own), renamed, "checkpoint of CosyVoice's vocoder")


_WEIGHT = ".parametrizations.weight.original1"


def _sizes(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Config:
    usual = Config()
    stages = len({key.split(".")[1] for key in state if key.startswith("ups.")})
    blocks = len({key.split(".")[1] for key in state if key.startswith("resblocks.")}) // max(stages, 1)
    rates = tuple(config.get("upsample_rates", usual.rates))
    hop = int(config.get("hop_len", usual.stft_hop))
    first, last = state[f"conv_pre{_WEIGHT}"], state[f"conv_post{_WEIGHT}"]
    rate = int(config.get("sampling_rate", usual.mel.sample_rate))
    size = math.prod(rates) * hop
    mels = first.shape[1]
    mel = usual.mel
    if (mels, size, rate) != (mel.n_mels, mel.hop, mel.sample_rate):
        mel = MelConfig(
            sample_rate=rate, n_fft=4 * size, hop=size, win=4 * size, n_mels=mels, fmax=rate / 3,
            scale="slaney", norm="slaney", eps=1e-9, padding="same",
        )  # fmt: skip
    dilations = config.get("resblock_dilation_sizes", ((1, 3, 5),) * blocks)
    source_dilations = config.get("source_resblock_dilation_sizes", ((1, 3, 5),) * stages)
    return Config(
        mel=mel,
        partials=state["m_source.l_linear.weight"].shape[1],
        dim=len(first),
        rates=rates,
        kernels=tuple(state[f"ups.{i}{_WEIGHT}"].shape[2] for i in range(stages)),
        block_kernels=tuple(state[f"resblocks.{i}.convs1.0{_WEIGHT}"].shape[2] for i in range(blocks)),
        dilations=tuple(map(tuple, dilations)),
        source_kernels=tuple(state[f"source_resblocks.{i}.convs1.0{_WEIGHT}"].shape[2] for i in range(stages)),
        source_dilations=tuple(map(tuple, source_dilations)),
        n_fft=len(last) - 2,
        stft_hop=hop,
        pitch_dim=len(state[f"f0_predictor.condnet.0{_WEIGHT}"]),
    )


def _renamed(key: str, blocks: int) -> str:
    head, _, rest = key.partition(".")
    if head in ("ups", "source_downs", "source_resblocks", "resblocks"):
        number, _, rest = rest.partition(".")
        place = {"ups": "up", "source_downs": "hear", "source_resblocks": "heard"}.get(head)
        stage = int(number)
        if place is None:
            stage, place = int(number) // blocks, f"blocks.{int(number) % blocks}"
        return f"stages.{stage}.{place}.{_inside(rest)}"
    if head == "f0_predictor":
        group, _, rest = rest.partition(".")
        if group == "classifier":
            return f"pitch.out.{rest}"
        number, _, rest = rest.partition(".")
        return f"pitch.layers.{int(number) // 2}.{rest}"
    heads = {"conv_pre": "first", "conv_post": "out"}
    return f"{heads[head]}.{rest}" if head in heads else key.replace("m_source.l_linear", "merge")


def _inside(rest: str) -> str:
    """convs1.0.x, convs2.0.x, activations1.0.alpha, activations2.0.alpha of a block, or what a convolution has."""
    parts = rest.split(".")
    names = {"convs1": "wide", "convs2": "plain"}
    if parts[0] in names:
        return f"{names[parts[0]]}.{parts[1]}.{'.'.join(parts[2:])}"
    if parts[0].startswith("activations"):
        return f"activations.{2 * int(parts[1]) + (parts[0] == 'activations2')}.alpha"
    return rest
