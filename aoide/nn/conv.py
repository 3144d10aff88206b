"""Convolution over time for sequences of shape (batch, frames, dim)."""

from __future__ import annotations

from torch import Tensor, nn


class Conv1d(nn.Conv1d):
    """A convolution over time that keeps the number of frames: (batch, frames, dim_in) -> (batch, frames, dim_out).

    With a mask the padded frames are read as the zeros that stand beyond the ends of a lone sequence, so that an item
    in a padded batch gives what it gives alone. The kernel is odd: an even one has no middle frame.
    """

    def __init__(self, dim_in: int, dim_out: int, kernel: int, dilation: int = 1, groups: int = 1) -> None:
        assert kernel % 2 == 1, f"an even kernel ({kernel}) cannot keep the number of frames"
        reach = dilation * (kernel // 2)
        super().__init__(dim_in, dim_out, kernel, padding=reach, dilation=dilation, groups=groups)

    @property
    def reach(self) -> int:
        """How many frames to each side an output frame sees."""
        return self.dilation[0] * (self.kernel_size[0] // 2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim_in), mask (batch, frames) with True = real -> (batch, frames, dim_out)."""
        if mask is not None:
            x = x.masked_fill(~mask[..., None], 0.0)
        return super().forward(x.mT).mT
