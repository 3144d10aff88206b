"""RawNet3: a speaker encoder on the waveform itself.

Jung et al. 2022 (arXiv 2203.08488), ECA pooling, 256 numbers. The weights are a local file, `model.pt` of the
author's repository (github.com/Jungjee/RawNet; huggingface.co/jungjee/RawNet3); no package carries them. The one that
Amphion uses.

    sound -> pre-emphasis -> 256 learnt band-pass filters -> three Res2Net blocks -> attentive mean and deviation ->
    projection
"""

from __future__ import annotations

import math
import os

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.external.weights import adopt, inner, local, read_state

RATE = 16000  # Hz
_WHERE = "model.pt of huggingface.co/jungjee/RawNet3"
_LENGTH, _HEARINGS = 48000, 10  # samples that are heard at once, and how often along the sound


class _Filters(nn.Module):
    """Band-pass filters given by their edges, cosine and sine of each (Ravanelli and Bengio 2018)."""

    window_: Tensor
    n_: Tensor

    def __init__(self, filters: int, taps: int = 251) -> None:
        super().__init__()
        half = taps // 2
        self.low_hz_ = nn.Parameter(torch.zeros(filters // 2, 1))
        self.band_hz_ = nn.Parameter(torch.zeros(filters // 2, 1))
        self.register_buffer("window_", torch.hamming_window(taps, periodic=False)[:half])
        self.register_buffer("n_", 2 * math.pi * torch.arange(-half, 0.0)[None] / RATE)

    def forward(self) -> Tensor:
        """The filters (filters, 1, taps)."""
        low = 50.0 + self.low_hz_.abs()
        high = (low + 50.0 + self.band_hz_.abs()).clamp(50.0, RATE / 2)
        scale = self.window_ / (self.n_ / 2)
        cosine = (torch.sin(high @ self.n_) - torch.sin(low @ self.n_)) * scale
        sine = (torch.cos(low @ self.n_) - torch.cos(high @ self.n_)) * scale
        middle = 2.0 * (high - low)
        even = torch.cat([cosine, middle, cosine.flip(1)], dim=1)
        odd = torch.cat([sine, torch.zeros_like(middle), -sine.flip(1)], dim=1)
        return (torch.cat([even, odd]) / torch.cat([middle, middle]))[:, None]


class _Scaling(nn.Module):
    """Adds a learnt number to each channel, then weighs the channels by what the whole sound says."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(dim, 1))
        self.fc = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.alpha) * torch.sigmoid(self.fc(x.mean(dim=2)))[..., None]


class _Block(nn.Module):
    """Res2Net: the channels in eight groups, each hears the one before it."""

    def __init__(self, before: int, dim: int, dilation: int, pool: int | None = None) -> None:
        super().__init__()
        self.width = dim // 8
        self.conv1, self.bn1 = nn.Conv1d(before, dim, 1), nn.BatchNorm1d(dim)
        self.convs = nn.ModuleList(
            nn.Conv1d(self.width, self.width, 3, padding=dilation, dilation=dilation) for _ in range(7)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(self.width) for _ in range(7))
        self.conv3, self.bn3 = nn.Conv1d(dim, dim, 1), nn.BatchNorm1d(dim)
        self.pool = pool
        self.afms = _Scaling(dim)
        self.residual = nn.Sequential(nn.Conv1d(before, dim, 1, bias=False)) if before != dim else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        groups = self.bn1(functional.relu(self.conv1(x))).split(self.width, dim=1)
        done: list[Tensor] = []
        for conv, norm, group in zip(self.convs, self.bns, groups[:-1], strict=True):
            done.append(norm(functional.relu(conv(group + done[-1] if done else group))))
        out = self.bn3(functional.relu(self.conv3(torch.cat([*done, groups[-1]], dim=1)))) + self.residual(x)
        return self.afms(functional.max_pool1d(out, self.pool) if self.pool else out)


class Network(nn.Module):
    """Names are those of the published state dict."""

    def __init__(self, dim: int = 1024, wide: int = 1536, embedding: int = 256) -> None:
        super().__init__()
        self.preprocess = nn.ModuleList([_Emphasis(), nn.InstanceNorm1d(1, eps=1e-4, affine=True)])
        self.conv1 = nn.ModuleDict({"filterbank": _Filters(dim // 4)})
        self.bn1 = nn.BatchNorm1d(dim // 4)  # in the published file, and used nowhere
        self.layer1 = _Block(dim // 4, dim, 2, pool=5)
        self.layer2 = _Block(dim, dim, 3, pool=3)
        self.layer3 = _Block(dim, dim, 4)
        self.layer4 = nn.Conv1d(3 * dim, wide, 1)
        self.attention = nn.Sequential(
            nn.Conv1d(3 * wide, 128, 1), nn.ReLU(), nn.BatchNorm1d(128), nn.Conv1d(128, wide, 1), nn.Softmax(dim=2)
        )
        self.bn5 = nn.BatchNorm1d(2 * wide)
        self.fc6 = nn.Linear(2 * wide, embedding)
        self.bn6 = nn.BatchNorm1d(embedding)  # likewise

    def forward(self, audio: Tensor) -> Tensor:
        """(batch, samples) at 16 kHz -> (batch, 256)"""
        x = audio[:, None]
        for part in self.preprocess:
            x = part(x)
        x = torch.log(functional.conv1d(x, self.conv1["filterbank"](), stride=10).abs() + 1e-6)
        x = x - x.mean(dim=2, keepdim=True)
        first = self.layer1(x)
        second = self.layer2(first)
        shorter = functional.max_pool1d(first, 3)
        third = self.layer3(shorter + second)
        x = functional.relu(self.layer4(torch.cat([shorter, second, third], dim=1)))
        spread = x.var(dim=2, keepdim=True).clamp(1e-4, 1e4).sqrt()
        weight = self.attention(torch.cat([x, x.mean(dim=2, keepdim=True).expand_as(x), spread.expand_as(x)], dim=1))
        mean = (x * weight).sum(dim=2)
        deviation = ((x**2 * weight).sum(dim=2) - mean**2).clamp(1e-4, 1e4).sqrt()
        return self.fc6(self.bn5(torch.cat([mean, deviation], dim=1)))


class _Emphasis(nn.Module):
    """Each sample minus 0.97 of the one before it; the first one's neighbour is the second, mirrored."""

    flipped_filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("flipped_filter", torch.tensor([[[-0.97, 1.0]]]))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv1d(functional.pad(x, (1, 0), mode="reflect"), self.flipped_filter)


class Rawnet3:
    """A speaker encoder.

    Args:
        path: the weights.
    """

    rate, dim = RATE, 256

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        state = inner(read_state(local(path, "RawNet3", _WHERE)), "model")
        self._network = adopt(Network(), state, "RawNet3 checkpoint")

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (256,): the mean over ten hearings of 3 s along the sound.

        What is shorter than 3 s begins again. As the author's script, and Amphion's.
        """
        windows = torch.from_numpy(hearings(np.asarray(samples, np.float32)))
        with torch.inference_mode():
            return self._network(windows).mean(dim=0).numpy()


def hearings(samples: np.ndarray) -> np.ndarray:
    """(samples,) -> (10, 48000)"""
    if len(samples) < _LENGTH:
        samples = np.pad(samples, (0, _LENGTH - len(samples) + 1), mode="wrap")
    starts = np.linspace(0, len(samples) - _LENGTH, _HEARINGS).astype(int)
    return np.stack([samples[start : start + _LENGTH] for start in starts])
