"""STOI and ESTOI by pystoi, for the two metrics of these names."""

from __future__ import annotations

import warnings

from aoide.config import require
from aoide.metrics.align import equal_length
from aoide.metrics.analysis import Analysis

RATE = 10000  # Hz, at which both are defined
_SHORTEST = 0.3968  # seconds: the 30 frames over which correlations are taken


def correlation(reference: Analysis, generated: Analysis, extended: bool) -> float:
    """The value, or NaN if a sound is silent or the reference has less than 0.4 s of sound."""
    pystoi = require("pystoi", "metrics")
    first, second = equal_length(reference, generated)
    if first.silent or second.silent or first.seconds < _SHORTEST:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # what is too short gives a warning and 1e-5
        try:
            return float(pystoi.stoi(first.samples, second.samples, first.sample_rate, extended))
        except RuntimeWarning:
            return float("nan")
