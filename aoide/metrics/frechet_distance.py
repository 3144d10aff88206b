"""Fréchet distance between two sets of embeddings: FAD over VGGish, FD over PANNs, CLAP, ...

    frechet_distance(reference, generated)                          # (clips, dim) both
    frechet_distance(reference, generated, corrected=True)          # without the bias of few clips

FD = |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)), the squared 2-Wasserstein distance of the Gaussians that fit the
two sets (Fréchet 1957; Heusel et al. 2017, eq. 6; for audio Kilgour et al. 2019, arXiv 1812.08466). A number means
something only with the embedding beside it, and is compared at the same number of clips.

Covariances estimated from n clips are noisy, and the distance is never negative: two sets from one distribution are
(about) dim^2 / n apart. The bias falls as 1 / n, so the value at 1 / n = 0 is the intercept of a line through values at
several n (Chong and Forsyth 2020, arXiv 1911.07023; FAD-infinity of Gui et al. 2023, arXiv 2311.01616).

The embeddings are made by `aoide.metrics.embeddings`.

Unit        squared units of the embedding
Range       0 upwards
Better      lower
Equation    |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))
Paper       Fréchet 1957; Heusel et al. 2017, arXiv:1706.08500, eq. 6; for audio Kilgour et al. 2019,
            arXiv:1812.08466.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics import sets
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="lower", best=0.0, kind="sets", extra="metrics")

_SIZES = 15  # subsets of different size that the line is drawn through
_SMALLEST = 0.2  # part of the clips in the smallest subset


def frechet_distance(
    reference: np.ndarray,
    generated: np.ndarray,
    *,
    corrected: bool = False,
    fixed_reference: bool = False,
    seed: int = 0,
) -> float:
    """The Fréchet distance of two sets.

    Args:
        reference, generated: (clips, dim), any number of each.
        corrected: extrapolate to infinitely many clips. The estimate may then fall a little below 0 where there is no
            difference.
        fixed_reference: with `corrected`, take the reference as it is and draw subsets of the generated clips alone, as
            FAD-infinity is published: right where the reference is much larger.
        seed: of the subsets.

    Raises:
        UserError: sets that cannot be compared.

    Warns:
        FewClips: fewer than 1,000 clips.
    """
    first, second = sets.both(reference, generated)
    if not corrected:
        return between_gaussians(*_gaussian(first), *_gaussian(second))
    generator = np.random.default_rng(seed)
    # equal steps in 1 / part: the points of the line are then spread evenly
    inverse = np.linspace(1.0, 1.0 / _SMALLEST, _SIZES)
    values = []
    for part in 1.0 / inverse:
        one = first if fixed_reference else _subset(first, part, generator)
        values.append(between_gaussians(*_gaussian(one), *_gaussian(_subset(second, part, generator))))
    _, intercept = np.polyfit(inverse, values, 1)
    return float(intercept)


def between_gaussians(mean: np.ndarray, covariance: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray) -> float:
    """The closed form for two Gaussians: means (dim,), covariances (dim, dim)."""
    half = _root(covariance)
    # trace((C1 C2)^(1/2)): C1 C2 has the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric
    inner = np.linalg.eigvalsh(half @ covariance2 @ half)
    cross = np.sqrt(np.maximum(inner, 0.0)).sum()
    distance = np.square(mean - mean2).sum() + np.trace(covariance) + np.trace(covariance2) - 2.0 * cross
    return float(max(distance, 0.0))  # below zero is rounding


def amphion(reference: np.ndarray, generated: np.ndarray) -> float:
    """What Amphion prints as FAD (evaluation/metrics/spectrogram/frechet_distance.py).

    Its embedding cannot be chosen: VGGish without its last ReLU and without PCA, one row for each 0.96 s
    (`embeddings.embed_set(sounds, Vggish(path, activation=False), pooled=False)`). Any error becomes the value -1.
    """
    try:
        return between_gaussians(*_gaussian(np.asarray(reference)), *_gaussian(np.asarray(generated)))
    except (ValueError, IndexError, np.linalg.LinAlgError):
        return -1.0


def _gaussian(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (dim,) and unbiased covariance (dim, dim)."""
    return embeddings.mean(axis=0), np.atleast_2d(np.cov(embeddings, rowvar=False))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _subset(embeddings: np.ndarray, part: float, generator: np.random.Generator) -> np.ndarray:
    count = max(2, round(part * len(embeddings)))
    return embeddings if count == len(embeddings) else generator.choice(embeddings, count, replace=False)
