"""What steers a conversion: F0 without its gaps, bins, singers by table, vector and mixture; mels as small numbers."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.nn import conversion
from aoide.nn.conversion import ConditionEncoder, Conditions, Span, without_gaps

SMALL = Conditions(content={"a": 3, "b": 2}, dim=4, f0_bins=16, energy_bins=8, speakers=3)


def test_gaps_of_f0_are_bridged_and_padding_is_none() -> None:
    f0 = torch.tensor([[0, 0, 100, 0, 0, 0, 200, 0], [300, 0, 0, 900, 7, 7, 7, 7], [0.0] * 8])
    mask = torch.arange(8) < torch.tensor([[8], [3], [8]])
    whole, voiced = without_gaps(f0, mask)
    assert whole[0].tolist() == [100, 100, 100, 125, 150, 175, 200, 200]
    assert whole[1, :3].tolist() == [300, 300, 300], "what pads it is not heard"
    assert whole[2].tolist() == [0] * 8
    assert voiced[0].tolist() == [False, True, True, True, False, True, True, True]
    assert not voiced[2].any()


def test_bins_of_f0_are_in_order_and_within_the_table() -> None:
    encoder = ConditionEncoder(Conditions())
    bins = encoder.bins(torch.tensor([0.0, 50.0, 51.0, 440.0, 880.0, 1100.0, 5000.0]))
    assert bins.tolist() == sorted(bins.tolist()) and bins[0] == bins[1] == 1 and bins[-1] == bins[-2] == 255


def test_singers_by_table_mixture_and_vector_agree() -> None:
    torch.manual_seed(0)
    encoder = ConditionEncoder(SMALL)
    given = torch.randn(2, 6, 5), torch.full((2, 6), 220.0), torch.rand(2, 6)
    one = encoder(*given, torch.tensor([1, 1]))
    shares = torch.tensor([[0.0, 1.0, 0.0]]).expand(2, -1)
    torch.testing.assert_close(encoder(*given, mixture=shares), one)
    torch.testing.assert_close(encoder(*given, mixture=shares[:, None].expand(-1, 6, -1)), one)
    half = encoder(*given, mixture=torch.tensor([[0.5, 0.5, 0.0]]).expand(2, -1))
    other = encoder(*given, torch.tensor([0, 0]))
    torch.testing.assert_close(half, (one + other) / 2)
    vectors = ConditionEncoder(Conditions(content={"a": 5}, dim=4, speakers=None, speaker_vector=7))
    assert not torch.equal(
        vectors(*given, speaker_vector=torch.randn(2, 7)), vectors(*given, speaker_vector=torch.randn(2, 7))
    )


def test_what_is_not_given_is_told() -> None:
    encoder = ConditionEncoder(SMALL)
    content, f0, energy = torch.zeros(1, 4, 5), torch.zeros(1, 4), torch.zeros(1, 4)
    with pytest.raises(UserError, match="steered by speaker"):
        encoder(content, f0, energy)
    with pytest.raises(UserError, match="steered by energy"):
        encoder(content, f0, speaker=torch.tensor([0]))
    with pytest.raises(UserError, match=r"content has 4 values a frame, this model wants 5 \(a 3, b 2\)"):
        encoder(content[..., :4], f0, energy, torch.tensor([0]))
    with pytest.raises(ValueError, match="not of both"):
        Conditions(speaker_vector=4)
    with pytest.raises(UserError, match="not known here"):
        conversion.official_conditions({"merge_mode": "concat", "n_bins_melody": 4})


def test_span_and_back() -> None:
    span = Span((-12.0, -10.0), (2.0, 0.0))
    mel = torch.tensor([[[-12.0, 0.0], [2.0, -5.0]]])
    assert span(mel).tolist() == [[[-1.0, 1.0], [1.0, 0.0]]]
    torch.testing.assert_close(span.back(span(mel)), mel)
    with pytest.raises(ValueError, match="1 or 3 numbers"):
        conversion.check_span((0.0, 0.0), (1.0, 1.0), 3)
    with pytest.raises(ValueError, match="below"):
        conversion.check_span((2.0,), (1.0,), 3)
