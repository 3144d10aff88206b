"""Blocks of Transformers that carry a flow from noise to sound (DiT): time, text and places go in, attention computes.

The time steers each block: six numbers a channel, of which four scale and shift what is normalised, and two say how
much of it is added (adaptive normalisation that begins at zero). F5-TTS and its kin (E2, MMDiT, DiffRhythm) share the
parts of this file; how they are put together stands in the model files.

Sources: Peebles and Xie 2023, arXiv:2212.09748 (DiT); Chen et al. 2024, arXiv:2410.06885 (F5); Woo et al. 2023,
arXiv:2301.00808 (ConvNeXt V2); Esser et al. 2024, arXiv:2403.03206 (two streams, one attention). The published code is
github.com/SWivid/F5-TTS (MIT); `official` renames its keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn.conv import Conv1d
from aoide.nn.official import replaced
from aoide.nn.rotary import rotate

SINUSOIDS = 256  # numbers that a time is told by
EPS = 1e-6  # of the normalisations, as published


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a block."""

    dim: int
    heads: int
    head_dim: int  # channels of a head; heads * head_dim need not be dim
    hidden: int  # channels inside the part without attention
    dropout: float = 0.0
    rotary_heads: int | None = None  # the first so many heads know places; None: all
    norm: bool = False  # normalise queries and keys, head by head


class TimeCode(nn.Module):
    """A time from 0 to 1 as sinusoids of 1000 times it, through two layers: (batch,) -> (batch, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(SINUSOIDS, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, time: Tensor) -> Tensor:
        half = SINUSOIDS // 2
        rates = torch.exp(torch.arange(half, device=time.device) * (-math.log(10_000) / (half - 1)))
        angles = 1000 * time[:, None] * rates
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=-1))


class ConvPlaces(nn.Module):
    """What stands around a frame, by two convolutions in groups: it tells places by ear. Added to the frames by who
    calls it; (batch, frames, dim) -> the same, 0 at padded frames.
    """

    def __init__(self, dim: int, kernel: int = 31, groups: int = 16) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Conv1d(dim, dim, kernel, groups=groups) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real."""
        for conv in self.convs:
            x = functional.mish(conv(x, mask))
        return x if mask is None else x.masked_fill(~mask[..., None], 0.0)


# ----------------------------------------------------------------------------------------------------------------- text


class ConvNeXtV2Block(nn.Module):
    """A ConvNeXt block in which channels compete by how loud they are over all of the sequence.

    Args:
        dim: channels.
        hidden: channels inside.
        kernel: places that the depthwise convolution sees; odd.
    """

    def __init__(self, dim: int, hidden: int, kernel: int = 7) -> None:
        super().__init__()
        self.depthwise = Conv1d(dim, dim, kernel, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.expand = nn.Linear(dim, hidden)
        self.response = Response(hidden)
        self.contract = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, places, dim), mask (batch, places) with True = real -> (batch, places, dim)."""
        y = functional.gelu(self.expand(self.norm(self.depthwise(x, mask))))
        return x + self.contract(self.response(y, mask))


class Response(nn.Module):
    """Global response normalisation: a channel is scaled by its length over time, relative to that of the others."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(dim))
        self.shift = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, places, dim), mask (batch, places) -> (batch, places, dim)."""
        heard = x if mask is None else x.masked_fill(~mask[..., None], 0.0)
        length = heard.norm(dim=1, keepdim=True)
        return self.scale * (x * (length / (length.mean(-1, keepdim=True) + EPS))) + self.shift + x


@dataclass(frozen=True, slots=True)
class Text:
    """How symbols become a code a frame."""

    symbols: int  # with the filler, 0
    dim: int
    layers: int  # ConvNeXt V2 blocks; 0: the symbols' vectors alone
    silent_filler: bool = True  # 0 is silent to its neighbours
    spread: bool = False  # repeat each symbol, evenly over the frames, instead of all of the filler at the end
    leaky_padding: bool = False  # let padded frames be heard by their neighbours, as the published code does


class TextCode(nn.Module):
    """Symbols laid on the frames one by one from the first, and filler after the last: they find their places by
    attention. (batch, tokens) -> (batch, frames, dim).
    """

    def __init__(self, text: Text) -> None:
        super().__init__()
        self.text = text
        self.embed = nn.Embedding(text.symbols, text.dim)
        self.blocks = nn.ModuleList(ConvNeXtV2Block(text.dim, 2 * text.dim) for _ in range(text.layers))

    def forward(self, tokens: Tensor, frames: int, mask: Tensor | None = None, drop: Tensor | None = None) -> Tensor:
        """tokens (batch, tokens) with 0 = filler, cut to the frames; mask (batch, frames) with True = real;
        drop (batch,) bool: those whose text is not told -> (batch, frames, dim).
        """
        tokens = functional.pad(tokens[:, :frames], (0, max(0, frames - tokens.shape[1])))
        real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        tokens = tokens.masked_fill(~real, 0)
        said = tokens != 0
        x = self.embed(tokens if drop is None else tokens.masked_fill(drop[:, None], 0))
        x = self._blocks(x, real, said) if self.blocks else _kept(x, real)
        return spread(x, said, real.sum(1)) if self.text.spread else x

    def _blocks(self, x: Tensor, real: Tensor, said: Tensor) -> Tensor:
        heard = None if self.text.leaky_padding else real
        kept = said if self.text.silent_filler else real
        x = (x + place_code(x.shape[1], x.shape[2], x)).masked_fill(~kept[..., None], 0.0)
        for block in self.blocks:
            x = block(x, heard)
            if self.text.silent_filler:
                x = x.masked_fill(~said[..., None], 0.0)
        return x


def place_code(places: int, dim: int, like: Tensor) -> Tensor:
    """Cosines, then sines, of the place: (places, dim)."""
    rates = 10_000 ** (-torch.arange(0, dim, 2, device=like.device) / dim)
    angles = torch.arange(places, device=like.device)[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1).to(like.dtype)


def spread(x: Tensor, said: Tensor, frames: Tensor) -> Tensor:
    """What is said, each as long as the others over an item's frames; where that does not go up, the last ones are a
    frame longer.

    Args:
        x: (batch, places, dim).
        said: (batch, places), the places that are repeated.
        frames: (batch,) of each item.

    Returns:
        (batch, places, dim), 0 after the frames of an item, and where nothing is said.
    """
    place = torch.arange(x.shape[1], device=x.device)
    count = said.sum(1, keepdim=True).clamp(min=1)
    each, longer = frames[:, None] // count, frames[:, None] % count
    short = each * (count - longer)  # frames of those that are not a frame longer
    turn = torch.where(place < short, place // each.clamp(min=1), count - longer + (place - short) // (each + 1))
    order = said.int().argsort(dim=1, descending=True, stable=True)  # those that are said, first
    index = order.gather(1, turn.clamp(max=x.shape[1] - 1))
    there = (place < frames[:, None]) & said.any(1, keepdim=True)
    return x.gather(1, index[..., None].expand_as(x)).masked_fill(~there[..., None], 0.0)


# --------------------------------------------------------------------------------------------------------------- blocks


class Steered(NamedTuple):
    """A normalised and steered sequence, and how the rest of the block is steered: (batch, 1, dim) each."""

    x: Tensor
    gate: Tensor  # of what attention adds
    mlp_shift: Tensor
    mlp_scale: Tensor
    mlp_gate: Tensor


class Steer(nn.Module):
    """Adaptive normalisation of a block: it begins as a block that adds nothing."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 6 * dim)
        _zero(self.linear)

    def forward(self, x: Tensor, time: Tensor) -> Steered:
        """x (batch, frames, dim), time (batch, dim)."""
        shift, scale, *rest = self.linear(functional.silu(time))[:, None].chunk(6, dim=-1)
        return Steered(steered(x, scale, shift), *rest)


class FinalSteer(nn.Module):
    """Adaptive normalisation before the output: (batch, frames, dim) -> the same.

    Args:
        dim: channels.
        condition: channels of what steers; None: as many.
    """

    def __init__(self, dim: int, condition: int | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(dim if condition is None else condition, 2 * dim)
        _zero(self.linear)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x (batch, frames, dim), time (batch, condition)."""
        scale, shift = self.linear(functional.silu(time))[:, None].chunk(2, dim=-1)
        return steered(x, scale, shift)


def steered(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalised, then scaled by 1 + scale and shifted."""
    return functional.layer_norm(x, x.shape[-1:], eps=EPS) * (1 + scale) + shift


def _zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


class Heads(nn.Module):
    """Queries, keys and values of a sequence, with places: (batch, frames, dim) -> three (batch, heads, frames,
    head_dim).
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.rotary_heads = sizes.heads, sizes.rotary_heads
        self.project = nn.Linear(sizes.dim, 3 * sizes.heads * sizes.head_dim)
        self.query_norm = nn.RMSNorm(sizes.head_dim, eps=EPS) if sizes.norm else None
        self.key_norm = nn.RMSNorm(sizes.head_dim, eps=EPS) if sizes.norm else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.query_norm is not None and self.key_norm is not None:
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        return self._turn(queries), self._turn(keys), values

    def _turn(self, x: Tensor) -> Tensor:
        if self.rotary_heads is None:
            return rotate(x, "neighbours")
        turned, plain = x[:, : self.rotary_heads], x[:, self.rotary_heads :]
        return torch.cat([rotate(turned, "neighbours"), plain], dim=1)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of (batch, heads, frames, head_dim), mask (batch, frames) -> (batch, frames, heads * head_dim)."""
    where = None if mask is None else mask[:, None, None, :]
    if trace.active("attention"):
        scores = queries @ keys.mT / math.sqrt(keys.shape[-1])
        seen = scores if where is None else scores.masked_fill(~where, -torch.inf)
        trace.report("attention", seen.softmax(-1))  # (batch, heads, frames, frames)
    found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=where)
    return found.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Self-attention with rotary places: (batch, frames, dim) -> the same."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = Heads(sizes)
        self.out = nn.Linear(sizes.heads * sizes.head_dim, sizes.dim)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real: what is looked at."""
        queries, keys, values = self.heads(x)
        return self.dropout(self.out(attend(queries, keys, values, mask)))


class FeedForward(nn.Sequential):
    """Two layers with a GELU between, frame by frame: (batch, frames, dim) -> the same."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(
            nn.Linear(sizes.dim, sizes.hidden),
            nn.GELU(approximate="tanh"),
            nn.Dropout(sizes.dropout),
            nn.Linear(sizes.hidden, sizes.dim),
        )


class DiTBlock(nn.Module):
    """Attention, then two layers, both steered by the time."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.steer = Steer(sizes.dim)
        self.attention = Attention(sizes)
        self.mlp = FeedForward(sizes)

    def forward(self, x: Tensor, time: Tensor, mask: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), time (batch, dim) -> (batch, frames, dim).

        Args:
            mask: (batch, frames), the frames to which attention adds.
            seen: (batch, frames), the frames at which it looks; None: all.
        """
        first = self.steer(x, time)
        x = x + first.gate * _kept(self.attention(first.x, seen), mask)
        return x + first.mlp_gate * self.mlp(steered(x, first.mlp_scale, first.mlp_shift))


class JointBlock(nn.Module):
    """Two streams, each with layers of its own, that look at both (MMDiT).

    Args:
        sizes: of both streams.
        last: whether nothing comes after the second stream, which then is only looked at.
    """

    def __init__(self, sizes: Sizes, last: bool) -> None:
        super().__init__()
        self.steer = Steer(sizes.dim)
        self.heads, self.text_heads = Heads(sizes), Heads(sizes)
        width = sizes.heads * sizes.head_dim
        self.out, self.dropout = nn.Linear(width, sizes.dim), nn.Dropout(sizes.dropout)
        self.mlp = FeedForward(sizes)
        self.text_steer: nn.Module = FinalSteer(sizes.dim) if last else Steer(sizes.dim)
        self.text_out = None if last else nn.Linear(width, sizes.dim)
        self.text_mlp = None if last else FeedForward(sizes)

    def forward(
        self,
        x: Tensor,
        text: Tensor,
        time: Tensor,
        mask: Tensor | None = None,
        text_mask: Tensor | None = None,
        seen: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """x (batch, frames, dim), text (batch, tokens, dim), time (batch, dim) -> both streams.

        Args:
            mask, text_mask: (batch, frames), (batch, tokens): places to which attention adds.
            seen: (batch, frames + tokens), the places at which it looks; None: all.
        """
        first = self.steer(x, time)
        other = self.text_steer(text, time)
        both = zip(self.heads(first.x), self.text_heads(getattr(other, "x", other)), strict=True)
        queries, keys, values = (torch.cat(pair, dim=2) for pair in both)
        found, of_text = attend(queries, keys, values, seen).split([x.shape[1], text.shape[1]], dim=1)
        x = x + first.gate * _kept(self.dropout(self.out(found)), mask)
        x = x + first.mlp_gate * self.mlp(steered(x, first.mlp_scale, first.mlp_shift))
        if self.text_out is None or self.text_mlp is None:
            return x, text
        text = text + other.gate * _kept(self.text_out(of_text), text_mask)
        return x, text + other.mlp_gate * self.text_mlp(steered(text, other.mlp_scale, other.mlp_shift))


def _kept(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.masked_fill(~mask[..., None], 0.0)


# ---------------------------------------------------------------------------------------------------- published weights

_NAMES = {
    "time_embed.time_mlp.": "time.mlp.",
    "text_embed.text_embed.": "text.embed.",
    "text_embed.text_blocks.": "text.blocks.",
    ".dwconv.": ".depthwise.",
    ".pwconv1.": ".expand.",
    ".pwconv2.": ".contract.",
    ".grn.gamma": ".response.scale",
    ".grn.beta": ".response.shift",
    "input_embed.proj.": "join.",
    "audio_embed.linear.": "join.",
    "input_embed.conv_pos_embed.conv1d.0.": "places.convs.0.",
    "input_embed.conv_pos_embed.conv1d.2.": "places.convs.1.",
    "audio_embed.conv_pos_embed.conv1d.0.": "places.convs.0.",
    "audio_embed.conv_pos_embed.conv1d.2.": "places.convs.1.",
    "transformer_blocks.": "blocks.",
    ".ff.0.0.": ".0.",
    ".ff.2.": ".3.",
    "norm_out.": "steer.",
    "proj_out.": "out.",
    "long_skip_connection.": "skip.",
}


def official(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Keys of a backbone of F5-TTS -> ours, with queries, keys and values joined to one projection.

    Args:
        state: its keys without what stands before them; rotary frequencies, which are computed here, are left out.
        names: renamed besides what all backbones have: what the parts of a block are called, for instance.
    """
    renamed: dict[str, Tensor] = {}
    for key in state:
        stem, _, last = key.rpartition(".")
        name = stem.rsplit(".", 1)[-1]
        if key == "rotary_embed.inv_freq" or name in ("to_k", "to_v", "to_k_c", "to_v_c"):
            continue  # keys and values go with their queries
        value = state[key].flatten() if name == "grn" else state[key]
        if name in ("to_q", "to_q_c"):
            three = [f"{stem[: -len(name)]}{name.replace('q', which)}.{last}" for which in "qkv"]
            value = torch.cat([state[one] for one in three])
        renamed[replaced(key, {**_NAMES, **names})] = value
    return renamed


def bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint's backbone: without what the averaging (EMA) and the mel brought, and without prefixes."""
    averaged = "ema_model_state_dict."  # in a checkpoint of training, beside the weights of now
    inside = {key.removeprefix(averaged): value for key, value in state.items() if key.startswith(averaged)}
    keys = {key.removeprefix("ema_model."): value for key, value in (inside or state).items()}
    return {
        key.removeprefix("transformer."): value
        for key, value in keys.items()
        if key not in ("initted", "step") and not key.startswith("mel_spec.")
    }
