"""Loads published weights: a state dict and its configuration, as their authors ship them, into a model of ours.

source/config.yaml (or .json)    the authors' configuration; some keep it inside the file of weights instead
source/<anything>.safetensors    the weights (or .bin, .pt, .pth, .ckpt, or g_02500000: read as data, never as code)
source/<the model's OFFICIAL_FILES>  where its authors publish parts in files of their own
hf:owner/name                    such a folder on the Hugging Face hub; also hf:owner/name/inner/folder and @revision
"""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from aoide.config import UserError, read_yaml, require

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
CONFIGS = (".yaml", ".yml", ".json")
HUB = "hf:"
_GENERATOR = re.compile(r"g_\d+")  # HiFi-GAN's training writes g_02500000 beside do_02500000, its critics
_NOT_THE_MODEL = re.compile(
    r"^do_|discriminator|optimi[sz]er|\.index\.json$|tokenizer|generation_config|special_tokens_map", re.IGNORECASE
)


def load(name: str, module: ModuleType, source: str | os.PathLike[str]) -> Any:
    """The model `name` with the weights in `source`, in evaluation mode.

    Args:
        module: its model file, which knows the published names by its `from_official`.
        source: a folder with one file of weights and one configuration, the file of weights with the configuration
            beside it (or in it), or `hf:owner/name`.

    Raises:
        UserError: nothing of the kind there, a damaged file, weights of another model, or a hub that cannot be reached.
    """
    if not hasattr(module, "from_official"):
        raise UserError(f"{name}: no weights were published that Aoide can read; give a run of `aoide train`")
    text = os.fspath(source)
    path = download(text) if text.startswith(HUB) else Path(text)
    known = [path / file for file in getattr(module, "OFFICIAL_FILES", ()) if (path / file).is_file()]
    if known:
        state, settings = _merged(known)
    else:
        weights = path if _holds_weights(path) else _only(path, "weights")
        state, inside = _read_weights(weights)
        settings = _read_settings(_only(weights.parent, "configuration")) if inside is None else inside
    try:
        return module.from_official(state, settings).eval()
    except (KeyError, TypeError) as error:  # a configuration of something else lacks what this one must have
        raise UserError(f"{text}: not the configuration of a {name}: {type(error).__name__} {error}") from None


# ------------------------------------------------------------------------------------------------------------- the hub


def download(source: str) -> Path:
    """The local copy of `hf:owner/name[/inner/path][@revision]`: weights and configurations, without critics.

    Raises:
        UserError: not such a name, nothing there, or no network and no copy from before.
        MissingExtra: huggingface-hub is not installed.
    """
    hub = require("huggingface_hub", "torch")
    match = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)((?:/[\w.-]+)*)(?:@([\w./-]+))?", source)
    if not match:
        raise UserError(
            f"{source}: a place on the hub is hf:owner/name, hf:owner/name/folder or hf:owner/name@revision"
        )
    repository, inner, revision = match[1], match[2].strip("/"), match[3]
    try:
        try:
            names = hub.HfApi().list_repo_files(repository, revision=revision)
        except Exception as error:  # its errors and those of the network below have no common base
            if "not found" in str(error).lower() or "404" in str(error):
                raise UserError(f"{source}: the hub has no {repository} that everyone may read") from None
            root = hub.snapshot_download(repository, revision=revision, local_files_only=True)
        else:
            chosen = [name for name in names if name.startswith(inner) and _wanted(Path(name))]
            if not chosen:
                raise UserError(f"{source}: {repository} holds no weights{f' in {inner}' if inner else ''}")
            root = hub.snapshot_download(repository, revision=revision, allow_patterns=chosen)
    except UserError:
        raise
    except Exception:
        raise UserError(
            f"{source}: the hub cannot be reached, and there is no copy from before; download the weights and their "
            "configuration elsewhere and give their folder instead"
        ) from None
    return Path(root) / inner


def _wanted(path: Path) -> bool:
    return (_holds_weights(path) or path.suffix in CONFIGS) and not _NOT_THE_MODEL.search(path.name)


# --------------------------------------------------------------------------------------------------------------- files


def _holds_weights(path: Path) -> bool:
    """By its name."""
    return path.suffix in WEIGHTS or _GENERATOR.fullmatch(path.name) is not None


def _merged(files: list[Path]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights that were published in several files, and their configuration: {} means the published one."""
    state: dict[str, Any] = {}
    for file in files:
        state |= _read_weights(file)[0]
    configs = [path for path in files[0].parent.iterdir() if path.suffix in CONFIGS]
    return state, _read_settings(configs[0]) if len(configs) == 1 else {}


def _only(folder: Path, what: str) -> Path:
    """The only file of weights, or of configuration, in `folder`; critics and optimisers are passed over."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    fits = _holds_weights if what == "weights" else lambda path: path.suffix in CONFIGS
    found = sorted(path for path in folder.iterdir() if fits(path) and not _NOT_THE_MODEL.search(path.name))
    if len(found) != 1:
        told = f"{len(found)} files: {', '.join(path.name for path in found[:5])}" if found else "no file"
        endings = ", ".join(WEIGHTS if what == "weights" else CONFIGS)
        raise UserError(f"{folder}: expected one file with the {what} ({endings}), found {told}")
    return found[0]


def _read_settings(path: Path) -> dict[str, Any]:
    if path.suffix != ".json":
        return read_yaml(path)
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path}: not JSON that can be read") from None


def _read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The tensors by name, and the configuration where the file has it inside (Descript's `metadata.kwargs`).

    Pickles are opened with `weights_only`, which runs no code. Tensors that lie deeper, as in `{"generator": {...}}`,
    get dotted names.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path), None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other versions: either it reads them, or it fails below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception as error:  # on bytes that are no weights the unpickler fails with whatever comes of them
        reason = str(error).splitlines()[0] if str(error) else "it ends too early"
        raise UserError(f"{path}: truncated, or not a file of weights: {reason[:120]}") from None
    inside = content.get("metadata") if isinstance(content, dict) else None
    settings = inside.get("kwargs") if isinstance(inside, dict) else None
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    state = dict(_tensors(content)) if isinstance(content, dict) else {}
    if not state:
        raise UserError(f"{path}: holds no tensors by name")
    return state, settings


def _tensors(content: dict[Any, Any], before: str = "") -> Any:
    """(dotted name, tensor) of all tensors in nested dicts; what else a checkpoint keeps is passed over."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _tensors(value, f"{before}{key}.")
        elif hasattr(value, "shape") and isinstance(key, str):
            yield before + key, value
