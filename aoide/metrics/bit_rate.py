"""Bit rate of a codec.

What the codes take as they are; with `entropy` what they take after an ideal entropy coder that knows how often each
entry occurs.

Unit        kbit/s
Range       above 0
Better      lower, at the same sound
Equation    frames per second * codebooks * log2(entries of a codebook) / 1000
Paper       Shannon 1948, A mathematical theory of communication (`entropy`).
"""

from __future__ import annotations

import numpy as np

from aoide.config import UserError
from aoide.metrics import codes as coding
from aoide.metrics.metric import Metric

METRIC = Metric(unit="kbit/s", better="lower", best=None, kind="codes")


def bit_rate(codes: np.ndarray, frame_rate: float, cardinality: int, *, entropy: bool = False) -> float:
    """The bit rate of a stream of codes.

    Args:
        codes: (frames, codebooks) integers.
        frame_rate: frames per second.
        cardinality: entries of one codebook.
        entropy: count the information and not the places. From few frames it comes out too low: it cannot exceed
            log2(frames) bits per code.

    Raises:
        UserError: codes that do not fit the codebook, or a frame rate that is not above 0.
    """
    if frame_rate <= 0:
        raise UserError(f"frame_rate must be above 0 per second, got {frame_rate}")
    counts = coding.histogram(codes, cardinality)
    bits = coding.entropy(counts).sum() if entropy else len(counts) * np.log2(cardinality)
    return float(bits * frame_rate / 1000.0)
