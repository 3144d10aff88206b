"""Trackers find the F0 of synthetic tones, on the frames of the mel."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from aoide.audio.pitch import PitchConfig, track
from aoide.config import MissingExtra

METHODS = ["dio", "harvest", "swift"]


def buzz(f0: np.ndarray, rate: int) -> np.ndarray:
    """A voice-like sum of ten harmonics whose F0 is given per sample in Hz."""
    phase = 2 * np.pi * np.cumsum(f0) / rate
    return (0.1 * sum(np.cos(h * phase) / h for h in range(1, 11))).astype(np.float32)


@pytest.fixture(autouse=True)
def tracker(request: pytest.FixtureRequest) -> None:
    method = request.node.callspec.params.get("method") if hasattr(request.node, "callspec") else None
    if method and method != "swift":
        pytest.importorskip("pyworld")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("hz", [90.0, 220.0, 600.0])
def test_steady_tones(method: str, hz: float) -> None:
    rate, hop = 24000, 300
    f0 = track(buzz(np.full(rate // 2, hz), rate), rate, hop, method)
    assert f0.shape == (40,) and f0.dtype == np.float32
    assert np.abs(f0[4:-4] / hz - 1).max() < 0.01


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("first_centre", [0.0, 128.0])
def test_frames_lie_on_those_of_the_mel(method: str, first_centre: float) -> None:
    """A rising tone: being one frame off would be 1.07 Hz off everywhere."""
    rate, hop = 24000, 256
    glide = np.linspace(200, 300, rate)
    f0 = track(buzz(glide, rate), rate, hop, method, first_centre=first_centre)
    frames = np.arange(rate // hop)
    want = glide[np.minimum((frames * hop + first_centre).astype(int), rate - 1)]
    assert len(f0) == len(frames)
    assert abs(np.median((f0 - want)[8:-8])) < 0.3


@pytest.mark.parametrize("method", METHODS)
def test_pauses_and_silence_are_unvoiced(method: str) -> None:
    rate, hop = 16000, 200
    noise = 1e-4 * np.random.default_rng(0).standard_normal(rate).astype(np.float32)
    sound = noise + np.where(np.arange(rate) < rate // 2, buzz(np.full(rate, 150.0), rate), 0).astype(np.float32)
    f0 = track(sound, rate, hop, method)
    assert (f0[4:36] > 0).all() and (f0[46:] == 0).mean() > 0.8
    assert not track(np.zeros(rate, np.float32), rate, hop, method).any()
    assert track(np.zeros(150, np.float32), rate, hop, method).shape == (0,)


@pytest.mark.parametrize("method", METHODS)
def test_the_band_is_kept(method: str) -> None:
    f0 = track(buzz(np.full(12000, 220.0), 24000), 24000, 300, method, floor=100.0, ceiling=180.0)
    assert f0.max() <= 180.0 * 1.03


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="one voice"):
        track(np.zeros((100, 2), np.float32), 24000, 300)
    with pytest.raises(ValueError, match="below ceiling"):
        PitchConfig(floor=500.0, ceiling=400.0)


def test_a_missing_tracker_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(MissingExtra, match=r"aoide\[data\]"):
        track(buzz(np.full(2400, 200.0), 24000), 24000, 300, "harvest")
