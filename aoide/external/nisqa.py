"""NISQA 2: how a listener would rate transmitted speech, and four reasons why.

Mittag et al. 2021 (arXiv 2104.09494). The weights are a local file, `nisqa.tar` or `nisqa_mos_only.tar` of
github.com/gabrielmittag/NISQA (code MIT, weights CC BY-NC-SA 4.0); no package carries them. `nisqa_tts.tar` is
another network and is not read.

    sound at its own rate -> mel in dB, 48 bands up to 20 kHz -> 15 frames at a time through convolutions ->
    self-attention over time -> attentive pooling, one for each score
"""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError
from aoide.external.spectra import patches, slaney_bands
from aoide.external.weights import adopt, inner, local, read_state

_WHERE = "weights/nisqa.tar of github.com/gabrielmittag/NISQA"
_FFT, _BANDS, _TOP = 4096, 48, 20000.0
_SEGMENT, _SEGMENT_HOP = 15, 4  # frames of 10 ms


class Scores(NamedTuple):
    """1 to 5, higher is better; all but `mos` are NaN with the weights of the mean opinion score alone."""

    mos: float
    noisiness: float
    discontinuity: float
    coloration: float
    loudness: float


class Network(nn.Module):
    """Names are those of the published state dict."""

    def __init__(self, heads: int = 5) -> None:
        super().__init__()
        self.cnn = _Named(_Segment())
        self.time_dependency = _Named(_Attention())
        self.pool_layers = nn.ModuleList(_Named(_Pool()) for _ in range(heads))

    def forward(self, segments: Tensor) -> Tensor:
        """(segments, 15, 48) decibels of one sound -> (heads,)"""
        hidden = self.time_dependency(self.cnn(segments.mT[:, None]))
        return torch.cat([pool(hidden) for pool in self.pool_layers])


class _Named(nn.Module):
    """A part inside a part called `model`, as the published names have it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class _Segment(nn.Module):
    """Six convolutions; 48 bands x 15 frames become 6 x 1."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (1, 16, 32, 64, 64, 64, 64)
        for index in range(6):
            padding = (1, 0) if index == 5 else (1, 1)
            self.add_module(f"conv{index + 1}", nn.Conv2d(sizes[index], sizes[index + 1], 3, padding=padding))
            self.add_module(f"bn{index + 1}", nn.BatchNorm2d(sizes[index + 1]))

    def forward(self, x: Tensor) -> Tensor:
        """(segments, 1, 48, 15) -> (segments, 384)"""
        pooled = {0: (24, 7), 1: (12, 5), 3: (6, 3)}
        for index in range(6):
            x = functional.relu(self.get_submodule(f"bn{index + 1}")(self.get_submodule(f"conv{index + 1}")(x)))
            if index in pooled:
                x = functional.adaptive_max_pool2d(x, pooled[index])
        return x.flatten(1)


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(384, 64)
        self.norm1 = nn.LayerNorm(64)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(64, 1, 64, 0.0, batch_first=True) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(segments, 384) -> (segments, 64)"""
        hidden = self.norm1(self.linear(x))[None]
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden[0]


class _Pool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2, self.linear3 = nn.Linear(64, 128), nn.Linear(128, 1), nn.Linear(64, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(segments, 64) -> (1,)"""
        weight = self.linear2(functional.relu(self.linear1(hidden))).softmax(dim=0)
        return self.linear3((weight * hidden).sum(dim=0))


def scores(samples: np.ndarray, sample_rate: int, path: str | os.PathLike[str] | None) -> Scores:
    """The scores of (samples,) at its own rate: a telephone band sounds like one.

    Raises:
        UserError: no file of weights, or not these.
    """
    segments = torch.from_numpy(patches(_mel(samples, sample_rate), _SEGMENT, 1, fill=-80.0)[::_SEGMENT_HOP])
    with torch.inference_mode():
        found = _load(os.fspath(local(path, "NISQA", _WHERE)))(segments).tolist()
    return Scores(*found, *[float("nan")] * (5 - len(found)))


def _mel(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """(frames, 48) decibels of the magnitude, at most 80 below the loudest; frames of 20 ms, mirrored ends."""
    win, hop = int(sample_rate * 0.02), int(sample_rate * 0.01)
    sound = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
    if len(sound) <= _FFT // 2:  # the mirror needs so much
        sound = functional.pad(sound, (0, _FFT // 2 + 1 - len(sound)))
    spectrum = torch.stft(
        sound, _FFT, hop, win, window=torch.hann_window(win), center=True, pad_mode="reflect", return_complex=True
    )
    mel = spectrum.abs().T.numpy() @ slaney_bands(sample_rate, _FFT, _BANDS, 0.0, _TOP).T
    decibels = 20.0 * np.log10(np.maximum(mel, 1e-4))
    return np.maximum(decibels, decibels.max() - 80.0).astype(np.float32)


@cache
def _load(path: str) -> Network:
    from pathlib import Path

    checkpoint = read_state(Path(path))
    kind = checkpoint.get("args", {}).get("model")
    if kind not in ("NISQA_DIM", "NISQA") or checkpoint["args"].get("td") != "self_att":
        raise UserError(f"{path}: not the network of NISQA 2; it needs {_WHERE}")
    state = inner(checkpoint, "model_state_dict")
    if kind == "NISQA":  # the mean opinion score alone: one pool, without a list around it
        state = {key.replace("pool.model.", "pool_layers.0.model."): value for key, value in state.items()}
    return adopt(Network(5 if kind == "NISQA_DIM" else 1), state, "NISQA checkpoint")
