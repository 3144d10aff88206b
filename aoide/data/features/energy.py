"""How loud each frame is, (frames,): the length of its linear spectrum (`aoide.audio.energy`)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from aoide.audio import energy
from aoide.audio.mel import MelSpectrogram
from aoide.config import UserError, to_dict
from aoide.data import features
from aoide.data.sounds import Sounds


class Feature:
    """See `aoide.data.features.Feature`."""

    kind = "energy"
    per: Literal["frame"] = "frame"
    dear = False
    fill = 0.0

    def __init__(self, settings: features.Settings) -> None:
        if settings.mel is None:
            raise UserError("energy needs a model with mel settings")
        self._mel = MelSpectrogram(settings.mel)
        self.key = {"version": 1, "mel": to_dict(settings.mel)}

    def compute(self, sounds: Sounds) -> list[np.ndarray]:
        mel = self._mel.to(sounds.device)
        with torch.inference_mode():
            return [energy.from_magnitude(spectrum).cpu().numpy() for spectrum in sounds.spectra(mel)]

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        return features.fit(entry, frames)
