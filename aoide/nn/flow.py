"""Normalising flows of couplings: an invertible way from one sequence to another, without a change of volume.

One coupling shifts half of the channels by what a network makes of the other half:

    a, b = x;  x = a, b + shift(a)          and back:          a, b - shift(a)

then the order of the channels is turned round, so that the halves mix. The network is a WaveNet stack (VITS) or a
causal Transformer (so-vits-svc's other form); all couplings may share one. A speaker's vector that goes in on the way
there and another one on the way back is what changes the voice.

Sources: Dinh et al. 2016, arXiv:1605.08803 (couplings); Kim et al. 2021, arXiv:2106.06103 (VITS). Parity:
tests/parity/test_vits.py, test_sovits.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from aoide.nn import relative
from aoide.nn.latent import official_stack, stack_shape
from aoide.nn.wavenet import WaveNet


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """Settings of `Couplings`."""

    network: Literal["wavenet", "transformer"] = "wavenet"
    couplings: int = 4
    layers: int = 4  # of the network in each coupling
    kernel: int = 5
    shared: bool = False  # all couplings have one network
    hidden: int = 768  # channels inside a Transformer's layers
    heads: int = 2  # of the Transformer
    dropout: float = 0.1  # of the Transformer


class Couplings(nn.Module):
    """The flow: x (batch, frames, latent) -> the same shape.

    Args:
        config: its form.
        latent: channels of what flows; even.
        dim: channels inside the networks.
        condition: channels of the speaker's vector, 0 = none.
        separable: of WaveNet stacks, as in `nn/wavenet.Shape`.
    """

    def __init__(self, config: Flow, latent: int, dim: int, condition: int = 0, separable: bool = False) -> None:
        super().__init__()
        assert latent % 2 == 0, f"{latent} channels have no halves"
        self.first = nn.ModuleList(nn.Linear(latent // 2, dim) for _ in range(config.couplings))
        self.last = nn.ModuleList(nn.Linear(dim, latent // 2) for _ in range(config.couplings))
        self.networks = nn.ModuleList(
            _network(config, dim, condition, separable) for _ in range(1 if config.shared else config.couplings)
        )
        self.transformer = config.network == "transformer"
        for layer in self.last:  # each coupling begins as doing nothing
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None, inverse: bool = False) -> Tensor:
        """x (batch, frames, latent), mask (batch, frames), condition (batch, 1, channels) -> as x, 0 at padded frames.

        Args:
            inverse: go back: `flow(flow(x, mask, c), mask, c, inverse=True)` is x.
        """
        padded = ~mask[..., None]
        x = x.masked_fill(padded, 0.0)
        order = range(len(self.first))
        for number in reversed(order) if inverse else order:
            x = x.flip(2) if inverse else x
            still, moved = x.chunk(2, dim=2)
            shift = self._shift(number, still, mask, condition).masked_fill(padded, 0.0)
            x = torch.cat([still, moved - shift if inverse else moved + shift], dim=2)
            x = x if inverse else x.flip(2)
        return x

    def _shift(self, number: int, still: Tensor, mask: Tensor, condition: Tensor | None) -> Tensor:
        network = self.networks[number % len(self.networks)]
        x = self.first[number](still).masked_fill(~mask[..., None], 0.0)
        x = network(x, mask, condition) if self.transformer else network(x, condition, mask=mask)
        return self.last[number](x)


def _network(config: Flow, dim: int, condition: int, separable: bool) -> nn.Module:
    if config.network == "wavenet":
        return WaveNet(stack_shape(dim, config.layers, config.kernel, condition, separable))
    return relative.RelativeEncoder(
        dim,
        config.heads,
        config.hidden,
        config.layers,
        kernel=config.kernel,
        window=0,
        dropout=config.dropout,
        causal=True,
        condition=condition,
    )


def official(state: Mapping[str, Tensor], config: Flow, ours: str) -> dict[str, Tensor]:
    """Published keys of a flow (flows.<i>.pre, enc, post, and wn where it is shared) -> ours, with `ours` before them.

    Args:
        state: its own prefix removed.
    """
    renamed: dict[str, Tensor] = {}
    inner: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        _, place, part, *rest = key.split(".", 3)
        if key.startswith("wn."):  # once more what each coupling holds
            continue
        number = int(place) // 2  # between them stand those that turn the channels round
        if part == "enc":
            inner.setdefault(0 if config.shared else number, {})[rest[0]] = value
        else:
            name = {"pre": "first", "post": "last"}[part]
            renamed[f"{ours}{name}.{number}.{rest[0]}"] = value[..., 0] if rest[0] == "weight" else value
    for number, network in inner.items():
        if config.network == "wavenet":
            renamed |= official_stack(network, config.layers, f"{ours}networks.{number}")
        else:
            renamed |= relative.official(_folded(network), f"{ours}networks.{number}.")
    return renamed


def _folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state whose layer cond_layer has no weight normalisation any more."""
    plain = {key: value for key, value in state.items() if not key.startswith("cond_layer.weight_")}
    if "cond_layer.weight_v" in state:
        length, direction = state["cond_layer.weight_g"], state["cond_layer.weight_v"]
        plain["cond_layer.weight"] = direction * (length / direction.norm(dim=(1, 2), keepdim=True))
    return plain
