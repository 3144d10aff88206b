"""DNSMOS: how a listener would rate speech in noise, by two small networks of Microsoft that need no reference.

Reddy et al. 2021 (arXiv 2010.15258, P.808) and 2022 (arXiv 2110.01763, P.835). The weights come in the package
`speechmos` and are run here by onnxruntime alone; the mel of P.808 is that of librosa's defaults.

A sound is heard in windows of 9.01 s, a second apart, so each moment up to nine times. Nearly all of P.835's work is in
four convolutions before its first pooling, and these look four frames to each side only: here they run once over the
whole stretch and each window takes its part. Where a window begins and ends it must hear silence instead of its
neighbour's frames, so these few frames are computed for each window by themselves. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aoide.config import require
from aoide.external.spectra import magnitude_frames, slaney_bands
from aoide.external.weights import packaged, session

RATE = 16000  # Hz
_LENGTH = round(9.01 * RATE)  # samples that the networks hear at once
_HOP, _FRAMES = 160, 900  # samples from frame to frame, frames of a window
_APART = RATE // _HOP  # frames from window to window
_REACH, _POOL = 4, 2  # frames that four convolutions see to each side, and that one pooling takes together
_BLOCK = 450  # frames whose features are in memory at once
_AT_ONCE = 16  # windows
# The networks were fitted to scores on another scale; these polynomials of Microsoft's script bring them back.
_SCALES: dict[bool, dict[str, tuple[float, ...]]] = {
    False: {"sig": (-0.08397278, 1.22083953, 0.0052439), "bak": (-0.13166888, 1.60915514, -0.39604546),
            "ovrl": (-0.06766283, 1.11546468, 0.04602535)},
    True: {"sig": (-0.01019296, 0.02751166, 1.19576786, -0.24348726),
           "bak": (-0.04976499, 0.44276479, -0.1644611, 0.96883132),
           "ovrl": (-0.00533021, 0.005101, 1.18058466, -0.11236046)},
}  # fmt: skip


class Scores(NamedTuple):
    """Mean opinion scores of P.835, 1 to 5."""

    sig: float  # the speech alone
    bak: float  # the background alone
    ovrl: float  # all in all


def scores(samples: np.ndarray, personalized: bool = False) -> Scores:
    """The scores of one sound by the network of P.835.

    Args:
        samples: (samples,) at 16 kHz, not silent. Shorter ones are repeated up to 9.01 s, longer ones are heard in
            windows a second apart, whose scores are averaged.
        personalized: other speakers count as background (pDNSMOS).

    Raises:
        MissingExtra: speechmos or onnx is not installed.
    """
    sound, windows = _windows(samples)
    network = _primary(personalized)
    raw = [network(sound, first, min(windows, first + _AT_ONCE)) for first in range(0, windows, _AT_ONCE)]
    columns = zip(Scores._fields, np.concatenate(raw).T, strict=True)
    return Scores(**{name: float(np.polyval(_SCALES[personalized][name], column).mean()) for name, column in columns})


def p808(samples: np.ndarray) -> float:
    """The score of one sound all in all, by the older network of P.808; `samples` as in `scores`."""
    sound, windows = _windows(samples)
    starts = [second * RATE for second in range(windows)]
    network = _older()
    heard = (_mel(sound[start : start + _LENGTH - _HOP])[None] for start in starts)
    return float(np.mean([network.run(None, {"input_1": mel})[0][0][0] for mel in heard]))


def _windows(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """The sound, repeated until it fills a window, and how many windows it has."""
    sound = np.clip(np.asarray(samples, np.float32), -1.0, 1.0)
    while len(sound) < _LENGTH:
        sound = np.concatenate([sound, sound])
    count = int(len(sound) // RATE - 9.01) + 1
    return sound, sum(second * RATE + _LENGTH <= len(sound) for second in range(count))


class _Primary:
    """The network of P.835 in three parts: samples to spectra, these to the first pooling, and from there the scores.

    Args:
        path: of the published graph.
    """

    def __init__(self, path: Path) -> None:
        onnx = require("onnx", "metrics")
        graph = onnx.load(path).graph
        axes = {weight.name: len(weight.dims) for weight in graph.initializer}
        spectra = next(node.input[0] for node in graph.node if node.op_type == "Conv" and axes[node.input[1]] == 4)
        pooled = next(node.output[0] for node in graph.node if node.op_type == "MaxPool")
        heard, scored = graph.input[0].name, graph.output[0].name
        self._spectra, self._pooled, self._judged = (
            _part(path, source, target) for source, target in pairwise((heard, spectra, pooled, scored))
        )

    def __call__(self, sound: np.ndarray, first: int, last: int) -> np.ndarray:
        """(samples,) -> (last - first, 3), raw scores of the windows from `first` to before `last`."""
        starts = [_APART * window for window in range(last - first)]
        spectra = self._frames(sound[first * RATE :], starts[-1] + _FRAMES)
        inside = self._inside(spectra)
        strip = 2 * _REACH
        left = self._pooled(np.concatenate([spectra[:, :, start : start + strip] for start in starts]))
        ends = [start + _FRAMES for start in starts]
        right = self._pooled(np.concatenate([spectra[:, :, end - strip : end] for end in ends]))
        edge = _REACH // _POOL
        windows = [inside[:, :, start // _POOL : end // _POOL] for start, end in zip(starts, ends, strict=True)]
        parts = (left[:, :, :edge], np.concatenate([w[:, :, edge:-edge] for w in windows]), right[:, :, -edge:])
        return self._judged(np.concatenate(parts, axis=2))

    def _frames(self, sound: np.ndarray, frames: int) -> np.ndarray:
        """(1, 1, frames, bins): the graph's own spectra, whose length is fixed, laid end to end."""
        blocks = -(-frames // _FRAMES)
        length = _LENGTH + (blocks - 1) * _FRAMES * _HOP
        sound = np.pad(sound[:length], (0, max(0, length - len(sound))))
        windows = np.lib.stride_tricks.sliding_window_view(sound, _LENGTH)[:: _FRAMES * _HOP]
        return np.concatenate([self._spectra(window[None]) for window in windows], axis=2)[:, :, :frames]

    def _inside(self, spectra: np.ndarray) -> np.ndarray:
        """(1, channels, frames / 2, bins / 2), block by block: at once, a minute would need a gigabyte."""
        frames, found = spectra.shape[2], []
        for start in range(0, frames, _BLOCK):
            before = min(_REACH, start)
            pooled = self._pooled(spectra[:, :, start - before : start + _BLOCK + _REACH])
            found.append(pooled[:, :, before // _POOL :][:, :, : _BLOCK // _POOL])
        return np.concatenate(found, axis=2)


def _part(path: Path, source: str, target: str) -> Callable[[np.ndarray], np.ndarray]:
    """What lies between two tensors of a graph, as a function; it takes any number of frames."""
    onnx = require("onnx", "metrics")
    model = onnx.load(path)
    made_by = {output: node for node in model.graph.node for output in node.output}
    nodes, waiting = [], [target]
    while waiting:
        name = waiting.pop()
        if name != source and name in made_by and made_by[name] not in nodes:
            nodes.append(made_by[name])
            waiting += made_by[name].input
    inputs = {name for node in nodes for name in node.input}
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in (source, target)]
    order = [node for node in model.graph.node if node in nodes]
    weights = [weight for weight in model.graph.initializer if weight.name in inputs]
    part = onnx.helper.make_graph(order, "part", ends[:1], ends[1:], weights)
    whole = onnx.helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
    network = session(whole.SerializeToString())
    return lambda x: network.run(None, {source: np.ascontiguousarray(x)})[0]


@cache
def _primary(personalized: bool) -> _Primary:
    folder = "pdnsmos_models" if personalized else "dnsmos_models"
    return _Primary(packaged("speechmos", f"{folder}/sig_bak_ovr.onnx"))


@cache
def _older() -> Any:
    return session(packaged("speechmos", "dnsmos_models/model_v8.onnx"))


@cache
def _bands() -> np.ndarray:
    return slaney_bands(RATE, 321, 120, 0.0, RATE / 2)


def _mel(samples: np.ndarray) -> np.ndarray:
    """(frames, 120): decibels below the loudest band, at most 80, shifted and scaled to -1 to 1."""
    power = magnitude_frames(samples, 321, _HOP, centred=True) ** 2 @ _bands().T
    decibels = 10.0 * np.log10(np.maximum(power, 1e-10))
    decibels -= decibels.max()
    return ((np.maximum(decibels, -80.0) + 40.0) / 40.0).astype(np.float32)
