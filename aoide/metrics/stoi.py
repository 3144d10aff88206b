"""STOI: how well the short-time envelopes in 15 bands correlate, a forecast of intelligibility.

Frames that are silent in the reference are left out; 0.4 s of sound are needed. Computed at 10 kHz. The sounds must be
aligned to some 10 ms: for the output of vocoders, codecs and enhancement.

Unit        none
Range       about 0 to 1
Better      higher
Equation    mean over bands and segments of 0.4 s of the correlation of r and g, g clipped at -15 dB
Paper       Taal, Hendriks, Heusdens, Jensen 2011, An algorithm for intelligibility prediction of time-
            frequency weighted noisy speech.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import amphion as its
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.intelligibility import RATE, correlation
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="higher", best=1.0, kind="pair", extra="metrics", rate=RATE)


def stoi(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
) -> float:
    """STOI; NaN if a sound is silent or there is too little of it.

    Args:
        reference, generated: sounds, see `aoide.metrics`; the shorter one is continued with silence.
        sample_rate: Hz of sounds that are arrays.
    """
    return correlation(*pair(reference, generated, sample_rate, RATE), extended=False)


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
) -> float:
    """Amphion's STOI: the same at its own rate, from where pystoi resamples; what is longer is cut."""
    first, second = its.samples(reference, generated, sample_rate, rate, align)
    return correlation(first, second, extended=False)
