from __future__ import annotations

import torch

from aoide.nn.postnet import PostNet


def test_padding_changes_nothing_real() -> None:
    torch.manual_seed(0)
    postnet = PostNet(4, 6).eval()
    mel = torch.randn(2, 9, 4)
    mask = torch.arange(9) < torch.tensor([[9], [5]])
    torch.testing.assert_close(postnet(mel, mask)[1, :5], postnet(mel[1:, :5])[0])
    assert not torch.allclose(postnet(mel)[1, :5], postnet(mel[1:, :5])[0]), "without a mask padding is heard"
