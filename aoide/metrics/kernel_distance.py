"""Kernel distance: the squared maximum mean discrepancy (MMD) of two sets of embeddings, unbiased.

MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y), each pair of different clips counted once (Gretton et al. 2012, eq. 3).

    gaussian    k = exp(-|x - y|^2 / (2 s^2)), s the median distance within the reference: KAD (Chung et al. 2025, arXiv
                2502.15602; published times 1000, `scale=1000`). Sees every difference between distributions.
    polynomial  k = (x y / dim + 1)^3: KID (Bińkowski et al. 2018, arXiv 1801.01401). Sees means, variances, skewness.

It supposes no Gaussian and has no bias of few clips, so that it serves below a thousand of them; it still scatters.

Unit        none
Range       about 0 upwards; it may fall a little below 0 where there is no difference
Better      lower
Equation    E k(x, x') + E k(y, y') - 2 E k(x, y), each pair of different clips counted once
Paper       Gretton et al. 2012, A kernel two-sample test, eq. 3.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.config import UserError
from aoide.metrics import sets
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="lower", best=0.0, kind="sets", extra="metrics")

_BLOCK = 2**22  # values of the kernel that are in memory at once
_MEDIAN_OF = 2000  # clips whose distances give the median; more change nothing that can be seen


def kernel_distance(
    reference: np.ndarray,
    generated: np.ndarray,
    *,
    kernel: Literal["gaussian", "polynomial"] = "gaussian",
    bandwidth: float | None = None,
    scale: float = 1.0,
) -> float:
    """The squared MMD of two sets.

    Args:
        reference, generated: (clips, dim), any number of each.
        kernel: see above.
        bandwidth: s of the Gaussian in units of the embedding; None: the median distance within the reference.
        scale: the result is multiplied by it.

    Returns:
        NaN where all clips of the reference are the same, which leaves the Gaussian without a width.

    Raises:
        UserError: sets that cannot be compared.

    Warns:
        FewClips: fewer than 1,000 clips.
    """
    first, second = sets.both(reference, generated)
    if bandwidth is not None and bandwidth <= 0:
        raise UserError(f"the bandwidth must be above 0, got {bandwidth}")
    width = (_median_distance(first) if bandwidth is None else bandwidth) if kernel == "gaussian" else 1.0
    if width == 0:
        return float("nan")

    def mean(x: np.ndarray, y: np.ndarray, same: bool) -> float:
        return _kernel_mean(x, y, None if kernel == "polynomial" else width, same)

    return scale * (mean(first, first, True) + mean(second, second, True) - 2.0 * mean(first, second, False))


def _kernel_mean(x: np.ndarray, y: np.ndarray, width: float | None, same: bool) -> float:
    """Mean of the kernel over all pairs, those of a clip with itself left out; `width` None is the polynomial."""
    rows = max(1, _BLOCK // len(y))
    total = 0.0
    for start in range(0, len(x), rows):
        values = _kernel(x[start : start + rows], y, width)
        total += values.sum()
        if same:
            own = np.arange(len(values))
            total -= values[own, start + own].sum()
    return total / (len(x) * (len(y) - 1) if same else len(x) * len(y))


def _kernel(x: np.ndarray, y: np.ndarray, width: float | None) -> np.ndarray:
    if width is None:
        return (x @ y.T / x.shape[1] + 1.0) ** 3
    return np.exp(-_squared_distances(x, y) / (2.0 * width**2))


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(a, dim), (b, dim) -> (a, b)."""
    return np.maximum(np.square(x).sum(1)[:, None] + np.square(y).sum(1)[None] - 2.0 * x @ y.T, 0.0)


def _median_distance(embeddings: np.ndarray) -> float:
    some = embeddings[:: max(1, len(embeddings) // _MEDIAN_OF)]
    upper = np.triu_indices(len(some), k=1)
    return float(np.median(np.sqrt(_squared_distances(some, some)[upper])))
