"""How long a text sounds in somebody's mouth: its phonemes, and those of a recording with its length -> seconds.

    tokens (batch, tokens) of prompt and target, prompt_seconds (batch,) -> log_seconds (batch,)

Idea      Models that make all frames at once (MaskGCT, F5) must know how many. The published rule gives each phoneme
          the same share of the recording's length. Here a small ConvNeXt network says how long each phoneme takes in
          an average mouth; their sum over the recording, beside its true length, gives the speaker's pace, and that
          scales the sum over the text. The less was heard, the less the pace is believed.
Trained   regression on pairs of clips, of which only the lengths are known: no alignment
Recipes   recipes/tts/duration-folder.yaml
Paper     none; the place for it is Wang et al. 2024, arXiv:2409.00750 (MaskGCT), whose model was not published
Code      -
Weights   none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.convnext import ConvNeXtBackbone
from aoide.objectives import Batch, regression

NEEDS = ("tokens", "prompt_tokens", "prompt_seconds", "seconds")
USUAL = 0.06  # seconds of a token, from where training begins


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built: 0.16 M parameters."""

    symbols: int = 178  # size of the phoneme table
    dim: int = 64
    layers: int = 3
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if min(self.symbols, self.dim, self.layers) < 1 or not 0 <= self.dropout < 1:
            raise ValueError("symbols, dim and layers are 1 or more, dropout is from 0 to below 1")


class Output(NamedTuple):
    """What a forward pass gives."""

    log_seconds: Tensor  # (batch,), natural logarithm of how long the target sounds
    log_usual: Tensor  # (batch,), of how long the prompt would in an average mouth
    durations: Tensor  # (batch, tokens) seconds of each token at the speaker's pace


def parts(mask: Tensor, prompt_tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Which tokens are the prompt's, and which the target's: (batch, tokens) bool each."""
    first = torch.arange(mask.shape[1], device=mask.device) < prompt_tokens[:, None]
    return mask & first, mask & ~first


def _total(log: Tensor, where: Tensor) -> Tensor:
    """Logarithm of the sum of durations, of which the logarithms are given: (batch, tokens) -> (batch,)."""
    return log.masked_fill(~where, -torch.inf).logsumexp(1)


def _mean(x: Tensor, where: Tensor) -> Tensor:
    """x (batch, tokens, dim), where (batch, tokens) -> (batch, dim)."""
    return (x * where[..., None]).sum(1) / where.sum(1, keepdim=True).clamp(min=1)


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.symbols = nn.Embedding(config.symbols, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.backbone = ConvNeXtBackbone(config.dim, config.dim, 4 * config.dim, config.layers)
        self.head = nn.Linear(config.dim, 1)
        self.trust = nn.Parameter(torch.tensor([1.0, 0.5]))  # in the pace, and how it grows with what was heard
        self.manner = nn.Sequential(  # means of recording and text, pace, and how much was heard
            nn.Linear(2 * config.dim + 2, config.dim),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.dim, config.dim),
        )
        self.place = nn.Linear(config.dim, config.dim)
        self.change = nn.Linear(config.dim, 1)  # what the manner adds to the logarithm of a duration
        for layer in (self.head, self.change):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.change.bias)
        nn.init.constant_(self.head.bias, torch.log(torch.tensor(USUAL)).item())

    def forward(
        self, tokens: Tensor, prompt_tokens: Tensor, prompt_seconds: Tensor, token_mask: Tensor | None = None
    ) -> Output:
        """How long the target sounds.

        Args:
            tokens: (batch, tokens), those of the prompt and then those of the target.
            prompt_tokens: (batch,) int64, how many are the prompt's.
            prompt_seconds: (batch,), how long it sounds.
            token_mask: (batch, tokens), True = real.
        """
        mask = torch.ones_like(tokens, dtype=torch.bool) if token_mask is None else token_mask
        sides = parts(mask, prompt_tokens)
        x = self.backbone(self.dropout(self.symbols(tokens)), mask)
        hidden = self.dropout(x)
        log = self.head(hidden)[..., 0]
        prompt = _total(log, sides[0])
        slower = prompt_seconds.log() - prompt
        told = [self.dropout(_mean(x, side)) for side in sides]
        manner = self.manner(torch.cat([*told, slower[:, None], prompt[:, None]], dim=1))
        changed = log + self.change(functional.gelu(self.place(hidden) + manner[:, None]))[..., 0]
        slower = torch.sigmoid(self.trust[0] + self.trust[1] * prompt) * slower
        durations = (changed + slower[:, None]).exp().masked_fill(~mask, 0.0)
        return Output(_total(changed, sides[1]) + slower, prompt, durations)

    @torch.no_grad()
    def seconds(self, prompt: Tensor, prompt_seconds: float, target: Tensor) -> float:
        """How long `target` (tokens,) sounds after a prompt with its tokens (tokens,)."""
        tokens = torch.cat([prompt, target])[None]
        count, length = torch.tensor([len(prompt)]), torch.tensor([prompt_seconds])
        home = self.head.weight.device
        return float(self(tokens.to(home), count.to(home), length.to(home)).log_seconds.exp())


# ------------------------------------------------------------------------------------------------------------- training


def off(output: Output, batch: Batch) -> Tensor:
    """How far off the target's length is, relative to it."""
    return (output.log_seconds - batch["seconds"].log()).abs().mean()


def usual(output: Output, batch: Batch) -> Tensor:
    """How far the prompt is from an average mouth: what makes the average one."""
    return (output.log_usual - batch["prompt_seconds"].log()).abs().mean()


LOSSES: dict[str, Any] = {"seconds": off, "usual": usual}
TRAINING = regression.Config(weights={"seconds": 1.0, "usual": 0.2})
TOY = Config(symbols=12, dim=16, layers=1, dropout=0.0)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 6 tokens of a prompt and 8 of a target."""
    tokens = torch.randint(1, config.symbols, (batch, 14), generator=generator)
    seconds = 0.5 + torch.rand(2, batch, generator=generator)
    return {
        "tokens": tokens,
        "token_mask": torch.ones_like(tokens, dtype=torch.bool),
        "prompt_tokens": torch.full((batch,), 6),
        "prompt_seconds": seconds[0],
        "seconds": seconds[1],
    }


# ------------------------------------------------------------------------------------------------------------- the rule


def rule(prompt: int, prompt_seconds: float, target: int) -> float:
    """The published rule: seconds of a target of so many phonemes, by those of a prompt and its length."""
    return prompt_seconds * target / max(1, prompt)
