"""The golden run of a model: ten steps at toy size on the CPU, all seeds fixed, and what each network lost at each."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from aoide.models import find
from tests import toy

FOLDER = Path(__file__).parent
STEPS = 10


def path(name: str) -> Path:
    """Where the golden numbers of a model stand: tests/golden/vocoder-vocos.json."""
    return FOLDER / f"{name.replace('/', '-')}.json"


def losses(name: str) -> dict[str, list[float]]:
    """The summed losses of each network of the model `name`, one number a step."""
    module = find.find(name)
    torch.manual_seed(0)
    model = module.Model(module.TOY)
    judge = toy.objective(module, model.train())
    batches = [module.example(module.TOY, generator=torch.Generator().manual_seed(step)) for step in range(STEPS)]
    log: dict[str, list[float]] = {}

    def moved(network_name: str, network: nn.Module, losses: dict[str, Tensor]) -> None:
        log.setdefault(network_name, []).append(float(sum(value.detach() for value in losses.values())))

    toy.train(judge, batches, moved, eps=1e-3)
    return log


def write(name: str) -> None:
    """Makes the numbers of now the golden ones."""
    rounded = {network: [float(f"{value:.7g}") for value in values] for network, values in losses(name).items()}
    lines = ",\n".join(f"  {json.dumps(network)}: {json.dumps(values)}" for network, values in rounded.items())
    path(name).write_text(f"{{\n{lines}\n}}\n", "utf-8")
