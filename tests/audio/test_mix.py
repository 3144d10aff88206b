"""Mixing: loudness, true peaks, and stems that sum to the mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide.audio import io
from aoide.audio.loudness import loudness
from aoide.audio.mix import mix, true_peak
from aoide.audio.sound import Sound
from aoide.config import UserError

RATE = 24_000


def noise(seconds: float, level: float, seed: int = 0, channels: int = 1) -> Sound:
    random = np.random.default_rng(seed)
    samples = level * random.standard_normal((round(seconds * RATE), channels))
    return Sound(samples[:, 0] if channels == 1 else samples, RATE)


def test_a_mix_is_as_loud_as_asked_and_the_sum_of_its_stems(tmp_path: Path) -> None:
    mixed = mix({"voice": noise(2.0, 0.01), "band": noise(2.5, 0.2, 1, 2)}, {"voice": 4.0}, sample_rate=RATE)
    assert abs(loudness(mixed.sound) + 14) < 0.05 and abs(mixed.loudness - loudness(mixed.sound)) < 1e-6
    assert mixed.sound.seconds == 2.5 and mixed.sound.samples.shape[1] == 2
    difference = loudness(mixed.stems["voice"]) - loudness(mixed.stems["band"])
    assert abs(difference - 4) < 0.1 and mixed.peak <= -1
    for name, sound in {**mixed.stems, "mix": mixed.sound}.items():
        io.write(tmp_path / f"{name}.wav", sound, {})
    parts = [io.read(tmp_path / f"{name}.wav").samples for name in ("voice", "band")]
    assert np.array_equal(io.read(tmp_path / "mix.wav").samples, parts[0] + parts[1]), "sample by sample, in the files"


def test_peaks_are_held_below_the_ceiling_and_the_stems_still_sum() -> None:
    quiet = noise(3.0, 0.02)
    clicks = np.zeros(3 * RATE, np.float32)
    clicks[:: RATE // 4] = 0.9
    mixed = mix({"a": quiet, "b": Sound(clicks, RATE)}, sample_rate=RATE)
    assert mixed.limited > 3 and mixed.peak <= -1 and abs(mixed.loudness + 14) < 0.5
    total = mixed.stems["a"].samples + mixed.stems["b"].samples
    assert np.array_equal(total, mixed.sound.samples)


def test_true_peaks_lie_between_samples() -> None:
    time = np.arange(4800)
    sine = Sound(np.sin(np.pi / 2 * time + np.pi / 4).astype(np.float32), 48_000)  # its samples miss its peaks
    assert np.abs(sine.samples).max() < 0.71 and abs(true_peak(sine)) < 0.3


def test_silence_cannot_be_mixed() -> None:
    with pytest.raises(UserError, match="nothing but silence"):
        mix({"a": Sound(np.zeros(RATE, np.float32), RATE)}, {})
    for nothing in ({}, {"a": Sound(np.zeros(0, np.float32), RATE)}, {"a": Sound(np.zeros((0, 2), np.float32), RATE)}):
        with pytest.raises(UserError, match="nothing but silence"):
            mix(nothing)
    half = mix({"a": noise(1.0, 0.1), "b": Sound(np.zeros(RATE, np.float32), RATE)}, {}, sample_rate=RATE)
    assert abs(half.loudness + 14) < 0.05 and not half.stems["b"].samples.any()
