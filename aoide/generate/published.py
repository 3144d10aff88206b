"""Loads published weights: a state dict and its configuration, as their authors ship them, into a model of ours.

source/config.yaml (or .json)    the authors' configuration
source/<anything>.safetensors    the weights (or .bin, .pt, .pth, .ckpt: read as data, never as code)
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from aoide.config import UserError, read_yaml

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
CONFIGS = (".yaml", ".yml", ".json")


def load(name: str, module: ModuleType, source: Path) -> Any:
    """The model `name` with the weights in `source`, in evaluation mode.

    Args:
        module: its model file, which knows the published names by its `from_official`.
        source: a folder with one file of weights and one configuration, or the file of weights with the configuration
            beside it.

    Raises:
        UserError: nothing of the kind there, a damaged file, or weights of another model.
    """
    if not hasattr(module, "from_official"):
        raise UserError(f"{name}: no weights were published that Aoide can read; give a run of `aoide train`")
    folder = source.parent if source.suffix in WEIGHTS else source
    weights = source if source.suffix in WEIGHTS else _only(folder, WEIGHTS, "weights")
    state = _read_weights(weights)
    settings = _read_settings(_only(folder, CONFIGS, "configuration"))
    try:
        return module.from_official(state, settings).eval()
    except (KeyError, TypeError) as error:  # a configuration of something else lacks what this one must have
        raise UserError(f"{source}: not the configuration of a {name}: {type(error).__name__} {error}") from None


def _only(folder: Path, endings: tuple[str, ...], what: str) -> Path:
    """The only file in `folder` with one of these endings."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found = sorted(path for path in folder.iterdir() if path.suffix in endings)
    if len(found) != 1:
        told = f"{len(found)} files" if found else "no file"
        raise UserError(f"{folder}: expected one file with the {what} ({', '.join(endings)}), found {told}")
    return found[0]


def _read_settings(path: Path) -> dict[str, Any]:
    if path.suffix != ".json":
        return read_yaml(path)
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path}: not JSON that can be read") from None


def _read_weights(path: Path) -> dict[str, Any]:
    """The tensors by name; pickles are opened with `weights_only`, which runs no code."""
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other versions: either it reads them, or it fails below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception as error:  # on bytes that are no weights the unpickler fails with whatever comes of them
        reason = str(error).splitlines()[0] if str(error) else "it ends too early"
        raise UserError(f"{path}: truncated, or not a file of weights: {reason[:120]}") from None
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise UserError(f"{path}: holds no tensors by name")
    return state
