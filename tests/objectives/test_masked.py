"""Masked tokens: what is hidden, how decoding reveals it, and that batching, packing and skipping change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aoide import trace
from aoide.config import UserError
from aoide.models.tts import maskgct, maskgct_s2a
from aoide.objectives import masked
from aoide.objectives.masked import Sampling, State, Task, decode


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hidden_share_follows_the_sine() -> None:
    time = torch.tensor([1.0, 0.5, 1 / 3, 1e-5])
    draw, real = torch.rand(4, 4_000, generator=seeded()), torch.ones(4, 4_000, dtype=torch.bool)
    prompt = torch.zeros(4, dtype=torch.int64)
    shares = masked.hide(draw, time, prompt, real).float().mean(1)
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.7071, 0.5, 5e-5]), atol=0.03, rtol=0)
    least = masked.hide(draw, time, prompt, real, least=0.2).float().mean(1)
    torch.testing.assert_close(least, torch.tensor([1.0, 0.7071, 0.5, 0.2]), atol=0.03, rtol=0)


def test_prompt_and_padding_stay_and_something_is_hidden() -> None:
    real = torch.arange(8) < torch.tensor([[8], [5]])
    hidden = masked.hide(torch.zeros(2, 8), torch.ones(2), torch.tensor([3, 2]), real)
    assert hidden.tolist() == [[False] * 3 + [True] * 5, [False] * 2 + [True] * 3 + [False] * 3]
    nothing = masked.hide(torch.ones(2, 8), torch.zeros(2), torch.tensor([3, 2]), real)
    assert nothing.nonzero().tolist() == [[0, 3], [1, 2]]


def test_codebooks_above_are_told_in_the_prompt_only() -> None:
    codes = torch.arange(1, 13).view(1, 4, 3)
    hidden = torch.tensor([[False, False, True, True]])
    asked = Task(torch.ones(1), torch.tensor([1]), hidden, torch.tensor([1]), torch.tensor([False]))
    shown, wanted = masked.conceal(codes, asked)
    assert shown.tolist() == [[[1, 2, 3], [4, 5, 0], [7, 0, 0], [10, 0, 0]]]
    assert wanted.tolist() == [[2, 5, 8, 11]]


def test_lower_codebooks_are_learnt_more_often() -> None:
    assert masked.layer_weights(4, 0, "linear").tolist() == [4, 3, 2, 1]
    assert masked.layer_weights(4, 1, "linear").tolist() == [0, 4, 3, 2]
    assert masked.layer_weights(3, 1, "uniform").tolist() == [0, 1, 1]
    assert masked.layer_weights(2, 0, "cosine")[1] == pytest.approx(0.7071, abs=1e-4)


def ladder(calls: list[State]) -> masked.Scores:
    """Scores that favour code = frame number, and are the surer the later the frame."""

    def call(state: State) -> Tensor:
        calls.append(state)
        places = torch.cat([torch.arange(length) for length in state.lengths])[state.masked]
        return torch.nn.functional.one_hot(places, 32).float() * (1 + places[:, None] / 4)

    return call


def test_the_surest_stay_and_what_is_settled_is_not_asked_again() -> None:
    quiet = lambda step, places, codes: (torch.zeros(codes.shape), torch.zeros(len(places)))  # noqa: E731
    calls: list[State] = []
    sampling = Sampling(threshold=0.5)
    with trace.record() as recording:
        (codes,) = decode(ladder(calls), [20], 5, sampling, quiet)
    assert codes.tolist() == list(range(20))
    counts = [int(state.masked.sum()) for state in calls]
    assert counts == [20, 19, 16, 11, 6], "20 sin(pi t / 2), rounded down"
    assert all(state.masked[: int(state.masked.sum())].all() for state in calls), "late frames are the sure ones"
    assert [not state.codes[state.masked].any() for state in calls] == [True] * 5
    assert [len(x) for x in recording.values("masked/sure")] == counts
    assert torch.equal(recording.values("masked/codes")[-1], codes)


def test_items_leave_the_batch_when_they_are_complete_or_would_not_change() -> None:
    calls: list[State] = []
    decode(ladder(calls), [20, 2], 8, Sampling(threshold=0.5), masked.random(seeded()))
    assert len(calls) == 8 and sum(1 in state.items for state in calls) == 2
    assert all(sum(state.lengths) == len(state.codes) for state in calls)
    with pytest.raises(UserError, match="1 step or more"):
        decode(ladder([]), [20], 0, Sampling(), masked.random())
    with pytest.raises(UserError, match="items of 1 frame or more"):
        decode(ladder([]), [4, 0], 2, Sampling(), masked.random())


def test_settings_have_limits() -> None:
    assert Sampling(threshold=0.98).kept(8192) == 164 and Sampling(threshold=0.98).kept(1024) == 21
    with pytest.raises(ValueError, match="above 0"):
        Sampling(guidance=-1)
    with pytest.raises(ValueError, match="are shares"):
        masked.Config(drop=2)


def speaker() -> maskgct.Model:
    torch.manual_seed(0)
    model = maskgct.Model(maskgct.TOY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.6)
        model.head.weight.mul_(0.2)  # so that no two frames are equally sure but for rounding
    return model


def items() -> tuple[list[int], list[Tensor], list[Tensor]]:
    draw = seeded(3)
    tokens = [torch.randint(1, 12, (count,), generator=draw) for count in (6, 9)]
    prompts = [torch.randint(0, 16, (count,), generator=draw) for count in (5, 3)]
    return [14, 21], tokens, prompts


def same_noise(step: int, places: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Noise that depends on nothing but the step and the code, so that a batch gets what an item alone gets."""
    return torch.sin(37.0 * codes + step), torch.zeros(len(places))


@torch.no_grad()
def reference(model: maskgct.Model, length: int, tokens: Tensor, prompt: Tensor, steps: int) -> Tensor:
    """The original formulation: two passes a step, all frames scored in each."""
    sampling, codes = model.config.sampling, torch.zeros(1, length, dtype=torch.int64)
    hidden = torch.ones(1, length, dtype=torch.bool)
    for step in range(steps):
        time = torch.full((1,), 1.0 - step / steps)
        row = torch.cat([prompt[None], codes], dim=1)
        gaps = torch.cat([torch.zeros_like(prompt[None], dtype=torch.bool), hidden], dim=1)
        given = model.llama(
            torch.cat([model.text(tokens[None]), model.frames(row, gaps)], dim=1), None, model.time(time)
        )[:, -length:]
        without = model.llama(model.frames(codes, hidden), None, model.time(time))
        moved = given + sampling.guidance * (given - without)
        moved = sampling.rescale * moved * given.std() / moved.std() + (1 - sampling.rescale) * moved
        values, ids = model.head(moved)[0].topk(sampling.kept(16), dim=-1)
        noise = same_noise(step, torch.arange(length), ids)[0]
        heat = max(sampling.temperature * float(time), masked.COLDEST)
        chosen = values.argmax(-1) if step + 1 == steps else (values / heat + noise).argmax(-1)
        codes = torch.where(hidden[0], ids.gather(1, chosen[:, None])[:, 0], codes[0])[None]
        sure = values.softmax(-1).gather(1, chosen[:, None])[:, 0].masked_fill(~hidden[0], torch.inf)
        after = int(masked.share(torch.tensor(0.0 if step + 1 == steps else 1.0 - (step + 1) / steps)) * length)
        hidden = torch.zeros(1, length, dtype=torch.bool)
        hidden[0, sure.topk(after, largest=False).indices] = True
        codes = codes.masked_fill(hidden, 0)
    return codes[0]


def test_one_packed_pass_over_a_batch_gives_what_two_passes_an_item_give() -> None:
    model = speaker()
    model.config = replace(model.config, sampling=Sampling(threshold=0.5))
    lengths, tokens, prompts = items()
    together = model.sample(lengths, tokens, prompts, steps=6, noise=same_noise)
    for found, length, text, prompt in zip(together, lengths, tokens, prompts, strict=True):
        assert torch.equal(found, reference(model, length, text, prompt, 6)) and len(found.unique()) > 2


def test_the_same_seed_gives_the_same_codes() -> None:
    model = speaker()
    lengths, tokens, prompts = items()
    runs = [model.sample(lengths, tokens, prompts, steps=4, noise=masked.random(seeded(s))) for s in (1, 1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs[:2], strict=True))
    assert not torch.equal(runs[0][1], runs[2][1])
    with pytest.raises(UserError, match="needs phonemes"):
        model.sample(lengths, None, prompts)
    with pytest.raises(UserError, match="2 lengths, but 1, 2 conditions"):
        model.sample(lengths, tokens[:1], prompts)


def test_codebooks_are_made_in_order() -> None:
    torch.manual_seed(0)
    model = maskgct_s2a.Model(maskgct_s2a.TOY).eval()
    semantic, prompts = [torch.randint(0, 16, (n,)) for n in (9, 12)], [torch.randint(0, 16, (n, 3)) for n in (4, 2)]
    whole = model.sample(semantic, prompts, steps=(3, 2, 1), noise=lambda layer: same_noise)
    assert [tuple(x.shape) for x in whole] == [(5, 3), (10, 3)]
    known = [x[:, :1] for x in whole]
    again = model.sample(semantic, prompts, known, steps=(0, 2, 1), noise=lambda layer: same_noise)
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    with pytest.raises(UserError, match="steps are 3 numbers"):
        model.sample(semantic, prompts, steps=(3,))
    with pytest.raises(UserError, match="shorter than the semantic codes"):
        model.sample([semantic[0][:4], semantic[1]], prompts)
    follower = maskgct_s2a.Model(replace(maskgct_s2a.TOY, given=1))
    with pytest.raises(UserError, match="makes codebooks from number 2 on"):
        follower.sample(semantic, prompts)


def test_what_is_kept_between_passes_is_exact_as_long_as_nothing_changes() -> None:
    model, sizes = speaker(), []
    model.llama.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[1]))
    before, time = [torch.randn(n, 16) for n in (11, 8)], torch.randn(1, 16)
    frames, other = ([torch.randn(n, 16) for n in (5, 7)] for _ in range(2))
    with torch.no_grad():
        exact = maskgct.Passes(model.llama, before, Sampling())
        kept = maskgct.Passes(model.llama, before, Sampling(refresh=3, compare=2))
        for asked in (frames, frames):
            torch.testing.assert_close(kept([0, 1], asked, asked, time), exact([0, 1], asked, asked, time))
        assert sizes == [16, 15, 12, 43, 5, 7, 43], "first all is computed, then the frames alone"
        near, true = kept([0, 1], other, other, time), exact([0, 1], other, other, time)
        assert 0.01 < (near - true).abs().mean() / true.abs().mean() < 0.5, "text and prompt have not seen the change"
    with pytest.raises(ValueError, match="1 or more"):
        Sampling(refresh=0)
