"""A language model of tokens: a table, a causal Llama, and what the next token may be; and how one is drawn from that.

    lm = TokenLM(settings, vocabulary)
    lm(lm.table(tokens))                                  # (batch, tokens, vocabulary), the scores of what comes next
    list(lm.go_on(lm.table(tokens), Sampling(), stop={2}))  # draws token after token, with a cache

Sources: top-k Fan et al. 2018, arXiv:1805.04833; top-p Holtzman et al. 2019, arXiv:1904.09751; the penalty of what was
said before Keskar et al. 2019, arXiv:1909.05858; repetition-aware sampling Chen et al. 2024, arXiv:2406.05370 (VALL-E
2).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn import llama
from aoide.nn.llama import Cache, Llama, Settings

Choose = Callable[[Tensor, Sequence[int]], int]  # (scores (vocabulary,), tokens so far) -> the next one


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a token is drawn; what is given here is laid out one after the other."""

    penalty: float = 1.0  # above 1, tokens that stand there already become less likely
    temperature: float = 1.0  # below 1 the likely become more likely; 0 takes the likeliest
    top_k: int = 0  # so many of the likeliest are left; 0 = all
    top_p: float = 1.0  # then the likeliest that together have this probability
    of_all: bool = False  # a share of all that there are, not of what top_k has left
    window: int = 0  # a token that stands among so many of the last ones too often is drawn anew, from all but itself
    share: float = 0.1  # what part of the window is too often

    def __post_init__(self) -> None:
        if self.penalty <= 0 or self.temperature < 0 or self.top_k < 0 or self.window < 0:
            raise ValueError("penalty is above 0; temperature, top_k and window are 0 or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is above 0 and at most 1, got {self.top_p}")

    def chooser(self, generator: torch.Generator | None = None) -> Choose:
        """A function that draws by these settings."""

        def choose(scores: Tensor, before: Sequence[int]) -> int:
            token = draw(self.left(scores, before), generator)
            if self.window and before[-self.window :].count(token) >= self.window * self.share:
                others = scores.index_fill(0, torch.tensor([token], device=scores.device), -torch.inf)
                token = draw(others, generator)
            return token

        return choose

    def left(self, scores: Tensor, before: Sequence[int] = ()) -> Tensor:
        """scores (vocabulary,) -> the same with -inf for what is not drawn."""
        if self.penalty != 1 and before:
            scores = penalised(scores, before, self.penalty)
        if self.temperature == 0:
            return top_k(scores, 1)
        scores = scores / self.temperature
        if self.of_all:
            return top_k(top_p(scores, self.top_p), self.top_k)
        return top_p(top_k(scores, self.top_k), self.top_p)


def penalised(scores: Tensor, before: Sequence[int], penalty: float) -> Tensor:
    """scores (vocabulary,) with those of tokens that stand before made less, by division or, below 0, by product."""
    places = torch.tensor(sorted(set(before)), device=scores.device)
    seen = scores[places]
    return scores.index_copy(0, places, torch.where(seen < 0, seen * penalty, seen / penalty))


def top_k(scores: Tensor, count: int) -> Tensor:
    """scores (vocabulary,) with -inf below the `count` largest; 0: all stay."""
    if not 0 < count < len(scores):
        return scores
    return scores.masked_fill(scores < scores.topk(count).values[-1], -torch.inf)


def top_p(scores: Tensor, share: float) -> Tensor:
    """scores (vocabulary,) with -inf beyond the likeliest that together have the probability `share`."""
    if share >= 1:
        return scores
    ordered, places = scores.sort(descending=True, stable=True)
    chances = ordered.softmax(-1)
    beyond = chances.cumsum(-1) - chances >= share
    return scores.index_fill(0, places[beyond], -torch.inf)


def draw(scores: Tensor, generator: torch.Generator | None = None) -> int:
    """One of the vocabulary, by the softmax of scores (vocabulary,)."""
    home = scores.device if generator is None else generator.device
    return int(torch.multinomial(scores.float().softmax(-1).to(home), 1, generator=generator))


@torch.no_grad()
def go_on(  # noqa: PLR0913  (what decoding needs)
    step: Callable[[Tensor], Tensor],
    embed: Callable[[int], Tensor],
    start: Tensor,
    choose: Choose,
    stop: Collection[int],
    *,
    least: int = 0,
    most: int = 2000,
    before: Sequence[int] = (),
) -> Iterator[int]:
    """Token after token, until one of `stop` or `most` of them.

    Args:
        step: what stands next, (1, places, dim) -> scores (vocabulary,) of what comes after; it remembers.
        embed: a token -> (1, 1, dim).
        start: (1, places, dim), what stands before.
        choose: see `Sampling.chooser`.
        least: so many tokens come before a stop may.
        before: tokens of the start that a penalty knows of.
    """
    said, x = list(before), start
    ends = torch.tensor(sorted(stop), device=start.device)
    for number in range(most):
        scores = step(x)
        if number < least:
            scores = scores.index_fill(0, ends, -torch.inf)
        token = choose(scores, said)
        trace.report("tokens/next", scores, step=number, token=token)
        if token in stop:
            return
        yield token
        said.append(token)
        x = embed(token)


def framed(rows: Tensor, mask: Tensor | None, first: int, last: int, pad: int) -> tuple[Tensor, Tensor]:
    """Puts a token before and one after what is real of each row: (batch, places) -> (batch, places + 2), and its mask.

    Args:
        mask: (batch, places), True = real; None: all are.
        pad: stands after the last.
    """
    mask = torch.ones_like(rows, dtype=torch.bool) if mask is None else mask
    ends = mask.sum(1, keepdim=True) + 1
    longer = functional.pad(rows.masked_fill(~mask, pad), (1, 1), value=pad)
    longer[:, 0] = first
    places = torch.arange(longer.shape[1], device=rows.device)
    return longer.scatter(1, ends, last), places <= ends


def to_front(mask: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """Moves what is real to the front of each row, in its order: mask (batch, places), values (batch, places, ...).

    Returns:
        the mask and the values, moved alike.
    """
    order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    moved = [
        value.gather(1, order.reshape(*order.shape, *(1,) * (value.ndim - 2)).expand_as(value)) for value in values
    ]
    return mask.gather(1, order), *moved


class Scored(NamedTuple):
    """What a forward pass of a model of tokens gives (aoide/objectives/tokens.py): at a place, of the next place."""

    scores: Tensor  # (batch, places, vocabulary)
    targets: Tensor  # (batch, places) int64
    mask: Tensor  # (batch, places), True where the target is one to learn


class TokenLM(nn.Module):
    """Tokens -> scores of the next one.

    Args:
        settings: of the Llama; causal.
        vocabulary: how many tokens there are.
        tied: the table is the last layer, too.
    """

    def __init__(self, settings: Settings, vocabulary: int, tied: bool = False) -> None:
        super().__init__()
        self.settings = settings
        self.table = nn.Embedding(vocabulary, settings.dim)
        self.llama = Llama(settings)
        self.head = None if tied else nn.Linear(settings.dim, vocabulary, bias=False)
        for layer in (self.table, self.head):
            if layer is not None:
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """x (batch, tokens, dim), what the table says, mask (batch, tokens) -> (batch, tokens, vocabulary)."""
        return self.scores(self.llama(x, mask, cache=cache))

    def scores(self, hidden: Tensor) -> Tensor:
        """What the Llama gives (..., dim) -> (..., vocabulary)."""
        return functional.linear(hidden, self.table.weight) if self.head is None else self.head(hidden)

    @torch.no_grad()
    def go_on(
        self, start: Tensor, choose: Choose, stop: Collection[int], *, least: int = 0, most: int = 2000, **settings: Any
    ) -> Iterator[int]:
        """Token after token after start (1, places, dim); see `go_on`."""
        cache = self.llama.cache(1, start.shape[1] + most)

        def step(x: Tensor) -> Tensor:
            return self.scores(self.llama(x, cache=cache, last=1)[0, 0])

        def embed(token: int) -> Tensor:
            return self.table.weight[token][None, None]

        return go_on(step, embed, start, choose, stop, least=least, most=most, **settings)


def official(state: Mapping[str, Tensor], settings: Settings, prefix: str = "") -> dict[str, Tensor]:
    """The keys of transformers' LlamaForCausalLM, below `prefix` -> those of a `TokenLM`; other keys are left out.

    A published head that is the table itself is not taken twice.
    """
    own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    renamed = {f"llama.{key}": value for key, value in llama.official(own, settings, "model.").items()}
    names = {"model.embed_tokens.weight": "table.weight", "lm_head.weight": "head.weight"}
    return renamed | {ours: own[theirs] for theirs, ours in names.items() if theirs in own}
