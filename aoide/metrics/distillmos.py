"""DistillMOS: the mean opinion score that listeners would give to speech, estimated without a reference.

Stahl and Gamper 2025 (arXiv 2502.05356): a network of 4 million parameters, taught by one on XLS-R that learnt from
listening tests of telephony, noise suppression and synthesis. `aoide.external.distillmos` runs it, on 16 kHz.
Loudness does not matter.

Unit        MOS, mean opinion score
Range       1 to 5
Better      higher
Equation    a network's
Paper       Stahl & Gamper 2025, arXiv:2502.05356.
"""

from __future__ import annotations

import numpy as np

from aoide.config import require
from aoide.metrics.analysis import Analysis, analysis
from aoide.metrics.metric import Metric

METRIC = Metric(unit="MOS", better="higher", best=5.0, kind="single", extra="metrics", rate=16000)


def distillmos(generated: np.ndarray | Analysis, sample_rate: int | None = None) -> float:
    """The estimated score of one sound.

    Args:
        generated: (samples,) or (samples, channels), or an analysis.
        sample_rate: Hz.

    Returns:
        NaN for silence.

    Raises:
        MissingExtra: torch, or distillmos, which carries the weights, is not installed.
    """
    require("torch", "metrics")
    from aoide.external import distillmos as network

    sound = analysis(generated, sample_rate).at(network.RATE)
    return float("nan") if sound.silent else network.score(sound.samples)
