"""The loss of structure: 0 for equal ones, from the published formula in plain numpy, blind to padding."""

from __future__ import annotations

import numpy as np
import torch

from aoide.nn.ssim import ssim_loss


def test_equal_ones_lose_nothing_and_noise_more_and_more() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 30, 20)
    losses = [float(ssim_loss(x, x + size * torch.randn_like(x))) for size in (0.0, 0.1, 0.3, 1.0, 3.0)]
    assert abs(losses[0]) < 1e-4 and losses == sorted(losses)


def test_formula() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((2, 12, 13))
    place = np.arange(11) - 5
    window = np.exp(-(place**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    padded = np.pad(np.stack([x, y]) + 6, ((0, 0), (5, 5), (5, 5)))
    total = 0.0
    for i in range(12):
        for j in range(13):
            a, b = padded[:, i : i + 11, j : j + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            spread_a, spread_b = (window * a * a).sum() - mean_a**2, (window * b * b).sum() - mean_b**2
            both = (window * a * b).sum() - mean_a * mean_b
            top = (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
            total += top / ((mean_a**2 + mean_b**2 + 1e-4) * (spread_a + spread_b + 9e-4))
    got = ssim_loss(torch.from_numpy(x)[None], torch.from_numpy(y)[None])
    assert abs(float(got) - (1 - total / (12 * 13))) < 1e-9


def test_padding_is_not_seen() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 1, 20, 16)
    mask = torch.arange(27)[None] < 20
    grown = [torch.cat([part, 9 * torch.randn(1, 7, 16)], dim=1) for part in (x, y)]
    torch.testing.assert_close(ssim_loss(*grown, mask), ssim_loss(x, y), atol=1e-5, rtol=1e-4)
