"""CLAP score: does a sound fit its caption?

The cosine between the CLAP vectors of caption and sound (Wu et al. 2023, arXiv 2211.06687; as a metric Huang et al.
2023, arXiv 2301.12661), mean over the clips. Numbers of different checkpoints cannot be compared.

Unit        cosine
Range       -1 to 1; real pairs lie near 0.3 to 0.5
Better      higher
Equation    mean over clips of <t, a> / (|t| |a|), t and a the vectors of caption and sound
Paper       Wu et al. 2023, arXiv:2211.06687; as a metric Huang et al. 2023, arXiv:2301.12661.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aoide.config import UserError
from aoide.metrics.metric import Metric

METRIC = Metric(unit="cosine", better="higher", best=1.0, kind="text", extra="metrics", rate=48000)


def clap_score(captions: np.ndarray | Sequence[Sequence[float]], generated: np.ndarray) -> float:
    """The mean cosine of captions and sounds that belong together.

    Args:
        captions: (clips, dim), `Clap(source).embed_text(captions)` of `aoide.external.clap`.
        generated: (clips, dim) of the sounds, `embeddings.embed_set(sounds, Clap(source))`.

    Returns:
        NaN where a vector has no length.

    Raises:
        UserError: unequal shapes.
    """
    texts, sounds = (np.asarray(vectors, np.float64) for vectors in (captions, generated))
    if texts.ndim != 2 or texts.shape != sounds.shape:
        raise UserError(f"one row per clip on both sides: captions {texts.shape}, sounds {sounds.shape}")
    length = np.linalg.norm(texts, axis=1) * np.linalg.norm(sounds, axis=1)
    if (length == 0).any():
        return float("nan")
    return float(((texts * sounds).sum(axis=1) / length).mean())
