"""The exponential moving average of a network's weights: what is validated, exported and heard.

    average <- decay * average + (1 - decay) * weight,    decay = min(decay, (1 + updates) / (10 + updates))

The decay grows from 0.1, so that the random first weights are forgotten at once (as in TensorFlow's
ExponentialMovingAverage). Buffers, such as running statistics, are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from aoide.train.shards import local


class Average:
    """Keeps the average of the weights of `network`, on their device and in their precision."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.updates = 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes the network's weights of now into the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        trained = {name for name, _ in self.network.named_parameters(remove_duplicate=False)}
        now = self.network.state_dict()
        averaged = [name for name in self.weights if name in trained]
        if averaged:
            old, new = ([local(weights[name]) for name in averaged] for weights in (self.weights, now))
            torch._foreach_lerp_(old, new, 1 - decay)
        for name in self.weights.keys() - trained:
            self.weights[name].copy_(now[name])

    @contextmanager
    def worn(self) -> Iterator[nn.Module]:
        """The network wears the average inside the block, and its own weights again after it."""
        own = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.weights)
        try:
            yield self.network
        finally:
            self.network.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        return self.weights

    def load_state_dict(self, weights: dict[str, Tensor], updates: int) -> None:
        """Goes on from a saved average; `weights` must have the network's names and shapes."""
        for name, value in self.weights.items():
            value.copy_(weights[name])
        self.updates = updates
