"""Two sets of embeddings, checked: what the metrics of distributions begin with."""

from __future__ import annotations

import warnings

import numpy as np

from aoide.config import UserError

FEW = 1000  # clips below which an estimate says more about their number than about their sound


class FewClips(UserWarning):
    """A set is so small that the value of the metric depends on its size."""


def checked(embeddings: np.ndarray, what: str, least: int = 2) -> np.ndarray:
    """(clips, dim) as float64, at least `least` of them and all finite.

    Raises:
        UserError: another shape, too few, NaN or infinity.
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 2:
        raise UserError(f"{what}: embeddings are (clips, dim), got shape {values.shape}")
    if len(values) < least:
        raise UserError(f"{what}: {len(values)} clips are no distribution, at least {least} are needed")
    if not np.isfinite(values).all():
        raise UserError(f"{what}: the embeddings hold NaN or infinity")
    return values


def both(reference: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two checked sets of the same width; warns (`FewClips`) below a thousand clips.

    Raises:
        UserError: a set that is none, or sets of different widths.
    """
    first, second = checked(reference, "reference"), checked(generated, "generated")
    if first.shape[1] != second.shape[1]:
        raise UserError(
            f"the reference has {first.shape[1]} and the generated set {second.shape[1]} dimensions: "
            "both must come from the same network"
        )
    if (least := min(len(first), len(second))) < FEW:
        warnings.warn(
            f"{least} clips: below {FEW} this metric is biased and scatters; compare systems on equal numbers only",
            FewClips,
            stacklevel=3,
        )
    return first, second


def probabilities(labels: np.ndarray, what: str) -> np.ndarray:
    """(clips, classes) that are probabilities: not negative, each row of sum 1.

    Raises:
        UserError: they are not; scores of a tagger go through a softmax, or are divided by their sum, first.
    """
    values = checked(labels, what, least=1)
    if (values < 0).any() or not np.allclose(values.sum(axis=1), 1.0, atol=1e-3):
        raise UserError(f"{what}: each row must be probabilities of sum 1 (a softmax over the classes)")
    return values / values.sum(axis=1, keepdims=True)
