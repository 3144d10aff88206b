"""UTMOS: a mean opinion score for synthetic speech, by a graph that the user gives.

Saeki et al. 2022 (arXiv 2204.02152). The published network stands on a wav2vec 2.0 of 95 million parameters, and no
package carries its weights. It is not written anew here: give its export, an ONNX graph or a TorchScript file
(github.com/tarepan/SpeechMOS publishes the network; `torch.jit.trace`) with one input, sound (1, samples) at 16 kHz,
and one output of one number, the score.
"""

from __future__ import annotations

import os

import numpy as np

from aoide.config import UserError
from aoide.external.graphs import graph
from aoide.external.weights import local

RATE = 16000  # Hz
_WHERE = "an export of UTMOS as .onnx or TorchScript (.pt), sound (1, samples) at 16 kHz -> score"


def score(samples: np.ndarray, path: str | os.PathLike[str] | None) -> float:
    """The score of (samples,) at 16 kHz, 1 to 5.

    Raises:
        UserError: no file, or not one that takes a sound and gives one number.
    """
    found = np.asarray(graph(os.fspath(local(path, "UTMOS", _WHERE)))(samples[None].astype(np.float32)))
    if found.size != 1:
        raise UserError(f"{path}: gives {found.shape} numbers for one sound, not one score; it needs {_WHERE}")
    return float(found.reshape(()))
