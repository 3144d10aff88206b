"""Diversity: how far the clips of one set lie apart, on average. For sets that have no reference.

The mean over all pairs of different clips of 1 - cos(x, y) between their embeddings. Noise is diverse too: read it
beside a metric of quality.

Unit        cosine distance
Range       0, all the same, to 2
Better      higher is more diverse
Equation    mean over pairs of different clips of 1 - <x, y> / (|x| |y|)
Paper       none of its own
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import sets
from aoide.metrics.metric import Metric

METRIC = Metric(unit="cosine distance", better="higher", best=None, kind="sets", extra="metrics")


def diversity(generated: np.ndarray) -> float:
    """The mean pairwise cosine distance of (clips, dim) embeddings, one row per clip.

    Returns:
        NaN where an embedding is all zeros, which has no direction.

    Raises:
        UserError: fewer than two clips, or no embeddings.
    """
    embeddings = sets.checked(generated, "generated")
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if (length == 0).any():
        return float("nan")
    unit = embeddings / length
    count = len(unit)
    # the squared length of the sum is the sum over all pairs, each clip with itself included
    pairs = (np.square(unit.sum(axis=0)).sum() - count) / (count * (count - 1))
    return float(1.0 - pairs)
