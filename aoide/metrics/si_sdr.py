"""SI-SDR: the scale-invariant ratio of signal to distortion, sample by sample, in dB.

A constant offset counts as distortion; see `si_snr`.
Gain and polarity do not matter, time does: half a period of shift ruins it. For codecs, enhancement and separation, not
for vocoders, whose phase is free.

Unit        dB
Range       -100 to 100 dB, both cut there
Better      higher
Equation    10 log10(|a r|^2 / |g - a r|^2) with a = <g, r> / <r, r>
Paper       Le Roux, Wisdom, Erdogan, Hershey 2019, SDR - half-baked or well done?, arXiv:1811.02508.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import amphion as its
from aoide.metrics.align import equal_length
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.metric import Metric
from aoide.metrics.projection import LIMIT, ratio, ratio_of_torchmetrics

METRIC = Metric(unit="dB", better="higher", best=LIMIT, kind="pair")


def si_sdr(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
) -> float:
    """SI-SDR in dB; NaN if a sound is silent.

    Args:
        reference, generated: sounds, see `aoide.metrics`; the shorter one is continued with silence.
        sample_rate: Hz of sounds that are arrays.
    """
    first, second = equal_length(*pair(reference, generated, sample_rate))
    if first.silent or second.silent:
        return float("nan")
    return ratio(first.samples, second.samples)


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
    align: its.Align = "dtw",
) -> float:
    """Amphion's, from torchmetrics: what is longer is cut, a perfect copy gets what rounding leaves, about 95 dB."""
    first, second = its.samples(reference, generated, sample_rate, rate, align)
    return ratio_of_torchmetrics(first.samples, second.samples, zero_mean=False)
