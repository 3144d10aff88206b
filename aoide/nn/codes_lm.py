"""A language model of codes of several books: tables, a causal Transformer that may look at what was told, and heads.

    rows (batch, steps, codebooks) -> scores (batch, steps, codebooks, codes) of what stands at the next step

Pre-norm blocks without biases, GELU, positions by sines; the embeddings of all books of a step are summed. What was
told (a caption as vectors) is looked at by cross-attention, or stands before the codes as a prefix. The order of the
codes is that of aoide/nn/patterns.py. Source: Copet et al. 2023, arXiv:2306.05284.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn import llama
from aoide.nn.llama import Cache

LONGEST_WAVE = 10_000  # steps, of positions


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Which network."""

    codebooks: int
    codes: int
    dim: int
    layers: int
    heads: int
    hidden: int  # channels inside the MLP
    told: bool  # whether blocks look at what was told; a prefix needs no such part

    def __post_init__(self) -> None:
        if min(self.codebooks, self.codes, self.layers, self.heads, self.hidden) < 1:
            raise ValueError("codebooks, codes, layers, heads and hidden are 1 or more")
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} does not give {self.heads} heads an even number of channels each")

    @property
    def special(self) -> int:
        """The code that stands where none does."""
        return self.codes


class Attention(nn.Module):
    """Queries of one sequence, keys and values of the same or of another."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries, self.keys, self.values, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(4))

    def heard(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of x (batch, places, dim): (batch, heads, places, channels) each."""
        return self._split(self.keys(x)), self._split(self.values(x))

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """x (batch, steps, dim), mask (batch or 1, 1, steps or 1, places) with True = seen -> (batch, steps, dim)."""
        queries = self._split(self.queries(x))
        if trace.active("attention"):
            scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
            seen = torch.ones_like(scores, dtype=torch.bool).tril() if causal else mask
            trace.report("attention", (scores if seen is None else scores.masked_fill(~seen, -torch.inf)).softmax(-1))
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)
        return self.out(found.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Look back, look at what was told, think; each is added to what came in."""

    def __init__(self, of: Settings) -> None:
        super().__init__()
        self.own_norm, self.own = nn.LayerNorm(of.dim), Attention(of.dim, of.heads)
        self.told_norm = nn.LayerNorm(of.dim) if of.told else None
        self.told = Attention(of.dim, of.heads) if of.told else None
        self.mlp_norm = nn.LayerNorm(of.dim)
        self.expand, self.contract = nn.Linear(of.dim, of.hidden, bias=False), nn.Linear(of.hidden, of.dim, bias=False)

    def forward(self, x: Tensor, told: Told | None, number: int, cache: Cache | None) -> Tensor:
        normed = self.own_norm(x)
        keys, values = self.own.heard(normed)
        before = 0
        if cache is not None:
            before, end = cache.length, cache.length + x.shape[1]
            cache.keys[number, :, :, before:end], cache.values[number, :, :, before:end] = keys, values
            keys, values = cache.keys[number, :, :, :end], cache.values[number, :, :, :end]
        mask = None
        if before and x.shape[1] > 1:
            mask = torch.ones(x.shape[1], keys.shape[2], dtype=torch.bool, device=x.device).tril(before)[None, None]
        x = x + self.own(normed, keys, values, mask, causal=not before)
        if self.told is not None and self.told_norm is not None and told is not None:
            x = x + self.told(self.told_norm(x), *told.heard(number), told.mask)
        return x + self.contract(functional.gelu(self.expand(self.mlp_norm(x))))


class Told:
    """What was told, with its keys and values in every block, which are the same at every step.

    Args:
        rows: (batch, places, dim). mask: (batch, places), True = real; where nothing is, rows are zero and add nothing.
    """

    def __init__(self, blocks: nn.ModuleList, rows: Tensor, mask: Tensor | None) -> None:
        if mask is not None:
            rows = rows.masked_fill(~mask[..., None], 0.0)
            mask = (mask | ~mask.any(1, keepdim=True))[:, None, None]
        self.mask = mask
        self._heard = [
            block.told.heard(rows) for block in blocks if isinstance(block, Block) and block.told is not None
        ]

    def heard(self, number: int) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self._heard[number]
        return found


class CodesLM(nn.Module):
    """Codes by step -> scores of the next step."""

    def __init__(self, of: Settings) -> None:
        super().__init__()
        self.settings = of
        self.tables = nn.ModuleList(nn.Embedding(of.codes + 1, of.dim) for _ in range(of.codebooks))
        self.blocks = nn.ModuleList(Block(of) for _ in range(of.layers))
        self.norm = nn.LayerNorm(of.dim)
        self.heads = nn.ModuleList(nn.Linear(of.dim, of.codes, bias=False) for _ in range(of.codebooks))
        for layer in (*self.tables, *self.heads):
            nn.init.normal_(layer.weight, std=0.02)

    def embed(self, rows: Tensor) -> Tensor:
        """(batch, steps, codebooks) -> (batch, steps, dim)."""
        return torch.stack([table(rows[..., book]) for book, table in enumerate(self.tables)]).sum(0)

    def tell(self, rows: Tensor, mask: Tensor | None = None) -> Told:
        """What is told (batch, places, dim), mask (batch, places), ready to be looked at."""
        return Told(self.blocks, rows, mask)

    def forward(self, x: Tensor, told: Told | None = None, cache: Cache | None = None) -> Tensor:
        """x (batch, steps, dim), embedded, after what the cache holds -> scores (batch, steps, codebooks, codes)."""
        before = 0 if cache is None else cache.length
        x = x + sines(before + x.shape[1], x.shape[2], x.device)[before:].to(x.dtype)
        for number, block in enumerate(self.blocks):
            x = block(x, told, number, cache)
        if cache is not None:
            cache.length += x.shape[1]
        hidden = self.norm(x)
        return torch.stack([head(hidden) for head in self.heads], dim=2)

    def cache(self, batch: int, capacity: int) -> Cache:
        """Room for so many steps."""
        of = self.settings
        like = llama.Settings(dim=of.dim, layers=of.layers, heads=of.heads, hidden=of.hidden, causal=True)
        return Cache(like, batch, capacity, self.norm.weight)


def sines(places: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Positions (places, dim): cosines, then sines, of waves from 2 pi to 2 pi * LONGEST_WAVE steps."""
    half = dim // 2
    waves = torch.exp(torch.arange(half, device=device) * (-math.log(LONGEST_WAVE) / max(1, half - 1)))
    angle = torch.arange(places, device=device)[:, None] * waves
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def official(state: Mapping[str, Tensor], of: Settings) -> dict[str, Tensor]:
    """The keys of audiocraft's LMModel, or of transformers' MusicgenForCausalLM (`model.decoder. ...`, `lm_heads`), ->
    those of a `CodesLM`; other keys stay as they are.
    """
    named = {_renamed(key): value for key, value in state.items()}
    for number in range(of.layers):  # audiocraft keeps queries, keys and values in one
        for part in ("own", "told"):
            stem = f"blocks.{number}.{part}"
            if (joint := named.pop(f"{stem}.joint", None)) is not None:
                named |= {
                    f"{stem}.{name}.weight": piece
                    for name, piece in zip(("queries", "keys", "values"), joint.chunk(3), strict=True)
                }
    return named


_NAMES = (
    ("model.decoder.embed_tokens.", "tables."),
    ("model.decoder.layers.", "blocks."),
    ("model.decoder.layer_norm.", "norm."),
    ("lm_heads.", "heads."),
    ("transformer.layers.", "blocks."),
    ("emb.", "tables."),
    ("out_norm.", "norm."),
    ("linears.", "heads."),
)
_PARTS = (
    (".self_attn_layer_norm.", ".own_norm."),
    (".encoder_attn_layer_norm.", ".told_norm."),
    (".final_layer_norm.", ".mlp_norm."),
    (".norm1.", ".own_norm."),
    (".norm_cross.", ".told_norm."),
    (".norm2.", ".mlp_norm."),
    (".self_attn.", ".own."),
    (".encoder_attn.", ".told."),
    (".cross_attention.", ".told."),
    (".in_proj_weight", ".joint"),
    (".q_proj.", ".queries."),
    (".k_proj.", ".keys."),
    (".v_proj.", ".values."),
    (".out_proj.", ".out."),
    (".fc1.", ".expand."),
    (".fc2.", ".contract."),
    (".linear1.", ".expand."),
    (".linear2.", ".contract."),
)


def _renamed(key: str) -> str:
    for old, new in _NAMES:
        if key.startswith(old):
            key = new + key.removeprefix(old)
            break
    else:
        return key
    for old, new in _PARTS:
        key = key.replace(old, new)
    return key
