"""DNSMOS: the mean opinion score that listeners would give to speech, estimated without a reference.

The networks of Reddy et al. 2021 and 2022 (arXiv 2010.15258, 2110.01763), made for speech in noise: they hear noise and
distortion well, unnatural speech less well. `aoide.external.dnsmos` runs them, on 16 kHz.

Unit        MOS, mean opinion score
Range       1 to 5
Better      higher
Equation    a network's, then a polynomial of the authors
Paper       Reddy et al. 2021, arXiv:2010.15258; 2022, arXiv:2110.01763.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.metrics.analysis import Analysis, analysis
from aoide.metrics.metric import Metric

METRIC = Metric(unit="MOS", better="higher", best=5.0, kind="single", extra="metrics", rate=16000)


def dnsmos(
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    part: Literal["ovrl", "sig", "bak", "p808"] = "ovrl",
    personalized: bool = False,
) -> float:
    """The estimated score of one sound.

    Args:
        generated: (samples,) or (samples, channels), or an analysis. Shorter ones than 9 s are repeated.
        sample_rate: Hz.
        part: P.835's overall, speech or background score, or the overall score of the older P.808 network.
        personalized: the network for which other speakers are background too.

    Returns:
        NaN for silence.

    Raises:
        MissingExtra: speechmos, which carries the weights, is not installed.
    """
    from aoide.external import dnsmos as networks

    sound = analysis(generated, sample_rate).at(networks.RATE)
    if sound.silent:
        return float("nan")
    if part == "p808":
        return sound.keep("dnsmos p808", lambda: networks.p808(sound.samples))
    return getattr(sound.keep(("dnsmos", personalized), lambda: networks.scores(sound.samples, personalized)), part)
