"""How long each token lasts, as VITS predicts it: one number, or a draw from a learned distribution.

Both read the encoded text without teaching it, and answer in log frames. `Stochastic` is a flow: what it learns is a
bound of the likelihood of the measured whole frames, which are first spread to real numbers by noise that a second
flow shapes (variational dequantisation), and carry a second channel along so that a coupling has two halves.

Source: Kim et al. 2021, arXiv:2106.06103, sections 2.2.2 and appendix A (VITS). Parity: tests/parity/test_vits.py,
test_openvoice.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.spline import Dilated, SplineFlow
from aoide.nn.variance import Predictor

_LAYERS = 3  # of each stack of convolutions
_SMALLEST = 1e-5  # frames; below it a duration has no logarithm


class Plain(nn.Module):
    """One number a token.

    Args:
        dim: width of the text.
        hidden: channels of the convolutions.
        kernel: of them; odd.
        dropout: of them.
        condition: channels of the speaker's vector, 0 = none.
    """

    def __init__(self, dim: int, hidden: int = 256, kernel: int = 3, dropout: float = 0.5, condition: int = 0) -> None:
        super().__init__()
        self.condition = nn.Linear(condition, dim) if condition else None
        self.predictor = Predictor(dim, hidden, kernel, dropout)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (batch, tokens, dim), mask (batch, tokens), condition (batch, 1, channels) -> log frames (batch, tokens), 0
        at padded tokens.
        """
        return self.predictor(x.detach() + _offset(self.condition, condition), mask)

    def cost(self, x: Tensor, mask: Tensor, durations: Tensor, condition: Tensor | None = None) -> Tensor:
        """The squared errors of the logarithms, summed over the tokens of each item: (batch,)."""
        want = (durations + 1e-6).log().masked_fill(~mask, 0.0)
        return (self(x, mask, condition).float() - want).square().sum(1)


class Stochastic(nn.Module):
    """A distribution for each token, and a draw from it.

    Args:
        dim: width of the text, and inside.
        kernel: of the convolutions; odd.
        dropout: of those that read text and durations.
        flows: how many each way.
        condition: channels of the speaker's vector, 0 = none.
    """

    def __init__(self, dim: int, kernel: int = 3, dropout: float = 0.5, flows: int = 4, condition: int = 0) -> None:
        super().__init__()
        self.condition = nn.Linear(condition, dim) if condition else None
        self.text = _Reader(dim, dim, kernel, dropout)
        self.spread = _Reader(1, dim, kernel, dropout)  # reads durations, to say how they are spread
        self.prior = _Chain(dim, kernel, flows)
        self.posterior = _Chain(dim, kernel, flows)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        condition: Tensor | None = None,
        noise: Tensor | None = None,
        scale: float = 1.0,
    ) -> Tensor:
        """Draws log frames (batch, tokens).

        Args:
            x: (batch, tokens, dim).
            mask: (batch, tokens), True = real.
            condition: (batch, 1, channels).
            noise: (batch, tokens, 2), instead of torch's own draw.
            scale: of the noise; 0 gives the middle of the distribution.
        """
        noise = torch.randn(*mask.shape, 2, device=x.device) if noise is None else noise
        text = self._read(x, mask, condition)
        return self.prior.back(noise * scale, mask, text)[..., 0]

    def cost(
        self,
        x: Tensor,
        mask: Tensor,
        durations: Tensor,
        condition: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Minus a bound of the log-likelihood of the durations, summed over the tokens of each item: (batch,).

        Args:
            durations: (batch, tokens) frames.
            noise: (batch, tokens, 2), instead of torch's own draw.
        """
        condition = None if condition is None else condition.float()
        with torch.autocast(x.device.type, enabled=False):  # a spline's pieces need their digits
            return self._cost(x.float(), mask, durations.float(), condition, noise)

    def _cost(
        self, x: Tensor, mask: Tensor, durations: Tensor, condition: Tensor | None, noise: Tensor | None
    ) -> Tensor:
        text = self._read(x, mask, condition)
        noise = torch.randn(*mask.shape, 2, device=x.device) if noise is None else noise
        noise = noise.masked_fill(~mask[..., None], 0.0)
        measured = self.spread(durations[..., None], mask)
        spread, log_slope = self.posterior(noise, mask, text + measured)
        below, second = spread.unbind(2)  # how far below the whole number, before the sigmoid; the other channel
        flat = functional.logsigmoid(below) + functional.logsigmoid(-below)
        log_posterior = _log_normal(noise, mask) - log_slope - flat.masked_fill(~mask, 0.0).sum(1)
        frames = (durations - below.sigmoid()).clamp(min=_SMALLEST)
        log_frames = frames.log().masked_fill(~mask, 0.0)
        settled, log_slope = self.prior(torch.stack([log_frames, second], dim=2), mask, text)
        log_prior = _log_normal(settled, mask) + log_slope - log_frames.sum(1)
        return log_posterior - log_prior

    def _read(self, x: Tensor, mask: Tensor, condition: Tensor | None) -> Tensor:
        return self.text(x.detach(), mask, _offset(self.condition, condition))


class _Reader(nn.Module):
    """(batch, tokens, dim_in) -> (batch, tokens, dim)."""

    def __init__(self, dim_in: int, dim: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(dim_in, dim)
        self.stack = Dilated(dim, kernel, _LAYERS, dropout)
        self.last = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor, offset: Tensor | float = 0.0) -> Tensor:
        return self.last(self.stack(self.first(x) + offset, mask)).masked_fill(~mask[..., None], 0.0)


class _Chain(nn.Module):
    """A shift and a scale, then spline flows with the two channels exchanged after each."""

    def __init__(self, dim: int, kernel: int, flows: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))
        self.log_scale = nn.Parameter(torch.zeros(2))
        self.flows = nn.ModuleList(SplineFlow(dim, kernel, _LAYERS) for _ in range(flows))

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """x (batch, tokens, 2) -> moved, and the log volume of each item (batch,)."""
        x = (self.shift + self.log_scale.exp() * x).masked_fill(~mask[..., None], 0.0)
        volume = self.log_scale.sum() * mask.sum(1)
        for flow in self.flows:
            x, log_slope = flow(x, mask, condition)
            x, volume = x.flip(2), volume + log_slope.sum(1)
        return x, volume

    def back(self, x: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
        """The inverse without its first spline flow, whose only change is to the channel that is thrown away."""
        for flow in reversed(self.flows[1:]):
            x, _ = flow(x.flip(2), mask, condition, inverse=True)
        x = x.flip(2)
        return ((x - self.shift) * (-self.log_scale).exp()).masked_fill(~mask[..., None], 0.0)


def _offset(layer: nn.Module | None, condition: Tensor | None) -> Tensor | float:
    """What the speaker adds to the text; neither is taught by how long tokens last."""
    return 0.0 if layer is None or condition is None else layer(condition.detach())


def _log_normal(x: Tensor, mask: Tensor) -> Tensor:
    """The log density of x (batch, tokens, 2) under the standard normal distribution, summed: (batch,)."""
    return (-0.5 * (math.log(2 * math.pi) + x.square())).masked_fill(~mask[..., None], 0.0).sum((1, 2))


def official_plain(state: Mapping[str, Tensor], ours: str) -> dict[str, Tensor]:
    """Published keys of a DurationPredictor (its prefix removed) -> those of `Plain`, with `ours` before them."""
    names = {
        "cond": "condition",
        "conv_1": "predictor.convs.0",
        "conv_2": "predictor.convs.1",
        "norm_1": "predictor.norms.0",
        "norm_2": "predictor.norms.1",
        "proj": "predictor.out",
    }
    renamed = {}
    for key, value in state.items():
        part, _, kind = key.partition(".")
        kind = {"gamma": "weight", "beta": "bias"}.get(kind, kind)
        flat = part in ("cond", "proj") and kind == "weight"
        renamed[f"{ours}{names[part]}.{kind}"] = value[..., 0] if flat else value
    return renamed


def official_stochastic(state: Mapping[str, Tensor], ours: str) -> dict[str, Tensor]:
    """Published keys of a StochasticDurationPredictor (its prefix removed) -> those of `Stochastic`."""
    tops = {
        "pre": "text.first",
        "convs": "text.stack",
        "proj": "text.last",
        "post_pre": "spread.first",
        "post_convs": "spread.stack",
        "post_proj": "spread.last",
        "cond": "condition",
    }
    inner = {"pre": "first", "convs": "stack", "proj": "last"}
    renamed = {}
    for key, value in state.items():
        part, *rest = key.split(".")
        if part.endswith("flows"):
            chain = "prior" if part == "flows" else "posterior"
            number, field, *rest = rest
            if number == "0":
                renamed[f"{ours}{chain}.{'shift' if field == 'm' else 'log_scale'}"] = value[:, 0]
                continue
            stem = f"{ours}{chain}.flows.{int(number) // 2}.{inner[field]}"  # between them stand exchanges
        else:
            stem = f"{ours}{tops[part]}"
        name, one_step = _official_stack(rest)
        renamed[f"{stem}.{name}"] = value[..., 0] if one_step and value.ndim == 3 else value
    return renamed


def _official_stack(words: list[str]) -> tuple[str, bool]:
    """The end of a published key by ours, and whether it is of a convolution over one token."""
    if len(words) == 1:  # pre, proj, cond
        return words[0], True
    names = {"convs_sep": "depth", "convs_1x1": "point", "norms_1": "depth_norms", "norms_2": "point_norms"}
    part, layer, kind = words
    kind = {"gamma": "weight", "beta": "bias"}.get(kind, kind)
    return f"{names[part]}.{layer}.{kind}", part == "convs_1x1"
