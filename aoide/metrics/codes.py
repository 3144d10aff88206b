"""The codes of a codec, checked and counted: what its metrics begin with."""

from __future__ import annotations

import numpy as np

from aoide.config import UserError


def histogram(codes: np.ndarray, cardinality: int) -> np.ndarray:
    """How often each entry of each codebook occurs.

    Args:
        codes: (frames, codebooks) integers from 0 to cardinality - 1; several clips one after the other.
        cardinality: entries of one codebook.

    Returns:
        (codebooks, cardinality) counts

    Raises:
        UserError: other shapes, no integers, or a code outside the codebook.
    """
    values = np.asarray(codes)
    if values.ndim != 2 or not values.size:
        raise UserError(f"codes are (frames, codebooks), got shape {values.shape}")
    if not np.issubdtype(values.dtype, np.integer):
        raise UserError(f"codes are integers, got {values.dtype}")
    if values.min() < 0 or values.max() >= cardinality:
        raise UserError(f"codes from {values.min()} to {values.max()} do not fit a codebook of {cardinality} entries")
    return np.stack([np.bincount(column, minlength=cardinality) for column in values.T])


def entropy(counts: np.ndarray) -> np.ndarray:
    """(codebooks, entries) counts -> (codebooks,) entropy in bits of what was counted."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    logarithm = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logarithm).sum(axis=1)
