"""How tense a voice is, (frames,), as a logit: the third column of the entry of breathiness."""

from __future__ import annotations

from aoide.data.features import breathiness


class Feature(breathiness.Feature):
    """See `aoide.data.features.breathiness`."""

    column = 2
    fill = 0.0
