"""NISQA: the mean opinion score of transmitted speech, and what is wrong with it, estimated without a reference.

Mittag et al. 2021 (arXiv 2104.09494). The weights are a local file, see `aoide.external.nisqa`. A sound is heard at
its own rate: it was made to rate narrow bands.

Unit        MOS, mean opinion score
Range       1 to 5
Better      higher, for every part: 5 is no noise, no colouring, ...
Equation    a network's
Paper       Mittag et al. 2021, arXiv:2104.09494.
"""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from aoide.config import require
from aoide.metrics.analysis import Analysis, analysis
from aoide.metrics.metric import Metric

METRIC = Metric(unit="MOS", better="higher", best=5.0, kind="single", extra="metrics")


def nisqa(
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    part: Literal["mos", "noisiness", "discontinuity", "coloration", "loudness"] = "mos",
    path: str | os.PathLike[str] | None = None,
) -> float:
    """The estimated score of one sound; NaN for silence.

    Args:
        generated: (samples,) or (samples, channels), or an analysis.
        sample_rate: Hz.
        part: the overall score or one of the four dimensions.
        path: nisqa.tar.

    Raises:
        UserError: no file, or not these weights.
    """
    require("torch", "metrics")
    from aoide.external import nisqa as network

    sound = analysis(generated, sample_rate)
    if sound.silent:
        return float("nan")
    found = sound.keep(("nisqa", str(path)), lambda: network.scores(sound.samples, sound.sample_rate, path))
    return getattr(found, part)
