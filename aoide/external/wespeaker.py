"""WeSpeaker: speaker encoders as ONNX graphs (Wang et al. 2023, arXiv 2210.17016), a local file each.

The graphs that WeSpeaker publishes (`voxceleb_resnet34_LM.onnx`, `voxceleb_CAM++.onnx`, ...;
github.com/wenet-e2e/wespeaker) take Kaldi's filter banks (batch, frames, 80) and give a vector.
"""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from aoide.external.spectra import triangles
from aoide.external.weights import local, session

RATE = 16000  # Hz
_WHERE = "a graph of WeSpeaker such as voxceleb_resnet34_LM.onnx"
_WIN, _HOP, _FFT, _BANDS = 400, 160, 512, 80


class Wespeaker:
    """A speaker encoder.

    Args:
        path: the graph.
    """

    rate = RATE

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._session = session(local(path, "WeSpeaker", _WHERE))
        self._input = self._session.get_inputs()[0].name

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (dim,), of any length."""
        banks = filter_banks(np.pad(samples, (0, max(0, _WIN - len(samples)))))
        return self._session.run(None, {self._input: (banks - banks.mean(axis=0))[None]})[0].reshape(-1)


def filter_banks(
    samples: np.ndarray, scale: float = 32768.0, window: Literal["hamming", "povey"] = "hamming"
) -> np.ndarray:
    """Kaldi's log filter banks without dither: (samples,) at 16 kHz -> (frames, 80).

    Each frame loses its mean, then each sample 0.97 of the one before it; triangles are straight in mel.

    Args:
        scale: what a sample of full scale counts; Kaldi reads whole numbers of 16 bits.
        window: of a frame; Povey's, Kaldi's own, is a Hann window to the power of 0.85.
    """
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(samples, np.float64) * scale, _WIN)[::_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    wave = np.cos(2 * np.pi * np.arange(_WIN) / (_WIN - 1))
    shape = 0.54 - 0.46 * wave if window == "hamming" else (0.5 - 0.5 * wave) ** 0.85
    power = np.abs(np.fft.rfft(frames * shape, _FFT)) ** 2
    edges = np.linspace(_mel(20.0), _mel(RATE / 2), _BANDS + 2)
    bands = triangles(_mel(np.fft.rfftfreq(_FFT, 1.0 / RATE)), edges)
    return np.log(np.maximum(power @ bands.T, np.finfo(np.float32).eps)).astype(np.float32)


def _mel(hz: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)
