from __future__ import annotations

import torch

from aoide.nn.lengths import expand, mask_from_lengths, mean_over_time, token_means, token_of_frame

DURATIONS = torch.tensor([[2, 0, 3], [1, 1, 0]])


def test_mask_from_lengths() -> None:
    lengths = torch.tensor([2, 0, 3])
    assert mask_from_lengths(lengths).tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert mask_from_lengths(lengths, 4).shape == (3, 4)


def test_token_of_frame_skips_tokens_without_frames() -> None:
    assert token_of_frame(DURATIONS, 6).tolist() == [[0, 0, 2, 2, 2, 3], [0, 1, 3, 3, 3, 3]]


def test_expand_repeats_each_token() -> None:
    x = torch.randn(2, 3, 4, requires_grad=True)
    frames, mask = expand(x, DURATIONS)
    for i in range(2):
        want = x[i].repeat_interleave(DURATIONS[i], 0)
        assert torch.equal(frames[i, : len(want)], want) and not frames[i, len(want) :].any()
        assert mask[i].sum() == len(want)
    frames.sum().backward()
    assert torch.equal(x.grad[..., 0], DURATIONS.float()), "a token learns from all its frames"


def test_expand_to_a_given_size_cuts_and_fills() -> None:
    x = torch.randn(2, 3, 4)
    assert expand(x, DURATIONS, 4)[1].sum(1).tolist() == [4, 2]
    assert expand(x, DURATIONS, 7)[1].sum(1).tolist() == [5, 2]


def test_token_means() -> None:
    values = torch.tensor([[1.0, 3.0, 5.0, 6.0, 10.0], [2.0, 4.0, 99.0, 99.0, 99.0]])
    assert token_means(values, DURATIONS).tolist() == [[2.0, 0.0, 7.0], [2.0, 4.0, 0.0]]
    counted = torch.tensor([[True, False, True, True, False], [False, True, False, False, False]])
    assert token_means(values, DURATIONS, counted).tolist() == [[1.0, 0.0, 5.5], [0.0, 4.0, 0.0]]


def test_mean_over_time() -> None:
    x = torch.tensor([[[1.0], [3.0], [8.0]], [[2.0], [4.0], [99.0]]])
    mask = torch.arange(3) < torch.tensor([[3], [2]])
    assert mean_over_time(x, mask).tolist() == [[4.0], [3.0]] and mean_over_time(x[:1]).tolist() == [[4.0]]
    assert mean_over_time(x, torch.zeros(2, 3, dtype=torch.bool)).tolist() == [[0.0], [0.0]], "nothing real is no NaN"
