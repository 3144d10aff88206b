"""Kullback-Leibler divergence of the labels that a tagger gives to reference and generated clips.

KL(reference || generated) = sum over classes of p log(p / q). Pair by pair, as text-to-audio papers print it (Yang et
al. 2023, AudioGen and AudioLDM: PaSST or PANNs labels), or between the mean labels of the two sets.

Unit        nats
Range       0 upwards
Better      lower
Equation    sum over classes of p log(p / q), p of the reference
Paper       Kullback & Leibler 1951; for audio Yang et al. 2023, arXiv:2207.09983.
"""

from __future__ import annotations

import numpy as np

from aoide.config import UserError
from aoide.metrics import sets
from aoide.metrics.metric import Metric

METRIC = Metric(unit="nats", better="lower", best=0.0, kind="sets", extra="metrics")


def kl(reference: np.ndarray, generated: np.ndarray, *, paired: bool = True, floor: float = 1e-6) -> float:
    """The mean divergence of label distributions.

    Args:
        reference, generated: (clips, classes) probabilities, each row of sum 1; of the same clips in the same order
            where `paired`.
        paired: the mean over pairs; otherwise one divergence between the mean distributions, which needs no pairs.
        floor: added to both before the logarithm; a class that the generated clip has not at all would make it
            infinite.

    Raises:
        UserError: rows that are no probabilities, unequal classes, or unequal numbers of clips where paired.
    """
    p, q = sets.probabilities(reference, "reference"), sets.probabilities(generated, "generated")
    if p.shape[1] != q.shape[1]:
        raise UserError(f"{p.shape[1]} and {q.shape[1]} classes: both must come from the same tagger")
    if not paired:
        p, q = p.mean(axis=0, keepdims=True), q.mean(axis=0, keepdims=True)
    if len(p) != len(q):
        raise UserError(f"{len(p)} reference and {len(q)} generated clips: pairs need as many; or paired=False")
    p, q = _floored(p, floor), _floored(q, floor)
    return float((p * np.log(p / q)).sum(axis=1).mean())


def _floored(labels: np.ndarray, floor: float) -> np.ndarray:
    raised = labels + floor
    return raised / raised.sum(axis=1, keepdims=True)
