"""How a listener would rate the sound of a clip: the overall score of DNSMOS (P.835), as in Emilia."""

from __future__ import annotations

import numpy as np

from aoide.audio.resample import resample
from aoide.external import dnsmos, weights


class DNSMOS:
    """DNSMOS as a scorer.

    Raises:
        MissingExtra: speechmos, which carries the weights, is not installed.
    """

    def __init__(self) -> None:
        # asked now, not after an hour of transcribing
        weights.packaged("speechmos", "dnsmos_models/sig_bak_ovr.onnx")
        self._network = dnsmos

    def rate(self, samples: np.ndarray, sample_rate: int) -> float:
        """See `aoide.data.wild.Scorer`."""
        return self._network.scores(resample(samples, sample_rate, self._network.RATE)).ovrl
