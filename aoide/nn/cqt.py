"""The constant-Q transform: a spectrum whose bins are equally spaced in pitch, a fixed number an octave.

The top octave is heard by a few complex kernels; every octave below by the same kernels, after the sound was brought to
half its rate once more (Schoerkhuber and Klapuri 2010, "Constant-Q transform toolbox for music processing").

Source of the numbers: the constant-Q transform that the MS-SB-CQT critic was published with (Gu et al. 2024,
arXiv:2311.14957), CQT2010v2 of nnAudio 0.3 with zeros beyond the ends, on sound at twice its rate as torchaudio makes
it. That transform lowers the rate first where even the top octave lies far below it; ours never does.
Parity: tests/parity/test_discriminators.py.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError

LOWEST = 32.70  # Hz, the note C1, on which the bins of the published critics begin
TAPS = 256  # of the filter that keeps what lies below half the band


class ConstantQ(nn.Module):
    """Sound to complex constant-Q spectra, in float32 whatever the autocast around it says.

    Args:
        sample_rate: Hz, of the sound.
        hop: samples from frame to frame; frame k is centred on sample k * hop. It is a multiple of 2^(octaves - 1).
        octaves: how many, from `lowest` up.
        bins: bins an octave.
        lowest: Hz, of the lowest bin.

    Raises:
        UserError: a hop that cannot be halved so often, or bins above half the sample rate.
    """

    kernels: Tensor
    lowpass: Tensor
    gains: Tensor

    def __init__(self, sample_rate: int, hop: int, octaves: int, bins: int, lowest: float = LOWEST) -> None:
        super().__init__()
        highest = lowest * 2 ** (octaves - 1 / bins)
        if highest > sample_rate / 2:
            raise UserError(f"{octaves} octaves reach up to {highest:.0f} Hz, above half the rate {sample_rate}")
        if hop < 1 or hop % 2 ** (octaves - 1):
            raise UserError(f"a hop of {hop} cannot be halved {octaves - 1} times: take a multiple of it")
        self.hop, self.octaves = hop, octaves
        q = 1 / (2 ** (1 / bins) - 1)  # centre frequency over bandwidth, the same for all bins
        top = lowest * 2 ** (octaves - 1) * 2 ** (np.arange(bins) / bins)
        everywhere = lowest * 2 ** (np.arange(octaves * bins) / bins)
        # Longer kernels have the same area, so that without this a lower bin would hear noise softer than a high one.
        gains = np.sqrt(np.ceil(q * sample_rate / everywhere))
        for name, values in (
            ("kernels", _kernels(top, q, sample_rate)),
            ("lowpass", _lowpass()),
            ("gains", gains),
        ):
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """audio (batch, samples) -> (batch, 2, frames, octaves * bins), real and imaginary, low bins first.

        There are samples // hop + 1 frames.

        Raises:
            UserError: sound too short to be halved so often.
        """
        if audio.shape[1] < 2**self.octaves:
            raise UserError(
                f"{self.octaves} octaves need {2**self.octaves} samples, and the sound has {audio.shape[1]}"
            )
        with torch.autocast(audio.device.type, enabled=False):
            return self._spectra(audio.float())

    def _spectra(self, audio: Tensor) -> Tensor:
        octaves = [self._octave(audio, self.hop)]
        for halvings in range(1, self.octaves):
            audio = self._halved(audio)
            octaves.append(self._octave(audio, self.hop >> halvings))
        return torch.cat(octaves[::-1], dim=-1) * self.gains

    def _halved(self, audio: Tensor) -> Tensor:
        """(batch, samples) at half the rate, without what is above half the band: (batch, samples // 2)."""
        return functional.conv1d(audio[:, None], self.lowpass[None, None], stride=2, padding=TAPS // 2 - 1)[:, 0]

    def _octave(self, audio: Tensor, hop: int) -> Tensor:
        """The highest octave of sound at one of the rates: (batch, samples) -> (batch, 2, frames, bins)."""
        size = self.kernels.shape[1]
        frames = functional.pad(audio, (size // 2, size // 2)).unfold(-1, size, hop)
        return (frames @ self.kernels.mT).unflatten(-1, (2, -1)).transpose(1, 2)


class Doubler(nn.Module):
    """Sound at twice its rate, by a windowed sinc of six zero crossings to each side that ends at 99 % of the band."""

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        crossings, rolloff = 6, 0.99
        reach = math.ceil(crossings / rolloff)  # samples to each side
        time = (np.arange(-reach, reach + 1) - np.array([[0.0], [0.5]])) * rolloff  # of the even and the odd samples
        window = np.cos(np.clip(time, -crossings, crossings) * np.pi / crossings / 2) ** 2
        kernels = np.sinc(np.clip(time, -crossings, crossings)) * window * rolloff
        self.reach = reach
        self.register_buffer("kernels", torch.from_numpy(kernels.astype(np.float32))[:, None], persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """audio (batch, samples) -> (batch, 2 * samples), every other sample near the one it comes from."""
        with torch.autocast(audio.device.type, enabled=False):
            twins = functional.conv1d(audio.float()[:, None], self.kernels, padding=self.reach)
        return twins.mT.flatten(1)


def _kernels(frequencies: np.ndarray, q: float, sample_rate: int) -> np.ndarray:
    """Hann-windowed tones of q periods, centred: (2 * bins, samples), real parts, then imaginary parts."""
    lengths = np.ceil(q * sample_rate / frequencies).astype(int)
    size = 2 ** math.ceil(math.log2(lengths.max()))
    tones = np.zeros((len(frequencies), size), np.complex128)
    for tone, frequency, length in zip(tones, frequencies, lengths, strict=True):
        n = np.arange(length)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * n / length)
        # An odd kernel begins one sample early, and its phase is 0 where an even one's is: at the middle of the frame.
        time = n - (length + 1) // 2
        wave = window * np.exp(-2j * np.pi * frequency / sample_rate * time)
        start = size // 2 - (length + 1) // 2
        tone[start : start + length] = wave / window.sum()
    return np.concatenate([tones.real, tones.imag])


def _lowpass() -> np.ndarray:
    """A filter that keeps the lower half of the band, by sampling its response (as scipy.signal.firwin2): (TAPS,)."""
    edge, width = 0.5, 0.001  # of the band; the response falls between edge / (1 + width) and edge * (1 + width)
    grid = np.linspace(0, 1, TAPS + 1)
    response = np.interp(grid, [0, edge / (1 + width), edge * (1 + width), 1], [1.0, 1.0, 0.0, 0.0])
    delayed = response * np.exp(-0.5j * np.pi * (TAPS - 1) * grid)
    return np.fft.irfft(delayed)[:TAPS] * np.hamming(TAPS)
