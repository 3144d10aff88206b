"""The share of noise, (frames, noise_bands), natural log, at most 0: the last columns of the entry of envelope."""

from __future__ import annotations

import numpy as np

from aoide.data import features
from aoide.data.features import envelope


class Feature(envelope.Feature):
    """See `aoide.data.features.envelope`."""

    fill = 0.0

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        return features.fit(entry[:, self.bands[0] :], frames, self.fill)
