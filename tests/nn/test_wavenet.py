from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn import wavenet
from aoide.nn.wavenet import Cached, Shape, Stretch, WaveNet, beyond_the_ends, cycles

SMALL = Shape(dim=6, hidden=5, skip=4, dilations=(1, 2, 4), condition=3)


def stack(shape: Shape) -> WaveNet:
    torch.manual_seed(0)
    made = WaveNet(shape).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return made


def written_out(made: WaveNet, x: Tensor, condition: Tensor | None, step: Tensor | None) -> Tensor:
    """The equations of the paper, sample by sample of the kernel."""
    shape, total = made.shape, torch.zeros(())
    for layer, dilation in zip(made.layers, shape.dilations, strict=True):
        y = x if step is None else x + layer.step(step)[:, None]
        first = (shape.kernel - 1) * dilation if shape.causal else (shape.kernel - 1) * dilation // 2
        padded = functional.pad(y, (0, 0, first, (shape.kernel - 1) * dilation - first))
        taps = (padded[:, k * dilation : k * dilation + x.shape[1]] for k in range(shape.kernel))
        y = layer.dilated.bias + sum(tap @ layer.dilated.weight[:, :, k].T for k, tap in enumerate(taps))
        if condition is not None:
            y = y + condition @ layer.condition.weight[..., 0].T
        gate = y[..., : shape.hidden].tanh() * y[..., shape.hidden :].sigmoid()
        out = gate @ layer.out.weight[..., 0].T + layer.out.bias
        total = total + out[..., -shape.skip :]
        x = (
            (x + out[..., : shape.dim]) * (math.sqrt(0.5) if shape.scaled else 1.0)
            if layer is not made.layers[-1]
            else x
        )
    return total * (math.sqrt(1 / len(shape.dilations)) if shape.scaled else 1.0)


@pytest.mark.parametrize(
    "shape",
    [
        SMALL,
        Shape(dim=6, hidden=5, skip=4, dilations=(1, 2), step=7, normalised=False),
        Shape(dim=4, hidden=4, skip=4, kernel=5, dilations=(1, 3), condition=3, scaled=False),
        Shape(dim=6, hidden=5, skip=4, kernel=2, dilations=(1, 2, 4), condition=3, causal=True),
    ],
    ids=["plain", "step", "not scaled", "causal"],
)
@torch.no_grad()
def test_a_stack_is_what_the_paper_writes(shape: Shape) -> None:
    made = stack(shape)
    x = torch.randn(2, 20, shape.dim)
    condition = torch.randn(2, 20, shape.condition) if shape.condition else None
    step = torch.randn(2, shape.step) if shape.step else None
    torch.testing.assert_close(made(x, condition, step), written_out(made, x, condition, step), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_an_output_sees_as_far_as_reach_says(causal: bool) -> None:
    made = stack(Shape(dim=3, hidden=3, skip=2, dilations=(1, 2, 4), causal=causal))
    x = torch.randn(1, 60, 3, requires_grad=True)
    made(x)[0, 30].sum().backward()
    seen = x.grad[0].abs().sum(1).nonzero().flatten()
    reach = made.shape.reach
    assert (int(seen.min()), int(seen.max())) == (30 - reach, 30 if causal else 30 + reach)


@torch.no_grad()
def test_a_padded_item_gives_what_it_gives_alone() -> None:
    made = stack(SMALL)
    x, condition = torch.randn(2, 20, 6), torch.randn(2, 20, 3)
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[1, 12:] = False
    together = made(x, condition, mask=mask)
    torch.testing.assert_close(together[1:, :12], made(x[1:, :12], condition[1:, :12]))
    assert not torch.allclose(made(x, condition)[1, :12], together[1, :12]), "the test can fail"


@torch.no_grad()
def test_a_condition_of_one_frame_holds_for_all() -> None:
    made = stack(SMALL)
    x, condition = torch.randn(2, 8, 6), torch.randn(2, 1, 3)
    torch.testing.assert_close(made(x, condition), made(x, condition.expand(-1, 8, -1)))


def test_dropout_is_for_training() -> None:
    made = stack(Shape(dim=3, hidden=3, skip=2, dilations=(1, 2), dropout=0.5))
    x = torch.randn(1, 8, 3)
    assert torch.equal(made(x), made(x)) and not torch.equal(made.train()(x), made(x))


def test_dilations_start_anew() -> None:
    assert cycles(5, 3) == (1, 2, 4, 1, 2)


# ------------------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kernel", [1, 2, 3])
@torch.no_grad()
def test_sample_by_sample_equals_the_whole(scaled: bool, kernel: int) -> None:
    shape = Shape(
        dim=6, hidden=5, skip=4, kernel=kernel, dilations=cycles(6, 3), condition=3, causal=True, scaled=scaled
    )
    made = stack(shape)
    x, condition = torch.randn(2, 30, 6), torch.randn(2, 30, 3)
    cached = Cached(made, 2)
    known = cached.conditions(condition.numpy())
    steps = [cached.step(x[:, time].numpy().copy(), known[time]) for time in range(30)]
    torch.testing.assert_close(torch.from_numpy(np.stack(steps, 1)), made(x, condition), atol=1e-5, rtol=1e-4)


def test_only_a_causal_stack_goes_sample_by_sample() -> None:
    with pytest.raises(AssertionError, match="causal"):
        Cached(stack(SMALL), 1)


@torch.no_grad()
def test_stretch_repeats_and_smooths() -> None:
    stretch = Stretch((3, 4))
    for kernel in stretch.kernels:
        kernel.copy_(torch.randn_like(kernel))
    mel = torch.randn(2, 7, 5)
    want = mel.mT[:, None]
    for scale, kernel in zip((3, 4), stretch.kernels, strict=True):
        want = functional.conv2d(want.repeat_interleave(scale, dim=3), kernel[None, None, None], padding=(0, scale))
    got = stretch(mel)
    assert stretch.factor == 12 and got.shape == (2, 84, 5)
    torch.testing.assert_close(got.mT[:, None], want, atol=1e-5, rtol=1e-4)


def test_beyond_the_ends_stands_what_stands_there() -> None:
    x = torch.arange(8.0).reshape(2, 4, 1)
    assert beyond_the_ends(x, 2)[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 3, 3]
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    assert beyond_the_ends(x, 1, mask)[..., 0].tolist() == [[0, 0, 1, 2, 3, 3], [4, 4, 5, 5, 5, 5]]


# ---------------------------------------------------------------------------------------------------- published weights


def test_gates_change_places() -> None:
    assert wavenet.swap_halves(torch.arange(6)).tolist() == [3, 4, 5, 0, 1, 2]


def test_one_projection_for_all_layers_becomes_one_a_layer() -> None:
    state = {"cond.weight": torch.arange(12.0).reshape(6, 2, 1), "cond.bias": torch.zeros(6), "other": torch.zeros(1)}
    split = wavenet.split_condition(state, "cond", "stack", layers=3)
    assert sorted(split) == [f"stack.layers.{layer}.condition.weight" for layer in range(3)]
    assert torch.equal(torch.cat([split[key] for key in sorted(split)]), state["cond.weight"])


def test_a_norm_that_was_removed_is_found_again() -> None:
    made, plain = stack(SMALL), nn.Module()
    x, condition = torch.randn(1, 9, 6), torch.randn(1, 9, 3)
    want = made(x, condition)
    state = {}
    for name, module in made.named_modules():
        if isinstance(module, nn.Conv1d):
            state[f"{name}.weight"] = module.weight.detach()
            if module.bias is not None:
                state[f"{name}.bias"] = module.bias.detach()
    other = WaveNet(SMALL)
    other.load_state_dict(wavenet.with_norm(other, state))
    torch.testing.assert_close(other(x, condition), want)
    assert wavenet.with_norm(plain, {"a.weight": x}).keys() == {"a.weight"}, "what has no norm stays"
