"""PANNs' CNN14: any sound -> 2048 numbers and the probabilities of 527 AudioSet classes.

Kong et al. 2020 (arXiv 1912.10211). The weights are a local file: `Cnn14_mAP=0.431.pth` (32 kHz;
zenodo.org/record/3987831) or `Cnn14_16k_mAP=0.438.pth`, told apart by the size of the mel filters that lie in them;
no package carries them.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError
from aoide.external.weights import adopt, inner, local, read_state

_WHERE = "Cnn14_mAP=0.431.pth of zenodo.org/record/3987831"
_RATES = {513: (32000, 1024, 320), 257: (16000, 512, 160)}  # bins -> Hz, samples of the window and the hop


class _Block(nn.Module):
    """Two 3x3 convolutions with batch norm, then the mean over 2x2 (the last block keeps its size)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)

    def forward(self, x: Tensor, pool: int) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.avg_pool2d(x, pool) if pool > 1 else x


class Network(nn.Module):
    """CNN14 from log-mel on; names are those of the published state dict."""

    def __init__(self, width: int = 1, classes: int = 527) -> None:
        """`width` divides all sizes, for tests."""
        super().__init__()
        sizes = [1, *(size // width for size in (64, 128, 256, 512, 1024, 2048))]
        self.bn0 = nn.BatchNorm2d(64)
        for index in range(6):
            self.add_module(f"conv_block{index + 1}", _Block(sizes[index], sizes[index + 1]))
        self.fc1 = nn.Linear(sizes[-1], sizes[-1])
        self.fc_audioset = nn.Linear(sizes[-1], classes)

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, 64) decibels -> embedding (batch, dim), probabilities (batch, classes), each 0 to 1"""
        x = self.bn0(log_mel.mT[..., None]).permute(0, 3, 2, 1)  # normalised band by band: (batch, 1, frames, 64)
        for index in range(6):
            x = self.get_submodule(f"conv_block{index + 1}")(x, 2 if index < 5 else 1)
        x = x.mean(dim=3)  # over the bands: (batch, channels, frames)
        embedding = functional.relu(self.fc1(x.amax(dim=2) + x.mean(dim=2)))
        return embedding, torch.sigmoid(self.fc_audioset(embedding))


class Panns:
    """An embedder and tagger.

    Args:
        path: the weights.
    """

    dim, name = 2048, "panns"

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        state = inner(read_state(local(path, "PANNs", _WHERE)), "model")
        self._bands = state.pop("logmel_extractor.melW", torch.zeros(0))  # (bins, 64)
        if len(self._bands) not in _RATES:
            raise UserError(f"{path}: no mel filters of a CNN14 at 32 or 16 kHz in it; known: {_WHERE}")
        self.rate, self._win, self._hop = _RATES[len(self._bands)]
        state = {key: value for key, value in state.items() if not key.startswith("spectrogram_extractor.")}
        self._network = adopt(Network(), state, "CNN14 checkpoint")

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at `rate` -> (1, 2048): one row for the whole clip."""
        return self._run(samples)[0]

    def labels(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at `rate` -> (527,) probabilities of AudioSet's classes, each for itself."""
        return self._run(samples)[1][0]

    def _run(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        least = 32 * self._hop  # five halvings of the frames leave one
        sound = torch.from_numpy(np.pad(samples, (0, max(0, least - len(samples)))).astype(np.float32))
        with torch.inference_mode():
            log_mel = self.log_mel(sound)
            embedding, probabilities = self._network(log_mel[None])
        return embedding.numpy(), probabilities.numpy()

    def log_mel(self, sound: Tensor) -> Tensor:
        """(samples,) -> (frames, 64) decibels of the power, centred frames, mirrored ends."""
        spectrum = torch.stft(
            sound, self._win, self._hop, window=torch.hann_window(self._win), center=True, pad_mode="reflect",
            return_complex=True,
        )  # fmt: skip
        return 10.0 * torch.log10((spectrum.abs() ** 2).T.matmul(self._bands).clamp(min=1e-10))
