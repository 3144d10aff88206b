"""The Llama block (Touvron et al. 2023, arXiv:2302.13971), causal or seeing both ways, for models of tokens and frames.

    x (batch, tokens, dim) -> (batch, tokens, dim)

RMSNorm before each part, rotary positions, a gated MLP (SwiGLU, arXiv:2002.05202), fewer heads for keys and values
where asked (arXiv:2305.13245). With `adaptive` the scale of each norm is a linear function of a condition, one a
sequence or one a token: the time of a masked or flow model, the codebook of VALL-E's second stage (Amphion). No
embedding and no head: they belong to the model around it.

    net = Llama(Settings(dim=512, layers=8, heads=8, hidden=2048, causal=True))
    cache = net.cache(batch=1, capacity=1000)
    first = net(prompt, cache=cache, last=1)                   # (1, 1, dim)
    second = net(embed(token), cache=cache)                    # goes on where the cache ends
    packed, lengths = pack([long, short])                      # (1, all tokens, dim): no padding is computed
    ends = net(packed, lengths=lengths, last=[20, 20])         # (1, 40, dim): what is not asked for is not computed

In a batch of unequal lengths that is decoded with a cache, padding stands in front.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn.rotary import Stretch, angles, turn


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Which block, and how many."""

    dim: int
    layers: int
    heads: int
    hidden: int  # channels inside the MLP
    causal: bool  # whether a token sees only those before it
    kv_heads: int | None = None  # heads of keys and values; null = as many as of queries
    norm_eps: float = 1e-6
    rope_base: float = 10_000.0
    rope_stretch: Stretch | None = None  # Llama 3.1 and later
    bias: bool = False  # of queries, keys and values: Qwen 2 has them
    adaptive: bool = False  # whether a condition scales the norms

    def __post_init__(self) -> None:
        if min(self.dim, self.layers, self.heads, self.hidden) < 1:
            raise ValueError("dim, layers, heads and hidden are 1 or more")
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} does not give {self.heads} heads an even number of channels each")
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            raise ValueError(f"kv_heads {self.kv_heads} does not divide heads {self.heads}")

    @property
    def head_dim(self) -> int:
        """Channels of a head."""
        return self.dim // self.heads

    @property
    def kv_dim(self) -> int:
        """Channels of all keys of a token, and of its values."""
        return self.head_dim * (self.kv_heads or self.heads)


class Cache:
    """Keys and values of the tokens so far, in place: (layers, batch, kv heads, capacity, channels of a head).

    Args:
        batch, capacity: sequences, and tokens that each can grow to.
        like: gives device and type.
    """

    def __init__(self, settings: Settings, batch: int, capacity: int, like: Tensor) -> None:
        heads = settings.kv_heads or settings.heads
        self.keys = like.new_zeros(settings.layers, batch, heads, capacity, settings.head_dim)
        self.values = torch.zeros_like(self.keys)
        self.real: Tensor | None = None  # (batch, capacity), once there is padding
        self.length = 0

    @property
    def capacity(self) -> int:
        """Tokens that fit in."""
        return self.keys.shape[3]

    def crop(self, length: int) -> None:
        """Forgets the tokens from place `length` on."""
        if not 0 <= length <= self.length:
            raise ValueError(f"the cache holds {self.length} tokens and cannot be cut to {length}")
        self.length = length

    def reset(self) -> None:
        """Forgets all."""
        self.length, self.real = 0, None

    def note(self, mask: Tensor | None, tokens: int) -> Tensor | None:
        """Takes the mask of the tokens that come now; that of all tokens (batch, length + tokens), None = no padding.

        Raises:
            ValueError: they do not fit in.
        """
        end = self.length + tokens
        if end > self.capacity:
            raise ValueError(f"the cache has room for {self.capacity} tokens, not for {end}")
        if mask is not None and self.real is None:
            self.real = mask.new_ones(self.keys.shape[1], self.capacity)
        if self.real is None:
            return None
        self.real[:, self.length : end] = True if mask is None else mask
        return self.real[:, :end]


class Sight(NamedTuple):
    """Which keys the queries of a sequence see: a mask (batch or 1, 1, queries, keys), or all, or those before."""

    mask: Tensor | None
    causal: bool


class Call(NamedTuple):
    """What the layers of one pass share."""

    cos: Tensor  # (tokens, head_dim / 2)
    sin: Tensor
    lengths: list[int]  # of the sequences in a row
    sights: list[Sight]  # of each of them
    cache: Cache | None


class Last(NamedTuple):
    """The tokens whose output is asked for: all that the last layer computes beside keys and values."""

    places: Tensor  # (wanted,) int64
    lengths: list[int]
    sights: list[Sight]


class RMSNorm(nn.Module):
    """Scales each token to a mean square of 1, then each channel by a weight, or by a linear function of a condition.

    Amphion's adaptive form (LlamaAdaptiveRMSNorm) has no weight of its own.
    """

    def __init__(self, dim: int, eps: float, adaptive: bool) -> None:
        super().__init__()
        self.dim, self.eps, self.adaptive = dim, eps, adaptive
        if adaptive:
            self.scale = nn.Linear(dim, dim)
            nn.init.zeros_(self.scale.weight)
            nn.init.ones_(self.scale.bias)
        else:
            self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (batch, tokens, dim), condition (batch or 1, tokens or 1, dim) -> (batch, tokens, dim)."""
        if not self.adaptive:
            return functional.rms_norm(x, (self.dim,), self.weight, self.eps)
        assert condition is not None, "an adaptive norm needs a condition"
        scaled, scale = functional.rms_norm(x, (self.dim,), None, self.eps), self.scale(condition)
        return scaled * scale if torch.is_grad_enabled() else scaled.mul_(scale)


class LlamaAttention(nn.Module):
    """Attention of a sequence to itself, with rotary positions, a cache, packed rows."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.project = nn.Linear(settings.dim, settings.dim + 2 * settings.kv_dim, bias=settings.bias)
        self.out = nn.Linear(settings.dim, settings.dim, bias=False)

    def forward(self, x: Tensor, call: Call, layer: int, last: Last | None = None) -> Tensor:
        """x (batch, tokens, dim) -> (batch, tokens, dim), or (batch, wanted, dim) of the last tokens."""
        own, other = self.settings.dim, self.settings.kv_dim
        if last is None:
            queries, keys, values = self.project(x).split([own, other, other], dim=-1)
            turned = call.cos, call.sin
        else:
            weight, bias = self.project.weight, self.project.bias
            parts = (None, None) if bias is None else bias.split([own, 2 * other])
            queries = functional.linear(x[:, last.places], weight[:own], parts[0])
            keys, values = functional.linear(x, weight[own:], parts[1]).chunk(2, dim=-1)
            turned = call.cos[last.places], call.sin[last.places]
        queries, keys, values = (
            y.unflatten(-1, (-1, self.settings.head_dim)).transpose(1, 2) for y in (queries, keys, values)
        )
        queries, keys = turn(queries, *turned), turn(keys, call.cos, call.sin)
        if call.cache is not None:
            keys, values = _remember(call.cache, layer, keys, values)
        return self.out(self._attend(queries, keys, values, call, last or call))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, call: Call, asked: Call | Last) -> Tensor:
        """(batch, heads, ...) each -> (batch, tokens, dim), sequence by sequence."""
        if len(call.lengths) == 1:
            return self._look(queries, keys, values, asked.sights[0])
        rows = zip(
            queries.split(asked.lengths, 2), keys.split(call.lengths, 2), values.split(call.lengths, 2), strict=True
        )
        return torch.cat([self._look(*row, sight) for row, sight in zip(rows, asked.sights, strict=True)], dim=1)

    def _look(self, queries: Tensor, keys: Tensor, values: Tensor, sight: Sight) -> Tensor:
        if trace.active("attention"):
            _show(queries, keys, sight)
        found = functional.scaled_dot_product_attention(
            queries, keys, values, sight.mask, is_causal=sight.causal, enable_gqa=queries.shape[1] != keys.shape[1]
        )
        return found.transpose(1, 2).flatten(2)


class Block(nn.Module):
    """Normalise and attend, normalise and think, each added to what came in."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(settings.dim, settings.norm_eps, settings.adaptive)
        self.attention = LlamaAttention(settings)
        self.mlp_norm = RMSNorm(settings.dim, settings.norm_eps, settings.adaptive)
        self.expand = nn.Linear(settings.dim, 2 * settings.hidden, bias=False)  # the gate, and what it lets through
        self.contract = nn.Linear(settings.hidden, settings.dim, bias=False)

    def forward(self, x: Tensor, call: Call, layer: int, condition: Tensor | None, last: Last | None = None) -> Tensor:
        """x (batch, tokens, dim) -> (batch, tokens, dim), or (batch, wanted, dim) of the last tokens."""
        found = self.attention(self.attention_norm(x, condition), call, layer, last)
        if last is not None:
            x = x[:, last.places]
            condition = condition if condition is None or condition.shape[1] == 1 else condition[:, last.places]
        x = x + found
        gate, through = self.expand(self.mlp_norm(x, condition)).chunk(2, dim=-1)
        if torch.is_grad_enabled():
            return x + self.contract(functional.silu(gate) * through)
        return x + self.contract(functional.silu(gate, inplace=True).mul_(through))  # the largest tensors of a layer


class Llama(nn.Module):
    """A stack of blocks and a last norm; see the head of this file."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.layers = nn.ModuleList(Block(settings) for _ in range(settings.layers))
        self.norm = RMSNorm(settings.dim, settings.norm_eps, settings.adaptive)
        for name, parameter in self.named_parameters():
            if "norm" not in name:
                (nn.init.zeros_ if name.endswith("bias") else _normal)(parameter)

    def cache(self, batch: int, capacity: int) -> Cache:
        """An empty cache for `batch` sequences of up to `capacity` tokens, where the weights are."""
        return Cache(self.settings, batch, capacity, next(self.parameters()))

    def forward(  # noqa: PLR0913  (what can be left out is)
        self,
        x: Tensor,
        mask: Tensor | None = None,
        condition: Tensor | None = None,
        cache: Cache | None = None,
        lengths: Sequence[int] | None = None,
        last: int | Sequence[int] | None = None,
    ) -> Tensor:
        """The last norm included: (batch, tokens, dim), or (batch, wanted, dim) where `last` asks for less.

        Args:
            x: (batch, tokens, dim).
            mask: (batch, tokens), True = real; None = all are.
            condition: (batch or 1, dim), or (batch or 1, tokens, dim), of adaptive norms.
            cache: the tokens before, which are then those of x as well; only without gradients.
            lengths: each row holds sequences of these lengths one after the other, which do not see each other and
                whose places each begin at 0 (see `pack`); without mask and cache.
            last: how many tokens at the end are wanted, one number or one a sequence of a row; None = all. What is not
                wanted costs the last layer nothing but its keys and values.

        Raises:
            ValueError: the cache has no room.
        """
        tokens = x.shape[1]
        assert lengths is None or (mask is None and cache is None and sum(lengths) == tokens), "packed rows are full"
        assert cache is None or not torch.is_grad_enabled(), "a cache holds no gradients"
        parts = [tokens] if lengths is None else [*lengths]
        start = 0 if cache is None else cache.length
        real = mask if cache is None else cache.note(mask, tokens)
        places = torch.cat([torch.arange(start, start + length, device=x.device) for length in parts])
        settings = self.settings
        cos, sin = angles(places, settings.head_dim, settings.rope_base, settings.rope_stretch)
        sights = [_sight(length, start + length, real, settings.causal, x.device) for length in parts]
        call = Call(cos, sin, parts, sights, cache)
        wanted = None if last is None else self._wanted(last, call, real, start, x.device)
        if condition is not None and condition.ndim == 2:
            condition = condition[:, None]
        for number, block in enumerate(self.layers):
            x = block(x, call, number, condition, wanted if number == settings.layers - 1 else None)
            trace.layer(number, settings.layers, x)
        if cache is not None:
            cache.length += tokens
        if wanted is not None and condition is not None and condition.shape[1] > 1:
            condition = condition[:, wanted.places]
        return self.norm(x, condition)

    def _wanted(
        self, last: int | Sequence[int], call: Call, real: Tensor | None, start: int, device: torch.device
    ) -> Last:
        counts = [last] * len(call.lengths) if isinstance(last, int) else [*last]
        ends, places = 0, []
        for count, length in zip(counts, call.lengths, strict=True):
            assert 0 <= count <= length, f"{count} tokens are wanted of {length}"
            ends += length
            places.append(torch.arange(ends - count, ends, device=device))
        pairs = zip(counts, call.lengths, strict=True)
        sights = [_sight(count, start + length, real, self.settings.causal, device) for count, length in pairs]
        return Last(torch.cat(places), counts, sights)


def pack(sequences: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
    """Sequences (tokens, dim) of whatever lengths, one after the other: (1, all tokens, dim), and their lengths."""
    return torch.cat([*sequences])[None], [len(sequence) for sequence in sequences]


def _sight(queries: int, keys: int, real: Tensor | None, causal: bool, device: torch.device) -> Sight:
    """What the last `queries` of `keys` tokens see; `real` (batch, keys)."""
    seen = None if real is None else real[:, None, None, :]
    if not causal or queries == 1:
        return Sight(seen, causal=False)
    if seen is None and queries == keys:
        return Sight(None, causal=True)
    before = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
    if seen is None:
        return Sight(before, causal=False)
    itself = before & ~before.tril(-1 + keys - queries)  # so that padding in front sees something, and gives numbers
    return Sight(before & seen | itself, causal=False)


def _remember(cache: Cache, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Lays keys and values (batch, kv heads, tokens, head_dim) into the cache; those of all tokens so far."""
    end = cache.length + keys.shape[2]
    cache.keys[layer, :, :, cache.length : end] = keys
    cache.values[layer, :, :, cache.length : end] = values
    return cache.keys[layer, :, :, :end], cache.values[layer, :, :, :end]


def _show(queries: Tensor, keys: Tensor, sight: Sight) -> None:
    """Reports the weights of attention: (batch, heads, queries, keys)."""
    keys = keys.repeat_interleave(queries.shape[1] // keys.shape[1], dim=1)
    scores = queries @ keys.mT / math.sqrt(keys.shape[-1])
    mask = sight.mask
    if sight.causal:
        mask = torch.ones_like(scores[0, 0], dtype=torch.bool).tril()
    trace.report("attention", (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1))


def _normal(weight: Tensor) -> None:
    nn.init.normal_(weight, std=0.02)


# ------------------------------------------------------------------------------------------------ published checkpoints

_NAMES = {
    "input_layernorm.weight": "attention_norm.weight",
    "input_layernorm.to_weight.weight": "attention_norm.scale.weight",
    "input_layernorm.to_weight.bias": "attention_norm.scale.bias",
    "post_attention_layernorm.weight": "mlp_norm.weight",
    "post_attention_layernorm.to_weight.weight": "mlp_norm.scale.weight",
    "post_attention_layernorm.to_weight.bias": "mlp_norm.scale.bias",
    "self_attn.o_proj.weight": "attention.out.weight",
    "mlp.down_proj.weight": "contract.weight",
}
_FUSED = {
    "attention.project.weight": [f"self_attn.{name}_proj.weight" for name in "qkv"],
    "attention.project.bias": [f"self_attn.{name}_proj.bias" for name in "qkv"],
    "expand.weight": [f"mlp.{name}_proj.weight" for name in ("gate", "up")],
}


def official(state: Mapping[str, Tensor], settings: Settings, prefix: str = "") -> dict[str, Tensor]:
    """The state dict of a `Llama` from that of transformers' LlamaModel or of Amphion's adaptive ones.

    Args:
        state: with the original keys; of those, only `<prefix>layers.*` and `<prefix>norm.*` are looked at.
        prefix: what stands before them: "model.", "diff_estimator.".

    Returns:
        By our names, without prefix. What has no place in our network (another layer, another kind of norm) keeps its
        name, so that `aoide.nn.official.adopt` tells of it; old buffers of the rotary angles are left out.
    """
    theirs = {key.removeprefix(prefix): value for key, value in state.items() if belongs(key, prefix)}
    theirs = {key: value for key, value in theirs.items() if not key.endswith("rotary_emb.inv_freq")}
    result: dict[str, Tensor] = {}
    for number in range(settings.layers):
        stem = f"layers.{number}."
        for name, ours in _NAMES.items():
            if stem + name in theirs:
                result[stem + ours] = theirs.pop(stem + name)
        for ours, names in _FUSED.items():
            if all(stem + name in theirs for name in names):
                result[stem + ours] = torch.cat([theirs.pop(stem + name) for name in names])
    return result | {key.replace("norm.to_weight.", "norm.scale."): value for key, value in theirs.items()}


def belongs(key: str, prefix: str = "") -> bool:
    """Whether a key of a state dict is of the Llama whose keys begin with `prefix`."""
    return key.startswith((f"{prefix}layers.", f"{prefix}norm."))
