"""The level of each frame in dB of full scale, (frames,): root mean square over the window of the mel, -100 at least.

Without a mel the window is four hops long.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.config import to_dict
from aoide.data import features
from aoide.data.sounds import Sounds

_FLOOR = -100.0  # dB


class Feature:
    """See `aoide.data.features.Feature`."""

    kind = "loudness"
    per: Literal["frame"] = "frame"
    dear = False
    fill = _FLOOR

    def __init__(self, settings: features.Settings) -> None:
        self._clock = settings.clock
        self._win = settings.mel.win if settings.mel is not None else 4 * settings.clock.hop
        self.key = {"version": 1, "clock": to_dict(settings.clock), "win": self._win}

    def compute(self, sounds: Sounds) -> list[np.ndarray]:
        return [self.levels(samples) for samples in sounds.samples]

    def levels(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) -> (frames,) dB."""
        hop, half = self._clock.hop, self._win // 2
        power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
        centres = np.arange(len(samples) // hop) * hop + round(self._clock.first_centre)
        left, right = np.maximum(centres - half, 0), np.minimum(centres + half, len(samples))
        mean = (power[right] - power[left]) / np.maximum(right - left, 1)
        return (10 * np.log10(np.maximum(mean, 10 ** (_FLOOR / 10)))).astype(np.float32)

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        return features.fit(entry, frames, self.fill)
