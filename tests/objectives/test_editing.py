"""Variations, spans made anew, continuations: what is kept is kept exactly, by every sampler and solver."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.objectives import diffusion, flow
from aoide.objectives.diffusion import Process
from aoide.objectives.editing import Edit, diffused, flowed, partly, spans

PROCESS = Process(steps=100, schedule="scaled_linear", first=0.001, last=0.2)
SHAPE = (2, 12, 3)


def draw(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


SOUND, NOISE, TARGET = draw(0), draw(1), draw(2)
FRESH = spans([(0.4, 0.8)], 12, 10.0)


def knows(x: Tensor, step: Tensor) -> Tensor:
    """A network that sees `TARGET` in everything, and says which noise must then be in it."""
    alpha = float(PROCESS.alphas()[int(step[0])])
    return (x - alpha**0.5 * TARGET) / (1 - alpha) ** 0.5


def velocity(x: Tensor, time: Tensor) -> Tensor:
    return TARGET - NOISE


@pytest.mark.parametrize("sampler", list(diffusion.SAMPLERS))
def test_a_span_is_made_anew_and_the_rest_is_kept(sampler: str) -> None:
    generator = torch.Generator().manual_seed(0)
    edit = Edit(SOUND, FRESH)
    made = diffused(knows, NOISE, PROCESS, 10, sampler=sampler, edit=edit, generator=generator)
    assert FRESH[0].tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 4
    torch.testing.assert_close(made[:, 4:8], TARGET[:, 4:8], atol=1e-4, rtol=1e-4)
    assert torch.equal(made[:, :4], SOUND[:, :4]) and torch.equal(made[:, 8:], SOUND[:, 8:])


def test_the_network_sees_the_kept_part_as_noisy_as_the_rest() -> None:
    """At each step the kept part is the sound with the very noise it began with."""
    seen = []

    def looks(x: Tensor, step: Tensor) -> Tensor:
        seen.append((int(step[0]), x))
        return knows(x, step)

    start = PROCESS.blend(SOUND, NOISE, 99)
    diffused(looks, start, PROCESS, 10, edit=Edit(SOUND, FRESH))
    for step, x in seen[1:]:
        alpha = float(PROCESS.alphas()[step])
        left = float(PROCESS.alphas()[90])  # the walk's first: what the start holds is read as noise of this step
        noise = (start - left**0.5 * SOUND) / (1 - left) ** 0.5
        torch.testing.assert_close(x[:, :4], (alpha**0.5 * SOUND + (1 - alpha) ** 0.5 * noise)[:, :4])


def test_a_variation_stays_the_nearer_the_less_its_strength() -> None:
    def still(x: Tensor, step: Tensor) -> Tensor:
        return NOISE  # says that the noise that was put in is the noise: so the sound comes back

    for strength in (0.1, 0.5):
        made = diffused(still, NOISE, PROCESS, 10, edit=Edit(SOUND, strength=strength))
        torch.testing.assert_close(made, SOUND, atol=1e-4, rtol=1e-4)
    calls = []
    diffused(lambda x, step: calls.append(1) or NOISE, NOISE, PROCESS, 10, edit=Edit(SOUND, strength=0.3))
    assert len(calls) == 3 and len(partly(PROCESS.every(10), 0.01).steps) == 1


def test_passes_go_each_step_again_and_keep_as_well() -> None:
    calls = []

    def counts(x: Tensor, step: Tensor) -> Tensor:
        calls.append(float(step[0]))
        return knows(x, step)

    def run(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return diffused(counts, NOISE, PROCESS, 5, edit=Edit(SOUND, FRESH, passes=3), generator=generator)

    made = run(0)
    assert len(calls) == 4 * 3 + 1 and torch.equal(made, run(0))
    torch.testing.assert_close(made[:, 4:8], TARGET[:, 4:8], atol=1e-4, rtol=1e-4)
    assert torch.equal(made[:, :4], SOUND[:, :4])


@pytest.mark.parametrize("solver", list(flow.SOLVERS))
def test_flows_keep_and_make_anew_too(solver: str) -> None:
    made = flowed(velocity, NOISE, flow.times(10), solver=solver, edit=Edit(SOUND, FRESH))  # type: ignore[arg-type]
    torch.testing.assert_close(made[:, 4:8], TARGET[:, 4:8], atol=1e-5, rtol=1e-5)
    assert torch.equal(made[:, :4], SOUND[:, :4])


def test_a_flow_varies_from_the_middle_of_its_way() -> None:
    seen = []

    def looks(x: Tensor, time: Tensor) -> Tensor:
        seen.append((float(time[0]), x))
        return SOUND - NOISE

    made = flowed(looks, NOISE, flow.times(10), edit=Edit(SOUND, strength=0.35))
    assert [round(t, 2) for t, _ in seen] == [0.65, 0.7, 0.8, 0.9]
    torch.testing.assert_close(seen[0][1], flow.blend(SOUND, NOISE, 0.65))
    torch.testing.assert_close(made, SOUND)
    assert torch.equal(flowed(looks, NOISE, flow.times(4)), flow.integrate(looks, NOISE, flow.times(4)))


def test_spans_fade_into_what_is_kept_and_never_into_what_is_made() -> None:
    hard, soft = spans([(0.2, 0.4)], 10, 10.0), spans([(0.2, 0.4)], 10, 10.0, fade=1)
    assert bool((soft[hard == 1] == 1).all()) and 0 < float(soft[0, 1]) < 1 and float(soft[0, 6]) == 0
    assert spans([(0.9, 5.0)], 10, 10.0).sum() == 1 and spans([(0.31, 0.32)], 10, 10.0).sum() == 1


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(UserError, match="strength is above 0"):
        Edit(SOUND, strength=0.0)
    with pytest.raises(UserError, match="passes 0"):
        Edit(SOUND, passes=0)
    with pytest.raises(UserError, match="lie after the end, at 1.20 s"):
        spans([(2.0, 3.0)], 12, 10.0)
    with pytest.raises(UserError, match="nothing of the sound is kept"):
        spans([(0.0, 9.0)], 12, 10.0)
    with pytest.raises(UserError, match="no sampler 'ddmi'; did you mean .*ddim"):
        diffused(knows, NOISE, PROCESS, 5, sampler="ddmi")
