from __future__ import annotations

import torch
from torch.nn.utils.parametrizations import weight_norm

from aoide.nn.conv import Conv1d
from aoide.nn.convnext import AdaConvNeXtBlock, ConvNeXtBlock
from aoide.nn.fold import fold
from aoide.nn.official import modern_weight_norm


def _padded(x: torch.Tensor, more: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x (1, frames, dim) with noise after it, beside a longer item; and the mask."""
    noise = 100 * torch.randn(1, more, x.shape[2])
    both = torch.cat([torch.cat([x, noise], dim=1), torch.randn(1, x.shape[1] + more, x.shape[2])])
    mask = torch.ones(2, x.shape[1] + more, dtype=torch.bool)
    mask[0, x.shape[1] :] = False
    return both, mask


@torch.no_grad()
def test_convolution_keeps_frames_and_ignores_padding() -> None:
    torch.manual_seed(0)
    for kernel, dilation in ((1, 1), (3, 5), (7, 1)):
        conv = Conv1d(4, 6, kernel, dilation)
        x = torch.randn(1, 9, 4)
        both, mask = _padded(x, 20)
        alone = conv(x)
        assert alone.shape == (1, 9, 6)
        torch.testing.assert_close(conv(both, mask)[:1, :9], alone)
        assert (conv(both)[:1, :9] - alone).abs().max() > 1 or kernel == 1, "without the mask the noise leaks in"


def test_reach_is_how_far_an_output_sees() -> None:
    conv = Conv1d(1, 1, 5, dilation=3)
    x = torch.zeros(1, 41, 1, requires_grad=True)
    conv(x)[0, 20].sum().backward()
    seen = x.grad[0, :, 0].nonzero()[:, 0]
    assert (20 - int(seen.min()), int(seen.max()) - 20) == (conv.reach, conv.reach) == (6, 6)


@torch.no_grad()
def test_convnext_ignores_padding() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 9, 8)
    both, mask = _padded(x, 20)
    for scale in (None, 0.5):
        block = ConvNeXtBlock(8, 16, kernel=7, layer_scale=scale)
        torch.testing.assert_close(block(both, mask)[:1, :9], block(x))
    ada = AdaConvNeXtBlock(8, 16, classes=3, layer_scale=0.5)
    torch.testing.assert_close(ada(both, torch.tensor([2, 0]), mask)[:1, :9], ada(x, torch.tensor([2])))


@torch.no_grad()
def test_layer_scale() -> None:
    x = torch.randn(2, 5, 8)
    assert torch.equal(ConvNeXtBlock(8, 16, layer_scale=0.0)(x), x), "a branch scaled by 0 adds nothing"
    assert ConvNeXtBlock(8, 16).mlp.scale is None


@torch.no_grad()
def test_ada_norm_starts_as_plain_norm_and_tells_classes_apart() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 8)
    ada, plain = AdaConvNeXtBlock(8, 16, classes=2), ConvNeXtBlock(8, 16)
    plain.load_state_dict({k: v for k, v in ada.state_dict().items() if not k.startswith("norm.")}, strict=False)
    first, second = torch.tensor([0, 0]), torch.tensor([1, 1])
    torch.testing.assert_close(ada(x, first), plain(x))
    ada.norm.shift.weight[1] += 1
    torch.testing.assert_close(ada(x, first), plain(x))
    assert not torch.allclose(ada(x, second), plain(x))


@torch.no_grad()
def test_folded_weight_norm_computes_the_same() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(weight_norm(Conv1d(4, 4, 3)), torch.nn.Tanh(), Conv1d(4, 2, 3))
    x = torch.randn(2, 7, 4)
    before = net(x)
    folded = fold(net)
    torch.testing.assert_close(folded(x), before)
    assert not any("parametrizations" in key for key in folded.state_dict())


@torch.no_grad()
def test_old_weight_norm_keys_load() -> None:
    torch.manual_seed(0)
    v, g, bias = torch.randn(3, 2, 5), torch.rand(3, 1, 1), torch.randn(3)
    net = torch.nn.ModuleDict({"conv": weight_norm(Conv1d(2, 3, 5))})
    net.load_state_dict(modern_weight_norm({"conv.weight_g": g, "conv.weight_v": v, "conv.bias": bias}))
    expected = g * v / v.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(net["conv"].weight, expected)
