"""PESQ, wide band: the mean opinion that listeners would have of the quality, from a model of hearing.

MOS-LQO of ITU-T P.862.2, wide band, computed at 16000 Hz. It aligns the sounds itself and was made for telephony and
codecs; it is harsh on vocoders. Values of the two bands cannot be compared, nor with the raw P.862 score that Amphion
prints.

Unit        MOS, mean opinion score
Range       1.04 to 4.64
Better      higher
Equation    0.999 + 4 / (1 + exp(-1.3669 x + 3.8224)), x the raw score of P.862
Paper       ITU-T P.862.2; Rix, Beerends, Hollier, Hekstra 2001, Perceptual evaluation of speech quality.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.metric import Metric
from aoide.metrics.quality import listening_quality

METRIC = Metric(unit="MOS", better="higher", best=4.64, kind="pair", extra="metrics", rate=16000)


def pesq(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
) -> float:
    """PESQ as MOS-LQO; NaN if a sound is silent or too short.

    Args:
        reference, generated: sounds, see `aoide.metrics`; the shorter one is continued with silence.
        sample_rate: Hz of sounds that are arrays.
    """
    return listening_quality(*pair(reference, generated, sample_rate, METRIC.rate), band="wb")
