"""What the tests of vocoders and codecs share: toy models with a source, and graphs that are torch modules."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aoide.generate import pack, packed
from aoide.generate import vocoder as runtime
from aoide.models import find

RATE = 8_000  # of all toy models
SOURCES: dict[str, dict[str, Any]] = {
    "nsf_hifigan": {},
    "nsf_hifigan sine": {"source": "sine", "noise": 0.1},
    "nsf_hifigan none": {"source": "none"},
    "parallel_wavegan": {},
    "sourcefilter": {},
}


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


# --------------------------------------------------------------------------------------------------------------- graphs


class TorchGraph:
    """Stands in for a session of onnxruntime."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module

    def run(self, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            made = self.module(**{name: torch.from_numpy(value) for name, value in feeds.items()})
        made = made if isinstance(made, tuple) else (made,)
        assert len(made) == len(outputs)
        return [value.numpy() for value in made]


def without_onnx(patch: pytest.MonkeyPatch) -> None:
    """Spares the ten seconds that torch takes to write a graph: from now on graphs are the modules that would become
    them, and a file holds but their number. tests/generate/test_graphs.py has the real ones.
    """
    graphs: dict[bytes, TorchGraph] = {}

    def to_onnx(
        module: torch.nn.Module, example: object, inputs: Sequence[str], outputs: object, path: Path, time: str = ""
    ) -> None:
        assert list(inputs) == list(inspect.signature(module.forward).parameters)
        name = f"graph {len(graphs)}".encode()
        graphs[name] = TorchGraph(module)
        path.write_bytes(name)

    patch.setattr(pack, "to_onnx", to_onnx)
    patch.setattr(packed, "session", lambda graph, threads, path: graphs[graph])


# ------------------------------------------------------------------------------------------------------- with a source


def sourced(case: str) -> torch.nn.Module:
    """A toy vocoder of `SOURCES` whose parameters are all awake."""
    module = find.find(f"vocoder/{case.partition(' ')[0]}")
    torch.manual_seed(0)
    model = module.Model(replace(module.TOY, **SOURCES[case])).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
            if name.endswith("weight.original0"):  # lengths of normalised weights, which begin near 0
                parameter.add_(1.0)
    return model


def mel_and_f0(model: Any, frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    f0 = (100 + 200 * random.random(frames, np.float32)) * (random.random(frames) > 0.3)
    return random.standard_normal((frames, model.config.mel.n_mels)).astype(np.float32) - 3, f0.astype(np.float32)


def check_against_torch(model: Any, loaded: runtime.Vocoder) -> None:
    """The same sound of the same source, whose phases are those of the model's own."""
    mel, f0 = mel_and_f0(model)
    known = np.concatenate([mel, f0[:, None]], axis=1) if loaded.needs_f0 else mel
    source = torch.from_numpy(next(loaded._with_source([known]))[:, mel.shape[1] :])[None]
    given = {"mel": torch.from_numpy(mel)[None], "f0": torch.from_numpy(f0)[None]}
    asked = inspect.signature(model.source).parameters
    with torch.no_grad():
        want = getattr(model, "vocode", model)(given["mel"], source=source)[0].numpy()
        own = model.source(**{key: value for key, value in given.items() if key in asked})
    assert own.shape == source.shape
    if loaded.needs_f0:
        apart = (own[..., :2] - source[..., :2]).abs()
        assert torch.minimum(apart, (1 - apart).abs()).max() < 1e-6, "phases run around the circle"
    assert want.std() > 1e-3
    np.testing.assert_allclose(loaded.vocode(mel, f0 if loaded.needs_f0 else None), want, atol=1e-4)
