"""A U-Net over pictures that is told the time and looks at a text: the denoiser of latent diffusion.

    UNet2d(shape, inward, outward)(picture, time, text, text_mask, mask)     (batch, outward, bins, frames)

Levels go down by halves and up again, each with residual blocks that are told the time, and on chosen levels a
Transformer in which every place looks at all others and at the text. What was seen on the way down joins on the way up.

Sources: Ho et al. 2020, arXiv:2006.11239 (the U-Net); Rombach et al. 2022, arXiv:2112.10752 (the Transformers in it).
Parity: tests/parity/test_audioldm.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.nn.official import replaced
from aoide.nn.picture import Downsample, Mask, Norm, ResBlock, Upsample, halved, shut, sinusoids


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How large it is; the defaults are those of AudioLDM in Amphion, 400 M."""

    channels: int = 256
    multiples: tuple[int, ...] = (1, 2, 4)  # of the channels, a level each
    blocks: int = 2  # a level; on the way up one more
    attends: tuple[bool, ...] = (True, True, True)  # the levels with Transformers; the bottom always has one
    heads: int = 8
    head_dim: int | None = None  # channels of a head, then `heads` has no say; null = as the heads divide a level
    depth: int = 1  # layers of each Transformer
    groups: int = 32  # of the norms
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not self.multiples or min(self.channels, *self.multiples, self.blocks, self.heads, self.depth) < 1:
            raise ValueError("channels, multiples, blocks, heads and depth are 1 or more, and there is a level")
        if len(self.attends) != len(self.multiples):
            raise ValueError(f"attends says of each of the {len(self.multiples)} levels whether it has Transformers")
        for width in self.widths:
            if width % self.groups or width % (self.head_dim or self.heads):
                raise ValueError(f"{width} channels must divide by groups {self.groups} and into heads")

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.channels * multiple for multiple in self.multiples)

    def heads_of(self, width: int) -> int:
        return self.heads if self.head_dim is None else width // self.head_dim


class Attention(nn.Module):
    """Heads that look from places (batch, places, dim) at rows (batch, rows, values): (batch, places, dim)."""

    def __init__(self, dim: int, values: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(dim, dim, bias=False)
        self.keys, self.values = nn.Linear(values, dim, bias=False), nn.Linear(values, dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rows: Tensor, mask: Tensor | None = None, told: bool = False) -> Tensor:
        """mask (batch, rows), True = real. told: whether it is reported where the rows are a text."""
        split = (self.queries(x), self.keys(rows), self.values(rows))
        queries, keys, values = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in split)
        where = None if mask is None else mask[:, None, None, :]
        if told and trace.active("attention"):
            scores = queries @ keys.mT / keys.shape[-1] ** 0.5
            seen = scores if where is None else scores.masked_fill(~where, -torch.inf)
            trace.report("attention", seen.softmax(-1))  # (batch, heads, places, words)
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=where)
        return self.out(found.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Looks at itself, looks at the text, thinks by itself (a gated MLP); each after a norm, added to what came in."""

    def __init__(self, dim: int, text: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.itself, self.text = Attention(dim, dim, heads), Attention(dim, text, heads)
        self.widen, self.narrow = nn.Linear(dim, 8 * dim), nn.Linear(4 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, text: Tensor, text_mask: Tensor | None) -> Tensor:
        look = self.norms[0](x)
        x = x + self.dropout(self.itself(look, look, mask))
        x = x + self.dropout(self.text(self.norms[1](x), text, text_mask, told=True))
        value, gate = self.widen(self.norms[2](x)).chunk(2, dim=-1)
        return x + self.narrow(self.dropout(value * functional.gelu(gate)))


class Transformer(nn.Module):
    """Every place of a picture looks at all others and at the text; added to the picture."""

    def __init__(self, shape: Shape, width: int, text: int) -> None:
        super().__init__()
        self.norm = Norm(shape.groups, width, 1e-6)
        self.inward, self.outward = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        heads = shape.heads_of(width)
        self.layers = nn.ModuleList(Layer(width, text, heads, shape.dropout) for _ in range(shape.depth))
        _silence(self.outward)

    def forward(self, picture: Tensor, mask: Mask, text: Tensor, text_mask: Tensor | None) -> Tensor:
        """picture (batch, width, bins, frames), text (batch, words, values) -> the same shape."""
        bins, frames = picture.shape[2:]
        x = self.inward(self.norm(picture, mask)).flatten(2).mT  # (batch, bins * frames, width)
        places = None if mask is None else mask.expand(-1, 1, bins, frames).flatten(1)
        for layer in self.layers:
            x = layer(x, places, text, text_mask)
        return picture + self.outward(x.mT.unflatten(2, (bins, frames)))


def _silence(conv: nn.Conv2d) -> None:
    """Makes what it gives 0 at first, so that what it is added to begins as it is."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)


class Stage(nn.Module):
    """A residual block, and on some levels a Transformer after it."""

    def __init__(self, shape: Shape, inward: int, width: int, time: int, text: int) -> None:
        super().__init__()
        self.block = ResBlock(inward, width, time=time, groups=shape.groups, eps=1e-5, dropout=shape.dropout)
        self.transformer = Transformer(shape, width, text) if text else None

    def forward(self, x: Tensor, mask: Mask, time: Tensor, text: Tensor, text_mask: Tensor | None) -> Tensor:
        x = self.block(x, mask, time)
        return x if self.transformer is None else self.transformer(x, mask, text, text_mask)


class UNet2d(nn.Module):
    """See the head of this file.

    Args:
        shape: its size.
        inward, outward: channels of the pictures that come in and go out.
        text: values of a row of the text.
    """

    def __init__(self, shape: Shape, inward: int, outward: int, text: int) -> None:
        super().__init__()
        self.shape = shape
        widths, time = shape.widths, 4 * shape.channels
        self.time = nn.Sequential(nn.Linear(shape.channels, time), nn.SiLU(), nn.Linear(time, time))
        self.first = nn.Conv2d(inward, shape.channels, 3, padding=1)
        self.levels, self.down = nn.ModuleList(), nn.ModuleList()
        skips, before = [shape.channels], shape.channels
        for number, (width, attends) in enumerate(zip(widths, shape.attends, strict=True)):
            level = nn.ModuleList()
            for _ in range(shape.blocks):
                level.append(Stage(shape, before, width, time, text if attends else 0))
                skips.append(width)
                before = width
            self.levels.append(level)
            if number + 1 < len(widths):
                self.down.append(Downsample(width, centred=True))
                skips.append(width)
        self.middle = Stage(shape, before, before, time, text)
        self.middle_out = ResBlock(before, before, time=time, groups=shape.groups, eps=1e-5, dropout=shape.dropout)
        self.rising, self.up = nn.ModuleList(), nn.ModuleList()
        for width, attends in zip(widths[::-1], shape.attends[::-1], strict=True):
            level = nn.ModuleList()
            for _ in range(shape.blocks + 1):
                level.append(Stage(shape, before + skips.pop(), width, time, text if attends else 0))
                before = width
            self.rising.append(level)
            if skips:
                self.up.append(Upsample(width))
        self.norm = Norm(shape.groups, before, 1e-5)
        self.last = nn.Conv2d(before, outward, 3, padding=1)
        _silence(self.last)

    def forward(
        self,
        picture: Tensor,
        time: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        mask: Mask = None,
    ) -> Tensor:
        """picture (batch, inward, bins, frames), time (batch,), text (batch, words, values), text_mask (batch, words)
        and mask (batch, 1, 1, frames) with True = real -> (batch, outward, bins, frames), any number of both.
        """
        told = self.time(sinusoids(time, self.shape.channels).to(picture.dtype))
        x = self.first(shut(picture, mask))
        seen, masks = [x], [mask]
        for number, level in enumerate(self.levels):
            for stage in level:  # type: ignore[attr-defined]
                x = stage(x, mask, told, text, text_mask)
                seen.append(x)
            if number < len(self.down):
                x, mask = self.down[number](x, mask), halved(mask)
                seen.append(x)
                masks.append(mask)
        x = self.middle_out(self.middle(x, mask, told, text, text_mask), mask, told)
        trace.report("unet/middle", x)
        for number, level in enumerate(self.rising):
            mask = masks.pop()
            for stage in level:  # type: ignore[attr-defined]
                skip = seen.pop()
                x = torch.cat([x[..., : skip.shape[2], : skip.shape[3]], skip], dim=1)  # halves of odd numbers
                x = stage(x, mask, told, text, text_mask)
            if number < len(self.up):
                x = self.up[number](x, mask)
        return self.last(shut(functional.silu(self.norm(x, mask)), mask))


# ------------------------------------------------------------------------------------------------------ published keys

_BLOCK = {
    "in_layers.0.": "block.norm1.",
    "in_layers.2.": "block.conv1.",
    "emb_layers.1.": "block.time.",
    "out_layers.0.": "block.norm2.",
    "out_layers.3.": "block.conv2.",
    "skip_connection.": "block.shortcut.",
    "proj_in.": "transformer.inward.",
    "proj_out.": "transformer.outward.",
    "transformer_blocks.": "transformer.layers.",
    "attn1.": "itself.",
    "attn2.": "text.",
    "to_q.": "queries.",
    "to_k.": "keys.",
    "to_v.": "values.",
    "to_out.0.": "out.",
    "norm1.": "norms.0.",
    "norm2.": "norms.1.",
    "norm3.": "norms.2.",
    "ff.net.0.proj.": "widen.",
    "ff.net.2.": "narrow.",
}


def official(state: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Keys of latent diffusion's U-Net (input_blocks, middle_block, output_blocks, out, time_embed) -> ours."""
    places = {"input_blocks.0.0.": "first.", "out.0.": "norm.", "out.2.": "last.", "time_embed.": "time."}
    number = 1
    for level in range(len(shape.multiples)):
        for block in range(shape.blocks):
            places |= _stage(f"input_blocks.{number}.", f"levels.{level}.{block}.")
            number += 1
        places[f"input_blocks.{number}.0.op."] = f"down.{level}.conv."
        number += 1
    places |= _stage("middle_block.", "middle.")
    places["middle_block.2."] = "middle_out."
    for level, attends in enumerate(shape.attends[::-1]):
        for block in range(shape.blocks + 1):
            number = level * (shape.blocks + 1) + block
            places |= _stage(f"output_blocks.{number}.", f"rising.{level}.{block}.")
        places[f"output_blocks.{number}.{2 if attends else 1}.conv."] = f"up.{level}.conv."
    return {_ours(key, places): value for key, value in state.items()}


def _stage(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}0.": ours, f"{theirs}1.": ours}


def _ours(key: str, places: Mapping[str, Any]) -> str:
    """A published key as ours; the longest place that it begins with says where it goes."""
    place = max((theirs for theirs in places if key.startswith(theirs)), key=len, default="")
    ours, rest = places.get(place, ""), key[len(place) :]
    if ours in ("first.", "norm.", "last.", "time.") or ours.startswith(("down.", "up.")):
        return ours + rest
    if rest.startswith("norm."):
        return f"{ours}transformer.{rest}"
    layer = rest.startswith("transformer_blocks.")
    rest = replaced(rest, {theirs: name for theirs, name in _BLOCK.items() if layer or not theirs.startswith("norm")})
    return ours + (rest.removeprefix("block.") if ours == "middle_out." else rest)
