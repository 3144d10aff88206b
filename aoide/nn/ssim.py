"""How unlike two mels are in their local means, spreads and course: the structural similarity of pictures, as a loss.

Wang et al. 2004, IEEE Transactions on Image Processing 13(4): means, variances and covariance under a Gaussian window
of 11 x 11 with a deviation of 1.5; the constants 0.01^2 and 0.03^2 are those of values between 0 and 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

REACH, DEVIATION = 5, 1.5
STEADY = 0.01**2, 0.03**2  # keep the quotients finite where nothing is


def ssim_loss(first: Tensor, second: Tensor, mask: Tensor | None = None, bias: float = 6.0) -> Tensor:
    """1 - the mean similarity: 0 for equal ones, at most 2.

    Args:
        first, second: (batch, frames, bins), numbers around -1 to 1.
        mask: (batch, frames), True = real; padding counts neither in the mean nor for its neighbours.
        bias: what both are raised by, so that their means are well above 0.
    """
    planes = torch.stack([first + bias, second + bias])
    if mask is not None:
        planes = planes.masked_fill(~mask[..., None], 0.0)  # as beyond the edges
    x, y = planes
    blurred = _blur(torch.stack([x, y, x * x, y * y, x * y]))
    mean_x, mean_y, square_x, square_y, product = blurred
    both = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    spread = square_x + square_y - squares
    alike = (2 * both + STEADY[0]) * (2 * (product - both) + STEADY[1])
    alike = alike / ((squares + STEADY[0]) * (spread + STEADY[1]))
    return 1 - (alike.mean() if mask is None else alike[mask].mean())


def _blur(planes: Tensor) -> Tensor:
    """Under the Gaussian window, along frames and along bins; zeros stand beyond the edges."""
    place = torch.arange(-REACH, REACH + 1, device=planes.device, dtype=planes.dtype)
    window = torch.exp(-place.square() / (2 * DEVIATION**2))
    window = window / window.sum()
    x = planes.reshape(-1, 1, *planes.shape[-2:])
    x = functional.conv2d(x, window.reshape(1, 1, -1, 1), padding=(REACH, 0))
    return functional.conv2d(x, window.reshape(1, 1, 1, -1), padding=(0, REACH)).reshape(planes.shape)
