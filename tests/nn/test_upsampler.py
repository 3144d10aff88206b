from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn import upsampler
from aoide.nn.fold import fold
from aoide.nn.snake import AntiAliased, Snake
from aoide.nn.upsampler import Convolution, LeakyReLU, Transposed, Upsampler, convolution

SIZES: tuple[Any, ...] = (5, 8, (4, 2), (8, 4), (3, 5), ((1, 3), (2, 5)))


def _network(**settings: Any) -> Upsampler:
    torch.manual_seed(0)
    network = Upsampler(*SIZES, **settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return network.eval()


def _plain(network: Upsampler, x: Tensor, slope: float = 0.1) -> Tensor:
    """The same network as it stands in the paper, channels first, without any of our shortcuts."""
    y = functional.conv1d(x.mT, network.first.weight, network.first.bias, padding=3)
    for stage in network.stages:
        up = stage.up
        padding = (up.kernel_size[0] - up.stride[0]) // 2
        y = functional.conv_transpose1d(
            functional.leaky_relu(y, slope), up.weight, up.bias, up.stride[0], padding=padding
        )
        outputs = []
        for block in stage.blocks:
            z = y
            for i, wide in enumerate(block.wide):
                size, dilation = wide.kernel_size[0], wide.dilation[0]
                branch = functional.leaky_relu(z, slope)
                branch = functional.conv1d(
                    branch, wide.weight, wide.bias, padding=dilation * (size // 2), dilation=dilation
                )
                if hasattr(block, "plain"):
                    plain = block.plain[i]
                    branch = functional.leaky_relu(branch, slope)
                    branch = functional.conv1d(branch, plain.weight, plain.bias, padding=size // 2)
                z = z + branch
            outputs.append(z)
        y = sum(outputs) / len(outputs)
    y = functional.leaky_relu(y, 0.01)
    return functional.conv1d(y, network.last.weight, network.last.bias, padding=3).mT


@pytest.mark.parametrize("block", ["1", "2"])
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_equals_the_plain_formulation(block: Any, frames: int) -> None:
    network = _network(block=block)
    x = torch.randn(2, frames, 5)
    kept = x.clone()
    want = _plain(network, x)
    with_gradients = network(x)
    with torch.no_grad():
        without = network(x)
        torch.testing.assert_close(network(x, torch.ones(2, frames, dtype=torch.bool)), without)
    torch.testing.assert_close(with_gradients, want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(without, want, atol=1e-5, rtol=1e-5)
    assert torch.equal(x, kept), "what is computed in place is not the input"
    assert want.shape == (2, frames * network.hop, 1)
    wanted, got = (torch.autograd.grad(y.sin().sum(), network.parameters()) for y in (want, with_gradients))
    for one, other in zip(wanted, got, strict=True):
        torch.testing.assert_close(other, one, atol=2e-4, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("activation", [None, lambda channels: AntiAliased(Snake(channels))])
def test_an_item_gives_what_it_gives_alone(activation: Any) -> None:
    network = _network(activation=activation)
    short, long = torch.randn(1, 6, 5), torch.randn(1, 15, 5)
    both = torch.cat([torch.cat([short, 100 * torch.randn(1, 9, 5)], dim=1), long])
    mask = torch.arange(15) < torch.tensor([[6], [15]])
    got = network(both, mask)
    torch.testing.assert_close(got[:1, : 6 * 8], network(short), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(got[1:], network(long), atol=1e-5, rtol=1e-4)
    assert not got[0, 6 * 8 :].any()


@pytest.mark.parametrize("activation", [None, lambda channels: AntiAliased(Snake(channels))])
def test_reach_is_enough_and_not_far_more(activation: Any) -> None:
    network = _network(activation=activation)
    x = torch.randn(1, 61, 5, requires_grad=True)
    network(x).view(61, -1)[30].sum().backward()
    frames = x.grad[0].any(1).nonzero()[:, 0]
    reach = max(30 - int(frames.min()), int(frames.max()) - 30)
    assert 0.7 * network.reach <= reach <= network.reach


@torch.no_grad()
def test_condition_and_sources_are_added_where_they_say() -> None:
    network = _network()
    x, condition = torch.randn(1, 4, 5), torch.randn(1, 1, 8)
    sources = [torch.randn(1, 16, 4), None]
    heard: list[Tensor] = []
    network.first.register_forward_hook(lambda module, inputs, output: heard.append(output.clone()))
    network.stages[0].up.register_forward_hook(lambda module, inputs, output: heard.append(output.clone()))
    network.stages[0].register_forward_hook(lambda module, inputs, output: heard.append(output.clone()))
    network(x, condition=condition, sources=sources)
    first, up, stage = heard
    torch.testing.assert_close(
        up, network.stages[0].up(functional.leaky_relu(first + condition.mT, 0.1)), atol=1e-6, rtol=1e-5
    )
    blocks = [block(up + sources[0].mT) for block in network.stages[0].blocks]
    torch.testing.assert_close(stage, (blocks[0] + blocks[1]) / 2, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_folded_computes_the_same_from_weights_that_lie_as_they_are_used() -> None:
    network = _network()
    x = torch.randn(1, 7, 5)
    before = network(x)
    state = network.state_dict()
    assert all(value.is_contiguous() for value in state.values()), "as files of weights want them"
    folded = fold(network)
    torch.testing.assert_close(folded(x), before, atol=1e-6, rtol=1e-5)
    assert not any("parametrizations" in key for key in folded.state_dict())
    if upsampler.side_by_side(x):
        assert folded.first.weight.stride(1) == 1


def test_plain_ends() -> None:
    keys = set(_network(plain_ends=True, last_bias=False).state_dict())
    assert {"first.weight", "first.bias", "last.weight"} <= keys and "last.bias" not in keys


@pytest.mark.parametrize("dilation", [1, 2, 5])
@pytest.mark.parametrize("time", [1, 4, 5, 23])
@torch.no_grad()
def test_convolution_in_any_layout(dilation: int, time: int) -> None:
    torch.manual_seed(0)
    layer, x = convolution(3, 4, 5, dilation), torch.randn(2, 3, time)
    mask = torch.arange(time) < torch.tensor([time, time - 1])[:, None, None]
    want = functional.conv1d(x, layer.weight, layer.bias, padding=2 * dilation, dilation=dilation)
    for given in (x, x.mT.contiguous().mT):
        torch.testing.assert_close(layer(given), want)
        torch.testing.assert_close(layer(given, mask), want * mask)
    before, after = LeakyReLU(0.1), LeakyReLU(0.3)
    bent = functional.leaky_relu(x, 0.1)
    want = functional.conv1d(bent, layer.weight, layer.bias, padding=2 * dilation, dilation=dilation)
    torch.testing.assert_close(layer(x, None, before, after), functional.leaky_relu(want, 0.3))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 4), (8, 4), (7, 3), (6, 3), (10, 5)])
@torch.no_grad()
def test_transposed_gives_so_many_times_more(kernel: int, stride: int) -> None:
    layer, x = Transposed(3, 2, kernel, stride), torch.randn(2, 3, 6)
    more = kernel - stride
    whole = functional.conv_transpose1d(x, layer.weight, layer.bias, stride, output_padding=more % 2)
    cut = -(-more // 2)
    for given in (x, x.mT.contiguous().mT):
        torch.testing.assert_close(layer(given), whole[:, :, cut : cut + 6 * stride])


def test_a_graph_is_exported_with_free_length() -> None:
    class Wave(nn.Module):
        def __init__(self, network: Upsampler) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x)

    for activation in (None, lambda channels: AntiAliased(Snake(channels))):
        network = fold(_network(activation=activation))
        with torch.no_grad():
            exported = torch.export.export(
                Wave(network), (torch.randn(2, 9, 5),), dynamic_shapes=({1: torch.export.Dim("frames", min=2)},)
            )
            x = torch.randn(2, 14, 5)
            torch.testing.assert_close(exported.module()(x), network(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((8, (4, 2), (8,), (3,), ((1,),)), "each upsampling rate has its kernel"),
        ((8, (), (), (3,), ((1,),)), "each upsampling rate has its kernel"),
        ((8, (4,), (7,), (3,), ((1,),)), "rate plus an even number, got rate 4, kernel 7"),
        ((8, (4,), (2,), (3,), ((1,),)), "rate plus an even number, got rate 4, kernel 2"),
        ((8, (4,), (8,), (3, 5), ((1,),)), "a kernel and dilations, got 2 and 1"),
        ((8, (4,), (8,), (3,), ((),)), "one dilation or more"),
        ((8, (4,), (8,), (4,), ((1,),)), r"odd, got \[4\]"),
        ((6, (4, 2), (8, 4), (3,), ((1,),)), "2 stages halve the channels 2 times: 6 is not a multiple"),
    ],
)
def test_settings_that_do_not_fit(sizes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        upsampler.check(*sizes)


def test_an_even_kernel_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="an even kernel"):
        Convolution(2, 2, 4)
