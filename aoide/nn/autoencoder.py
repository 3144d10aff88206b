"""A convolutional autoencoder of pictures that are mels: each level halves bins and frames, no attention anywhere.

    moments = Encoder(shape)(picture)            (batch, 2 * latent, bins / factor, frames / factor)
    picture = Decoder(shape)(latent)             (batch, 1, bins, frames)

The form is that of the first stage of latent diffusion (Rombach et al. 2022, arXiv:2112.10752) as AudioLDM (Liu et al.
2023, arXiv:2301.12503) and Amphion use it. Parity: tests/parity/test_audioldm.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.official import replaced
from aoide.nn.picture import Downsample, Mask, Norm, ResBlock, Upsample, halved, shut


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How large it is; the defaults are Amphion's of four levels."""

    channels: int = 128
    multiples: tuple[int, ...] = (1, 2, 2, 4)  # of the channels, a level each; a level halves what the next one sees
    blocks: int = 2  # a level; the decoder has one more
    latent: int = 4  # channels of the latents
    groups: int = 32  # of the norms

    def __post_init__(self) -> None:
        if not self.multiples or min(self.channels, *self.multiples, self.blocks, self.latent, self.groups) < 1:
            raise ValueError("channels, multiples, blocks, latent and groups are 1 or more, and there is a level")
        if any(self.channels * multiple % self.groups for multiple in self.multiples):
            raise ValueError(f"channels {self.channels} times each of {self.multiples} must divide by {self.groups}")

    @property
    def factor(self) -> int:
        """Bins and frames of the picture that are one of the latents."""
        return 2 ** (len(self.multiples) - 1)

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.channels * multiple for multiple in self.multiples)


class Encoder(nn.Module):
    """A picture -> mean and log variance of its latents, before they are mixed."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        widths, groups = shape.widths, shape.groups
        self.first = nn.Conv2d(1, shape.channels, 3, padding=1)
        self.levels, self.down = nn.ModuleList(), nn.ModuleList()
        before = shape.channels
        for number, width in enumerate(widths):
            inward = [before] + [width] * (shape.blocks - 1)
            self.levels.append(nn.ModuleList(ResBlock(i, width, groups=groups) for i in inward))
            if number + 1 < len(widths):
                self.down.append(Downsample(width, centred=False))
            before = width
        self.middle = nn.ModuleList(ResBlock(before, before, groups=groups) for _ in range(2))
        self.norm = Norm(groups, before, 1e-6)
        self.last = nn.Conv2d(before, 2 * shape.latent, 3, padding=1)

    def forward(self, picture: Tensor, mask: Mask = None) -> tuple[Tensor, Mask]:
        """picture (batch, 1, bins, frames), both multiples of the factor -> moments, and their mask."""
        x = self.first(shut(picture, mask))
        for number, level in enumerate(self.levels):
            for block in level:  # type: ignore[attr-defined]
                x = block(x, mask)
            if number < len(self.down):
                x, mask = self.down[number](x, mask), halved(mask)
        for block in self.middle:
            x = block(x, mask)
        return self.last(shut(functional.silu(self.norm(x, mask)), mask)), mask


class Decoder(nn.Module):
    """Latents -> a picture."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        widths, groups = shape.widths[::-1], shape.groups
        self.first = nn.Conv2d(shape.latent, widths[0], 3, padding=1)
        self.middle = nn.ModuleList(ResBlock(widths[0], widths[0], groups=groups) for _ in range(2))
        self.levels, self.up = nn.ModuleList(), nn.ModuleList()
        before = widths[0]
        for number, width in enumerate(widths):
            inward = [before] + [width] * shape.blocks
            self.levels.append(nn.ModuleList(ResBlock(i, width, groups=groups) for i in inward))
            if number + 1 < len(widths):
                self.up.append(Upsample(width))
            before = width
        self.norm = Norm(groups, before, 1e-6)
        self.last = nn.Conv2d(before, 1, 3, padding=1)

    def forward(self, latent: Tensor, mask: Mask = None) -> Tensor:
        """latent (batch, latent, bins, frames) with its mask -> picture (batch, 1, bins * factor, frames * factor)."""
        x = self.first(shut(latent, mask))
        for block in self.middle:
            x = block(x, mask)
        for number, level in enumerate(self.levels):
            for block in level:  # type: ignore[attr-defined]
                x = block(x, mask)
            if number < len(self.up):
                x = self.up[number](x, mask)
                mask = None if mask is None else mask.repeat_interleave(2, dim=-1)
        return self.last(shut(functional.silu(self.norm(x, mask)), mask))


# ------------------------------------------------------------------------------------------------------ published keys

_PARTS = {
    "conv_in.": "first.",
    "conv_out.": "last.",
    "norm_out.": "norm.",
    "mid.block_1.": "middle.0.",
    "mid.block_2.": "middle.1.",
    "nin_shortcut.": "shortcut.",
}


def official(state: Mapping[str, Tensor], levels: int) -> dict[str, Tensor]:
    """Keys of Amphion's and latent diffusion's autoencoders (encoder, decoder) -> ours."""
    renamed = {}
    for key, value in state.items():
        name = replaced(key, _PARTS)
        side, kind, *rest = name.split(".")
        if kind in ("down", "up"):
            number, part, *inner = rest
            level = levels - 1 - int(number) if kind == "up" else int(number)
            place = [kind, str(level)] if part.endswith("sample") else ["levels", str(level)]
            name = ".".join([side, *place, *inner])
        renamed[name] = value
    return renamed
