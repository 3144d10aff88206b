"""NSF-HiFiGAN, HiFi-GAN that is told the pitch: log-mel and F0 (batch, frames) -> waveform (batch, frames * hop).

Idea         A mel blurs what makes a sung note steady. So a source of sines that runs with F0 enters the upsampling
             network of HiFi-GAN, which then filters it, and the pitch can be moved apart from the mel. Two sources:

                 harmonics   F0 and eight overtones at random phases with a little noise, summed to one signal that each
                             stage hears at its own rate (neural source filter)
                 sine        one sine at the rate after the second stage, without noise; its phase glides between frames
                             in closed form ("mini NSF", of the pitch-controllable PC-NSF-HiFiGAN)

Objective    adversarial with a mel loss (aoide/objectives/gan.py)
Recipes      recipes/vocoder/nsf_hifigan-folder.yaml
Paper        Kong et al. 2020, arXiv:2010.05646 (HiFi-GAN); Wang et al. 2019, arXiv:1904.12088 (source and filter)
Code         github.com/openvpi/SingingVocoders; the network in github.com/openvpi/DiffSinger (Apache-2.0);
             github.com/open-mmlab/Amphion (MIT)
Checkpoints  github.com/openvpi/vocoders: nsf_hifigan_20221211, pc_nsf_hifigan_44.1k_hop512_128bin_2025.02 (weights
             CC BY-NC-SA); those of Amphion's recipe: both load with `from_official`
Parity       tests/parity/test_nsf_hifigan.py
Differs      each item of a batch has random phases of its own. In Amphion's code the source never reaches the sound:
             each stage adds its own signal once more instead. Such checkpoints load with source "none" and the factor 2
             in the weights; training their recipe here gives the network that was meant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder import Source, check_mel
from aoide.nn import sourcefilter, upsampler
from aoide.nn.discriminators import Period
from aoide.nn.official import adopt, amphion_mel, modern_weight_norm
from aoide.nn.stft_loss import MelLoss
from aoide.nn.upsampler import Upsampler
from aoide.objectives import Batch, gan

SINE_AFTER = 2  # stages before the one sine enters


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of openvpi's 44.1 kHz checkpoints."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=44_100, n_fft=2048, hop=512, win=2048, n_mels=128, fmin=40, fmax=16_000,
            scale="slaney", norm="slaney", padding="same",
        )
    )  # fmt: skip
    source: Literal["harmonics", "sine", "none"] = "harmonics"
    partials: int = 9  # F0 and its overtones, of the source "harmonics"
    noise: float = 0.0  # deviation of the noise that is added to the first hidden layer, also after training
    dim: int = 512  # channels before the first stage; each stage halves them
    rates: tuple[int, ...] = (8, 8, 2, 2, 2)  # how many times longer each stage makes the signal
    kernels: tuple[int, ...] = (16, 16, 4, 4, 4)  # of the transposed convolutions
    block: Literal["1", "2"] = "1"
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3

    def __post_init__(self) -> None:
        upsampler.check(self.dim, self.rates, self.kernels, self.block_kernels, self.dilations)
        if math.prod(self.rates) != self.mel.hop:
            raise ValueError(
                f"rates {self.rates} make {math.prod(self.rates)} samples of a frame, mel.hop is {self.mel.hop}"
            )
        if self.source == "sine" and len(self.rates) < SINE_AFTER:
            raise ValueError(f"the source sine enters after stage {SINE_AFTER}, but rates names {len(self.rates)}")
        if self.partials < 1 or self.noise < 0:
            raise ValueError(f"partials is 1 or more and noise 0 or more, got {self.partials} and {self.noise}")

    @property
    def source_hop(self) -> int:
        """Samples of the source a frame."""
        return {"harmonics": self.mel.hop, "sine": math.prod(self.rates[:SINE_AFTER]), "none": 0}[self.source]

    @property
    def source_rate(self) -> float:
        """Samples of the source a second."""
        return self.mel.frame_rate * self.source_hop

    @property
    def source_parts(self) -> tuple[int, int, int, int]:
        """Numbers a frame of what `Model.source` gives: phase and F0, offsets, noise of the source, hidden noise."""
        partials = self.partials if self.source == "harmonics" else 0
        return 2, partials, self.source_hop * partials, self.dim if self.noise else 0


class Model(nn.Module):
    """Log-mel and F0 -> waveform."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.upsampler = Upsampler(
            config.mel.n_mels, config.dim, config.rates, config.kernels, config.block_kernels, config.dilations,
            block=config.block,
        )  # fmt: skip
        widths = [config.dim // 2 ** (i + 1) for i in range(len(config.rates))]
        if config.source == "harmonics":
            self.merge = nn.Linear(config.partials, 1)
            later = [math.prod(config.rates[i + 1 :]) for i in range(len(widths))]  # samples of a step of each stage
            self.inject = nn.ModuleList(map(_injection, widths, later))
        elif config.source == "sine":
            self.inject = nn.ModuleList([_injection(widths[SINE_AFTER - 1], 1)])

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on, once the source is given."""
        return self.upsampler.reach

    @property
    def source_form(self) -> Source:
        """What `source` makes, for those who make it without torch."""
        _, partials, _, hidden = self.config.source_parts
        glide = self.config.source == "sine"
        return Source(kind="sines", hop=self.config.source_hop, partials=partials, hidden=hidden, glide=glide)

    def source(self, f0: Tensor, generator: torch.Generator | None = None, after: Tensor | None = None) -> Tensor:
        """What runs through the whole sound and must be made before it is cut: the phase, and all that is drawn.

        Args:
            f0: (batch, frames) Hz; 0 = unvoiced for "harmonics", while "sine" wants F0 to go on through pauses.
            generator: what to draw from, on the device of f0; None: torch's own.
            after: (batch, frames, numbers) the source of the frames before, where the sound goes on.

        Returns:
            (batch, frames, numbers), see `Config.source_parts`: the phase before the frame in cycles, its F0 in Hz, the
            offsets of the partials in cycles, noise sample by sample and partial by partial, noise of the hidden layer.
        """
        config = self.config
        _, partials, breath, hidden = config.source_parts
        last = None if after is None else after[:, -1]
        starts = sourcefilter.sine_starts(
            f0,
            config.source_hop,
            config.source_rate or 1.0,
            glide=config.source == "sine",
            after=None if last is None else last[:, :2],
        )
        if last is None:
            offsets = sourcefilter.drawn(torch.rand, (len(f0), partials), f0, generator)
            offsets = offsets * (torch.arange(partials, device=f0.device) > 0)  # F0 itself begins at 0
        else:
            offsets = last[:, 2 : 2 + partials]
        noise = sourcefilter.drawn(torch.randn, (*f0.shape, breath + hidden), f0, generator)
        return torch.cat([starts[..., None], f0[..., None], offsets[:, None].expand(-1, f0.shape[1], -1), noise], dim=2)

    def forward(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        frame_mask: Tensor | None = None,
        source: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """mel (batch, frames, mels) of `config.mel`, f0 (batch, frames) Hz -> waveform (batch, frames * hop).

        Args:
            frame_mask: (batch, frames), True = real.
            source: of the method `source`, cut like the mel; it takes the place of f0. None: made here of f0.
            generator: for `source`.

        Raises:
            UserError: a mel of another number of bands, no F0, or one of another length.
        """
        check_mel(mel, self.config.mel)
        if source is None:
            if f0 is None or f0.shape != mel.shape[:2]:
                given = "nothing" if f0 is None else str(tuple(f0.shape))
                raise UserError(
                    f"this vocoder reads F0 as well: {tuple(mel.shape[:2])} of it for this mel, not {given}"
                )
            source = self.source(f0, generator)
        signal, noise = self.excitation(source, frame_mask)
        trace.report("nsf_hifigan/source", signal)
        sources: list[Tensor | None] = [None] * len(self.config.rates)
        if self.config.source == "harmonics":
            sources = [layer(signal[:, None]).mT for layer in self.inject]
        elif self.config.source == "sine":
            sources[SINE_AFTER - 1] = self.inject[0](signal[:, None]).mT
        return torch.tanh(self.upsampler(mel, frame_mask, condition=noise, sources=sources)[..., 0].float())

    def excitation(self, source: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What enters the network.

        Args:
            source: (batch, frames, numbers) of the method `source`.

        Returns:
            The signal (batch, frames * config.source_hop), and the noise of the hidden layer (batch, frames, dim).
        """
        config = self.config
        state, offsets, breath, hidden = source.split(config.source_parts, dim=2)
        glide = config.source == "sine"
        starts, f0 = state.unbind(2)
        phase = sourcefilter.sine_phase(
            f0, config.source_hop, config.source_rate or 1.0, starts, glide=glide, mask=frame_mask
        )
        if config.source == "harmonics":
            sines = sourcefilter.partials(phase, offsets[:, :, None])
            noisy = sourcefilter.breathing(sines, f0, breath.view_as(sines))
            signal = torch.tanh(self.merge(noisy))[..., 0]
        else:
            signal = torch.sin(2 * math.pi * phase)
        if frame_mask is not None:  # beyond its end an item has no source, as beyond the end of a lone one
            signal = signal.masked_fill(~frame_mask[..., None], 0.0)
        return signal.flatten(1), config.noise * hidden if config.noise else None


def _injection(channels: int, step: int) -> nn.Conv1d:
    """Hears the source every `step` samples by twice as many: (batch, 1, time) -> (batch, channels, time / step)."""
    if step == 1:
        return nn.Conv1d(1, channels, 1)
    return nn.Conv1d(1, channels, 2 * step, step, padding=(step + 1) // 2)


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound, over all frequencies."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        return self.distance(output, batch["audio"])


TRAINING = gan.Config(
    critics=("period", "scale"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 45.0},
    feature=2.0,
    period=Period(first_map=True),
)
LOSSES = {"mel": MelDistance}
NEEDS = ("mel", "f0", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    partials=3,
    dim=16,
    rates=(4, 2, 2),
    kernels=(8, 4, 4),
    block_kernels=(3, 5),
    dilations=((1, 2), (1,)),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels, F0, sources and sounds of 80 frames; a third of the frames has no voice."""
    frames = 80
    f0 = 100 + 300 * torch.rand(batch, frames, 1, generator=generator)
    f0 = f0.masked_fill(torch.rand(batch, frames, 1, generator=generator) < 0.3, 0.0)
    drawn = [torch.randn(batch, frames, size, generator=generator) for size in (1, *config.source_parts[1:])]
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 3,
        "f0": f0[..., 0],
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "source": torch.cat([drawn[0], f0, *drawn[1:]], dim=2),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: the generator's state dict with the original keys, with or without the prefix `generator.`.
        config: openvpi's config.json, or Amphion's args.json with the sections `preprocess` and `model`.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    plain = {key.removeprefix("generator."): value for key, value in state.items()}
    if "model" in config:
        own = _amphion(config)
        unheard = ("noise_convs.", "m_source.")
        heard = {key: value for key, value in plain.items() if not key.startswith(unheard)}
        # x + x after each upsampling is twice its weights: of a normalised one twice the length, weight_g.
        doubled = tuple(f"ups.{i}.{part}" for i in range(len(own.rates)) for part in ("weight_g", "bias"))
        plain = {key: 2 * value if key in doubled else value for key, value in heard.items()}
    else:
        own = _openvpi(config)
    words = {"m_source.l_linear": "merge", "noise_convs": "inject", "source_conv": "inject.0"}
    renamed = upsampler.rename_official(plain, len(own.block_kernels), "upsampler.")
    for theirs, ours in words.items():
        renamed = {ours + key.removeprefix(theirs) if key.startswith(theirs) else key: renamed[key] for key in renamed}
    return adopt(Model(own), modern_weight_norm(renamed), "NSF-HiFiGAN checkpoint")


def _openvpi(config: Mapping[str, Any]) -> Config:
    """openvpi's config.json; what it leaves out is as in their 44.1 kHz checkpoints."""
    rate = config["sampling_rate"]
    n_fft = config.get("n_fft", 2048)
    mel = MelConfig(
        sample_rate=rate,
        n_fft=n_fft,
        hop=config.get("hop_size", math.prod(config["upsample_rates"])),
        win=config.get("win_size", n_fft),
        n_mels=config["num_mels"],
        fmin=config.get("fmin", 40),
        fmax=config.get("fmax", 16_000) or rate / 2,
        scale="slaney",
        norm="slaney",
        padding="same",
    )
    source: Literal["harmonics", "sine"] = "sine" if config.get("mini_nsf") else "harmonics"
    return Config(mel=mel, source=source, noise=config.get("noise_sigma") or 0.0, **_sizes(config))


def _amphion(config: Mapping[str, Any]) -> Config:
    """Amphion's args.json."""
    sizes = config["model"]["nsfhifigan"]
    preprocess = {"hop_size": math.prod(sizes["upsample_rates"]), **config["preprocess"]}
    return Config(mel=amphion_mel(preprocess), source="none", partials=sizes["harmonic_num"] + 1, **_sizes(sizes))


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the upsampling network, which both name as HiFi-GAN does."""
    return {
        "dim": config["upsample_initial_channel"],
        "rates": tuple(config["upsample_rates"]),
        "kernels": tuple(config["upsample_kernel_sizes"]),
        "block": str(config["resblock"]),
        "block_kernels": tuple(config["resblock_kernel_sizes"]),
        "dilations": tuple(map(tuple, config["resblock_dilation_sizes"])),
    }
