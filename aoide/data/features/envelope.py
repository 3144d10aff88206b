"""The spectral envelope, (frames, bands), natural log of its amplitude at points of a warped scale (audio/world.py).

Its entry holds the aperiodicity too, the natural log of the share of noise in the amplitude at points of the same
scale: both come from one look at the sound. WORLD looks for F0 itself, between `data.pitch.floor` and `ceiling`; with
`data.pitch.method: dio` the F0 of the batch is the same.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.audio import world
from aoide.config import UserError, to_dict
from aoide.data import features
from aoide.data.sounds import Sounds


class Feature:
    """See `aoide.data.features.Feature`."""

    kind = "world"
    per: Literal["frame"] = "frame"
    dear = True
    fill = -13.8  # -120 dB

    def __init__(self, settings: features.Settings) -> None:
        self._clock, self._pitch = settings.clock, settings.pitch
        self.bands = settings.bands or (0, 0)  # where the corpus gives both, nothing is computed
        self.key = {
            "version": 1,
            "range": [self._pitch.floor, self._pitch.ceiling],
            "clock": to_dict(settings.clock),
            "bands": list(self.bands),
        }

    def compute(self, sounds: Sounds) -> list[np.ndarray]:
        if not any(self.bands):
            raise UserError("envelope and aperiodicity are of a model with bands, and of data.kind: singing")
        return [self._analysed(samples) for samples in sounds.samples]

    def _analysed(self, samples: np.ndarray) -> np.ndarray:
        if len(samples) < self._clock.hop:
            return np.zeros((0, sum(self.bands)), np.float32)
        bands, noise_bands = self.bands
        heard = world.analyse(
            samples,
            self._clock.sample_rate,
            self._clock.hop,
            low=self._pitch.floor,
            high=self._pitch.ceiling,
            bands=bands,
            noise_bands=noise_bands,
        )
        return np.concatenate([heard.envelope, heard.aperiodicity], axis=1)

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        return features.fit(entry[:, : self.bands[0]], frames, self.fill)
