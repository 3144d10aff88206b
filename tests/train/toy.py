"""Toy models, objectives and data: everything the loop meets in earnest, in milliseconds.

The model has dropout (draws from the global generator), batch norm (buffers) and a tied weight; the data shuffle every
epoch; the objective draws noise from the loop's generator. So whatever a resumed run forgets shows.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from aoide.train import checkpoint, optimiser
from aoide.train.loop import Outcome, train
from aoide.train.recipe import Loop, Recipe

Batch = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dim: int = 4
    dropout: float = 0.1
    norm: bool = True


class Model(nn.Module):
    """x (batch, dim) -> (batch, dim)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Linear(config.dim, config.dim)
        self.norm = nn.BatchNorm1d(config.dim) if config.norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.last = nn.Linear(config.dim, config.dim)
        self.last.weight = self.first.weight  # tied

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.dropout(self.norm(self.first(x))).tanh())


@dataclass(frozen=True, kw_only=True, slots=True)
class RegressionConfig:
    noise: float = 0.01
    trouble: str = ""  # "nan" | "memory": what goes wrong on batches with a clip named in `bad`
    bad: tuple[str, ...] = ()


class Regression:
    def __init__(self, config: RegressionConfig, module: Any, model: nn.Module) -> None:
        self.config = config
        self.networks = {"model": model}

    def steps(self, batch: Batch, generator: torch.Generator) -> Iterator[tuple[str, dict[str, Tensor]]]:
        x = batch["x"] + self.config.noise * torch.randn(batch["x"].shape, generator=generator)
        loss = (self.networks["model"](x) - batch["y"]).square().mean()
        if set(self.config.bad) & set(batch["ids"]):
            if self.config.trouble == "memory":
                raise torch.OutOfMemoryError
            loss = loss * math.nan
        yield "model", {"square": loss, "absolute": 0.1 * (self.networks["model"](x) - batch["y"]).abs().mean()}

    def validate(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"square": (self.networks["model"](batch["x"]) - batch["y"]).square().mean()}


@dataclass(frozen=True, kw_only=True, slots=True)
class GanConfig:
    weight: float = 1.0


class Gan:
    """A critic scores (x, y) pairs; least squares."""

    def __init__(self, config: GanConfig, module: Any, model: nn.Module) -> None:
        self.config = config
        self.networks = {"critic": nn.Linear(2 * model.config.dim, 1), "generator": model}

    def steps(self, batch: Batch, generator: torch.Generator) -> Iterator[tuple[str, dict[str, Tensor]]]:
        critic, x, y = self.networks["critic"], batch["x"], batch["y"]
        fake = self.networks["generator"](x)
        real_score, fake_score = critic(torch.cat([x, y], 1)), critic(torch.cat([x, fake.detach()], 1))
        yield "critic", {"real": (1 - real_score).square().mean(), "fake": fake_score.square().mean()}
        please = (1 - critic(torch.cat([x, fake], 1))).square().mean()
        yield "generator", {"please": self.config.weight * please, "square": (fake - y).square().mean()}

    def validate(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"square": (self.networks["generator"](batch["x"]) - batch["y"]).square().mean()}


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    clips: int = 40
    batch: int = 4
    dim: int = 4
    shuffle: bool = True


class Data:
    """Random pairs, shuffled anew each epoch; the last clips are held out. The place counts batches of all ranks."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        maker = torch.Generator().manual_seed(7)
        self.x = torch.randn(config.clips + 6, config.dim, generator=maker)
        self.y = self.x.flip(1) * 0.5
        self.epoch = self.taken = 0

    def batches(self, seed: int, rank: int, world: int) -> Iterator[Batch]:
        order = torch.arange(self.config.clips)
        if self.config.shuffle:
            order = torch.randperm(len(order), generator=torch.Generator().manual_seed(seed + 1000 * self.epoch))
        parts = order.split(self.config.batch) if len(order) else ()
        for step in range(self.taken // world, len(parts) // world):
            self.taken = (step + 1) * world
            yield self._batch(parts[step * world + rank].tolist())
        self.epoch, self.taken = self.epoch + 1, 0

    def validation(self) -> Iterator[Batch]:
        yield self._batch([self.config.clips + i for i in range(4)])
        yield self._batch([self.config.clips + i for i in range(4, 6)])

    def _batch(self, part: list[int]) -> Batch:
        return {"ids": [f"clip{i}" for i in part], "x": self.x[part], "y": self.y[part]}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.taken = state["epoch"], state["taken"]


REGRESSION = SimpleNamespace(Config=RegressionConfig, Objective=Regression, __name__="toy.regression")
GAN = SimpleNamespace(Config=GanConfig, Objective=Gan, __name__="toy.gan")
MODEL = SimpleNamespace(Config=Config, Model=Model, __name__="toy.model")


def recipe(
    method: str = "regression",
    model: Config = Config(),  # noqa: B008  (frozen)
    objective: Any = None,
    data: DataConfig = DataConfig(),  # noqa: B008
    moving: optimiser.Config = optimiser.Config(lr=1e-2),  # noqa: B008
    **loop: Any,
) -> Recipe:
    """A recipe of a toy; `loop` are fields of the loop's settings."""
    chosen = REGRESSION if method == "regression" else GAN
    settings = {
        "steps": 30,
        "log_every": 5,
        "validate_every": 10,
        "save_every": 7,
        "tensorboard": False,
        "device": "cpu",
    }
    return Recipe(
        where="toy.yaml",
        name="toy/model",
        module=MODEL,  # type: ignore[arg-type]
        model=model,
        method=chosen,  # type: ignore[arg-type]
        objective=objective or chosen.Config(),
        kind="toy",
        source=None,  # type: ignore[arg-type]
        data=data,
        optimiser=moving,
        loop=Loop(**{**settings, **loop}),
    )


def run(toy: Recipe, folder: Path, **arguments: Any) -> Outcome:
    """Trains a toy recipe on toy data."""
    return train(toy, folder, source=arguments.pop("source", None) or Data(toy.data), **arguments)


def lines(folder: Path, timed: bool = False) -> list[dict[str, Any]]:
    """metrics.jsonl, without what depends on the clock."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clock = () if timed else ("clips_per_second", "steps_per_second", "waiting")
    return [{key: value for key, value in line.items() if key not in clock} for line in found]


def fingerprint(folder: Path) -> str:
    """A hash of everything in a checkpoint, bit for bit."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def unsynced(path: Path) -> None:
    """Stands in for the sync of each file to the disk, which takes most of the time of a toy run."""


def spawn(target: Any, *args: Any, world: int = 1) -> list[Any]:
    """Starts `target(rank, *args)` in `world` fresh processes, which know their places as under torchrun."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.warm"])
    processes = []
    for rank in range(world):
        processes.append(context.Process(target=_alone, args=(target, rank, world, *args)))
        processes[-1].start()
    return processes


def _alone(target: Any, rank: int, world: int, port: int, *args: Any) -> None:
    torch.set_num_threads(1)
    checkpoint._sync = unsynced
    if world > 1:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({key: str(value) for key, value in place.items()})
    target(rank, *args)
