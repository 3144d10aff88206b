"""UTMOS: the mean opinion score of synthetic speech, estimated without a reference, by a file that you give.

Saeki et al. 2022 (arXiv 2204.02152), trained on the VoiceMOS Challenge. The network is not part of Aoide and no
package carries it: `path` is an ONNX or TorchScript export, see `aoide.external.utmos`.

Unit        MOS, mean opinion score
Range       1 to 5
Better      higher
Equation    a network's
Paper       Saeki et al. 2022, arXiv:2204.02152.
"""

from __future__ import annotations

import os

import numpy as np

from aoide.metrics.analysis import Analysis, analysis
from aoide.metrics.metric import Metric

METRIC = Metric(unit="MOS", better="higher", best=5.0, kind="single", extra="metrics", rate=16000)


def utmos(
    generated: np.ndarray | Analysis, sample_rate: int | None = None, *, path: str | os.PathLike[str] | None = None
) -> float:
    """The estimated score of one sound; NaN for silence.

    Args:
        generated: (samples,) or (samples, channels), or an analysis.
        sample_rate: Hz.
        path: the exported network.

    Raises:
        UserError: no file, or not such a network.
    """
    from aoide.external import utmos as network

    sound = analysis(generated, sample_rate).at(network.RATE)
    return float("nan") if sound.silent else network.score(sound.samples, path)
