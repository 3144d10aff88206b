"""Attention that knows near distances, against its definition in loops."""

from __future__ import annotations

import math

import torch

from aoide.nn.relative import RelativeAttention, RelativeEncoder


@torch.no_grad()
def test_definition() -> None:
    torch.manual_seed(0)
    layer, frames, window = RelativeAttention(6, 2, 2, 0.0).eval(), 7, 2
    x = torch.randn(1, frames, 6)
    queries, keys, values = layer.project(x[0]).chunk(3, dim=-1)
    rows = []
    for i in range(frames):
        heads = []
        for h in range(2):
            part = slice(3 * h, 3 * h + 3)
            near = [layer.near[j - i + window] if abs(j - i) <= window else torch.zeros(3) for j in range(frames)]
            given = [layer.given[j - i + window] if abs(j - i) <= window else torch.zeros(3) for j in range(frames)]
            scores = (keys[:, part] + torch.stack(near)) @ queries[i, part] / math.sqrt(3)
            heads.append(scores.softmax(0) @ (values[:, part] + torch.stack(given)))
        rows.append(torch.cat(heads))
    torch.testing.assert_close(layer(x)[0], layer.out(torch.stack(rows)))


@torch.no_grad()
def test_padding_is_not_seen_and_comes_out_silent() -> None:
    torch.manual_seed(0)
    encoder = RelativeEncoder(6, 2, 8, 2).eval()
    x = torch.randn(1, 9, 6)
    mask = torch.arange(13)[None] < 9
    y = encoder(torch.cat([x, torch.randn(1, 4, 6)], dim=1), mask)
    torch.testing.assert_close(y[:, :9], encoder(x), atol=1e-6, rtol=1e-5)
    assert not y[:, 9:].any()
    assert torch.isfinite(encoder(x, torch.zeros(1, 9, dtype=torch.bool))).all(), "nothing real"
