"""How long each phoneme of a text sounds in somebody's mouth, drawn by flow matching, as MaskGCT's paper has it.

    tokens (batch, tokens) of prompt and target, prompt_seconds (batch,) -> durations (batch, tokens) seconds

Idea      Nobody says a thing twice alike, so lengths are drawn and not averaged: from noise a small Transformer brings
          the logarithms of the durations of all phonemes, told the phonemes of the recording and of the text and how
          fast the recording is. Their sum is the length that MaskGCT or F5 must know beforehand.
Trained   flow matching, on corpora with the durations of their phonemes
Recipes   recipes/tts/duration-flow-folder.yaml
Paper     Wang et al. 2024, arXiv:2409.00750 (MaskGCT): its duration predictor, of which neither code nor weights were
          published; flow matching of durations is from Le et al. 2023, arXiv:2306.15687 (Voicebox)
Code      -
Weights   none
Differs   of the recording only its phonemes and its length must be known, not their durations, so no aligner is needed
          to speak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aoide.nn import llama
from aoide.nn.denoise import TimeEmbedding
from aoide.nn.llama import Llama
from aoide.objectives import Batch, flow

NEEDS = ("tokens", "prompt_tokens", "prompt_seconds", "durations")
LEAST = 0.005  # seconds that are added before the logarithm is taken: what is not said has no length
MEAN, DEVIATION = math.log(0.05), 1.0  # of the logarithms, about


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built: 4 M parameters."""

    symbols: int = 178  # size of the phoneme table
    dim: int = 192
    layers: int = 6
    heads: int = 4

    def __post_init__(self) -> None:
        if min(self.symbols, self.dim, self.layers, self.heads) < 1:
            raise ValueError("symbols, dim, layers and heads are 1 or more")


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.symbols = nn.Embedding(config.symbols, dim)
        self.part = nn.Embedding(2, dim)  # prompt, target
        self.noisy = nn.Linear(1, dim)
        self.pace = nn.Sequential(nn.Linear(2, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time = TimeEmbedding(dim, nn.SiLU())
        self.llama = Llama(
            llama.Settings(
                dim=dim, layers=config.layers, heads=config.heads, hidden=4 * dim, causal=False, adaptive=True
            )
        )
        self.head = nn.Linear(dim, 1)
        nn.init.normal_(self.symbols.weight, std=0.5)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        prompt_tokens: Tensor,
        prompt_seconds: Tensor,
        noisy: Tensor,
        time: Tensor,
        token_mask: Tensor | None = None,
    ) -> Tensor:
        """The velocity (batch, tokens); at the prompt it means nothing.

        Args:
            tokens: (batch, tokens), those of the prompt and then those of the target.
            prompt_tokens: (batch,) int64, how many are the prompt's.
            prompt_seconds: (batch,), how long it sounds.
            noisy: (batch, tokens). time: (batch,), 0 = noise.
            token_mask: (batch, tokens), True = real.
        """
        mask = torch.ones_like(tokens, dtype=torch.bool) if token_mask is None else token_mask
        spoken = torch.arange(tokens.shape[1], device=tokens.device) >= prompt_tokens[:, None]
        x = self.symbols(tokens) + self.part(spoken.long())
        x = x + self.noisy(noisy.masked_fill(~(spoken & mask), 0.0)[..., None])
        heard = torch.stack([prompt_seconds / prompt_tokens.clamp(min=1) / math.exp(MEAN), prompt_seconds], dim=1).log()
        return self.head(self.llama(x, mask, self.time(time) + self.pace(heard)))[..., 0]

    def normalise(self, durations: Tensor) -> Tensor:
        """Seconds -> the space in which the noise lies."""
        return ((durations.clamp(min=0) + LEAST).log() - MEAN) / DEVIATION

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """Which durations are learnt: those of the target (objectives/flow.py)."""
        places = torch.arange(batch["tokens"].shape[1], device=batch["tokens"].device)
        return {"spoken": batch["token_mask"] & (places >= batch["prompt_tokens"][:, None])}

    @torch.no_grad()
    def durations(
        self,
        prompt: Tensor,
        prompt_seconds: float,
        target: Tensor,
        *,
        steps: int = 16,
        draws: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Seconds of each token of `target` (tokens,) after a prompt with its tokens (tokens,).

        Args:
            steps: of the solver.
            draws: how many times it is drawn; the mean is what is expected, one is how somebody may say it.
        """
        home = self.head.weight.device
        tokens = torch.cat([prompt, target]).to(home).expand(draws, -1)
        count = torch.full((draws,), len(prompt), device=home)
        length = torch.full((draws,), float(prompt_seconds), device=home)
        start = torch.randn(tokens.shape, generator=generator).to(home)
        found = flow.integrate(
            lambda x, time: self(tokens, count, length, x, time), start, flow.times(steps), "midpoint"
        )
        seconds = ((found * DEVIATION + MEAN).exp() - LEAST).clamp(min=0)
        return seconds[:, len(prompt) :].mean(0)

    def seconds(self, prompt: Tensor, prompt_seconds: float, target: Tensor) -> float:
        """How long `target` (tokens,) is expected to sound: the mean of some draws, the same each time."""
        generator = torch.Generator().manual_seed(0)
        return float(self.durations(prompt, prompt_seconds, target, draws=8, generator=generator).sum())


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = flow.Config(target="durations", where="spoken")
LOSSES: dict[str, Any] = {}
TOY = Config(symbols=12, dim=16, layers=1, heads=2)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 6 tokens of a prompt and 8 of a target."""
    tokens = torch.randint(1, config.symbols, (batch, 14), generator=generator)
    durations = 0.2 * torch.rand(tokens.shape, generator=generator)
    return {
        "tokens": tokens,
        "token_mask": torch.ones_like(tokens, dtype=torch.bool),
        "prompt_tokens": torch.full((batch,), 6),
        "prompt_seconds": durations[:, :6].sum(1),
        "durations": durations,
        "noisy": torch.randn(tokens.shape, generator=generator),
        "time": torch.rand(batch, generator=generator),
    }
