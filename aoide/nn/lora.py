"""LoRA: a trained network learns something new by small additions of low rank to its weights (Hu et al. 2021,
arXiv:2106.09685).

    W' = W + alpha / rank * up @ down        W (out, in), up (out, rank) starts at 0, down (rank, in) at random

W stays as it is. A convolution's kernel (out, in, width) is taken as the matrix (out, in * width). The additions are a
parametrization of the weight, so the network's own code does not change; `merge` adds them in for good, and what is
exported is a plain network again.

    told = add(model, Config(rank=8))            # from here on only up and down are trained
    small = adapters(model.state_dict())         # name -> up, down: some hundred kilobytes
    save(path, model.state_dict(), config); attach(Model(config), path)   # elsewhere, on the same base
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn.utils import parametrize

from aoide.config import UserError, build, near, write_aside
from aoide.nn.freeze import covers

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
ADAPTABLE = (nn.Linear, *CONVOLUTIONS)
KINDS = ("attention", "convolution")
_ADAPTER = re.compile(r"(.+)\.parametrizations\.weight\.\d+\.(up|down)")
_ORIGINAL = "parametrizations.weight.original"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Where additions are made, and how large they are."""

    rank: int = 8
    alpha: float = 16.0  # the addition is scaled by alpha / rank
    targets: tuple[str, ...] = KINDS  # kinds of layers, or names of layers or modules or patterns of them
    train: tuple[str, ...] = ()  # weights that are trained whole beside the additions: names or patterns

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be 1 or more, got {self.rank}")
        if not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}")
        if not self.targets:
            raise ValueError(f"targets must name something: {', '.join(KINDS)}, layers, modules or patterns")


class LowRank(nn.Module):
    """weight -> weight + scale * up @ down, of whatever shape; (rows, rank) and (rank, columns)."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        self.scale = alpha / rank
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        self.down = nn.Parameter(weight.new_empty(rank, columns))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def add(network: nn.Module, config: Config) -> list[str]:
    """Puts additions of 0 on the layers that `config.targets` names and freezes all else; the layers' names.

    A layer whose weight has no more rows or columns than `rank` is passed over: nothing would be saved.

    Raises:
        UserError: a target or a name in `train` that fits nothing; names near ones.
    """
    layers = {name: module for name, module in network.named_modules() if isinstance(module, ADAPTABLE)}
    kinds = dict(_kinds(network))
    chosen: dict[str, nn.Module] = {}
    for target in config.targets:
        found = {
            name: layer
            for name, layer in layers.items()
            if (kinds.get(name) == target if target in KINDS else covers(target, name))
        }
        if not found and target not in KINDS:
            raise UserError(f"lora.targets: no layer is called {target!r};{near(target, [*layers, *KINDS])}")
        chosen |= {name: layer for name, layer in found.items() if _large(layer, config.rank)}
    if not chosen:
        raise UserError(
            f"lora.targets: {', '.join(config.targets)}: this network has no such layer larger than rank {config.rank}"
        )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(any(covers(pattern, name) for pattern in config.train))
    for pattern in config.train:
        if not any(covers(pattern, name) for name, _ in network.named_parameters()):
            raise UserError(f"lora.train: no weight or module is called {pattern!r};{near(pattern, layers)}")
    for layer in chosen.values():
        weight: Tensor = layer.weight  # type: ignore[assignment]
        parametrize.register_parametrization(layer, "weight", LowRank(weight.detach(), config.rank, config.alpha))
    return list(chosen)


def merge(network: nn.Module) -> None:
    """Adds the additions to the weights for good; the network is a plain one again."""
    for layer in list(network.modules()):
        if isinstance(layer, ADAPTABLE) and any(isinstance(part, LowRank) for part in _parts(layer)):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def widen(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights of the plain network under the names that they have in `network`, which has additions: those are kept."""
    own = network.state_dict()
    renamed = dict(weights)
    for name in own:
        prefix, found, _ = name.partition(_ORIGINAL)
        if found and prefix + "weight" in weights:
            renamed[name] = renamed.pop(prefix + "weight")
    return renamed | {name: value for name, value in own.items() if _ADAPTER.fullmatch(name) and name not in renamed}


def adapters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The additions alone, out of a state dict: `LAYER.up` and `LAYER.down`."""
    found = ((_ADAPTER.fullmatch(name), value) for name, value in state.items())
    return {f"{match[1]}.{match[2]}": value for match, value in found if match}


def save(path: Path, state: Mapping[str, Tensor], config: Config) -> None:
    """Writes the additions in a state dict to a safetensors file, with the settings they need."""
    from safetensors.torch import save_file

    small = {name: value.detach().cpu().contiguous().clone() for name, value in adapters(state).items()}
    with write_aside(path) as aside:
        save_file(small, aside, metadata={"lora": json.dumps(asdict(config))})
        aside.chmod(0o644)


def attach(network: nn.Module, path: Path) -> None:
    """Adds the additions of a file to the plain network that they were trained on, for good.

    Raises:
        UserError: not such a file, or of another network.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            small = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads((file.metadata() or {})["lora"])
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(f"{path}: not a file of LoRA additions: {error}") from None
    config = build(Config, about, str(path), "lora")
    layers = dict(network.named_modules())
    for name in dict.fromkeys(key.rpartition(".")[0] for key in small):
        layer, up, down = layers.get(name), small[f"{name}.up"], small[f"{name}.down"]
        weight = getattr(layer, "weight", None)
        if not isinstance(weight, Tensor) or (weight.shape[0], weight[0].numel()) != (up.shape[0], down.shape[1]):
            raise UserError(f"{path}: is of another network: this one has no layer {name} of that size")
        assert isinstance(layer, nn.Module)
        low = LowRank(weight.detach(), config.rank, config.alpha)
        low.load_state_dict({"up": up, "down": down})
        parametrize.register_parametrization(layer, "weight", low)
    merge(network)


def _kinds(network: nn.Module) -> Iterator[tuple[str, str]]:
    """(name, kind) of the layers of KINDS: what an attention computes with, and all convolutions."""
    for name, module in network.named_modules():
        if isinstance(module, CONVOLUTIONS):
            yield name, "convolution"
        elif type(module).__name__.endswith("Attention"):
            for inner, layer in module.named_modules():
                if isinstance(layer, nn.Linear):
                    yield f"{name}.{inner}", "attention"


def _large(layer: nn.Module, rank: int) -> bool:
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return min(weight.shape[0], weight[0].numel()) > rank


def _parts(layer: nn.Module) -> list[nn.Module]:
    return list(layer.parametrizations["weight"]) if parametrize.is_parametrized(layer, "weight") else []  # type: ignore[index]
