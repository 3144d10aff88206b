"""Codec metrics on codes that are counted by hand."""

import numpy as np
import pytest

from aoide import metrics
from aoide.config import UserError


def test_bit_rate_of_a_known_codec() -> None:
    codes = np.zeros((750, 8), np.int64)
    assert metrics.bit_rate(codes, 75.0, 1024) == pytest.approx(6.0)  # EnCodec at 24 kHz with 8 codebooks: 6 kbit/s
    assert metrics.bit_rate(codes, 75.0, 1024, entropy=True) == 0.0  # always the same code says nothing
    even = np.arange(1024)[:, None].repeat(2, axis=1)
    assert metrics.bit_rate(even, 75.0, 1024, entropy=True) == pytest.approx(metrics.bit_rate(even, 75.0, 1024))


def test_use_and_perplexity_of_known_codes() -> None:
    codes = np.stack([np.arange(100) % 4, np.zeros(100, int)], axis=1)
    assert metrics.codebook_use(codes, 8) == pytest.approx((4 / 8 + 1 / 8) / 2)
    assert metrics.codebook_use(codes, 8, codebook=0) == 0.5
    assert metrics.codebook_perplexity(codes, 8, codebook=0) == pytest.approx(4.0)
    assert metrics.codebook_perplexity(codes, 8, codebook=1) == pytest.approx(1.0)
    assert metrics.codebook_perplexity(codes, 8) == pytest.approx(2.5)
    uneven = np.array([0, 0, 0, 1])[:, None]
    assert metrics.codebook_perplexity(uneven, 2) == pytest.approx(2 ** (2 - 0.75 * np.log2(3)))


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (np.zeros(5, int), r"\(frames, codebooks\)"),
        (np.zeros((0, 2), int), r"\(frames, codebooks\)"),
        (np.zeros((5, 2)), "integers"),
        (np.full((5, 2), 8), "do not fit a codebook of 8"),
        (np.full((5, 2), -1), "do not fit"),
    ],
)
def test_codes_that_are_none_are_errors(codes: np.ndarray, words: str) -> None:
    with pytest.raises(UserError, match=words):
        metrics.codebook_use(codes, 8)
