"""One sound, and what metrics measure on it: each measurement is made once and kept.

    reference, generated = pair(reference, generated, sample_rate)     # the first line of a metric of pairs
    reference.f0().hz, generated.at(16000).samples, reference.mel(MelConfig(sample_rate=24000))

Everything is numpy. The frames of `f0` and `energy` lie on one grid, `PERIOD` apart, the first centred on
the first sample, whatever the sample rate; those of `stft` and `mel` as their arguments say.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal, TypeVar

import numpy as np

from aoide.audio import pitch
from aoide.audio.mel_config import MelConfig
from aoide.audio.resample import resample
from aoide.audio.spectrum import log_mel, magnitudes, window_of
from aoide.config import UserError

PERIOD = 0.01  # seconds from frame to frame of everything that is compared frame by frame
SILENCE = 2.0**-15  # full scale: a sound with no sample above one step of 16 bits is silent
TRACKER: pitch.Method = "swift"  # of F0: free, fast, and right in noise; see aoide.audio.pitch
FLOOR_HZ, CEILING_HZ = 50.0, 1100.0  # where F0 is looked for: speech and singing of all ages

_CHANNELS = 64  # a sound with more, and fewer samples than channels, has its axes the wrong way round

_Value = TypeVar("_Value")


class Analysis:
    """A sound and its measurements.

    Args:
        samples: (samples,) or (samples, channels), floats with full scale -1 to 1; channels are averaged.
        sample_rate: Hz.

    Attributes:
        samples: (samples,) float32, not to be written to.
        sample_rate: Hz.

    Raises:
        UserError: samples that are not floats, not finite, or of another shape.
    """

    def __init__(self, samples: np.ndarray, sample_rate: int) -> None:
        samples = np.asarray(samples)
        if samples.ndim not in (1, 2):
            raise UserError(f"a sound is (samples,) or (samples, channels), got shape {samples.shape}")
        if samples.ndim == 2 and samples.shape[1] > max(_CHANNELS, samples.shape[0]):
            raise UserError(f"{samples.shape[1]} channels of {samples.shape[0]} samples? channels are the last axis")
        if not np.issubdtype(samples.dtype, np.floating):
            raise UserError(f"samples are floats between -1 and 1, got {samples.dtype}: divide by the full scale first")
        if not np.isfinite(samples).all():
            raise UserError("the samples hold NaN or infinity")
        if sample_rate <= 0:
            raise UserError(f"the sample rate must be above 0, got {sample_rate}")
        mono = samples if samples.ndim == 1 else samples.mean(axis=1)
        self.samples = np.ascontiguousarray(mono, dtype=np.float32)
        self.sample_rate = int(sample_rate)
        self._kept: dict[Hashable, Any] = {}

    def __repr__(self) -> str:
        return f"Analysis({self.seconds:.2f} s, {self.sample_rate} Hz)"

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def silent(self) -> bool:
        """Nothing to hear: no samples, or none above one step of 16 bits."""
        return self.keep("silent", lambda: not bool((np.abs(self.samples) > SILENCE).any()))

    def keep(self, key: Hashable, make: Callable[[], _Value]) -> _Value:
        """The measurement known as `key`; `make` is called the first time only. Metrics keep their own here."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def at(self, sample_rate: int) -> Analysis:
        """The same sound at another rate."""
        if sample_rate == self.sample_rate:
            return self
        return self.keep(
            ("at", sample_rate),
            lambda: Analysis(resample(self.samples, self.sample_rate, sample_rate), sample_rate),
        )

    def lasting(self, samples: int) -> Analysis:
        """The same sound, `samples` long: cut, or continued with silence."""
        missing = samples - len(self.samples)
        if missing == 0:
            return self
        return self.keep(
            ("lasting", samples),
            lambda: Analysis(np.pad(self.samples[:samples], (0, max(0, missing))), self.sample_rate),
        )

    @property
    def frames(self) -> int:
        """How many frames the common grid has: one every `PERIOD`, from the first sample to the last."""
        return int(len(self.samples) / (self.sample_rate * PERIOD) + 1e-9) + 1 if len(self.samples) else 0

    def f0(
        self, tracker: pitch.Method = TRACKER, floor: float = FLOOR_HZ, ceiling: float = CEILING_HZ
    ) -> pitch.Contour:
        """F0 and periodicity on the common grid, see `aoide.audio.pitch.contour`."""
        return self.keep(
            ("f0", tracker, floor, ceiling),
            lambda: pitch.contour(self.samples, self.sample_rate, self.frames, PERIOD, tracker, floor, ceiling),
        )

    def stft(
        self,
        n_fft: int,
        hop: int,
        win: int | None = None,
        window: Literal["hann", "ones"] = "hann",
        ends: Literal["reflect", "constant"] = "reflect",
    ) -> np.ndarray:
        """Magnitudes (1 + samples // hop, n_fft // 2 + 1) float32 of centred frames.

        Args:
            n_fft, hop: samples of a transform, and from frame to frame.
            win: samples of the window, which stands in the middle of the transform; None: n_fft.
            window: Hann's (periodic), or none.
            ends: what lies around the sound: its mirror image (torch.stft), or silence (librosa.stft).
        """
        win = n_fft if win is None else win
        key = ("stft", n_fft, hop, win, window, ends)
        return self.keep(key, lambda: magnitudes(self.samples, n_fft, hop, window_of(window, win, n_fft), ends))

    def mel(self, config: MelConfig) -> np.ndarray:
        """Log-mel (samples // hop, mels) at config.sample_rate, as `aoide.audio.mel.MelSpectrogram` gives it."""
        return self.keep(("mel", config), lambda: log_mel(self.at(config.sample_rate).samples, config))

    def energy(self, seconds: float = 0.04, floor: float = -60.0) -> np.ndarray:
        """Level of each frame in dB on the common grid, (frames,) float64.

        The root mean square under a Hann window, 0 dB for a full-scale square wave.

        Args:
            seconds: length of the window.
            floor: dB, nothing is lower; digital silence is as loud as the noise of a quiet room.
        """
        return self.keep(("energy", seconds, floor), lambda: _level(self, seconds, floor))


def pair(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    rate: int | None = None,
) -> tuple[Analysis, Analysis]:
    """Two sounds at one rate: that of the slower one, or `rate`.

    Args:
        reference, generated: arrays at `sample_rate`, or analyses at rates of their own.
        sample_rate: Hz of the arrays; not needed for analyses.
        rate: Hz at which the metric wants both.

    Raises:
        UserError: an array without a rate, or samples that are no sound.
    """
    first, second = (analysis(sound, sample_rate) for sound in (reference, generated))
    wanted = min(first.sample_rate, second.sample_rate) if rate is None else rate
    return first.at(wanted), second.at(wanted)


def analysis(sound: np.ndarray | Analysis, sample_rate: int | None = None) -> Analysis:
    """The sound as an `Analysis`; one that is one already stays as it is."""
    if isinstance(sound, Analysis):
        return sound
    if sample_rate is None:
        raise UserError("an array needs its sample_rate in Hz")
    return Analysis(sound, sample_rate)


def _level(sound: Analysis, seconds: float, floor: float) -> np.ndarray:
    win = max(1, round(seconds * sound.sample_rate))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(win) + 0.5) / win)
    power = np.pad(sound.samples.astype(np.float64) ** 2, (win // 2, win))
    starts = np.rint(np.arange(sound.frames) * PERIOD * sound.sample_rate).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(power, win)
    blocks = [frames[starts[i : i + 512]] @ window for i in range(0, len(starts), 512)]
    mean = np.concatenate([np.zeros(0), *blocks]) / window.sum()
    return 10 * np.log10(np.maximum(mean, 10 ** (floor / 10)))
