"""Published weights: what a `from_official` needs to bring somebody else's state dict into one of our modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from aoide.audio.mel_config import MelConfig
from aoide.config import UserError

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def adopt(model: AnyModule, state: Mapping[str, Tensor], source: str) -> AnyModule:
    """Loads a renamed state dict into `model`, all of it or nothing, and returns the model.

    Args:
        source: what the state dict is, for the error: "Vocos checkpoint".

    Raises:
        UserError: keys that are missing or extra, or a tensor of another shape; names the first five of each.
    """
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    shapes = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    troubles = {"lacks": missing, "has beyond the model": extra, "differs in shape": shapes}
    if any(troubles.values()):
        told = "; ".join(f"{what} {_first(items)}" for what, items in troubles.items() if items)
        raise UserError(f"this {source} does not fit its configuration: it {told}")
    model.load_state_dict(state)
    return model


def _first(items: list[str], most: int = 5) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """What stands under `name.` in a training checkpoint, without that word; all of a state that has none of it."""
    found = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
    return found or dict(state)


def count(state: Mapping[str, Tensor], head: str) -> int:
    """How many parts have keys that are `head`, a number or a name, a point, and more: the layers of a stack."""
    return len({key.removeprefix(head).partition(".")[0] for key in state if key.startswith(head)})


def replaced(key: str, names: Mapping[str, str]) -> str:
    """A key with each of these pieces, in this order, replaced wherever it stands."""
    for old, new in names.items():
        key = key.replace(old, new)
    return key


def modern_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames the keys that the old `weight_norm` made (weight_g, weight_v) to those of torch's parametrisation.

    Other keys stay as they are.
    """
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    result = {}
    for key, value in state.items():
        stem, dot, last = key.rpartition(".")
        result[stem + dot + names.get(last, last)] = value
    return result


def amphion_mel(preprocess: Mapping[str, Any]) -> MelConfig:
    """The mel of Amphion's vocoders; what the configuration leaves out is as in its config/vocoder.json."""
    known = {"sample_rate": 24_000, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "n_mel": 100, "fmin": 0}
    settings = {**known, **preprocess}
    return MelConfig(
        sample_rate=settings["sample_rate"],
        n_fft=settings["n_fft"],
        hop=settings["hop_size"],
        win=settings["win_size"],
        n_mels=settings["n_mel"],
        fmin=settings["fmin"] or 0,
        fmax=settings.get("fmax") or settings["sample_rate"] / 2,
        scale="slaney",
        norm="slaney",
        eps=1e-9,
        padding="same",
    )
