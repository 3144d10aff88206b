"""From frames to samples by transposed convolutions: the generator of HiFi-GAN, and of all that were built from it.

    convolution -> per stage: activation, transposed convolution, [+ source], mean of residual blocks -> activation,
    convolution

`Upsampler` is generic over the activation (leaky ReLU here, Snake in nn/snake.py), takes what a source filter or a
speaker adds on the way, and gives the signal before it is bounded. Outside it is time before channels; inside, where
one convolution follows the other, channels first: (batch, channels, time).

With a mask every convolution reads zeros after the end of an item, so that an item in a padded batch gives what it
gives alone: signals are kept 0 there, in place, right after each convolution.

Sources: Kong et al. 2020, arXiv:2010.05646 (HiFi-GAN). Parity: tests/parity/test_hifigan.py, test_bigvgan.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from aoide.nn.official import modern_weight_norm

SLOPE = 0.1  # of the leaky ReLU in the blocks and before each upsampling
LAST_SLOPE = 0.01  # before the last convolution
ENDS = 7  # kernel of the first and the last convolution
AnyConvolution = TypeVar("AnyConvolution", "Convolution", "Transposed")


class Activation(Protocol):
    """What stands between convolutions: (batch, channels, time), mask (batch, 1, time) -> the same shape."""

    reach: int  # samples to each side that an output depends on

    def __call__(self, x: Tensor, mask: Tensor | None = None) -> Tensor: ...


class LeakyReLU(nn.Module):
    """The leaky ReLU of HiFi-GAN; it needs no mask, since what is 0 stays 0."""

    reach = 0

    def __init__(self, slope: float = SLOPE) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return functional.leaky_relu(x, self.slope)

    def in_place(self, x: Tensor) -> Tensor:
        """The same on a tensor that nobody else needs."""
        return functional.leaky_relu_(x, self.slope)

    def write(self, x: Tensor, out: Tensor) -> None:
        """The same into a tensor of equal shape, of any layout; without gradients."""
        torch.ops.aten.leaky_relu.out(x, self.slope, out=out)


def leaky_relu(channels: int) -> nn.Module:
    """HiFi-GAN's activation; every number of channels has the same."""
    return LeakyReLU()


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Silences what is padded, in place: x (batch, channels, time), mask (batch, 1, time) with True = real."""
    return x if mask is None else x.masked_fill_(~mask, 0.0)


def _activate(activation: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """`activation(x, mask)`, in place if it can, for an x that nobody else needs."""
    return activation.in_place(x) if isinstance(activation, LeakyReLU) else activation(x, mask)


# -------------------------------------------------------------------------------------------------------- convolutions
# On a CPU convolutions are fastest, by a third to a half, where the channels of a sample stand side by side in memory:
# there a tensor (batch, channels, time) is a view of one (batch, time, channels). Only two-dimensional ones notice it.


class Convolution(nn.Conv1d):
    """A convolution that keeps the length: x (batch, dim_in, time) -> (batch, dim_out, time)."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int, dilation: int = 1, bias: bool = True) -> None:
        assert kernel % 2 == 1, f"an even kernel ({kernel}) cannot keep the length"
        super().__init__(dim_in, dim_out, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=bias)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        before: LeakyReLU | None = None,
        after: LeakyReLU | None = None,
    ) -> Tensor:
        """Convolves.

        Args:
            x: (batch, dim_in, time).
            mask: (batch, 1, time), True = real; the rest of the result is 0. None: all is real.
            before, after: activations of input and result. Where samples are put into another order anyway, they cost
                nothing.
        """
        dilation, reach = self.dilation[0], self.kernel_size[0] // 2
        if not side_by_side(x):
            y = super().forward(x if before is None else before(x))
        elif dilation > 1 and not torch.is_grad_enabled():
            rows = self._plain(_spread(x, dilation, before), reach, 1)
            return masked(_gather(rows, dilation, x.shape[2], after), mask)
        else:
            y = self._plain(_adjacent(x if before is None else before(x)), dilation * reach, dilation)
        y = masked(y, mask)
        return y if after is None else after.in_place(y)

    def _plain(self, x: Tensor, padding: int, dilation: int) -> Tensor:
        image, weight = x[:, :, None], self.weight[:, :, None]
        return functional.conv2d(image, weight, self.bias, padding=(0, padding), dilation=(1, dilation))[:, :, 0]


class Transposed(nn.ConvTranspose1d):
    """A transposed convolution: x (batch, dim_in, time) -> (batch, dim_out, stride * time), channels first.

    Args:
        kernel: `stride` or more. What it is more is cut off the ends in equal parts; of an odd number one sample more
            at the start.
    """

    def __init__(self, dim_in: int, dim_out: int, kernel: int, stride: int) -> None:
        more = kernel - stride
        assert more >= 0, f"a kernel of {kernel} leaves holes between steps of {stride}"
        super().__init__(dim_in, dim_out, kernel, stride, padding=-(-more // 2), output_padding=more % 2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not side_by_side(x):
            return super().forward(x)
        image, weight = _adjacent(x)[:, :, None], self.weight[:, :, None]
        stride, padding, more = (
            (a, int(b[0])) for a, b in ((1, self.stride), (0, self.padding), (0, self.output_padding))
        )
        return functional.conv_transpose2d(image, weight, self.bias, stride, padding, more)[:, :, 0]


class SideBySide(nn.Module):
    """A parametrisation that only says how a weight lies in memory: as `Convolution` needs it."""

    def forward(self, weight: Tensor) -> Tensor:
        return _adjacent(weight) if side_by_side(weight) else weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight.contiguous()  # as it is stored


def normalised(layer: AnyConvolution) -> AnyConvolution:
    """`layer` with weight normalisation; once that is folded, the weight lies as it is computed with."""
    weight_norm(layer)
    parametrize.register_parametrization(layer, "weight", SideBySide())
    return layer


def convolution(dim_in: int, dim_out: int, kernel: int, dilation: int = 1) -> Convolution:
    """A weight-normalised convolution, channels first, that keeps the length."""
    return normalised(Convolution(dim_in, dim_out, kernel, dilation))


def side_by_side(x: Tensor) -> bool:
    """Whether channels should lie side by side for convolutions of x; a graph that is exported decides for itself."""
    return x.is_cpu and torch.backends.mkldnn.is_available() and not torch.compiler.is_compiling()


def _adjacent(x: Tensor) -> Tensor:
    """x (batch, channels, time), its channels side by side in memory."""
    return x.mT.contiguous().mT


def _spread(x: Tensor, step: int, activation: LeakyReLU | None) -> Tensor:
    """x (batch, channels, time) -> (batch * step, channels, rows): every step-th sample, so that they are neighbours.

    A convolution with dilation `step` then is one without, and those are faster. The last row is filled up with 0.
    """
    batch, channels, time = x.shape
    rows = -(-time // step)
    out = x.new_empty(batch, step, rows, channels)
    if time % step:
        out[:, time % step :, -1] = 0
    _reorder(x.mT, out, activation, to_rows=True)
    return out.flatten(0, 1).mT


def _gather(x: Tensor, step: int, time: int, activation: LeakyReLU | None) -> Tensor:
    """The inverse of `_spread`: (batch * step, channels, rows) -> (batch, channels, time)."""
    out = x.new_empty(x.shape[0] // step, time, x.shape[1])
    _reorder(out, x.mT.unflatten(0, (-1, step)), activation, to_rows=False)
    return out.mT


def _reorder(line: Tensor, rows: Tensor, activation: LeakyReLU | None, to_rows: bool) -> None:
    """Copies, through the activation, (batch, time, channels) to (batch, step, rows, channels) or back."""
    step, whole = rows.shape[1], line.shape[1] // rows.shape[1]
    pairs = [(line[:, : whole * step].unflatten(1, (whole, step)).transpose(1, 2), rows[:, :, :whole])]
    if rest := line.shape[1] % step:
        pairs.append((line[:, -rest:], rows[:, :rest, -1]))
    for in_line, in_rows in pairs:
        x, out = (in_line, in_rows) if to_rows else (in_rows, in_line)
        if activation is None:
            out.copy_(x)
        else:
            activation.write(x, out)


# -------------------------------------------------------------------------------------------------------------- blocks


class ResidualBlock1(nn.Module):
    """Per dilation: x + convolution(act(dilated convolution(act(x)))). HiFi-GAN's ResBlock1, BigVGAN's AMPBlock1.

    Args:
        channels, kernel: of all its convolutions; the kernel is odd.
        dilations: of the first convolution of each pair.
        activation: makes an activation for a number of channels; each convolution has its own.
    """

    def __init__(
        self, channels: int, kernel: int, dilations: Sequence[int], activation: Callable[[int], nn.Module] = leaky_relu
    ) -> None:
        super().__init__()
        self.wide = nn.ModuleList(convolution(channels, channels, kernel, dilation) for dilation in dilations)
        self.plain = nn.ModuleList(convolution(channels, channels, kernel) for _ in dilations)
        self.activations = nn.ModuleList(activation(channels) for _ in range(2 * len(dilations)))
        self.apply(_small_start)
        self.reach = _reach(self)

    def forward(self, x: Tensor, mask: Tensor | None = None, ready: Tensor | None = None) -> Tensor:
        """x (batch, channels, time), 0 where the mask (batch, 1, time) is False -> the same, in new memory.

        ready: x after the first activation, where the caller has it.
        """
        pairs = zip(self.wide, self.plain, self.activations[::2], self.activations[1::2], strict=True)
        for wide, plain, before, between in pairs:
            if ready is not None:
                y, ready = _through(wide, ready, mask, None, between), None
            else:
                y = _through(wide, x, mask, before, between)
            x = plain(y, mask).add_(x)
        return x


class ResidualBlock2(nn.Module):
    """Per dilation: x + dilated convolution(act(x)). HiFi-GAN's ResBlock2, BigVGAN's AMPBlock2; arguments as above."""

    def __init__(
        self, channels: int, kernel: int, dilations: Sequence[int], activation: Callable[[int], nn.Module] = leaky_relu
    ) -> None:
        super().__init__()
        self.wide = nn.ModuleList(convolution(channels, channels, kernel, dilation) for dilation in dilations)
        self.activations = nn.ModuleList(activation(channels) for _ in dilations)
        self.apply(_small_start)
        self.reach = _reach(self)

    def forward(self, x: Tensor, mask: Tensor | None = None, ready: Tensor | None = None) -> Tensor:
        """As that of `ResidualBlock1`."""
        for wide, before in zip(self.wide, self.activations, strict=True):
            if ready is not None:
                y, ready = _through(wide, ready, mask, None), None
            else:
                y = _through(wide, x, mask, before)
            x = y.add_(x)
        return x


BLOCKS = {"1": ResidualBlock1, "2": ResidualBlock2}


def _through(
    layer: nn.Module, x: Tensor, mask: Tensor | None, before: nn.Module | None, after: nn.Module | None = None
) -> Tensor:
    """after(layer(before(x))); what is 0 in the padding of x stays so."""
    if isinstance(before or after, LeakyReLU):
        return layer(x, mask, before, after)
    y = layer(x if before is None else before(x, mask), mask)
    return y if after is None else after(y, mask)


def _small_start(module: nn.Module) -> None:
    """First weights: normal with deviation 0.01."""
    if isinstance(module, (Convolution, Transposed)):
        with torch.no_grad():
            module.weight = nn.init.normal_(torch.empty_like(module.weight), std=0.01)


def _reach(block: nn.Module) -> int:
    """How many samples to each side an output of a chain of convolutions and activations depends on."""
    convolutions = [part for part in block.modules() if isinstance(part, Convolution)]
    activations = cast("Sequence[Activation]", block.activations)
    return sum(part.dilation[0] * (part.kernel_size[0] // 2) for part in convolutions) + sum(
        activation.reach for activation in activations
    )


# --------------------------------------------------------------------------------------------------------------- stages


class Stage(nn.Module):
    """One upsampling: activation, transposed convolution, mean of residual blocks with kernels of several sizes.

    (batch, dim_in, time) -> (batch, dim_out, rate * time).
    """

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        rate: int,
        kernel: int,
        blocks: Sequence[nn.Module],
        before: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.before = before
        self.up = normalised(Transposed(dim_in, dim_out, kernel, rate))
        self.blocks = nn.ModuleList(blocks)
        self.up.apply(_small_start)

    def forward(self, x: Tensor, mask: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """Upsamples; overwrites x.

        Args:
            x: (batch, dim_in, time).
            mask: (batch, 1, rate * time), True = real.
            source: (batch, dim_out, rate * time), added to what was upsampled.
        """
        if self.before is not None:
            x = _activate(self.before, x, None if mask is None else mask[..., :: self.up.stride[0]])
        x = self.up(x)
        x = masked(x if source is None else x + source, mask)
        first = cast("ResidualBlock2", self.blocks[0]).activations[0]
        ready = first(x) if isinstance(first, LeakyReLU) else None  # the blocks begin with the same
        total = self.blocks[0](x, mask, ready)
        for block in self.blocks[1:]:
            total.add_(block(x, mask, ready))
        return total.div_(len(self.blocks))


class Upsampler(nn.Module):
    """Frames to samples: x (batch, frames, dim_in) -> (batch, frames * product of rates, dim_out).

    Args:
        dim_in: of the frames, usually mel bands.
        dim: channels after the first convolution; each stage halves them.
        rates: how many times longer each stage makes the signal.
        kernels: of the transposed convolutions; each is its rate plus an even number.
        block_kernels: of the residual blocks of a stage, one block each; odd.
        dilations: of the blocks, one tuple each.
        block: "1" has two convolutions for each dilation, "2" one.
        activation: for a number of channels, what stands before the convolutions of the blocks and before the last one.
            None: leaky ReLUs, with another slope before the last one.
        upsampling_activation: whether one stands before each transposed convolution as well (a leaky ReLU); BigVGAN has
            none. Or for a number of channels, what stands there.
        plain_ends: the first and last convolution have no weight normalisation, as in VITS.
        last_bias: whether the last convolution has a bias.
        dim_out: 1 for a waveform.
    """

    def __init__(  # noqa: PLR0913  (all that published generators differ in)
        self,
        dim_in: int,
        dim: int,
        rates: Sequence[int],
        kernels: Sequence[int],
        block_kernels: Sequence[int],
        dilations: Sequence[Sequence[int]],
        *,
        block: Literal["1", "2"] = "1",
        activation: Callable[[int], nn.Module] | None = None,
        upsampling_activation: bool | Callable[[int], nn.Module] = True,
        plain_ends: bool = False,
        last_bias: bool = True,
        dim_out: int = 1,
    ) -> None:
        super().__init__()
        check(dim, rates, kernels, block_kernels, dilations)
        self.first = Convolution(dim_in, dim, ENDS)
        self.stages = nn.ModuleList()
        for rate, kernel in zip(rates, kernels, strict=True):
            blocks = [
                BLOCKS[block](dim // 2, size, spread, activation or leaky_relu)
                for size, spread in zip(block_kernels, dilations, strict=True)
            ]
            before: nn.Module | None = LeakyReLU() if upsampling_activation is True else None
            if callable(upsampling_activation):
                before = upsampling_activation(dim)
            self.stages.append(Stage(dim, dim // 2, rate, kernel, blocks, before))
            dim //= 2
        self.last_activation = activation(dim) if activation else LeakyReLU(LAST_SLOPE)
        self.last = Convolution(dim, dim_out, ENDS, bias=last_bias)
        if not plain_ends:
            normalised(self.first)
            normalised(self.last).apply(_small_start)
        self.rates = tuple(rates)

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.rates)

    @property
    def reach(self) -> int:
        """Frames before and after a frame that its samples depend on."""
        rate, frames = 1, float(ENDS // 2)
        for stage in cast("Sequence[Stage]", self.stages):
            frames += 0 if stage.before is None else cast("Activation", stage.before).reach / rate
            frames += stage.up.kernel_size[0] / stage.up.stride[0] / rate
            rate *= stage.up.stride[0]
            frames += max(cast("int", block.reach) for block in stage.blocks) / rate
        return math.ceil(frames + (ENDS // 2 + cast("Activation", self.last_activation).reach) / rate)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        condition: Tensor | None = None,
        sources: Sequence[Tensor | None] | None = None,
    ) -> Tensor:
        """Upsamples.

        Args:
            x: (batch, frames, dim_in).
            mask: (batch, frames), True = real; what is padded comes out as 0.
            condition: (batch, frames or 1, dim), added to the output of the first convolution.
            sources: for each stage (batch, time or 1, channels of the stage) or None, added after its upsampling.

        Returns:
            (batch, frames * hop, dim_out), not bounded.
        """
        now = None if mask is None else mask[:, None]
        y = self.first(x.mT if now is None else x.mT.masked_fill(~now, 0.0))
        y = masked(y if condition is None else y + condition.mT, now)
        for index, stage in enumerate(self.stages):
            if now is not None:
                now = now.repeat_interleave(self.rates[index], dim=2)
            source = None if sources is None else sources[index]
            y = stage(y, now, None if source is None else source.mT)
        return self.last(_activate(self.last_activation, y, now), now).mT


def check(
    dim: int,
    rates: Sequence[int],
    kernels: Sequence[int],
    block_kernels: Sequence[int],
    dilations: Sequence[Sequence[int]],
) -> None:
    """Raises ValueError where the settings of an upsampler do not fit together; for a `__post_init__`."""
    if not rates or len(kernels) != len(rates):
        raise ValueError(f"each upsampling rate has its kernel, got rates {list(rates)} and kernels {list(kernels)}")
    for rate, kernel in zip(rates, kernels, strict=True):
        if rate < 1 or kernel < rate or (kernel - rate) % 2:
            raise ValueError(f"an upsampling kernel is its rate plus an even number, got rate {rate}, kernel {kernel}")
    if not block_kernels or len(block_kernels) != len(dilations):
        raise ValueError(
            f"each residual block has a kernel and dilations, got {len(block_kernels)} and {len(dilations)} of them"
        )
    if not all(dilations):
        raise ValueError("each residual block has one dilation or more")
    if any(kernel < 1 or kernel % 2 == 0 for kernel in block_kernels):
        raise ValueError(f"kernels of residual blocks are odd, got {list(block_kernels)}")
    if dim < 1 or dim % 2 ** len(rates):
        raise ValueError(f"{len(rates)} stages halve the channels {len(rates)} times: {dim} is not a multiple")


def rename_official(state: Mapping[str, Tensor], blocks: int, prefix: str = "") -> dict[str, Tensor]:
    """Renames a generator's published state dict to the keys of `Upsampler`.

    Args:
        state: with the keys of HiFi-GAN (conv_pre, ups, resblocks, conv_post) or BigVGAN (ups.0.0, activations,
            activation_post). Other keys stay as they are.
        blocks: how many residual blocks a stage has.
        prefix: what to set before each of the renamed keys, such as "upsampler.".
    """
    words = {"conv_pre": "first", "conv_post": "last", "activation_post": "last_activation"}
    parts = {"convs1": "wide", "convs2": "plain", "convs": "wide"}
    renamed = {}
    for key, value in state.items():
        head, *rest = key.split(".")
        if head in words:
            name = [words[head], *rest]
        elif head == "ups":
            name = ["stages", rest[0], "up", *rest[1 + (rest[1] == "0") :]]
        elif head == "resblocks":
            stage, block = divmod(int(rest[0]), blocks)
            name = ["stages", str(stage), "blocks", str(block), parts.get(rest[1], rest[1]), *rest[2:]]
        else:
            renamed[key] = value
            continue
        renamed[prefix + ".".join("activation" if part == "act" else part for part in name)] = value
    return renamed


def with_norms(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict whose convolutions all have weight normalisation, under torch's present names.

    Where the authors have removed it, the length of each weight becomes its norm again. For the keys of one network,
    all of whose weights of three axes are convolutions.
    """
    parts: dict[str, Tensor] = {}
    for key, value in state.items():
        stem, _, last = key.rpartition(".")
        if last == "weight" and value.ndim == 3:
            length = torch.linalg.vector_norm(value, dim=(1, 2), keepdim=True)
            parts |= {f"{stem}.weight_g": length, f"{stem}.weight_v": value}
        else:
            parts[key] = value
    return modern_weight_norm(parts)
