"""From vectors to codes and back: codebooks of three kinds, and the residual stack that codecs make of them.

A codebook turns each frame (batch, frames, dim) into one number, and a number back into a vector:

    FactorisedVQ    projects down to a few dimensions, finds the code of the nearest direction there, projects up again
                    (Yu et al. 2021, arXiv:2110.04627): DAC, MaskGCT, FACodec, DualCodec
    EuclideanVQ     keeps all dimensions; its codes are running means of what they stood for (van den Oord et al. 2017,
                    arXiv:1711.00937, appendix A.1; dead codes as in SoundStream): EnCodec, SpeechTokenizer
    FSQ             no table: rounds each of a few dimensions to one of its levels (Mentzer et al. 2023,
                    arXiv:2309.15505): X-codec2, S3Tokenizer

`ResidualVQ` stacks any of them: each codes what those before it left over (Zeghidour et al. 2021, arXiv:2107.03312), so
that the first n codebooks alone give a coarser version of the same vectors.

All gradients pass the rounding straight through. Codes are int64, 0 in padded frames; vectors there are 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aoide.config import UserError


class Coded(NamedTuple):
    """What one codebook makes of (batch, frames, dim)."""

    vectors: Tensor  # (batch, frames, dim), with gradients straight through to the input
    codes: Tensor  # (batch, frames) int64
    latents: Tensor  # (batch, frames, code_dim): the input as the codebook sees it, before it is rounded
    commitment: Tensor  # (batch,): squared distance of the input to its code, to pull the input
    codebook: Tensor  # (batch,): the same, to pull the code; 0 where no gradient moves the codes


class Quantised(NamedTuple):
    """What a stack of codebooks makes of (batch, frames, dim). Losses: the mean over the batch, summed over codebooks.

    A codebook that an item does not use adds nothing to its vectors and its losses; its codes are given all the same.
    """

    vectors: Tensor  # (batch, frames, dim), with gradients straight through to the input
    codes: Tensor  # (batch, frames, codebooks) int64
    commitment: Tensor  # (batch, codebooks)
    codebook: Tensor  # (batch, codebooks)
    parts: tuple[Coded, ...]  # of each codebook; the vectors are the sum of theirs


class Codebook(Protocol):
    """What a codebook offers; `size` is the number of its codes."""

    size: int

    def __call__(self, x: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None) -> Coded:
        """x (batch, frames, dim), mask (batch, frames) with True = real; `generator` draws what training draws."""
        ...

    def lookup(self, codes: Tensor) -> Tensor:
        """codes (batch, frames) -> vectors (batch, frames, dim)."""
        ...


# ------------------------------------------------------------------------------------------------------------ codebooks


class FactorisedVQ(nn.Module):
    """A trained table of few dimensions between two projections.

    Args:
        dim: of the vectors.
        size: number of codes.
        code_dim: dimensions of a code.
        cosine: look for the nearest direction rather than the nearest point. What is looked up keeps its length.
        project: False where the vectors are codes already (dim equals code_dim).
    """

    def __init__(self, dim: int, size: int, code_dim: int, cosine: bool = True, project: bool = True) -> None:
        super().__init__()
        if not project and dim != code_dim:
            raise ValueError(f"without projections the codes are of the vectors' {dim} dimensions, not of {code_dim}")
        self.size, self.cosine = size, cosine
        self.inward = weight_norm(nn.Linear(dim, code_dim)) if project else nn.Identity()
        self.table = nn.Embedding(size, code_dim)
        self.outward = weight_norm(nn.Linear(code_dim, dim)) if project else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None) -> Coded:
        """See `Codebook`; nothing is drawn."""
        latents = self.inward(x)
        codes = self._nearest(latents.detach())
        chosen = self.table(codes)
        vectors = self.outward(_straight(latents, chosen) if self.training else chosen)
        commitment, codebook = _distance(latents, chosen.detach(), mask), _distance(chosen, latents.detach(), mask)
        return Coded(vectors, codes, latents, commitment, codebook)

    def lookup(self, codes: Tensor) -> Tensor:
        """codes (batch, frames) -> vectors (batch, frames, dim)."""
        return self.outward(self.table(codes))

    def _nearest(self, latents: Tensor) -> Tensor:
        table = self.table.weight.detach()
        if self.cosine:
            return (functional.normalize(latents, dim=-1) @ functional.normalize(table, dim=-1).T).argmax(-1)
        return _nearest(latents, table)


class EuclideanVQ(nn.Module):
    """A table whose codes follow, in training, the running mean of the vectors that they stand for.

    A code that is hardly used starts anew from a vector of the batch, so the first batch gives nearly all of them. On
    several GPUs the means are those of all batches.

    Args:
        dim: of the vectors and the codes.
        size: number of codes.
        decay: how much of a running mean a step keeps.
        dead_below: a code starts anew where it is used less than this share of an even use; None: never.
    """

    table: Tensor
    uses: Tensor
    sums: Tensor

    def __init__(self, dim: int, size: int, decay: float = 0.99, dead_below: float | None = 0.1) -> None:
        super().__init__()
        self.size, self.decay, self.dead_below = size, decay, dead_below
        bound = math.sqrt(6 / dim)
        self.register_buffer("table", torch.empty(size, dim).uniform_(-bound, bound))
        self.register_buffer("uses", torch.zeros(size))  # running mean of the vectors of a batch that a code stands for
        self.register_buffer("sums", self.table.clone())  # running mean of the sum of these vectors

    def forward(self, x: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None) -> Coded:
        """See `Codebook`; in training the table moves, and `generator` draws which vectors replace dead codes."""
        real = x.detach().flatten(0, 1) if mask is None else x.detach()[mask]
        codes = _nearest(x.detach(), self.table)
        chosen = functional.embedding(codes, self.table)
        if self.training:  # for the next batch: a code that came from this one would code it too well
            self._follow(real, codes.flatten() if mask is None else codes[mask])
            if self.dead_below is not None:
                self._revive(real, self.dead_below, generator)
        commitment = _distance(x, chosen, mask)
        vectors = _straight(x, chosen) if self.training else chosen
        return Coded(vectors, codes, x, commitment, torch.zeros_like(commitment))

    def lookup(self, codes: Tensor) -> Tensor:
        """codes (batch, frames) -> vectors (batch, frames, dim)."""
        return functional.embedding(codes, self.table)

    @torch.no_grad()
    def start(self, x: Tensor, rounds: int = 10, generator: torch.Generator | None = None) -> None:
        """Puts the codes where k-means finds the middles of x (vectors, dim), many more vectors than codes."""
        order = torch.rand(len(x), generator=generator, device=x.device).argsort()
        spare = x[order[torch.arange(self.size, device=x.device) % len(x)]]
        table = spare
        for _ in range(rounds):
            codes = _nearest(x, table)
            uses = torch.zeros_like(self.uses).index_add_(0, codes, torch.ones_like(x[:, 0]))
            sums = torch.zeros_like(table).index_add_(0, codes, x)
            table = torch.where(uses[:, None] > 0, sums / uses.clamp(min=1)[:, None], spare)
        self.table.copy_(table)
        self.uses.fill_(1.0)
        self.sums.copy_(table)

    @torch.no_grad()
    def _follow(self, x: Tensor, codes: Tensor) -> None:
        """Moves the running means by x (vectors, dim) and their codes (vectors,), and the table to the means."""
        uses = torch.zeros_like(self.uses).index_add_(0, codes, torch.ones_like(x[:, 0], dtype=self.uses.dtype))
        sums = torch.zeros_like(self.sums).index_add_(0, codes, x.to(self.sums.dtype))
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(uses)
            distributed.all_reduce(sums)
        self.uses.lerp_(uses, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        total, small = self.uses.sum(), 1e-5  # a code without any use must not divide by 0
        smooth = (self.uses + small) / (total + self.size * small) * total
        self.table.copy_(self.sums / smooth.clamp(min=1e-12)[:, None])

    @torch.no_grad()
    def _revive(self, x: Tensor, share: float, generator: torch.Generator | None) -> None:
        """Gives each code that is dead the place of a random row of x (vectors, dim).

        Its use is put at the limit, so it moves again with the next batch that does not need it: while an encoder
        learns fast, places are soon out of date.
        """
        limit = share * (self.uses.sum() / self.size).clamp(min=1.0)
        dead = self.uses < limit
        picks = torch.rand(max(self.size, len(x)), generator=generator, device=x.device).argsort()[: self.size]
        places = x[picks % len(x)].to(self.table.dtype)
        if distributed.is_available() and distributed.is_initialized():
            distributed.broadcast(places, src=0)
        self.uses.copy_(torch.where(dead, limit, self.uses))
        self.sums.copy_(torch.where(dead[:, None], places * limit, self.sums))
        self.table.copy_(torch.where(dead[:, None], places, self.table))


class FSQ(nn.Module):
    """Rounds each of a few projected dimensions to one of its levels; every combination of levels is a code.

    Args:
        dim: of the vectors.
        levels: levels of each dimension, 2 or more.
    """

    steps: Tensor
    weights: Tensor

    def __init__(self, dim: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"levels names how many steps each dimension has, 2 or more, got {levels}")
        self.size = math.prod(levels)
        self.inward = nn.Linear(dim, len(levels))
        self.outward = nn.Linear(len(levels), dim)
        self.register_buffer("steps", torch.tensor(levels), persistent=False)
        weights = [math.prod(levels[:i]) for i in range(len(levels))]  # the first dimension counts ones
        self.register_buffer("weights", torch.tensor(weights), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None) -> Coded:
        """See `Codebook`; nothing is drawn, and there is nothing to commit to."""
        latents = self.inward(x)
        bounded = self._bound(latents)
        rounded = bounded.round()
        codes = ((rounded.detach().long() + self.steps // 2) * self.weights).sum(-1)
        vectors = self.outward((_straight(bounded, rounded) if self.training else rounded) / (self.steps // 2))
        nothing = x.new_zeros(len(x))
        return Coded(vectors, codes, latents, nothing, nothing)

    def lookup(self, codes: Tensor) -> Tensor:
        """codes (batch, frames) -> vectors (batch, frames, dim)."""
        places = codes[..., None] // self.weights % self.steps - self.steps // 2
        return self.outward(places / (self.steps // 2))

    def _bound(self, latents: Tensor) -> Tensor:
        """Squeezes each dimension between its lowest and its highest level: for 5 levels -2 to 2, for 4 -2 to 1.

        The rounding can reach the outermost levels since the range is a thousandth wider.
        """
        half = (self.steps - 1) * 1.001 / 2
        offset = 0.5 - self.steps % 2 / 2  # an even number of levels has none in the middle
        return torch.tanh(latents + torch.atanh(offset / half)) * half - offset


# ---------------------------------------------------------------------------------------------------------------- stack


class ResidualVQ(nn.Module):
    """A stack of codebooks, each of which codes what those before it left over.

    It computes in float32 even under autocast: a code is a decision, and half precision decides otherwise.

    Args:
        layers: the codebooks, coarse to fine.
        dropout: share of the items of a training batch that use only the first few codebooks, a random number of them,
            so that a decoder learns to do with any number (SoundStream, section III-C; shared out as in DAC).
    """

    def __init__(self, layers: Iterable[nn.Module], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.dropout = dropout
        if not len(self.layers) or not 0 <= dropout <= 1:
            raise ValueError(f"a stack has one codebook or more and a dropout of 0 to 1, got {dropout}")

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        used: Tensor | int | None = None,
        generator: torch.Generator | None = None,
    ) -> Quantised:
        """x (batch, frames, dim), mask (batch, frames) with True = real -> see `Quantised`.

        Args:
            used: how many codebooks to use: a number, then the codes are of that many; or one for each item, (batch,).
                By default all; in training `draw` chooses.
            generator: draws what training draws; None is torch's own.
        """
        count = used if isinstance(used, int) else len(self.layers)
        self._check(count)
        if used is None and self.training and self.dropout:
            used = self.draw(len(x), generator).to(x.device)
        with _full_precision(x):
            rest, parts, total = x.float(), [], torch.zeros_like(x, dtype=torch.float32)
            for index, layer in enumerate(list(self.layers)[:count]):
                part = layer(rest, mask, generator)
                rest = rest - part.vectors
                if isinstance(used, Tensor):
                    part = _switch(part, used > index)
                total = total + part.vectors
                parts.append(part)
        codes = torch.stack([part.codes for part in parts], dim=-1)
        if mask is not None:
            codes, total = codes.masked_fill(~mask[..., None], 0), total.masked_fill(~mask[..., None], 0.0)
        commitment = torch.stack([part.commitment for part in parts], dim=1)
        codebook = torch.stack([part.codebook for part in parts], dim=1)
        return Quantised(total, codes, commitment, codebook, tuple(parts))

    def encode(self, x: Tensor, mask: Tensor | None = None, codebooks: int | None = None) -> Tensor:
        """x (batch, frames, dim) -> codes (batch, frames, codebooks), of all codebooks or of the first few."""
        return self(x, mask, len(self.layers) if codebooks is None else codebooks).codes

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks) of the first codebooks, as many as there are -> (batch, frames, dim).

        Raises:
            UserError: more codebooks than the stack has, or none.
        """
        self._check(codes.shape[-1])
        with _full_precision(codes):
            total = torch.stack([self.lookup(codes[..., i], i) for i in range(codes.shape[-1])]).sum(0)
        return total if mask is None else total.masked_fill(~mask[..., None], 0.0)

    @torch.no_grad()
    def start(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Starts codebook after codebook with what those before it leave over of x (vectors, dim), by k-means."""
        for layer in self.layers:
            assert isinstance(layer, EuclideanVQ), "only tables of running means start so"
            layer.start(x, generator=generator)
            x = x - layer.lookup(_nearest(x, layer.table))

    def lookup(self, codes: Tensor, codebook: int) -> Tensor:
        """codes (batch, frames) of one codebook -> its vectors (batch, frames, dim)."""
        return cast(Codebook, self.layers[codebook]).lookup(codes)

    def draw(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """How many codebooks each item of a training batch uses, (batch,): the first of them fewer, the others all."""
        device = None if generator is None else generator.device
        fewer = torch.randint(1, len(self.layers) + 1, (batch,), generator=generator, device=device)
        keep = torch.arange(batch, device=device) >= int(batch * self.dropout)
        return fewer.masked_fill(keep, len(self.layers))

    def _check(self, codebooks: int) -> None:
        if not 1 <= codebooks <= len(self.layers):
            raise UserError(
                f"there are {len(self.layers)} codebooks: use 1 to {len(self.layers)} of them, not {codebooks}"
            )


# ---------------------------------------------------------------------------------------------------------------- parts


def _nearest(x: Tensor, table: Tensor) -> Tensor:
    """x (..., dim), table (codes, dim) -> the index of the nearest row, (...)."""
    return (x @ table.T - table.square().sum(1) / 2).argmax(-1)  # |x - t|^2 less |x|^2, halved, the other way up


def _straight(x: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, with the gradient going to `x`."""
    return x + (rounded - x).detach()


def _distance(one: Tensor, two: Tensor, mask: Tensor | None) -> Tensor:
    """The mean squared distance of each item: (batch, frames, dim) twice -> (batch,)."""
    frames = (one - two).square().mean(-1)
    if mask is None:
        return frames.mean(1)
    return frames.masked_fill(~mask, 0.0).sum(1) / mask.sum(1).clamp(min=1)


def _switch(part: Coded, on: Tensor) -> Coded:
    """`part`, without vectors and losses in those items where `on` (batch,) is False."""
    scale = on.to(part.vectors.dtype)
    return part._replace(
        vectors=part.vectors * scale[:, None, None], commitment=part.commitment * scale, codebook=part.codebook * scale
    )


def _full_precision(x: Tensor) -> AbstractContextManager[object]:
    if torch.is_autocast_enabled(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return nullcontext()
