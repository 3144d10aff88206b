"""The log-mel of the model's `mel`, (frames, mels)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from aoide.audio.mel import MelSpectrogram
from aoide.config import UserError, to_dict
from aoide.data import features
from aoide.data.sounds import Sounds


class Feature:
    """See `aoide.data.features.Feature`."""

    kind = "mel"
    per: Literal["frame"] = "frame"
    dear = False

    def __init__(self, settings: features.Settings) -> None:
        if settings.mel is None:
            raise UserError("mel needs a model with mel settings")
        self._mel = MelSpectrogram(settings.mel)
        self.key = {"version": 1, "mel": to_dict(settings.mel)}
        self.fill = settings.mel.silence

    def compute(self, sounds: Sounds) -> list[np.ndarray]:
        mel = self._mel.to(sounds.device)
        with torch.inference_mode():
            return [mel.from_magnitude(spectrum).cpu().numpy() for spectrum in sounds.spectra(mel)]

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        return features.fit(entry, frames, self.fill)
