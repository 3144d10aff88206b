"""Codebook use: the share of a codec's entries that occur at all.

Few entries in use is a collapsed codebook. Measure on many more frames than there are entries: a stream of 100 frames
cannot use more than 100 of them.

Unit        share
Range       0 to 1; mean over the codebooks
Better      higher
Equation    entries that occur / entries of the codebook
Paper       Dhariwal et al. 2020, arXiv:2005.00341, who revive what is not used.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import codes as coding
from aoide.metrics.metric import Metric

METRIC = Metric(unit="share", better="higher", best=1.0, kind="codes")


def codebook_use(codes: np.ndarray, cardinality: int, *, codebook: int | None = None) -> float:
    """The share of entries in use.

    Args:
        codes: (frames, codebooks) integers.
        cardinality: entries of one codebook.
        codebook: of this one alone, from 0; None: the mean over all.

    Raises:
        UserError: codes that do not fit the codebook.
    """
    used = (coding.histogram(codes, cardinality) > 0).mean(axis=1)
    return float(used.mean() if codebook is None else used[codebook])
