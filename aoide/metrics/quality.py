"""PESQ by the package pesq, for its two bands."""

from __future__ import annotations

from typing import Literal

from aoide.config import require
from aoide.metrics.align import equal_length
from aoide.metrics.analysis import Analysis


def listening_quality(reference: Analysis, generated: Analysis, band: Literal["wb", "nb"]) -> float:
    """MOS-LQO of sounds at the band's rate; NaN if one is silent, has no utterance, or is below a quarter second."""
    pesq = require("pesq", "metrics")
    first, second = equal_length(reference, generated)
    if first.silent or second.silent or first.seconds < 0.25:
        return float("nan")
    try:
        return float(pesq.pesq(first.sample_rate, first.samples, second.samples, band))
    except (pesq.NoUtterancesError, pesq.BufferTooShortError):
        return float("nan")
