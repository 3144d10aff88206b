"""APNet, amplitude and phase predicted apart: log-mel (batch, frames, mels) -> waveform (batch, samples), frames * hop.

Idea         Stay at the frame rate, as Vocos does, but give amplitude and phase a network each. The phase network ends
             in two layers that stand for real and imaginary part up to a common factor, so that atan2 of them is a
             phase without a jump where it wraps. Amplitude, phase and their agreement are trained against the recorded
             spectrum directly, beside the critics.
Objective    adversarial (aoide/objectives/gan.py) with losses on log amplitude, phase, consistency and mel
Recipes      recipes/vocoder/apnet-folder.yaml
Paper        Ai and Ling 2023, arXiv:2305.07952; the anti-wrapped phase losses Du et al. 2023 (APNet2), arXiv:2311.11545
Code         github.com/YangAi520/APNet (MIT); github.com/open-mmlab/Amphion (MIT), whose form this is
Checkpoints  none published by Amphion; those of its recipe load with `from_official`
Parity       tests/parity/test_apnet.py
Differs      `forward` gives the spectrum that training looks at beside the sound; the sound alone is `vocode`. The
             critics of the recipe are period and resolution, as in the paper, of any set that gan.Config knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.audio.stft import stft
from aoide.models.vocoder import check_mel
from aoide.nn.discriminators import Period
from aoide.nn.istft import InverseSTFT
from aoide.nn.official import adopt, amphion_mel, modern_weight_norm
from aoide.nn.stft_loss import MelLoss
from aoide.nn.upsampler import ResidualBlock1, convolution, masked
from aoide.objectives import Batch, gan

SILENT = 1e-5  # added to an amplitude before its logarithm
TURN = 2 * torch.pi


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictor:
    """Sizes of one of the two networks."""

    dim: int = 512
    kernels: tuple[int, ...] = (3, 7, 11)  # of the residual blocks that stand side by side, in frames; odd
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3  # of the units of each block
    first: int = 7  # kernel of the layer before the blocks
    last: tuple[int, ...] = (7,)  # kernels of the layers after them, one an output

    def __post_init__(self) -> None:
        if not self.kernels or len(self.kernels) != len(self.dilations):
            raise ValueError(f"each of the kernels {self.kernels} needs its dilations, got {self.dilations}")
        if any(kernel % 2 == 0 for kernel in (*self.kernels, self.first, *self.last)):
            raise ValueError(f"kernels are odd, got {self.kernels}, first {self.first}, last {self.last}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of APNet; the defaults are those of Amphion's recipe (72.3 M parameters)."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(scale="slaney", norm="slaney", eps=1e-9, floor=1e-5, padding="same")
    )
    amplitude: Predictor = field(default_factory=Predictor)
    phase: Predictor = field(default_factory=lambda: Predictor(last=(7, 7)))

    def __post_init__(self) -> None:
        if (len(self.amplitude.last), len(self.phase.last)) != (1, 2):
            raise ValueError(
                "amplitude.last is one kernel and phase.last two (real, imaginary part), got "
                f"{self.amplitude.last} and {self.phase.last}"
            )
        if self.mel.win != self.mel.n_fft:
            raise ValueError(f"mel.win must be mel.n_fft, got {self.mel.win} and {self.mel.n_fft}")


class Output(NamedTuple):
    """The sound and the spectrum that it was made of."""

    audio: Tensor  # (batch, frames * hop)
    log_amplitude: Tensor  # (batch, frames, bins)
    phase: Tensor  # (batch, frames, bins), radians, -pi to pi


# -------------------------------------------------------------------------------------------------------------- network


class Network(nn.Module):
    """HiFi-GAN's residual blocks at the frame rate side by side, their mean, and one layer an output.

    (batch, frames, mels) -> for each output (batch, frames, bins); between the layers channels come first.
    """

    def __init__(self, sizes: Predictor, mels: int, bins: int) -> None:
        super().__init__()
        self.first = convolution(mels, sizes.dim, sizes.first)
        shapes = zip(sizes.kernels, sizes.dilations, strict=True)
        blocks = [ResidualBlock1(sizes.dim, kernel, dilations) for kernel, dilations in shapes]
        self.blocks = nn.ModuleList(blocks)
        last = [convolution(sizes.dim, bins, kernel) for kernel in sizes.last]
        self.last = nn.ModuleList(last)
        with torch.no_grad():
            for layer in last:
                layer.weight = nn.init.normal_(torch.empty(layer.weight.shape), std=0.01)
        self.reach = sizes.first // 2 + max(block.reach for block in blocks) + max(sizes.last) // 2

    def forward(self, mel: Tensor, mask: Tensor | None) -> list[Tensor]:
        here = None if mask is None else mask[:, None]
        x = mel.mT if here is None else mel.mT.masked_fill(~here, 0.0)
        x = masked(self.first(x), here)
        x = sum(block(x, here) for block in self.blocks) / len(self.blocks)
        x = functional.leaky_relu(x, 0.01)
        with torch.autocast(x.device.type, enabled=False):  # what becomes sound is computed in float32
            return [layer(x.float()).mT for layer in self.last]


class Model(nn.Module):
    """Log-mel -> amplitude and phase spectrum -> waveform."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mel = config.mel
        self.amplitude = Network(config.amplitude, mel.n_mels, mel.bins)
        self.phase = Network(config.phase, mel.n_mels, mel.bins)
        self.istft = InverseSTFT(mel.n_fft, mel.hop, mel.padding)

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on; see `aoide.models.vocoder.Vocoder`."""
        mel = self.config.mel
        return max(self.amplitude.reach, self.phase.reach) + -(-mel.n_fft // mel.hop // 2) + 1

    def forward(self, mel: Tensor, frame_mask: Tensor | None = None) -> Output:
        """mel (batch, frames, mels) of `config.mel`, frame_mask (batch, frames) -> sound and spectrum.

        Raises:
            UserError: a mel of another number of bands.
        """
        log_amplitude, phase = self.log_spectrum(mel, frame_mask)
        trace.report("apnet/log_amplitude", log_amplitude)
        trace.report("apnet/phase", phase)
        return Output(self.istft(torch.polar(log_amplitude.exp(), phase), frame_mask), log_amplitude, phase)

    def vocode(
        self, mel: Tensor, frame_mask: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """The sound alone: mel (batch, frames, mels) -> waveform (batch, frames * hop). Nothing is drawn."""
        return self(mel, frame_mask).audio

    def spectrum(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mel (batch, frames, mels) -> magnitude, and phase in radians, both (batch, frames, bins), for export."""
        log_amplitude, phase = self.log_spectrum(mel, frame_mask)
        return log_amplitude.exp(), phase

    def log_spectrum(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mel (batch, frames, mels) -> log amplitude, and phase in radians, both (batch, frames, bins)."""
        check_mel(mel, self.config.mel)
        (log_amplitude,) = self.amplitude(mel, frame_mask)
        real, imaginary = self.phase(mel, frame_mask)
        return log_amplitude, torch.atan2(imaginary, real)


# ------------------------------------------------------------------------------------------------------------- training


def amplitude_distance(predicted: Tensor, recorded: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference of log amplitudes, both (batch, frames, bins); mask (batch, frames)."""
    return _mean((predicted - recorded).square(), mask)


def cosine_phase_distance(predicted: Tensor, recorded: Tensor, mask: Tensor | None = None) -> Tensor:
    """-cos of the phase error, of its slope along bins and of its slope along frames, summed: -3 where all are right.

    The slopes (group delay, phase time difference) say how neighbours stand to each other, which is what is heard.
    Arguments as in `amplitude_distance`; phases in radians, wrapped or not.
    """
    return torch.stack([_mean(-error.cos(), mask) for error in _phase_errors(predicted, recorded)]).sum()


def wrapped_phase_distance(predicted: Tensor, recorded: Tensor, mask: Tensor | None = None) -> Tensor:
    """The same three errors, each as the distance to the nearest whole turn in radians, as APNet2 trains."""
    errors = _phase_errors(predicted, recorded)
    return torch.stack([_mean((error - TURN * (error / TURN).round()).abs(), mask) for error in errors]).sum()


def _phase_errors(predicted: Tensor, recorded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The phase error and its differences along bins and along frames, where what lies before the first one is 0."""
    error = predicted - recorded
    along_bins = error.diff(dim=2, prepend=torch.zeros_like(error[:, :, :1]))
    along_frames = error.diff(dim=1, prepend=torch.zeros_like(error[:, :1]))
    return error, along_bins, along_frames


def consistency_distance(predicted: Tensor, again: Tensor, recorded: Tensor, mask: Tensor | None = None) -> Tensor:
    """How far a spectrum is from being one of a sound, and from the recorded one; all complex (batch, frames, bins).

    Args:
        predicted: amplitude and phase as the networks give them.
        again: the spectrum of the waveform made of it; it differs where neighbouring frames contradict each other.
        recorded: that of the recorded sound.
    """
    apart = torch.view_as_real(predicted - again).square().sum(-1)
    missed = torch.view_as_real(predicted - recorded).abs().sum(-1)
    return _mean(apart, mask) + 2.25 * _mean(missed, mask)


def _mean(error: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over real frames: error (batch, frames, bins), mask (batch, frames)."""
    if mask is None:
        return error.mean()
    return (error.mean(-1) * mask).sum() / mask.sum().clamp(min=1)


class _Spectral(nn.Module):
    """What a loss on spectra needs: that of a sound, on the clock of the model's mel."""

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config.mel
        self.register_buffer("window", torch.hann_window(config.mel.win), persistent=False)

    def spectrum(self, audio: Tensor) -> Tensor:
        """audio (batch, samples) -> complex (batch, frames, bins)."""
        with torch.autocast(audio.device.type, enabled=False):
            return stft(audio.float(), self.config.n_fft, self.config.hop, self.window, self.config.padding)


class Amplitude(_Spectral):
    """Squared error of the log amplitude."""

    def forward(self, output: Output, batch: Batch) -> Tensor:
        recorded = (self.spectrum(batch["audio"]).abs() + SILENT).log()
        return amplitude_distance(output.log_amplitude, recorded, batch.get("frame_mask"))


class Phase(_Spectral):
    """Phase errors by their cosine, as in APNet."""

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return cosine_phase_distance(output.phase, self.spectrum(batch["audio"]).angle(), batch.get("frame_mask"))


class WrappedPhase(_Spectral):
    """Phase errors as angles, as in APNet2."""

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return wrapped_phase_distance(output.phase, self.spectrum(batch["audio"]).angle(), batch.get("frame_mask"))


class Consistency(_Spectral):
    """Agreement of neighbouring frames, and of real and imaginary parts with the recorded ones."""

    def forward(self, output: Output, batch: Batch) -> Tensor:
        predicted = torch.polar(output.log_amplitude.exp(), output.phase)
        again, recorded = self.spectrum(output.audio), self.spectrum(batch["audio"])
        return consistency_distance(predicted, again, recorded, batch.get("frame_mask"))


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"])


TRAINING = gan.Config(
    critics=("period", "resolution"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 45.0, "amplitude": 45.0, "phase": 100.0, "consistency": 20.0},
    feature=2.0,
    period=Period(first_map=True),
)
LOSSES = {
    "mel": MelDistance,
    "amplitude": Amplitude,
    "phase": Phase,
    "wrapped_phase": WrappedPhase,
    "consistency": Consistency,
}
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000, padding="same"),
    amplitude=Predictor(dim=8, kernels=(3, 5), dilations=((1, 2), (1,)), first=3, last=(3,)),
    phase=Predictor(dim=8, kernels=(3,), dilations=((1, 2),), first=3, last=(3, 5)),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels and sounds of 80 frames."""
    frames = 80
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator) - 3,
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "audio": 0.1 * torch.randn(batch, frames * config.mel.hop, generator=generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a checkpoint of Amphion.

    Args:
        state: the generator's state dict with the original keys, with or without the prefix `generator.`.
        config: its configuration (args.json), with the sections `preprocess` and `model`.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    sizes = config["model"]["apnet"]
    model = Model(
        Config(
            mel=amphion_mel(config["preprocess"]),
            amplitude=_official_sizes(sizes, "ASP", ("output",)),
            phase=_official_sizes(sizes, "PSP", ("output_R", "output_I")),
        )
    )
    words = {
        "ASP_input_conv": "amplitude.first",
        "ASP_ResNet": "amplitude.blocks",
        "ASP_output_conv": "amplitude.last.0",
        "PSP_input_conv": "phase.first",
        "PSP_ResNet": "phase.blocks",
        "PSP_output_R_conv": "phase.last.0",
        "PSP_output_I_conv": "phase.last.1",
        "convs1": "wide",
        "convs2": "plain",
    }
    plain = {key.removeprefix("generator."): value for key, value in state.items()}
    renamed = {".".join(words.get(word, word) for word in key.split(".")): value for key, value in plain.items()}
    return adopt(model, modern_weight_norm(renamed), "APNet checkpoint")


def _official_sizes(sizes: Mapping[str, Any], part: str, outputs: tuple[str, ...]) -> Predictor:
    """The settings of one network; `part` is their prefix, ASP or PSP."""
    return Predictor(
        dim=sizes[f"{part}_channel"],
        kernels=tuple(sizes[f"{part}_resblock_kernel_sizes"]),
        dilations=tuple(map(tuple, sizes[f"{part}_resblock_dilation_sizes"])),
        first=sizes[f"{part}_input_conv_kernel_size"],
        last=tuple(sizes[f"{part}_{output}_conv_kernel_size"] for output in outputs),
    )
