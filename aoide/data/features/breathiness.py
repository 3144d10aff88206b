"""How much of a voice is breath: the level in dB of what is left without its harmonics, (frames,), -100 at least.

As openvpi's DiffSinger has it: WORLD takes the sound apart (spectral envelope, aperiodicity), what is aperiodic and
what is harmonic are made sound again, each for itself, and their levels are measured like `loudness`. Tension is how
much more there is than the fundamental: the logit of sqrt(1 - (fundamental / harmonics)^2), in amplitudes, between -9.2
and 9.2.

Its entry, (frames, 3), holds breathiness, voicing and tension: they come from one look at the sound.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.config import require, to_dict
from aoide.data import features
from aoide.data.features import loudness
from aoide.data.sounds import Sounds

_FLOOR = -100.0  # dB
_EDGE = 1e-4  # of the ratio, before the logit
_HALF = 3.5  # bins to both sides that belong to the fundamental
_NUTTALL = (0.355768, -0.487396, 0.144232, -0.012604)


class Feature:
    """See `aoide.data.features.Feature`."""

    kind = "decomposed"
    per: Literal["frame"] = "frame"
    dear = True
    fill = _FLOOR
    column = 0

    def __init__(self, settings: features.Settings) -> None:
        self._clock, self._pitch = settings.clock, settings.pitch
        self._levels = loudness.Feature(settings)
        self._win = settings.mel.win if settings.mel is not None else 4 * settings.clock.hop
        self.key = {
            "version": 1,
            "pitch": to_dict(settings.pitch),
            "clock": to_dict(settings.clock),
            "win": self._win,
        }

    def compute(self, sounds: Sounds) -> list[np.ndarray]:
        contours = sounds.contours(self._pitch, self._clock)
        return [self._apart(x, contour[:, 0]) for x, contour in zip(sounds.samples, contours, strict=True)]

    def _apart(self, samples: np.ndarray, f0: np.ndarray) -> np.ndarray:
        if not len(f0):
            return np.zeros((0, 3), np.float32)
        harmonic, breath = decompose(samples, f0, self._clock.sample_rate, self._clock.hop)
        first = self._fundamental(harmonic, f0)
        voicing, breathiness, alone = (self._levels.levels(x) for x in (harmonic, breath, first))
        whole, base = 10 ** (voicing / 20), 10 ** (alone / 20)
        ratio = np.sqrt(np.maximum(whole**2 - base**2, 0)) / (whole + 1e-5)
        ratio = np.clip(ratio, _EDGE, 1 - _EDGE)
        return np.stack([breathiness, voicing, np.log(ratio / (1 - ratio))], axis=1).astype(np.float32)

    def _fundamental(self, harmonic: np.ndarray, f0: np.ndarray) -> np.ndarray:
        """The first harmonic alone: bins around F0 of a transform whose window has hardly any side lobes."""
        import torch

        turn = torch.arange(self._win) / self._win * 2 * torch.pi
        window = torch.stack([weight * (k * turn).cos() for k, weight in enumerate(_NUTTALL)]).sum(0)
        hop = self._clock.hop
        if len(harmonic) <= self._win // 2:
            return np.zeros_like(harmonic)
        spectrum = torch.stft(torch.from_numpy(harmonic), self._win, hop, window=window, return_complex=True)
        centre = (
            torch.from_numpy(features.fit(_level(f0), spectrum.shape[1], f0[-1])) * self._win / self._clock.sample_rate
        )
        bins = torch.arange(spectrum.shape[0])[:, None]
        near = (centre >= 1) & (bins >= centre - _HALF) & (bins < centre + _HALF)
        kept = torch.istft(spectrum * near, self._win, hop, window=window, length=len(harmonic))
        return kept.numpy()

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        return features.fit(entry[:, self.column], frames, self.fill)


def decompose(samples: np.ndarray, f0: np.ndarray, sample_rate: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """The harmonic and the aperiodic part of a voice, each (samples,) float32, by WORLD.

    Args:
        samples: (samples,). f0: (frames,) Hz, 0 = unvoiced, one each hop.
    """
    world = require("pyworld", "data")
    x = samples.astype(np.float64) + 1e-5 * np.random.default_rng(0).standard_normal(len(samples))  # D4C fears silence
    hz = f0.astype(np.float64)
    times = np.arange(len(hz)) * hop / sample_rate
    power = world.cheaptrick(x, hz, times, sample_rate)
    share = np.square(world.d4c(x, hz, times, sample_rate))
    period = 1000 * hop / sample_rate
    harmonic = world.synthesize(hz, np.maximum(power * (1 - share), 1e-16), np.zeros_like(share), sample_rate, period)
    breath = world.synthesize(hz, np.maximum(power * share, 1e-16), np.ones_like(share), sample_rate, period)
    return tuple(features.fit(part.astype(np.float32), len(samples)) for part in (harmonic, breath))  # type: ignore[return-value]


def _level(f0: np.ndarray) -> np.ndarray:
    """F0 with what is unvoiced drawn through."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return np.zeros(len(f0), np.float32)
    return np.interp(np.arange(len(f0)), voiced, f0[voiced]).astype(np.float32)
