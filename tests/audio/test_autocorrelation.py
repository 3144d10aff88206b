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
    harmonics = range(1, min(11, int(rate / 2 / f0.max()) + 1))
    return (0.1 * sum(np.cos(h * phase) / h for h in harmonics)).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 24000, 44100])
@pytest.mark.parametrize("hz", [75.0, 220.0, 700.0, 1000.0, 1500.0])
def test_steady_tones_within_a_cent(rate: int, hz: float) -> None:
    ceiling = max(800.0, 1.1 * hz)
    f0 = pitch.track(buzz(np.full(rate // 2, hz), rate), rate, rate // 80, "autocorrelation", ceiling=ceiling)
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
    hz, sure = autocorrelation.track([torch.zeros(RATE), torch.zeros(0)], RATE, 80, HOP / RATE)
    assert not hz.any() and sure.shape == (2, 80) and not sure.any()
    assert autocorrelation.track([torch.zeros(0)], RATE, 0, HOP / RATE)[0].shape == (1, 0)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
@pytest.mark.parametrize("lowest", ["heard", "missing"])
def test_low_voices_are_not_taken_for_an_octave_higher(rate: int, lowest: str) -> None:
    """70 to 120 Hz and back; also where a telephone, or the cut of a recording, has taken the fundamental away."""
    glide = 95 + 25 * np.sin(2 * np.pi * np.arange(2 * rate) / rate)
    sound = buzz(glide, rate)
    if lowest == "missing":
        sound -= (0.095 * np.cos(2 * np.pi * np.cumsum(glide) / rate)).astype(np.float32)
    f0 = pitch.track(sound, rate, rate // 100)[8:-8]  # by the default tracker
    cents = 1200 * np.log2(np.maximum(f0, 1) / glide[:: rate // 100][8 : 8 + len(f0)])
    assert (f0 > 0).all() and np.abs(cents).max() < 20


def test_company_changes_nothing() -> None:
    sounds = [voice(s, RATE, seed=i) for i, s in enumerate((0.6, 1.1, 0.9))]
    sounds.insert(1, np.zeros(0, np.float32))
    frames = max(map(len, sounds)) // HOP
    together, sure = autocorrelation.track([torch.from_numpy(x) for x in sounds], RATE, frames, HOP / RATE)
    for row, periodicity, sound in zip(together, sure, sounds, strict=True):
        frames = len(sound) // HOP
        alone, own = autocorrelation.track([torch.from_numpy(sound)], RATE, frames, HOP / RATE)
        assert np.allclose(row[:frames], alone[0], atol=1e-2) and np.allclose(periodicity[:frames], own[0], atol=1e-4)
        assert not row[frames + 1 :].any() and (not frames or (alone > 0).mean() > 0.3)


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
