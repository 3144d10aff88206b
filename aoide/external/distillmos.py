"""DistillMOS: one mean opinion score for a sound, by a small network that learnt from a large one (XLS-R).

Stahl and Gamper 2025 (arXiv 2502.05356, ICASSP 2025); version 7, 4.13 million parameters. The weights lie in the
package `distillmos`, which imports torchaudio and transformers for what it does not need; the network is written here
anew and reads the weights alone.

    sound (batch, 122880) at 16 kHz -> compressed complex spectrum -> six convolutions -> transformer -> attentive
    pooling
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.external.weights import adopt, inner, packaged, read_state

RATE = 16000  # Hz
_LENGTH = 122880  # samples that the network hears at once
_HOP = 16000  # samples between windows, at most
_WIN, _STEP = 320, 160  # samples of the Hann window, and from frame to frame
_DIM = 200
_ROUND = 32  # frames: of few lengths, since torch keeps plans and memory for each that comes along
_SETTLED = 24  # frames of silence behind a sound, of which the middle ones feel neither the sound nor the end


class DistillMOS(nn.Module):
    """The network. Names of the parts are those of the published state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = _Spectrum()
        self.transformer_pool_attn = _Judge()

    def forward(self, audio: Tensor) -> Tensor:
        """(batch, samples up to 122880) -> (batch,) mean opinion scores, 1 to 5; loudness does not matter.

        What is shorter is followed by silence. To the convolutions one moment of silence is like another, so they hear
        only its beginning and its end, and the same numbers stand for all between.
        """
        audio = audio / (audio.abs().amax(dim=1, keepdim=True) + 1e-8)
        frames = -(-audio.shape[1] // _STEP) + 1 + _SETTLED
        frames = min(-(-frames // _ROUND) * _ROUND, _LENGTH // _STEP)
        features = self.cnn(functional.pad(audio, (0, max(0, frames * _STEP - audio.shape[1]))))
        quiet = (frames - _SETTLED // 2) // 2
        between = features[:, quiet : quiet + 1].expand(-1, (_LENGTH // _STEP - frames) // 2, -1)
        features = torch.cat([features[:, :quiet], between, features[:, quiet:]], dim=1)
        return 1.0 + 4.0 * self.transformer_pool_attn(features)


class _Spectrum(nn.Module):
    """Complex spectrum with magnitudes to the power of 0.3, then convolutions over frequency and time."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        channels = (2, 64, 64, 128, 256, 256, 256)
        parts: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(channels)):
            stride = (2 if index else 1, 2 if index == 5 else 1)
            parts += [nn.Conv2d(before, after, 3, stride, padding=(0, 1)), nn.LeakyReLU(0.1, inplace=True)]
        self.cnn = nn.Sequential(*parts)
        self.register_buffer("window", torch.hann_window(_WIN), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """(batch, samples) -> (batch, frames, dim)"""
        side = (_WIN - _STEP) // 2
        padded = functional.pad(audio, (side, side), mode="reflect")
        spectrum = torch.stft(padded, _WIN, _STEP, window=self.window, center=False, return_complex=True)
        magnitude = spectrum.abs().clamp(min=1e-12)
        compressed = torch.view_as_real(spectrum * magnitude**-0.7)  # (batch, bins, frames, 2)
        return self.cnn(compressed.permute(0, 3, 1, 2)).flatten(1, 2).mT


class _Judge(nn.Module):
    """Transformer over the frames, attentive pooling, a number from 0 to 1."""

    def __init__(self, dim: int = 1024) -> None:
        super().__init__()
        self.norm_input = nn.BatchNorm1d(dim)
        self.transformer = _Transformer(dim)
        self.norm_trans = nn.BatchNorm1d(_DIM)
        self.pool = _Pool()

    def forward(self, features: Tensor) -> Tensor:
        """(batch, frames, dim) -> (batch,)"""
        hidden = self.transformer(self.norm_input(features.mT).mT)
        return torch.sigmoid(self.pool(self.norm_trans(hidden.mT).mT))


class _Transformer(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        self.linear_proj = nn.Linear(dim, _DIM)
        self.position_encoding = nn.ParameterDict({"pe": nn.Parameter(torch.zeros(1, 384, _DIM), requires_grad=False)})
        layer = nn.TransformerEncoderLayer(_DIM, nhead=8, dim_feedforward=2 * _DIM, dropout=0.0, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=7, enable_nested_tensor=False)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.linear_proj(self.norm(features.mT).mT)
        return self.transformer_encoder(hidden + self.position_encoding["pe"])


class _Pool(nn.Module):
    """A weighted mean over the frames, then one number."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(_DIM, 2 * _DIM)
        self.linear2 = nn.Linear(2 * _DIM, 1)
        self.linear3 = nn.Linear(_DIM, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        weight = self.linear2(functional.relu(self.linear1(hidden))).softmax(dim=1)
        return self.linear3((weight * hidden).sum(dim=1))[:, 0]


def score(samples: np.ndarray) -> float:
    """The mean opinion score of (samples,) at 16 kHz, 1 to 5.

    A short sound is followed by silence up to 7.68 s; a longer one is heard in windows at most a second apart, whose
    scores are averaged.

    Raises:
        MissingExtra: the package distillmos, which carries the weights, or torch is not installed.
    """
    sound = torch.from_numpy(np.array(samples, np.float32))
    beyond = max(0, len(sound) - _LENGTH)
    starts = np.linspace(0, beyond, int(np.ceil(beyond / _HOP)) + 1).astype(int)
    network = load()
    with torch.inference_mode():
        # one window after the other: a batch of all windows of a long sound would need gigabytes
        rated = [float(network(sound[None, start : start + _LENGTH])[0]) for start in starts]
    return float(np.mean(rated))


@cache
def load() -> DistillMOS:
    """The network with its published weights, read once."""
    state = inner(read_state(packaged("distillmos", "weights/distill_mos_v7.pt")), "model")
    network = adopt(DistillMOS(), state, "DistillMOS checkpoint")
    for parameter in network.cnn.parameters():
        if parameter.ndim == 4:  # channels last is how the spectrum comes, and a quarter faster than turning it round
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
