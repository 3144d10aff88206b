from __future__ import annotations

import math

import pytest
import torch

from aoide.nn.variance import Bins, Predictor, Scale, Variance, bridge


def test_bridge_draws_lines_over_gaps_and_stays_level_at_the_ends() -> None:
    values = torch.tensor([[9.0, 1.0, 9.0, 9.0, 4.0, 9.0], [9.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    known = torch.tensor([[False, True, False, False, True, False], [False] * 6, [True] * 6])
    assert bridge(values, known).tolist() == [[1.0, 1.0, 2.0, 3.0, 4.0, 4.0], [0.0] * 6, values[2].tolist()]


def test_pitch_of_tokens_goes_through_unvoiced_ones() -> None:
    scale = Scale(mean=math.log(200), deviation=0.5)
    f0 = torch.tensor([[100.0, 100.0, 0.0, 400.0, 400.0, 77.0]])
    frame_mask = torch.tensor([[True] * 5 + [False]])
    pitch = scale.of_pitch(f0, torch.tensor([[2, 1, 2]]), frame_mask)
    octave = 2 * math.log(2)
    torch.testing.assert_close(pitch, torch.tensor([[-octave, 0.0, octave]]))


def test_whispered_speech_has_pitch_zero() -> None:
    assert Scale(mean=5.0).of_pitch(torch.zeros(1, 4), torch.tensor([[1, 3]])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("scale", [Scale(mean=5.3, deviation=0.3), Scale(log=False, mean=210.0, deviation=40.0)])
def test_shift_raises_by_semitones(scale: Scale) -> None:
    hertz = torch.tensor([[110.0, 220.0]])
    torch.testing.assert_close(scale.shift(scale.normalise(hertz), 12), scale.normalise(2 * hertz))
    by = torch.tensor([[-12.0]])
    torch.testing.assert_close(scale.shift(scale.normalise(hertz), by), scale.normalise(hertz / 2))


def test_silence_has_finite_energy() -> None:
    assert torch.isfinite(Scale().of_energy(torch.zeros(1, 3), torch.tensor([[3]]))).all()


@pytest.mark.parametrize("wrong", [{"deviation": 0.0}, {"bins": 2}, {"bins": 8, "low": 1.0, "high": 1.0}])
def test_bad_scales_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"deviation|bins"):
        Scale(**wrong)


def test_bins_round() -> None:
    bins = Bins(4, bins=4, low=-1.0, high=1.0)
    chosen = bins(torch.tensor([[-5.0, -0.5, 0.5, 5.0]]), torch.ones(1, 4, dtype=torch.bool))
    assert torch.equal(chosen[0], bins.vectors.weight)


@pytest.mark.parametrize("leaky", [False, True])
def test_padding_is_heard_only_where_it_leaks(leaky: bool) -> None:
    torch.manual_seed(0)
    predictor = Predictor(4, 6, 3, dropout=0.0, leaky=leaky)
    x = torch.cat([torch.randn(1, 3, 4), torch.zeros(1, 2, 4)], 1)
    mask = torch.tensor([[True] * 3 + [False] * 2])
    alone = predictor(x[:, :3], mask[:, :3])
    together = predictor(x, mask)
    assert torch.allclose(alone, together[:, :3], atol=1e-6) is not leaky
    assert not together[:, 3:].any()


def test_given_numbers_go_before_predicted_ones() -> None:
    torch.manual_seed(0)
    variance = Variance(4, Scale(deviation=0.5), Predictor(4, 6, 3, dropout=0.0))
    x, mask = torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)
    free, predicted = variance(x, mask)
    steered, same = variance(x, mask, given=predicted)
    assert torch.equal(free, steered) and torch.equal(predicted, same)
    raised, higher = variance(x, mask, semitones=12.0)
    torch.testing.assert_close(higher, predicted + math.log(2) / 0.5)
    assert not torch.allclose(raised, free)
