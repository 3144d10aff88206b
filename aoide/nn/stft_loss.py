"""Distances between two waveforms, measured on their spectra at one or several resolutions.

Each is a module called with (generated, real), both (batch, samples) of equal length, and gives a scalar.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.audio.stft import magnitude, stft


class STFTLoss(nn.Module):
    """Spectral convergence plus L1 of the log magnitude at one resolution (Yamamoto et al. 2020, arXiv:1910.11480).

    Args:
        n_fft, hop, win: Fourier size, hop and window, in samples.
        floor: smallest magnitude that is told from silence.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop: int, win: int, floor: float = 1e-5) -> None:
        super().__init__()
        self.n_fft, self.hop, self.floor = n_fft, hop, floor
        self.register_buffer("window", torch.hann_window(win), persistent=False)

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Both (batch, samples) -> scalar."""
        fake, true = self._magnitude(generated), self._magnitude(real)
        convergence = torch.linalg.vector_norm(true - fake) / torch.linalg.vector_norm(true)
        return convergence + (true.log() - fake.log()).abs().mean()

    def _magnitude(self, audio: Tensor) -> Tensor:
        """(batch, samples) -> (batch, frames, bins), nowhere below the floor."""
        return magnitude(stft(audio, self.n_fft, self.hop, self.window)).clamp(min=self.floor)


class MultiResolutionSTFTLoss(nn.Module):
    """The mean of `STFTLoss` over resolutions (n_fft, hop, win), in samples; by default those of Parallel WaveGAN."""

    def __init__(
        self, resolutions: Sequence[tuple[int, int, int]] = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(STFTLoss(*resolution) for resolution in resolutions)

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Both (batch, samples) -> scalar."""
        return torch.stack([part(generated, real) for part in self.parts]).mean()


class MelLoss(nn.Module):
    """L1 between the log-mels of `config`, the reconstruction loss of HiFi-GAN and Vocos.

    With "center" padding it also compares the frame centred on the end of the sound, which a model's input leaves out.
    """

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.mel = MelSpectrogram(config)

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Both (batch, samples) -> scalar."""
        config = self.mel.config
        frames = real.shape[1] // config.hop + (config.padding == "center")
        return (self.mel(generated, frames=frames) - self.mel(real, frames=frames)).abs().mean()


class MultiScaleMelLoss(nn.Module):
    """The sum over window lengths of the L1 between log-mels in decades, the reconstruction loss of DAC and BigVGAN v2.

    Source: Kumar et al. 2023, arXiv:2306.06546, section 3.4; each window hops by a quarter and hears all frequencies,
    and one decade is 20 dB. Parity: tests/parity/test_discriminators.py.

    Args:
        sample_rate: Hz.
        n_mels: mel bands for each window.
        windows: window lengths in samples.
    """

    def __init__(
        self,
        sample_rate: int,
        n_mels: Sequence[int] = (5, 10, 20, 40, 80, 160, 320),
        windows: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
    ) -> None:
        super().__init__()
        scales = zip(windows, n_mels, strict=True)
        self.parts = nn.ModuleList(MelLoss(_scale(sample_rate, window, mels)) for window, mels in scales)

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Both (batch, samples) -> scalar."""
        return torch.stack([part(generated, real) for part in self.parts]).sum()


def _scale(sample_rate: int, window: int, mels: int) -> MelConfig:
    """One scale of the multi-scale loss."""
    return MelConfig(
        sample_rate=sample_rate,
        n_fft=window,
        win=window,
        hop=window // 4,
        n_mels=mels,
        fmin=0.0,
        fmax=sample_rate / 2,
        scale="slaney",
        norm="slaney",
        log="log10",
    )
