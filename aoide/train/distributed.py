"""Several processes as one: who am I, average the gradients, agree on a flag, bring small things together.

Launched by `torchrun`, every process finds its place in the environment; launched alone, all of this is nothing.

Gradients are averaged by hand after the last backward of a network's turn rather than by DistributedDataParallel. An
objective may call a network many times in one turn, call its methods, and send the generator's gradient through the
critic; DDP's hooks expect one forward and one backward per step. Here that question does not arise, accumulation costs
no synchronisation, and a parameter without a gradient on every process stays without one, as in a single process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from aoide.config import UserError

BUCKET = 2**23  # numbers that are sent together: 32 MB of float32


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """The processes of this run. With one process every method returns at once."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """The process that writes and speaks."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """True on all if it is true on one."""
        return flag if self.world == 1 else self.total([float(flag)])[0] > 0

    def total(self, values: list[float]) -> list[float]:
        """Sums over the processes, number by number, in float64."""
        if self.world == 1 or not values:
            return values
        numbers = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(numbers)
        return numbers.tolist()

    def gather(self, value: Any) -> list[Any]:
        """The `value` of every process, by rank; a list on all processes. For small things."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def average_gradients(self, network: nn.Module) -> None:
        """Gives every process the mean gradient; what has a gradient on some of them counts as zero on the others."""
        if self.world == 1:
            return
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        present = self.total([float(parameter.grad is not None) for parameter in parameters])
        live = [parameter for parameter, count in zip(parameters, present, strict=True) if count > 0]
        for parameter in live:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([parameter.grad for parameter in live if parameter.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            flat /= self.world
            for gradient, mean in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(mean.view_as(gradient))

    @torch.no_grad()
    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites the tensors of every process with those of the first."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    """Groups of gradients of one type, so that a thousand small tensors are not sent one by one."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        full = sum(g.numel() for g in bucket) + gradient.numel() > BUCKET
        if bucket and (full or bucket[0].dtype != gradient.dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


@contextmanager
def team(device: str) -> Iterator[Team]:
    """Joins the processes of this run, and leaves them at the end.

    Args:
        device: "cpu", "cuda", or "auto": a GPU when there is one.

    Raises:
        UserError: a GPU is asked for and there is none, or not one for each process.
    """
    world, rank, local = (int(os.environ.get(key, default)) for key, default in _PLACE.items())
    gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if gpu and torch.cuda.device_count() <= local:
        found = torch.cuda.device_count()
        raise UserError(
            f"loop.device: process {local} of this machine needs a GPU and there are {found}; use device=cpu"
        )
    here = torch.device("cuda", local) if gpu else torch.device("cpu")
    if world == 1:
        yield Team(device=here)
        return
    if gpu:
        torch.cuda.set_device(here)
    dist.init_process_group("nccl" if gpu else "gloo", rank=rank, world_size=world)
    try:
        yield Team(rank=rank, world=world, device=here)
    finally:
        dist.destroy_process_group()


_PLACE = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}  # set by torchrun
