"""Connectionist temporal classification: a network fills slots with symbols or nothing, the loss sums over all ways.

The target may be written into the slots in many ways: in order, each symbol once or several slots long, nothings
between (and needed between two equal symbols). The loss is minus the log of the probability of all these ways
together, per symbol of the target. Decoding takes the best of each slot, then leaves out repetitions and nothings.

Source: Graves et al. 2006, "Connectionist Temporal Classification". A model's output must have `scores` (batch, slots,
symbols + 1), class 0 = nothing, and `slot_mask` (batch, slots); the batch `tokens` and `token_mask` (batch, tokens).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.objectives import Batch, inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of the loss."""

    smoothing: float = 0.0  # share of the loss that pulls each slot towards all symbols alike, against overconfidence

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is a share and must be in [0, 1), got {self.smoothing}")


def loss(scores: Tensor, slot_mask: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
    """Nats per symbol of the target, a mean over the batch.

    Args:
        scores: (batch, slots, symbols + 1), before softmax.
        tokens: (batch, tokens), 1 and up; targets that do not fit into their slots count nothing.
    """
    logs = scores.float().log_softmax(-1).transpose(0, 1)  # PyTorch wants (slots, batch, symbols)
    lengths = token_mask.sum(1)
    per_word = functional.ctc_loss(
        logs, tokens, slot_mask.sum(1), lengths, blank=0, reduction="none", zero_infinity=True
    )
    return per_word.sum() / lengths.sum()


def decode(scores: Tensor, slot_mask: Tensor) -> list[list[int]]:
    """The symbols of each item: the best of each slot without repetitions and nothings."""
    best = scores.argmax(-1).masked_fill(~slot_mask, 0)
    before = functional.pad(best, (1, 0))[:, :-1]
    kept = (best != 0) & (best != before)
    return [row[keep].tolist() for row, keep in zip(best, kept, strict=True)]


class Objective:
    """Trains a model of slots; see the head of this file for what it and the batch must have."""

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once."""
        output = self.networks["model"](**inputs(self.module, batch))
        losses = {"ctc": self._loss(output, batch)}
        share = self.config.smoothing
        if share:
            slots = output.scores.log_softmax(-1).mean(-1)[output.slot_mask]
            losses = {"ctc": (1 - share) * losses["ctc"], "smoothing": -share * slots.mean()}
        yield "model", losses

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss of a batch, without smoothing."""
        return {"ctc": self._loss(self.networks["model"](**inputs(self.module, batch)), batch)}

    def _loss(self, output: Any, batch: Batch) -> Tensor:
        return loss(output.scores, output.slot_mask, batch["tokens"], batch["token_mask"])
