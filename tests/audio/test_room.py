"""A room: what it adds, and what it leaves."""

from __future__ import annotations

import numpy as np

from aoide.audio.room import room
from aoide.audio.sound import Sound

RATE = 16_000


def click() -> Sound:
    samples = np.zeros(RATE // 2, np.float32)
    samples[100] = 1.0
    return Sound(samples, RATE)


def test_the_sound_stays_and_a_tail_follows_that_fades() -> None:
    wet = room(click(), seconds=1.0, level=-12.0)
    assert wet.samples.shape[1] == 2 and wet.seconds > 1.4
    assert np.allclose(wet.samples[100], 1.0, atol=1e-3) and np.abs(wet.samples[:100]).max() < 1e-6
    added = wet.samples[101:]
    assert abs(10 * np.log10(np.square(added[:, 0]).sum()) + 12) < 0.1
    early, late = (np.square(added[round(at * RATE) : round((at + 0.1) * RATE)]).mean() for at in (0.1, 0.6))
    assert abs(10 * np.log10(early / late) - 30) < 2, "60 dB a second"
    left, right = wet.samples[101:].T
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.2, "wide"


def test_same_every_time_and_stereo_stays_stereo() -> None:
    random = np.random.default_rng(0)
    sound = Sound(random.standard_normal((RATE // 4, 2)).astype(np.float32), RATE)
    first, second = room(sound), room(sound)
    assert np.array_equal(first.samples, second.samples)
    assert np.corrcoef(first.samples[: RATE // 4, 0], sound.samples[:, 0])[0, 1] > 0.95
