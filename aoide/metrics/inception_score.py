"""Inception score: does a tagger recognise something in each clip, and many different things in all of them?

IS = exp(mean over clips of KL(p(class | clip) || p(class))) (Salimans et al. 2016, arXiv 1606.03498). It needs no
reference: take the label distributions of the generated clips from `aoide.metrics.embeddings` (PANNs, YAMNet). Blind to
what it cannot name, and to a set that says one thing of each class again and again.

Unit        none
Range       1 to the number of classes
Better      higher
Equation    exp(mean over clips of KL(p(class | clip) || p(class)))
Paper       Salimans et al. 2016, arXiv:1606.03498.
"""

from __future__ import annotations

import numpy as np

from aoide.config import UserError
from aoide.metrics import sets
from aoide.metrics.metric import Metric

METRIC = Metric(unit="", better="higher", best=None, kind="sets", extra="metrics")


def inception_score(generated: np.ndarray, *, splits: int = 1) -> float:
    """The inception score of a set.

    Args:
        generated: (clips, classes) probabilities, each row of sum 1.
        splits: the mean over so many equal parts, in order. Papers use 10, which lowers the score of a small set; 1
            uses all clips for p(class) (Barratt and Sharma 2018, arXiv 1801.01973).

    Raises:
        UserError: rows that are no probabilities, or more parts than clips.
    """
    labels = sets.probabilities(generated, "generated")
    if not 1 <= splits <= len(labels):
        raise UserError(f"splits: from 1 to the {len(labels)} clips, got {splits}")
    return float(np.mean([np.exp(_divergence(part)) for part in np.array_split(labels, splits)]))


def _divergence(labels: np.ndarray) -> float:
    """Mean KL of the rows to their mean, natural logarithm; 0 log 0 is 0."""
    mean = labels.mean(axis=0)
    ratio = np.divide(labels, mean, out=np.ones_like(labels), where=labels > 0)
    return float((labels * np.log(ratio)).sum(axis=1).mean())
