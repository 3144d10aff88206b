from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from aoide import trace
from aoide.config import UserError
from aoide.nn import align
from aoide.nn.lengths import mask_from_lengths

TOKENS, FRAMES = torch.tensor([4, 2, 1]), torch.tensor([9, 9, 5])


def _scores(seed: int = 0, tokens: Tensor = TOKENS, frames: Tensor = FRAMES) -> Tensor:
    """Random log-probabilities, with what an Aligner has at padded tokens."""
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(len(tokens), int(frames.max()), int(tokens.max()), generator=draw)
    return logits.masked_fill(~mask_from_lengths(tokens)[:, None], -torch.inf).log_softmax(2)


def _all_durations(tokens: int, frames: int) -> list[np.ndarray]:
    """All ways to share out frames to tokens, at least one each."""
    cuts = itertools.combinations(range(1, frames), tokens - 1)
    return [np.diff([0, *cut, frames]) for cut in cuts]


def _along(scores: Tensor, durations: np.ndarray) -> Tensor:
    """The score of the path with these durations."""
    token = np.repeat(np.arange(len(durations)), durations)
    return scores[np.arange(len(token)), token].sum()


# --------------------------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize("seed", range(5))
def test_search_finds_the_best_of_all_paths(seed: int) -> None:
    scores = _scores(seed)
    found = align.monotonic_search(scores, TOKENS, FRAMES)
    for i, (tokens, frames) in enumerate(zip(TOKENS.tolist(), FRAMES.tolist(), strict=True)):
        best = max(_all_durations(tokens, frames), key=lambda durations: float(_along(scores[i], durations)))
        assert found[i, :tokens].tolist() == best.tolist() and not found[i, tokens:].any()


def test_search_does_not_look_at_padding() -> None:
    scores = _scores()
    found = align.monotonic_search(scores, TOKENS, FRAMES)
    scores[2, 5:] = 100.0
    scores[1, :, 2:] = 100.0
    assert torch.equal(align.monotonic_search(scores, TOKENS, FRAMES), found)


def test_as_many_frames_as_tokens_leave_no_choice() -> None:
    lengths = torch.tensor([4, 3])
    found = align.monotonic_search(_scores(0, lengths, lengths), lengths, lengths)
    assert found.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]


def test_fewer_frames_than_tokens_are_an_error() -> None:
    with pytest.raises(UserError, match="item 1 of the batch has 1 frames for 2 tokens"):
        align.monotonic_search(_scores(), TOKENS, torch.tensor([9, 1, 5]))


def test_search_is_fast_enough_for_training() -> None:
    tokens, frames = torch.full((16,), 120), torch.full((16,), 600)
    scores = _scores(0, tokens, frames)
    started = time.process_time()
    align.monotonic_search(scores, tokens, frames)
    assert time.process_time() - started < 0.5  # 15 ms on an idle core


# --------------------------------------------------------------------------------------------------------------- losses


def test_forward_sum_without_blank_is_the_sum_over_all_paths() -> None:
    scores = _scores().double()
    want = []
    for i, (tokens, frames) in enumerate(zip(TOKENS.tolist(), FRAMES.tolist(), strict=True)):
        paths = torch.stack([_along(scores[i], durations) for durations in _all_durations(tokens, frames)])
        want.append(-paths.logsumexp(0) / tokens)
    got = align.forward_sum(scores, mask_from_lengths(TOKENS), mask_from_lengths(FRAMES), blank=-1e4)
    torch.testing.assert_close(got.double(), torch.stack(want).mean(), rtol=1e-5, atol=1e-5)


def test_binarisation_is_the_score_of_the_given_path() -> None:
    scores = _scores()
    durations = align.monotonic_search(scores, TOKENS, FRAMES)
    want = [-_along(scores[i], durations[i].numpy()) / FRAMES[i] for i in range(3)]
    got = align.binarisation(scores, durations, mask_from_lengths(FRAMES))
    torch.testing.assert_close(got, torch.stack(want).mean())


def _beta_binomial(k: int, n: int, a: int, b: int) -> float:
    """Its log, from exact whole numbers: choose(n, k) B(k + a, n - k + b) / B(a, b), with B in factorials."""
    f = math.factorial
    above = math.comb(n, k) * f(k + a - 1) * f(n - k + b - 1) * f(a + b - 1)
    below = f(n + a + b - 1) * f(a - 1) * f(b - 1)
    return math.log(above) - math.log(below)


def test_prior_is_the_beta_binomial_distribution() -> None:
    prior = align.beta_binomial(TOKENS, FRAMES)
    for i, (tokens, frames) in enumerate(zip(TOKENS.tolist(), FRAMES.tolist(), strict=True)):
        want = [[_beta_binomial(k, tokens - 1, t, frames - t + 1) for k in range(tokens)] for t in range(1, frames + 1)]
        torch.testing.assert_close(prior[i, :frames, :tokens], torch.tensor(want))
        torch.testing.assert_close(prior[i].exp().sum(1), torch.ones(len(prior[i])))
        assert torch.isinf(prior[i, :, tokens:]).all()


def test_prior_of_long_speech_keeps_its_precision() -> None:
    prior = align.beta_binomial(torch.tensor([400]), torch.tensor([3000]))[0]
    for t, k in ((1500, 200), (1, 0), (1, 399), (2999, 380)):
        want = _beta_binomial(k, 399, t, 3001 - t)
        assert float(prior[t - 1, k]) == pytest.approx(want, rel=1e-5, abs=1e-5)


# -------------------------------------------------------------------------------------------------------------- aligner


def _speech(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Sentences of twelve sounds, each with a spectrum of its own, in noise: text, mel, masks, durations."""
    draw = torch.Generator().manual_seed(seed)
    sounds = torch.randn(12, 6, generator=draw) * 2
    lengths = torch.randint(6, 12, (16,), generator=draw)
    token_mask = mask_from_lengths(lengths)
    tokens = torch.stack([torch.randperm(12, generator=draw) for _ in range(16)])[:, : token_mask.shape[1]]
    durations = torch.randint(2, 9, token_mask.shape, generator=draw) * token_mask
    frame_mask = mask_from_lengths(durations.sum(1))
    mel = torch.randn(*frame_mask.shape, 6, generator=draw)
    for i in range(16):
        mel[i, : int(durations[i].sum())] += sounds[tokens[i]].repeat_interleave(durations[i], 0)
    return torch.nn.functional.one_hot(tokens, 12).float(), mel, token_mask, frame_mask, durations


def test_learns_where_the_sounds_are() -> None:
    text, mel, token_mask, frame_mask, durations = _speech()
    torch.manual_seed(0)
    aligner = align.Aligner(12, 6, 24)
    optimiser = torch.optim.Adam(aligner.parameters(), lr=1e-2)

    def right() -> float:
        """The share of tokens whose end is found to a frame."""
        found = aligner(text, mel, token_mask, frame_mask).durations
        ends = (found.cumsum(1) - durations.cumsum(1)).abs()
        return float((ends[token_mask] <= 1).float().mean())

    before = right()
    for _ in range(40):
        scores, found = aligner(text, mel, token_mask, frame_mask)
        loss = align.forward_sum(scores, token_mask, frame_mask)
        loss = loss + 0.1 * align.binarisation(scores, found, frame_mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert before < 0.6 and right() > 0.95, (before, right())


def test_an_item_aligns_alone_as_in_a_batch() -> None:
    text, mel, token_mask, frame_mask, _ = _speech()
    torch.manual_seed(0)
    aligner = align.Aligner(12, 6, 24)
    together = aligner(text, mel, token_mask, frame_mask)
    shortest = int(frame_mask.sum(1).argmin())
    tokens, frames = int(token_mask[shortest].sum()), int(frame_mask[shortest].sum())
    item = text[shortest, None, :tokens], mel[shortest, None, :frames]
    alone = aligner(*item, token_mask[shortest, None, :tokens], frame_mask[shortest, None, :frames])
    torch.testing.assert_close(alone.scores[0], together.scores[shortest, :frames, :tokens], atol=1e-4, rtol=1e-4)
    assert torch.equal(alone.durations[0], together.durations[shortest, :tokens])
    torch.testing.assert_close(alone.scores.exp().sum(2), torch.ones(1, frames))


def test_padding_gives_no_nan_to_the_gradient() -> None:
    text, mel, token_mask, frame_mask, _ = _speech()
    aligner = align.Aligner(12, 6, 24)
    scores, durations = aligner(text, mel, token_mask, frame_mask)
    (align.forward_sum(scores, token_mask, frame_mask) + align.binarisation(scores, durations, frame_mask)).backward()
    for name, parameter in aligner.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.any(), name


def test_alignment_is_reported() -> None:
    text, mel, token_mask, frame_mask, _ = _speech()
    with trace.record() as recording:
        found = align.Aligner(12, 6, 24)(text, mel, token_mask, frame_mask)
    assert recording.names() == ["align/soft", "align/durations"]
    assert torch.equal(recording.values("align/durations")[0], found.durations)
