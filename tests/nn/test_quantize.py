"""Codebooks and their residual stack: codes, gradients, losses, masks, moving tables."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.nn.quantize import FSQ, EuclideanVQ, FactorisedVQ, ResidualVQ

KINDS = {
    "factorised": lambda: FactorisedVQ(8, 20, 3),
    "factorised-points": lambda: FactorisedVQ(8, 20, 3, cosine=False),
    "factorised-bare": lambda: FactorisedVQ(8, 20, 8, project=False),
    "euclidean": lambda: EuclideanVQ(8, 20),
    "finite": lambda: FSQ(8, (4, 5)),
}


def _vectors(batch: int = 3, frames: int = 7, seed: int = 0) -> Tensor:
    return torch.randn(batch, frames, 8, generator=torch.Generator().manual_seed(seed))


def _stack(kind: str, codebooks: int = 3, dropout: float = 0.0) -> ResidualVQ:
    torch.manual_seed(1)
    return ResidualVQ([KINDS[kind]() for _ in range(codebooks)], dropout=dropout)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_codes_say_the_vectors(kind: str) -> None:
    stack, x = _stack(kind).eval(), _vectors()
    result = stack(x)
    assert result.vectors.shape == x.shape and result.codes.shape == (3, 7, 3)
    assert result.codes.dtype == torch.int64 and result.codes.min() >= 0 and result.codes.max() < 20
    assert torch.equal(stack.encode(x), result.codes)
    torch.testing.assert_close(stack.decode(result.codes), result.vectors)
    for count in (1, 2):
        torch.testing.assert_close(stack(x, used=count).codes, result.codes[..., :count])
        part = sum(result.parts[i].vectors for i in range(count))
        torch.testing.assert_close(stack.decode(result.codes[..., :count]), part)


@pytest.mark.parametrize("kind", ["factorised-points", "factorised-bare", "euclidean"])
@torch.no_grad()
def test_nearest_code_by_brute_force(kind: str) -> None:
    layer, x = _stack(kind).layers[0].eval(), _vectors()
    table = layer.table if kind == "euclidean" else layer.table.weight
    part = layer(x)
    distance = (part.latents[:, :, None] - table).square().sum(-1)
    if kind == "factorised-bare":
        distance = -nn.functional.cosine_similarity(part.latents[:, :, None], table, dim=-1)
    assert torch.equal(part.codes, distance.argmin(-1))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_input_and_parameters(kind: str) -> None:
    stack, x = _stack(kind).train(), _vectors().requires_grad_()
    result = stack(x)
    (result.vectors.square().sum() + result.commitment.sum() + result.codebook.sum()).backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in stack.parameters())


def test_losses_pull_each_its_own_side() -> None:
    layer, x = _stack("factorised").layers[0].train(), _vectors()
    layer(x).commitment.sum().backward()
    assert layer.table.weight.grad is None
    layer.zero_grad()
    layer(x).codebook.sum().backward()
    assert layer.table.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in layer.inward.parameters())


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_padding_changes_nothing(kind: str) -> None:
    stack, x = _stack(kind).eval(), _vectors(batch=2)
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    noisy = torch.where(mask[..., None], x, 9 * _vectors(batch=2, seed=5))
    both, alone = stack(noisy, mask), stack(x[1:, :4])
    torch.testing.assert_close(both.vectors[1:, :4], alone.vectors)
    assert torch.equal(both.codes[1:, :4], alone.codes)
    torch.testing.assert_close(both.commitment[1:], alone.commitment)
    torch.testing.assert_close(both.codebook[1:], alone.codebook)
    assert not both.vectors[1, 4:].any() and not both.codes[1, 4:].any()
    assert not stack.decode(both.codes, mask)[1, 4:].any()


def test_dropout_uses_fewer_codebooks_for_some_items() -> None:
    stack, x = _stack("factorised", dropout=0.5).train(), _vectors(batch=8)
    used = stack.draw(8, torch.Generator().manual_seed(2))
    assert used[4:].tolist() == [3] * 4 and 1 <= used.min() < 3
    drawn = stack(x, generator=torch.Generator().manual_seed(2))
    given = stack(x, used=used)
    assert torch.equal(drawn.vectors, given.vectors)
    for i, count in enumerate(used.tolist()):
        want = stack.eval()(x[i : i + 1], used=count)
        torch.testing.assert_close(given.vectors[i : i + 1], want.vectors)
        assert (given.commitment[i] > 0).tolist() == [k < count for k in range(3)]
    assert torch.equal(stack.eval()(x).vectors, stack(x, used=3).vectors), "in use nothing is dropped"


def test_a_moving_table_follows_the_means() -> None:
    """With decay 0 and nothing dead, one step is one step of k-means."""
    layer, x = EuclideanVQ(2, 2, decay=0.0, dead_below=None).train(), torch.tensor([[[0.0, 1], [0, 3], [5, 5], [9, 9]]])
    layer.table.copy_(torch.tensor([[0.0, 0], [9, 7]]))
    mask = torch.tensor([[True, True, True, False]])
    assert layer(x, mask).codes[0, :3].tolist() == [0, 0, 1]
    torch.testing.assert_close(layer.table, torch.tensor([[0.0, 2], [5, 5]]), atol=1e-3, rtol=0)
    assert layer.uses.tolist() == [2, 1]
    frozen = layer.table.clone()
    layer.eval()(x)
    assert torch.equal(layer.table, frozen), "in use the table stays"


def test_dead_codes_start_anew_from_the_batch() -> None:
    layer, x = EuclideanVQ(8, 16).train(), _vectors(frames=30)
    layer(x, generator=torch.Generator().manual_seed(0))
    assert layer(x).commitment.mean() < 0.8 * x.square().mean(), "the first batch gives the codes"
    layer.table[3], layer.sums[3], layer.uses[3] = 100.0, 0.0, 0.0
    layer(x)
    assert (x == layer.table[3]).all(-1).any()
    layer.uses[3] = 50.0
    layer.table[3], layer.sums[3] = 100.0, 5000.0
    layer(x)
    assert layer.table[3].abs().min() > 90, "what is used is left alone"


def test_a_moving_table_learns_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = 5 * torch.randn(10, 8, generator=generator)
    layer = EuclideanVQ(8, 40, decay=0.9).train()
    for _ in range(60):
        picks = torch.randint(10, (4, 50), generator=generator)
        layer(centres[picks] + 0.1 * torch.randn(4, 50, 8, generator=generator), generator=generator)
    assert torch.cdist(centres, layer.table).amin(1).max() < 0.5, "every cluster has a code"


@torch.no_grad()
def test_finite_levels_are_all_reached_and_numbered_apart() -> None:
    layer = FSQ(3, (4, 5, 2)).eval()
    codes = torch.arange(40)[None]
    vectors = layer.lookup(codes)
    assert len(vectors[0].unique(dim=0)) == 40
    torch.nn.init.eye_(layer.inward.weight), torch.nn.init.zeros_(layer.inward.bias)
    grid = torch.cartesian_prod(*[torch.linspace(-6, 6, 25)] * 3)[None]
    result = layer(grid)
    assert sorted(result.codes.unique().tolist()) == list(range(40))
    torch.testing.assert_close(layer.lookup(result.codes), result.vectors)
    assert layer(torch.zeros(1, 1, 3)).codes.item() == 2 + 2 * 4 + 1 * 20, "0 is the middle level"


@torch.no_grad()
def test_half_precision_decides_alike() -> None:
    stack, x = _stack("factorised").eval(), _vectors()
    whole = stack(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = stack(x)
        assert torch.equal(half.codes, whole.codes) and half.vectors.dtype == torch.float32


def test_no_nan_on_silence() -> None:
    for kind in KINDS:
        stack = _stack(kind).train()
        for _ in range(3):
            result = stack(torch.zeros(2, 5, 8))
        assert all(
            math.isfinite(float(value.sum()))
            for value in (result.vectors.detach(), result.commitment.detach(), result.codebook.detach())
        )


def test_what_cannot_be_is_told() -> None:
    stack = _stack("factorised")
    with pytest.raises(UserError, match="there are 3 codebooks: use 1 to 3 of them, not 4"):
        stack.decode(torch.zeros(1, 2, 4, dtype=torch.int64))
    with pytest.raises(UserError, match="not 0"):
        stack.encode(_vectors(), codebooks=0)
    with pytest.raises(ValueError, match="2 or more"):
        FSQ(3, (1, 4))
    with pytest.raises(ValueError, match="8 dimensions, not of 3"):
        FactorisedVQ(8, 20, 3, project=False)
    with pytest.raises(ValueError, match="dropout of 0 to 1"):
        ResidualVQ([], dropout=0.5)
