"""Models larger than one GPU's memory: each process keeps a shard of every weight, and writes and reads its own.

FSDP2 (`torch.distributed.fsdp.fully_shard`) gathers the weights of a layer when it is its turn and lets go of them
after it. A sharded checkpoint is a folder of safetensors files, one or more of each process, written and read by
`torch.distributed.checkpoint`, which cuts them anew for another number of processes. One process alone reads them too.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError

FOLDER = "shards"  # inside a checkpoint
LEAST = 2  # layers of a list that are worth being gathered one by one


def shard(network: nn.Module) -> None:
    """Cuts the weights of `network` among the processes: block by block where it is a stack of them, then the rest."""
    from torch.distributed.fsdp import fully_shard

    for module in list(network.modules()):
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) >= LEAST:
            for block in module:
                if any(True for _ in block.parameters()) and not _inside_sharded(network, block):
                    fully_shard(block)
    fully_shard(network)


def _inside_sharded(network: nn.Module, block: nn.Module) -> bool:
    """Whether a block is in, or is, one that is cut already: the outermost stack decides."""
    from torch.distributed.fsdp import FSDPModule

    cut = (module for module in network.modules() if isinstance(module, FSDPModule))
    return any(block is part for module in cut for part in module.modules())


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor; the tensor itself where it is whole. Shares its memory."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on every process."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def fill(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Whole weights into a sharded network: every process takes its part.

    Raises:
        UserError: they do not fit; `where` says whose they are.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    own = network.state_dict()
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in weights.items()}:
        raise UserError(f"{where}: these weights do not fit the model")
    set_model_state_dict(network, dict(weights), options=StateDictOptions(full_state_dict=True))


def save(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Every process writes its parts of `tensors` into `folder`; all must call.

    Raises:
        OSError: a process could not write; on all of them.
    """
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.api import CheckpointException

    seen: set[int] = set()
    alone = {}
    for name, value in tensors.items():
        place = local(value).untyped_storage().data_ptr()
        alone[name] = value.clone() if place in seen else value  # tied weights: safetensors wants each its own memory
        seen.add(place)
    try:
        writer = checkpoint.HuggingFaceStorageWriter(str(folder), save_distributed=True)
        checkpoint.save(alone, storage_writer=writer)
    except CheckpointException as error:
        told = "; ".join(f"process {rank}: {failure[0]}" for rank, failure in error.failures.items())
        raise OSError(told) from None


def load_into(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Reads a sharded checkpoint into `tensors`, whole or sharded, in place; all processes must call.

    Raises:
        UserError: a tensor is missing there, or has another shape.
    """
    from torch.distributed import checkpoint

    _check(folder, {name: value.shape for name, value in tensors.items()})
    checkpoint.load(dict(tensors), storage_reader=checkpoint.HuggingFaceStorageReader(str(folder)))


def read(folder: Path, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a sharded checkpoint whose names begin with `prefix`, whole, by one process."""
    from torch.distributed import checkpoint

    held = contents(folder).items()
    tensors = {name: torch.empty(size, dtype=kind) for name, (size, kind) in held if name.startswith(prefix)}
    with warnings.catch_warnings():  # that it takes this process for a single one: it is meant so
        warnings.simplefilter("ignore")
        checkpoint.load(tensors, storage_reader=checkpoint.HuggingFaceStorageReader(str(folder)), no_dist=True)
    return tensors


def contents(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """What a sharded checkpoint holds: name -> shape and type.

    Raises:
        UserError: a file of it is missing or damaged.
    """
    from torch.distributed import checkpoint

    try:
        found: dict[str, Any] = checkpoint.HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except Exception as error:  # its errors have no common base
        raise UserError(f"{folder}: the sharded checkpoint cannot be read: {error}") from None
    return {name: (about.size, about.properties.dtype) for name, about in found.items()}


def _check(folder: Path, wanted: Mapping[str, torch.Size]) -> None:
    held = contents(folder)
    wrong = [name for name, size in wanted.items() if name not in held or held[name][0] != size]
    if wrong:
        raise UserError(
            f"{folder}: does not fit the model: {len(wrong)} weights are missing or of another shape ({wrong[0]}, ...)"
        )
