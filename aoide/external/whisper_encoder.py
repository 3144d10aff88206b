"""The encoder of Whisper (Radford et al. 2022, arXiv 2212.04356) as content features, 50 frames a second.

A folder with model.bin runs by CTranslate2, one with the weights of transformers by torch. Whisper hears 30 s at once,
the rest of them silence; a longer sound is heard in pieces. The features of base have 512 values, of medium 1024.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aoide.config import UserError, require
from aoide.external.spectra import magnitude_frames, slaney_bands
from aoide.external.weights import local, pretrained

RATE, HOP = 16000, 320
_WIN, _STEP, _WINDOW = 400, 160, 30 * RATE  # samples
_WHERE = "a folder with model.bin (CTranslate2) or with config.json and model.safetensors (transformers)"


class WhisperEncoder:
    """The encoder of a Whisper of any size.

    Args:
        source: a local folder, or a hub name of transformers such as openai/whisper-medium.
        device: "cpu" or "cuda".

    Raises:
        UserError: nothing there.
        MissingExtra: the library that runs it is not installed.
    """

    frame_rate = RATE / HOP

    def __init__(self, source: str | os.PathLike[str] | None = None, device: str = "cpu") -> None:
        name = os.path.expanduser(os.fspath(source)) if source is not None else None
        packed = name is not None and (Path(name) / "model.bin").is_file()
        if name is None or not (packed or "/" in name or Path(name).is_dir()):
            local(name, "Whisper's encoder", _WHERE)
        self._device = device
        if packed:
            library = require("ctranslate2", "metrics")
            try:
                self._network: Any = library.models.Whisper(
                    name, device=device, compute_type="float32", intra_threads=1
                )
            except (RuntimeError, ValueError) as error:
                raise UserError(f"{name}: no Whisper that CTranslate2 can read: {str(error)[:120]}") from None
            self._encode, self.bands = self._by_ctranslate, int(self._network.n_mels)
        else:
            self._network = pretrained("WhisperModel", name or "", "models").encoder.to(device)
            self._encode, self.bands = self._by_torch, int(self._network.config.num_mel_bins)

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (samples // 320, dim) float32, at least one frame."""
        frames = max(1, len(samples) // HOP)
        pieces = [
            self._encode(log_mel(samples[i : i + _WINDOW], self.bands)) for i in range(0, max(1, len(samples)), _WINDOW)
        ]
        return np.concatenate(pieces)[:frames]

    def _by_ctranslate(self, mel: np.ndarray) -> np.ndarray:
        library = require("ctranslate2", "metrics")
        found = self._network.encode(library.StorageView.from_array(mel[None]), to_cpu=True)
        return np.array(found, np.float32)[0]

    def _by_torch(self, mel: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return (
                self._network(torch.from_numpy(mel)[None].to(self._device)).last_hidden_state[0].float().cpu().numpy()
            )


def log_mel(samples: np.ndarray, bands: int = 80) -> np.ndarray:
    """What Whisper hears of up to 30 s: (samples,) at 16 kHz -> (bands, 3000) float32."""
    sound = np.pad(np.asarray(samples, np.float32)[:_WINDOW], (0, max(0, _WINDOW - len(samples))))
    padded = np.pad(sound, _WIN // 2, mode="reflect")
    return heard(padded, _WINDOW // _STEP, bands)


def heard(padded: np.ndarray, frames: int, bands: int) -> np.ndarray:
    """Whisper's log mel of samples with half a window more at both ends: (bands, frames) float32, 100 a second."""
    power = magnitude_frames(padded, _WIN, _STEP)[:frames] ** 2
    mel = np.log10(np.maximum(power @ _filters(bands).T, 1e-10))
    return np.ascontiguousarray(((np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0).T, np.float32)


@cache
def _filters(bands: int) -> np.ndarray:
    """Whisper's mel filters: (bands, 201)."""
    return slaney_bands(RATE, _WIN, bands, 0.0, RATE / 2)
