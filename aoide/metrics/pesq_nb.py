"""PESQ, narrow band: the mean opinion that listeners would have of the quality, from a model of hearing.

MOS-LQO of ITU-T P.862.1, computed at 16 kHz, at 8 kHz if a sound has less. The hearing model listens through a
telephone, 300 to 3400 Hz, and tells speech from pauses: where it finds no utterance there is no value. Values of the
two bands cannot be compared, nor with the raw P.862 score that Amphion prints.

Unit        MOS, mean opinion score
Range       1.02 to 4.55
Better      higher
Equation    0.999 + 4 / (1 + exp(-1.4945 x + 4.6607)), x the raw score of P.862
Paper       ITU-T P.862.1; Rix, Beerends, Hollier, Hekstra 2001, Perceptual evaluation of speech quality.
"""

from __future__ import annotations

import numpy as np

from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.metric import Metric
from aoide.metrics.quality import listening_quality

METRIC = Metric(unit="MOS", better="higher", best=4.55, kind="pair", extra="metrics", rate=16000)


def pesq_nb(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
) -> float:
    """PESQ as MOS-LQO; NaN if a sound is silent or too short.

    Args:
        reference, generated: sounds, see `aoide.metrics`; the shorter one is continued with silence.
        sample_rate: Hz of sounds that are arrays.
    """
    first, second = pair(reference, generated, sample_rate)
    rate = 16000 if first.sample_rate >= 16000 else 8000  # telephone speech stays as it is
    return listening_quality(first.at(rate), second.at(rate), band="nb")
