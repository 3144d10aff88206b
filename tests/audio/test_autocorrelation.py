"""The batched autocorrelation tracker: exact on tones, one with Praat on what sounds like speech."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.audio import autocorrelation, pitch  # noqa: E402  (after the skip)
from tests.data.conftest import voice  # noqa: E402

RATE, HOP = 22050, 256


def buzz(f0: np.ndarray, rate: int = RATE) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(f0) / rate
    return (0.1 * sum(np.cos(h * phase) / h for h in range(1, 11))).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 24000, 44100])
@pytest.mark.parametrize("hz", [75.0, 220.0, 700.0])
def test_steady_tones_within_a_cent(rate: int, hz: float) -> None:
    f0 = pitch.track(buzz(np.full(rate // 2, hz), rate), rate, rate // 80, "autocorrelation")
    inner = f0[6:-6]
    assert (inner > 0).all() and np.abs(1200 * np.log2(inner / hz)).max() < 1.0


def test_frames_lie_on_those_of_the_mel() -> None:
    glide = np.linspace(200, 300, RATE)
    for first in (0.0, 128.0):
        f0 = pitch.track(buzz(glide), RATE, HOP, "autocorrelation", first_centre=first)
        want = glide[np.minimum((np.arange(len(f0)) * HOP + first).astype(int), RATE - 1)]
        assert abs(np.median((f0 - want)[8:-8])) < 0.1


def test_noise_and_silence_are_unvoiced_and_periodicity_says_so() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    found = pitch.contour(noise, RATE, 80, HOP / RATE, "autocorrelation")
    assert (found.hz == 0).mean() > 0.9 and found.periodicity is not None and found.periodicity.mean() < 0.5
    tone = pitch.contour(buzz(np.full(RATE, 150.0)), RATE, 80, HOP / RATE, "autocorrelation")
    assert tone.periodicity is not None and tone.periodicity[6:-6].min() > 0.98
    hz, sure = autocorrelation.track(torch.zeros(2, RATE), RATE, 80, HOP / RATE)
    assert not hz.any() and sure.shape == (2, 80) and np.isfinite(sure).all()
    assert autocorrelation.track(torch.zeros(1, 0), RATE, 0, HOP / RATE)[0].shape == (1, 0)


def test_company_changes_nothing() -> None:
    sounds = [voice(s, RATE, seed=i) for i, s in enumerate((0.6, 1.1, 0.9))]
    batch = torch.zeros(3, max(map(len, sounds)))
    for row, sound in zip(batch, sounds, strict=True):
        row[: len(sound)] = torch.from_numpy(sound)
    lengths = torch.tensor([len(sound) for sound in sounds])
    together, _ = autocorrelation.track(batch, RATE, batch.shape[1] // HOP, HOP / RATE, lengths=lengths)
    for row, sound in zip(together, sounds, strict=True):
        alone, _ = autocorrelation.track(torch.from_numpy(sound)[None], RATE, len(sound) // HOP, HOP / RATE)
        both = (alone[0] > 0) & (row[: alone.shape[1]] > 0)
        assert ((alone[0] > 0) == (row[: alone.shape[1]] > 0)).mean() > 0.97
        assert np.abs(np.log2(alone[0][both] / row[: alone.shape[1]][both])).max() < 0.01


def test_it_agrees_with_praat() -> None:
    pytest.importorskip("parselmouth")
    ours, theirs = (
        np.concatenate([pitch.track(voice(2.0, RATE, seed=i), RATE, HOP, method) for i in range(4)])
        for method in ("autocorrelation", "praat")
    )
    both = (ours > 0) & (theirs > 0)
    cents = np.abs(1200 * np.log2(ours[both] / theirs[both]))
    assert both.mean() > 0.4 and ((ours > 0) == (theirs > 0)).mean() > 0.97
    assert np.median(cents) < 2 and (cents > 200).mean() < 0.01
