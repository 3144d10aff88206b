"""What a metric says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["pair", "single", "text", "sets", "codes", "score"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """The `METRIC` of a metric's file: what a report needs to name, sort and colour its values."""

    unit: str  # "cents", "dB", "" for a bare number
    better: Literal["higher", "lower"]
    best: float | None  # what a perfect copy gets; None where nothing bounds it
    kind: Kind
    extra: str | None = None  # of pip install 'aoide[extra]'; None: the core is enough
    rate: int | None = None  # Hz it is computed at, others are resampled; None: at the rate of the sounds
