"""Codebook perplexity: how many entries a codec uses, weighted by how often.

2 ^ (entropy of the codes in bits): the size of a codebook of equally frequent entries that would say as much (van den
Oord et al. 2017, arXiv 1711.00937, watch it in training). It cannot exceed the number of frames.

Unit        entries
Range       1 to the entries of a codebook; mean over the codebooks
Better      higher
Equation    2^H, H = -sum over entries of p log2(p)
Paper       van den Oord et al. 2017, arXiv:1711.00937, who watch it in training.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import codes as coding
from aoide.metrics.metric import Metric

METRIC = Metric(unit="entries", better="higher", best=None, kind="codes")


def codebook_perplexity(codes: np.ndarray, cardinality: int, *, codebook: int | None = None) -> float:
    """The perplexity of the codes.

    Args:
        codes: (frames, codebooks) integers.
        cardinality: entries of one codebook.
        codebook: of this one alone, from 0; None: the mean over all.

    Raises:
        UserError: codes that do not fit the codebook.
    """
    perplexity = 2.0 ** coding.entropy(coding.histogram(codes, cardinality))
    return float(perplexity.mean() if codebook is None else perplexity[codebook])
