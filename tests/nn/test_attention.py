from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aoide import trace
from aoide.nn.attention import AttentionBlock, FFTBlock, PreNormFFTBlock, SelfAttention, sinusoids


def _masked() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(2, 6, 8, generator=draw), torch.arange(6) < torch.tensor([[6], [4]])


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = SelfAttention(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    names = {"in_proj_weight": "project.weight", "in_proj_bias": "project.bias"}
    theirs.load_state_dict(
        {key: ours.state_dict()[names.get(key, key.replace("out_proj", "out"))] for key in theirs.state_dict()}
    )
    x, mask = _masked()
    want, _ = theirs(x, x, x, key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, mask), want)


def test_traced_attention_is_what_was_used() -> None:
    attention = SelfAttention(8, 2)
    x, mask = _masked()
    with trace.record() as recording:
        out = attention(x, mask)
    (weights,) = recording.values("attention")
    assert weights.shape == (2, 2, 6, 6) and not weights[1, :, :, 4:].any()
    values = attention.project(x).unflatten(-1, (3, 2, 4))[:, :, 2].transpose(1, 2)
    torch.testing.assert_close(attention.out((weights @ values).transpose(1, 2).flatten(2)), out)


@pytest.mark.parametrize("block", [FFTBlock(8, 2, 12, (5, 3), 0.1), AttentionBlock(8, 2, 12)], ids=["fft", "pre-norm"])
def test_padding_changes_nothing_real(block: torch.nn.Module) -> None:
    x, mask = _masked()
    block.eval()
    together = block(x, mask)
    torch.testing.assert_close(together[1, :4], block(x[1:, :4], mask[1:, :4])[0])
    if isinstance(block, FFTBlock):
        assert not together[1, 4:].any()


def test_sinusoids() -> None:
    code = sinusoids(50, 6, like=torch.zeros(1))
    for position, channel in ((0, 0), (0, 1), (7, 2), (49, 5)):
        angle = position / 10000 ** (2 * (channel // 2) / 6)
        want = math.cos(angle) if channel % 2 else math.sin(angle)
        np.testing.assert_allclose(float(code[position, channel]), want, atol=1e-5)


def test_pre_norm_block_adds_to_what_comes_in_and_does_not_look_at_padding() -> None:
    torch.manual_seed(0)
    block = PreNormFFTBlock(8, heads=2, hidden=12, kernel=3, dropout=0.5).eval()
    x, mask = _masked()
    torch.testing.assert_close(block(x, mask)[1, :4], block(x[1:, :4])[0])
    with torch.no_grad():
        for last in (block.attention.out, block.contract):
            last.weight.zero_()
            last.bias.zero_()
    assert torch.equal(block(x, mask), x)
