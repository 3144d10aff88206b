"""Which weights stay as they are: parameters and modules by name or pattern.

    encoder            a module: all that is in it
    embed.weight       one parameter
    decoder.*.norm     a pattern, as a shell reads it
    critic.*           of one network, where there are several
    !decoder.0         what an earlier pattern froze is trained after all; freeze=[*, !head] trains the head alone

A frozen module with running statistics (batch norm) keeps these too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from torch import nn

from aoide.config import UserError, near


def covers(pattern: str, name: str) -> bool:
    """Whether a pattern names the parameter or module `name`, or a module that it is in."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:count]), pattern) for count in range(1, len(parts) + 1))


def freeze(networks: Mapping[str, nn.Module], patterns: Iterable[str]) -> list[str]:
    """Freezes what the patterns name, in their order, and says what that is, a line each.

    Raises:
        UserError: a pattern that names nothing (names near ones), or nothing that is left to train in a network.
    """
    told = []
    for pattern in patterns:
        thaw = pattern.startswith("!")
        found = [
            parameter
            for network, module in networks.items()
            for name, parameter in module.named_parameters()
            if any(covers(pattern.removeprefix("!"), full) for full in (name, f"{network}.{name}"))
        ]
        if not found:
            raise UserError(f"freeze: no weight or module is called {pattern!r};{_guess(pattern, networks)}")
        for parameter in found:
            parameter.requires_grad_(thaw)
        size = sum(parameter.numel() for parameter in found)
        told.append(f"{'trained' if thaw else 'frozen'}: {pattern}, {size / 1e6:.2f} M in {len(found)} tensors")
    if told:
        for name, network in networks.items():
            if not any(parameter.requires_grad for parameter in network.parameters()):
                raise UserError(f"freeze: nothing of the network {name} is left to train; freeze less")
    return told


def train_mode(network: nn.Module) -> None:
    """`network.train()`, except for the running statistics of what is frozen."""
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if own and hasattr(module, "running_mean") and not any(parameter.requires_grad for parameter in own):
            module.eval()


def _guess(pattern: str, networks: Mapping[str, nn.Module]) -> str:
    """Near names of modules and parameters; none near: the parts of the networks."""
    known = {name for network in networks.values() for name, _ in network.named_modules() if name}
    known |= {name for network in networks.values() for name, _ in network.named_parameters()}
    parts = dict.fromkeys(name for network in networks.values() for name, _ in network.named_children())
    return near(pattern.removeprefix("!"), sorted(known)) or f" there are {', '.join(parts or networks)}"
