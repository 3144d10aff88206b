"""What a mel spectrogram is: one frozen description for cache, model, loss, metric and plot, and its filters in numpy.

The transform itself is torch and stands in `aoide.audio.mel`, which hands on the names of this module; this one loads
numpy alone, so that a recipe or a voice can be read where torch is not installed.

Where the published systems stand (all checked in tests/parity/test_features.py):

    ==============================  =====  ======  ==========  =======  =======  ======
    system                          scale  norm    padding     eps      floor    log
    ==============================  =====  ======  ==========  =======  =======  ======
    Vocos                           htk    none    center      0        1e-7     ln
    F5-TTS (Vocos mel)              htk    none    center      0        1e-5     ln
    HiFi-GAN, BigVGAN, Amphion      slaney slaney  same        1e-9     1e-5     ln
    VITS, Amphion's losses          slaney slaney  same        1e-6     1e-5     ln
    FastSpeech 2, JETS (Tacotron)   slaney slaney  center      0        1e-5     ln
    openvpi DiffSinger              slaney slaney  same        0        1e-5     ln
    ==============================  =====  ======  ==========  =======  =======  ======
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class MelConfig:
    """One mel spectrogram. Equal ones give the same numbers; a vocoder refuses one that is not its own."""

    sample_rate: int = 24000  # Hz
    n_fft: int = 1024  # samples that one transform sees; the window is centred in them
    hop: int = 256  # samples from frame to frame
    win: int = 1024  # samples of the periodic Hann window
    n_mels: int = 100  # bands
    fmin: float = 0.0  # Hz, lower edge of the lowest band
    fmax: float = 12000.0  # Hz, upper edge of the highest band
    scale: Literal["htk", "slaney"] = "htk"  # Hz -> mel: one logarithm, or linear below 1 kHz
    norm: Literal["slaney"] | None = None  # slaney: each band has the same area, so wide ones are lower
    power: float = 1.0  # of the magnitude before the filters: 1 magnitude, 2 power
    floor: float = 1e-5  # smallest value that goes into the logarithm
    eps: float = 0.0  # added to re^2 + im^2 under the square root
    padding: Literal["center", "same"] = "center"  # where frame k is centred: sample k * hop, or (k + 1/2) * hop
    log: Literal["ln", "log10"] = "ln"

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.hop, self.win, self.n_mels) < 1:
            raise ValueError("sample_rate, hop, win and n_mels must be at least 1")
        if not self.hop <= self.win <= self.n_fft:
            raise ValueError(f"hop {self.hop} <= win {self.win} <= n_fft {self.n_fft} does not hold")
        if not 0 <= self.fmin < self.fmax:
            raise ValueError(f"fmin {self.fmin} must be at least 0 and below fmax {self.fmax}")
        if self.fmax > self.sample_rate / 2:
            raise ValueError(f"fmax {self.fmax} is above half the sample rate {self.sample_rate}")
        if self.floor <= 0 or self.eps < 0 or self.power <= 0:
            raise ValueError("floor and power must be above 0, eps at least 0")

    @property
    def bins(self) -> int:
        """Frequencies of the transform, from 0 to half the sample rate."""
        return self.n_fft // 2 + 1

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def first_centre(self) -> float:
        """The sample on which frame 0 is centred; frame k is centred `k * hop` later."""
        return 0.0 if self.padding == "center" else self.hop / 2

    @property
    def silence(self) -> float:
        """The value of every band in digital silence."""
        return float(np.log(self.floor) if self.log == "ln" else np.log10(self.floor))


# Slaney's scale (Auditory Toolbox, 1998): linear below 1 kHz with 3 mels in 200 Hz, logarithmic above with 27 in a
# factor of 6.4.
_SLANEY_HZ_PER_MEL = 200.0 / 3
_SLANEY_KNEE_HZ = 1000.0
_SLANEY_KNEE_MEL = _SLANEY_KNEE_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: np.ndarray | float, scale: Literal["htk", "slaney"]) -> np.ndarray:
    """Frequencies in Hz on a mel scale, same shape."""
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    above = _SLANEY_KNEE_MEL + np.log(np.maximum(hz, _SLANEY_KNEE_HZ) / _SLANEY_KNEE_HZ) / _SLANEY_LOG_STEP
    return np.where(hz < _SLANEY_KNEE_HZ, hz / _SLANEY_HZ_PER_MEL, above)


def mel_to_hz(mel: np.ndarray | float, scale: Literal["htk", "slaney"]) -> np.ndarray:
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = _SLANEY_KNEE_HZ * np.exp(_SLANEY_LOG_STEP * (np.maximum(mel, _SLANEY_KNEE_MEL) - _SLANEY_KNEE_MEL))
    return np.where(mel < _SLANEY_KNEE_MEL, mel * _SLANEY_HZ_PER_MEL, above)


@cache
def filterbank(config: MelConfig) -> np.ndarray:
    """The triangles that sum a spectrum into mel bands: (mels, bins) float32, read-only.

    Band m rises from edge m to edge m + 1 and falls to edge m + 2, where the edges lie at equal steps of the mel
    scale from fmin to fmax; equal to librosa.filters.mel and torchaudio.functional.melscale_fbanks.
    """
    low, high = hz_to_mel(config.fmin, config.scale), hz_to_mel(config.fmax, config.scale)
    edges = mel_to_hz(np.linspace(low, high, config.n_mels + 2), config.scale)  # Hz
    bins = np.linspace(0.0, config.sample_rate / 2, config.bins)  # Hz
    width = np.diff(edges)
    distance = edges[:, None] - bins[None, :]
    rising = -distance[:-2] / width[:-1, None]
    falling = distance[2:] / width[1:, None]
    bands = np.maximum(0.0, np.minimum(rising, falling))
    if config.norm == "slaney":
        bands *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    bands = bands.astype(np.float32)
    bands.flags.writeable = False  # it is shared by all who ask for this config
    return bands
