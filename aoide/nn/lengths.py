"""From tokens to frames and back: masks, the length regulator and its inverse, the mean over a token's frames.

Everything goes through `token_of_frame`: a batch is one gather or one product, in training as in an exported graph.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mask_from_lengths(lengths: Tensor, size: int | None = None) -> Tensor:
    """lengths (batch,) -> mask (batch, size) with True = real; `size` is the longest of them unless it is given."""
    size = int(lengths.max()) if size is None else size
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def token_of_frame(durations: Tensor, frames: int) -> Tensor:
    """Which token each frame belongs to: durations (batch, tokens) in frames -> (batch, frames) int64.

    Frames after the last token get the number of tokens, which is no token's index.
    """
    ends = durations.cumsum(1)
    position = torch.arange(frames, device=durations.device)
    return (position[None, :, None] >= ends[:, None, :]).sum(2)


def longest(durations: Tensor) -> int:
    """Frames of the longest item of durations (batch, tokens), two at least, in a form that the ONNX exporter can
    follow.
    """
    frames = durations.sum(1).max().clamp(min=2).item()
    torch._check(frames >= 2)  # the exporter cannot see the number, and treats 0 and 1 apart
    return frames  # type: ignore[return-value]  # int() around it would end the export


def expand(x: Tensor, durations: Tensor, frames: int | None = None) -> tuple[Tensor, Tensor]:
    """Repeats each token for as many frames as it lasts: FastSpeech's length regulator (arXiv:1905.09263, 3.2).

    Args:
        x: (batch, tokens, dim).
        durations: (batch, tokens) int64 frames, at padded tokens 0.
        frames: frames of the result; unless given those of the `longest` item. Longer items are cut.

    Returns:
        (batch, frames, dim), zero after the end of an item, and the mask (batch, frames) of what lies before it.
    """
    frames = longest(durations) if frames is None else frames
    token = token_of_frame(durations, frames)
    mask = token < durations.shape[1]
    index = token.clamp(max=durations.shape[1] - 1)[..., None].expand(-1, -1, x.shape[2])
    return x.gather(1, index).masked_fill(~mask[..., None], 0.0), mask


def token_means(values: Tensor, durations: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean of a frame-wise quantity over the frames of each token; 0 for a token without frames.

    Args:
        values: (batch, frames).
        durations: (batch, tokens) int64 frames.
        weight: (batch, frames), how much a frame counts: a mask, for instance; all count alike unless given.

    Returns:
        (batch, tokens), of the type of `values`.
    """
    token = token_of_frame(durations, values.shape[1])
    weight = torch.ones_like(values) if weight is None else weight.to(values.dtype)
    belongs = (token[:, None, :] == torch.arange(durations.shape[1], device=token.device)[:, None]).to(values.dtype)
    total = (belongs @ (values * weight)[..., None]).squeeze(2)
    count = (belongs @ weight[..., None]).squeeze(2)
    return torch.where(count > 0, total / count.clamp(min=1e-8), 0.0)


def mean_over_time(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean of the real frames: x (batch, frames, dim), mask (batch, frames) with True = real -> (batch, dim)."""
    if mask is None:
        return x.mean(1)
    return x.masked_fill(~mask[..., None], 0.0).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
