"""A network in a file of the user's: an ONNX graph or a TorchScript file, as a function of one array."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from aoide.config import UserError
from aoide.external.weights import local, session


@cache
def graph(path: str) -> Callable[[np.ndarray], np.ndarray]:
    """The network as a function: .onnx by onnxruntime, everything else as TorchScript; the first output counts.

    Raises:
        UserError: no such file, neither of the two, or a graph with several inputs.
    """
    local(path, "this network", "an .onnx graph or a TorchScript file")
    if path.endswith(".onnx"):
        network = session(path)
        inputs = [entry.name for entry in network.get_inputs()]
        if len(inputs) != 1:
            raise UserError(f"{path}: a graph of one input is needed, this one has {', '.join(inputs)}")
        return lambda x: network.run(None, {inputs[0]: x})[0]

    import torch

    try:
        script = torch.jit.load(path, map_location="cpu").eval()
    except RuntimeError as error:
        raise UserError(f"{path}: not a TorchScript file: {str(error).splitlines()[0][:120]}") from None

    def run(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found = script(torch.from_numpy(x))
        return (found[0] if isinstance(found, tuple) else found).numpy()

    return run


class GraphEmbedder:
    """An embedder from a file: sound (1, samples) float32 -> (1, dim) or (1, frames, dim).

    Args:
        path: .onnx or TorchScript.
        rate: Hz that it hears.
    """

    def __init__(self, path: str | os.PathLike[str], rate: int = 16000) -> None:
        self.name, self.rate = Path(path).name, rate
        self._run = graph(os.fspath(path))

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) -> (frames, dim), one row for a graph that gives one vector."""
        found = np.asarray(self._run(np.asarray(samples, np.float32)[None]))
        if found.ndim not in (2, 3):
            raise UserError(f"{self.name}: gives {found.shape} for one sound, not (1, dim) or (1, frames, dim)")
        return found.reshape(-1, found.shape[-1])
