"""The fundamental frequency in Hz, (frames,), 0 = unvoiced, by the tracker of `data.pitch`.

Its entry, (frames, 2), holds the periodicity too: both come from one look at the sound.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.config import to_dict
from aoide.data import features
from aoide.data.sounds import Sounds


class Feature:
    """See `aoide.data.features.Feature`."""

    kind = "pitch"
    per: Literal["frame"] = "frame"
    dear = True
    fill = 0.0
    column = 0

    def __init__(self, settings: features.Settings) -> None:
        self._pitch, self._clock = settings.pitch, settings.clock
        version = 2 if self._pitch.method == "autocorrelation" else 1  # 2: of the thinned sound
        self.key = {"version": version, "pitch": to_dict(settings.pitch), "clock": to_dict(settings.clock)}

    def compute(self, sounds: Sounds) -> list[np.ndarray]:
        return sounds.contours(self._pitch, self._clock)

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        return features.fit(entry[:, self.column], frames)
