"""VGGish: 0.96 s of any sound -> 128 numbers; the embedding of the Fréchet audio distance.

Hershey et al. 2017 (arXiv 1609.09430), trained by Google on YouTube-8M. The weights are a local file in the form of
torchvggish (`vggish-10086976.pth`, from the releases of harritaylor/torchvggish); no package carries them.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor, nn

from aoide.audio.mel_config import hz_to_mel
from aoide.external.spectra import magnitude_frames, patches, triangles
from aoide.external.weights import adopt, local, read_state

RATE = 16000  # Hz
_FRAMES = 96  # of 10 ms
_WHERE = "vggish-10086976.pth of github.com/harritaylor/torchvggish (releases)"


class Network(nn.Module):
    """Six convolutions and three linear layers; names are those of torchvggish."""

    def __init__(self, activation: bool = True, width: int = 1) -> None:
        """`width` divides all sizes, for tests."""
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for step in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool"):
            if isinstance(step, int):
                layers += [nn.Conv2d(channels, step // width, 3, padding=1), nn.ReLU()]
                channels = step // width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        wide = 4096 // width
        linear = [nn.Linear(channels * 24, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, 128)]
        self.embeddings = nn.Sequential(*linear, *([nn.ReLU()] if activation else []))

    def forward(self, patch: Tensor) -> Tensor:
        """(batch, 96, 64) log-mel -> (batch, 128)"""
        hidden = self.features(patch[:, None])
        return self.embeddings(hidden.permute(0, 2, 3, 1).flatten(1))  # channels last, as TensorFlow had them


class Vggish:
    """An embedder.

    Args:
        path: the weights.
        activation: keep the last ReLU, as VGGish was trained; FAD tools differ (`frechet_audio_distance`, and with it
            Amphion, leaves it out).
    """

    rate, dim, name = RATE, 128, "vggish"

    def __init__(self, path: str | os.PathLike[str] | None = None, activation: bool = True) -> None:
        state = read_state(local(path, "VGGish", _WHERE))
        state = {key: value for key, value in state.items() if not key.startswith("pproc.")}  # PCA and 8 bits: not used
        self._network = adopt(Network(activation), state, "VGGish checkpoint")

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (patches, 128), one row for each 0.96 s; a shorter sound is filled with silence."""
        with torch.inference_mode():
            return self._network(torch.from_numpy(log_mel(samples))).numpy()


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(samples,) at 16 kHz -> (patches, 96, 64): log(mel + 0.01), triangles that are straight in mel and not in Hz."""
    mels = hz_to_mel(np.fft.rfftfreq(512, 1.0 / RATE), "htk")
    bands = triangles(mels, np.linspace(hz_to_mel(125.0, "htk"), hz_to_mel(7500.0, "htk"), 66))
    bands[:, 0] = 0.0  # nothing of the mean of the signal
    mel = magnitude_frames(samples, 400, 160, n_fft=512) @ bands.T.astype(np.float32)
    return patches(np.log(mel + np.float32(0.01)), _FRAMES, _FRAMES, fill=float(np.log(0.01)))
