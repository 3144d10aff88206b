"""What the next token may be, how it is drawn, and that going on with a cache is what reading the whole would give."""

from __future__ import annotations

import pytest
import torch

from aoide.nn.llama import Settings
from aoide.nn.token_lm import Sampling, TokenLM, framed, penalised, to_front, top_k, top_p

SCORES = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]).log()


def left(scores: torch.Tensor) -> list[int]:
    return torch.isfinite(scores).nonzero()[:, 0].tolist()


def test_what_is_left_of_the_vocabulary() -> None:
    assert left(top_k(SCORES, 2)) == [0, 1] and left(top_k(SCORES, 0)) == left(top_k(SCORES, 9)) == [0, 1, 2, 3, 4]
    assert left(top_p(SCORES, 0.4)) == [0] and left(top_p(SCORES, 0.6)) == [0, 1] and left(top_p(SCORES, 1.0))[-1] == 4
    # of three left, the first two have 0.7 of 0.85, which is more than 0.8 of what is left, and less than 0.8 of all
    assert left(Sampling(top_k=3, top_p=0.8).left(SCORES)) == [0, 1]
    assert left(Sampling(top_k=3, top_p=0.8, of_all=True).left(SCORES)) == [0, 1, 2]
    assert left(Sampling(temperature=0).left(SCORES)) == [0]
    torch.testing.assert_close(Sampling(temperature=0.5).left(SCORES), 2 * SCORES)


def test_what_was_said_becomes_less_likely() -> None:
    changed = penalised(torch.tensor([1.0, -1.0, 2.0]), [0, 1, 1], 2.0)
    assert changed.tolist() == [0.5, -2.0, 2.0]


def test_a_token_that_repeats_is_drawn_anew() -> None:
    certain = torch.tensor([50.0, 0.0, 0.0])
    plain, aware = Sampling().chooser(), Sampling(window=4, share=0.5).chooser(torch.Generator().manual_seed(0))
    assert plain(certain, [0, 0, 0]) == 0
    assert aware(certain, [0, 1, 1, 1]) == 0, "one of four is less than half of them"
    assert aware(certain, [0, 0, 1, 1]) in (1, 2)
    assert aware(certain, [0, 0, 1, 1, 1, 1]) == 0, "longer ago than the window"


def test_draws_follow_the_seed() -> None:
    draws = [[Sampling().chooser(torch.Generator().manual_seed(s))(SCORES, []) for s in range(40)] for _ in range(2)]
    assert draws[0] == draws[1] and set(draws[0]) > {0}


@pytest.mark.parametrize("values", [{"penalty": 0.0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_settings_that_cannot_be(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"above 0|0 or more"):
        Sampling(**values)


def test_frames_and_rows() -> None:
    rows = torch.tensor([[5, 6, 7], [5, 9, 9]])
    framed_rows, mask = framed(rows, torch.tensor([[True, True, True], [True, False, False]]), 1, 2, 0)
    assert framed_rows.tolist() == [[1, 5, 6, 7, 2], [1, 5, 2, 0, 0]]
    assert mask.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    gap = torch.tensor([[True, False, True], [True, True, False]])
    moved, values = to_front(gap, torch.tensor([[1, 2, 3], [4, 5, 6]]))
    assert moved.tolist() == [[True, True, False], [True, True, False]]
    assert values.tolist() == [[1, 3, 2], [4, 5, 6]]


@torch.no_grad()
def test_going_on_is_reading_the_whole() -> None:
    torch.manual_seed(0)
    settings = Settings(dim=16, layers=2, heads=4, kv_heads=2, hidden=24, causal=True)
    lm = TokenLM(settings, 11, tied=True).eval()
    assert lm.head is None
    start = torch.tensor([[3, 1, 4]])
    said = list(lm.go_on(lm.table(start), Sampling(temperature=0).chooser(), {10}, most=6))
    whole = start
    for token in said:
        scores = lm(lm.table(whole))[0, -1]
        assert int(scores.argmax()) == token
        whole = torch.cat([whole, torch.tensor([[token]])], dim=1)
    ends = int(lm(lm.table(start))[0, -1].argmax())
    assert list(lm.go_on(lm.table(start), Sampling(temperature=0).chooser(), {ends}, most=6)) == []
    late = list(lm.go_on(lm.table(start), Sampling(temperature=0).chooser(), {ends}, least=2, most=6))
    assert len(late) >= 2 and ends not in late
