"""Resemblyzer: a speaker as a point on a sphere, by an LSTM over 1.6 s of mel spectrogram.

GE2E (Wan et al. 2018, arXiv 1710.10467) as trained and published by Resemble AI. The weights lie in the package
`resemblyzer`, whose own code needs webrtcvad and librosa; the network is written here anew and reads the weights alone.
"""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from aoide.external.spectra import magnitude_frames, slaney_bands
from aoide.external.weights import adopt, inner, packaged, read_state

RATE = 16000  # Hz
_FRAMES = 160  # of 10 ms, that the network hears at once
_HOP = 160  # samples
_STEP = round(RATE / 1.3 / _HOP)  # frames from one hearing to the next
_LEVEL = 10 ** (-30 / 20)  # root mean square that quieter sounds are raised to: -30 dB


class GE2E(nn.Module):
    """Three LSTM layers and a projection; names are those of the published state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, frames, 40) mel power -> (batch, 256) of length 1, nothing negative"""
        _, (hidden, _) = self.lstm(mel)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


class Resemblyzer:
    """A speaker encoder.

    Args:
        path: other weights of the same network; None: those of the package.
    """

    rate, dim = RATE, 256

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._network = _load(None if path is None else os.fspath(path))

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (256,) of length 1: the mean over windows of 1.6 s, normalised.

        As Resemblyzer's `embed_utterance`, after its rise of quiet sounds to -30 dB; long pauses are not cut out,
        which is the work of webrtcvad there.
        """
        level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        sound = samples * (_LEVEL / level) if 0 < level < _LEVEL else samples
        starts = _starts(len(sound))
        sound = np.pad(sound, (0, max(0, (starts[-1] + _FRAMES) * _HOP - len(sound))))
        mel = magnitude_frames(sound, 400, _HOP, centred=True) ** 2 @ _bands().T
        windows = torch.from_numpy(np.stack([mel[start : start + _FRAMES] for start in starts]))
        with torch.inference_mode():
            mean = self._network(windows).mean(dim=0).numpy()
        return mean / np.linalg.norm(mean)


def _starts(samples: int) -> list[int]:
    """First frames of the windows; the last one counts if three quarters of it are sound."""
    frames = -(-(samples + 1) // _HOP)
    starts = list(range(0, max(1, frames - _FRAMES + _STEP + 1), _STEP))
    covered = (samples / _HOP - starts[-1]) / _FRAMES
    return starts[:-1] if covered < 0.75 and len(starts) > 1 else starts


@cache
def _bands() -> np.ndarray:
    return slaney_bands(RATE, 400, 40, 0.0, RATE / 2)


@cache
def _load(path: str | None) -> GE2E:
    from pathlib import Path

    state = inner(read_state(packaged("resemblyzer", "pretrained.pt") if path is None else Path(path)), "model_state")
    state = {key: value for key, value in state.items() if not key.startswith("similarity_")}  # of its training loss
    return adopt(GE2E(), state, "Resemblyzer checkpoint")
