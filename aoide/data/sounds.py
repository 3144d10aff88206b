"""The sounds of some clips, and what several features share of them: other rates, spectra, pitch contours."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from aoide.audio import autocorrelation, pitch
from aoide.audio.pitch import PitchConfig
from aoide.audio.resample import resample
from aoide.audio.stft import stft

if TYPE_CHECKING:
    from aoide.audio.mel import MelSpectrogram

_TOGETHER = {"cpu": 2**16, "cuda": 2**24}  # samples transformed at a time: the cache of a processor, memory of a GPU
_ALIKE = 1.3  # the longest to the shortest: what is padded is worked for in vain
_TRACKED = 2**22  # samples whose pitch is found at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """How time is counted: samples per second, and samples per frame."""

    sample_rate: int
    hop: int
    first_centre: float = 0.0  # the sample on which frame 0 is centred

    @property
    def frame_rate(self) -> float:
        return self.sample_rate / self.hop


class Sounds:
    """Mono sounds at one rate.

    Args:
        samples: (samples,) float32 each.
        sample_rate: Hz.
        device: where networks and transforms compute.
    """

    def __init__(self, samples: Sequence[np.ndarray], sample_rate: int, device: str = "cpu") -> None:
        self.samples, self.sample_rate, self.device = list(samples), sample_rate, device
        self._shared: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What several features share, made by the first that asks."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def at(self, sample_rate: int) -> list[np.ndarray]:
        """The sounds at another rate."""
        if sample_rate == self.sample_rate:
            return self.samples
        return self.once(sample_rate, lambda: [resample(x, self.sample_rate, sample_rate) for x in self.samples])

    def spectra(self, mel: MelSpectrogram) -> list[Tensor]:
        """Linear magnitudes (frames, bins) of each, on the device."""
        return self.once(("spectra", mel.config), lambda: self._spectra(mel))

    def _spectra(self, mel: MelSpectrogram) -> list[Tensor]:
        spectra: list[Tensor] = []
        with torch.inference_mode():
            for part in self._parts(_TOGETHER[self.device.partition(":")[0]]):
                lengths = torch.tensor([len(x) for x in part], device=self.device)
                c = mel.config
                heard = self._padded(part)
                complex_ = stft(heard, c.n_fft, c.hop, mel.window, c.padding, lengths if len(part) > 1 else None)
                # what `mel.magnitude` gives; without gradients three times as fast as the modulus of torch
                whole = complex_.real.square().add_(complex_.imag.square()).add_(c.eps).sqrt_()
                frames = (lengths // c.hop).tolist()
                spectra += [spectrum[:count] for spectrum, count in zip(whole, frames, strict=True)]
        return spectra

    def contours(self, config: PitchConfig, clock: Clock) -> list[np.ndarray]:
        """F0 in Hz and periodicity of each, (frames, 2); periodicity is NaN with trackers that have none."""
        return self.once(("contours", config, clock), lambda: self._contours(config, clock))

    def _contours(self, config: PitchConfig, clock: Clock) -> list[np.ndarray]:
        skip = round(clock.first_centre)  # a tracker's first frame is centred on the first sample that it gets
        frames = [len(x) // clock.hop for x in self.samples]
        period = clock.hop / clock.sample_rate
        if config.method != "autocorrelation":
            found = []
            for samples, count in zip(self.samples, frames, strict=True):
                contour = pitch.contour(
                    samples[skip:], self.sample_rate, count, period, config.method, config.floor, config.ceiling
                )
                sure = np.full(count, np.nan, np.float32) if contour.periodicity is None else contour.periodicity
                found.append(np.stack([contour.hz, sure], axis=1))
            return found
        rows: list[np.ndarray] = []
        for part in self._parts(_TRACKED, alike=math.inf):  # the tracker works for nothing that is padded
            count = max(len(x) for x in part) // clock.hop
            heard = [torch.from_numpy(np.ascontiguousarray(x[skip:], np.float32)).to(self.device) for x in part]
            hz, sure = autocorrelation.track(heard, self.sample_rate, count, period, config.floor, config.ceiling)
            rows += list(np.stack([hz, sure], axis=2))
        return [row[:count] for row, count in zip(rows, frames, strict=True)]

    def _parts(self, bound: int, alike: float = _ALIKE) -> Iterator[list[np.ndarray]]:
        """Neighbours of like length whose padded length is at most `bound` samples; one sound at least."""
        part: list[np.ndarray] = []
        shortest = longest = 0
        for samples in self.samples:
            shortest, longest = min(shortest, len(samples)), max(longest, len(samples))
            if part and (longest * (len(part) + 1) > bound or longest > alike * shortest):
                yield part
                part = []
            if not part:
                shortest = longest = len(samples)
            part.append(samples)
        if part:
            yield part

    def _padded(self, part: Sequence[np.ndarray]) -> Tensor:
        """(sounds, longest), filled up with silence."""
        padded = np.zeros((len(part), max(len(x) for x in part)), np.float32)
        for row, samples in zip(padded, part, strict=True):
            row[: len(samples)] = samples
        return torch.from_numpy(padded).to(self.device)
