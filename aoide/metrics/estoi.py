"""Extended STOI: as STOI, with bands compared together, for maskers whose level fluctuates.

Frames that are silent in the reference are left out; 0.4 s of sound are needed. Computed at 10 kHz. The sounds must be
aligned to some 10 ms: for the output of vocoders, codecs and enhancement.

Unit        none
Range       about 0 to 1
Better      higher
Equation    mean over segments of 0.4 s and their frames of <x, y>, x and y rows and columns normalised
Paper       Jensen & Taal 2016, An algorithm for predicting the intelligibility of speech masked by
            modulated noise maskers.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.intelligibility import RATE, correlation
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="higher", best=1.0, kind="pair", extra="metrics", rate=RATE)


def estoi(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
) -> float:
    """ESTOI; NaN if a sound is silent or there is too little of it.

    Args:
        reference, generated: sounds, see `aoide.metrics`; the shorter one is continued with silence.
        sample_rate: Hz of sounds that are arrays.
    """
    return correlation(*pair(reference, generated, sample_rate, RATE), extended=True)
