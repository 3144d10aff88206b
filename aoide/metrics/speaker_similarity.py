"""Speaker similarity: the cosine between the voices of two sounds, by a speaker encoder.

The two sounds of a pair need not say the same. Numbers of different encoders cannot be compared: for Resemblyzer
different speakers lie near 0.5 and the same speaker near 0.8, for the others lower. `encoder`:

    resemblyzer   GE2E (Wan et al. 2018); weights in the package `resemblyzer`, works at once
    wavlm         microsoft/wavlm-base-plus-sv by transformers, a local folder or a hub: Amphion's default
    wavlm_tdnn    WavLM large + TDNN by local file: the SIM-O of VALL-E, MaskGCT, F5-TTS
    rawnet3       RawNet3 by local file
    wespeaker     an ONNX graph of WeSpeaker by local file

Unit        cosine
Range       -1 to 1
Better      higher is more alike
Equation    <x, y> / (|x| |y|), x and y the vectors of the encoder
Paper       Wan et al. 2018, GE2E, arXiv:1710.10467 (resemblyzer); the others in `aoide.external`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from functools import cache
from typing import Literal, Protocol

import numpy as np

from aoide.config import UserError, near, require
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.metric import Metric

METRIC = Metric(unit="cosine", better="higher", best=1.0, kind="pair", extra="metrics", rate=16000)

Encoder = Literal["resemblyzer", "wavlm", "wavlm_tdnn", "rawnet3", "wespeaker"]
ENCODERS = {
    "resemblyzer": ("resemblyzer", "Resemblyzer"),
    "wavlm": ("wavlm", "WavLMSpeaker"),
    "wavlm_tdnn": ("wavlm", "WavLMTDNN"),
    "rawnet3": ("rawnet3", "Rawnet3"),
    "wespeaker": ("wespeaker", "Wespeaker"),
}


class _SpeakerEncoder(Protocol):
    rate: int

    def embed(self, samples: np.ndarray) -> np.ndarray: ...


def speaker_similarity(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    encoder: Encoder = "resemblyzer",
    source: str | os.PathLike[str] | None = None,
) -> float:
    """The cosine of the two speaker vectors.

    Args:
        reference, generated: (samples,) or (samples, channels), or analyses; of any length each.
        sample_rate: Hz.
        encoder: see above.
        source: its local file or folder, or hub name.

    Returns:
        NaN where one of the two is silent.

    Raises:
        UserError: an unknown encoder, or weights that are not there; says which are needed.
        MissingExtra: a package is not installed.
    """
    network = load(encoder, source)
    first, second = pair(reference, generated, sample_rate, network.rate)
    if first.silent or second.silent:
        return float("nan")
    key = ("speaker", encoder, None if source is None else os.fspath(source))
    one = first.keep(key, lambda: network.embed(first.samples))
    return _cosine(one, second.keep(key, lambda: network.embed(second.samples)))


def load(encoder: str, source: str | os.PathLike[str] | None = None) -> _SpeakerEncoder:
    """A speaker encoder by name, loaded once."""
    if encoder not in ENCODERS:
        raise UserError(
            f"no speaker encoder {encoder!r};{near(encoder, ENCODERS) or ' there are ' + ', '.join(ENCODERS)}"
        )
    return _load(encoder, None if source is None else os.fspath(source))


@cache
def _load(encoder: str, source: str | None) -> _SpeakerEncoder:
    if encoder != "wespeaker":
        require("torch", "metrics")
    module, name = ENCODERS[encoder]
    return getattr(importlib.import_module(f"aoide.external.{module}"), name)(source)


def amphion(
    reference: Mapping[str, np.ndarray],
    generated: Mapping[str, np.ndarray],
    sample_rate: int,
    *,
    encoder: Literal["wavlm", "rawnet3", "resemblyzer"] = "wavlm",
    mode: Literal["pairwith", "overall"] = "pairwith",
    source: str | os.PathLike[str] | None = None,
) -> float:
    """What Amphion prints as similarity (evaluation/metrics/similarity/speaker_similarity.py) for two folders.

    - pairwith sets sound against sound in the order in which a listing of each folder happens to name them, whatever
      their names; the longer folder's rest is dropped. The order of the two mappings stands for that order here.
    - overall is the mean over all combinations.
    - Its Resemblyzer first cuts out long pauses by webrtcvad, which is not done here.

    Args:
        reference, generated: names and sounds (samples,), in the order of the listings.
    """
    network = load(encoder, source)
    ones, others = (
        [_embed(network, sound, sample_rate) for sound in folder.values()] for folder in (reference, generated)
    )
    if mode == "pairwith":
        cosines = [_cosine(one, other) for one, other in zip(ones, others, strict=False)]
    else:
        cosines = [_cosine(one, other) for one in ones for other in others]
    return float(np.mean(cosines)) if cosines else float("nan")


def _embed(network: _SpeakerEncoder, sound: np.ndarray, sample_rate: int) -> np.ndarray:
    return network.embed(Analysis(sound, sample_rate).at(network.rate).samples)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.dot(one, other)) / length if length else float("nan")
