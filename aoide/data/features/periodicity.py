"""How periodic each frame is, (frames,), 0 to 1, by the measure of the tracker of `data.pitch`."""

from __future__ import annotations

from aoide.config import UserError
from aoide.data import features
from aoide.data.features import f0


class Feature(f0.Feature):
    """The second column of the entry of f0."""

    column = 1

    def __init__(self, settings: features.Settings) -> None:
        super().__init__(settings)
        if settings.pitch.method in ("dio", "harvest"):
            raise UserError(
                f"data.pitch.method: {settings.pitch.method} measures no periodicity; take autocorrelation, praat, "
                "swift or crepe"
            )
