"""How loud the harmonics of a voice are, in dB, (frames,): the second column of the entry of breathiness."""

from __future__ import annotations

from aoide.data.features import breathiness


class Feature(breathiness.Feature):
    """See `aoide.data.features.breathiness`."""

    column = 1
