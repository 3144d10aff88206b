"""The aligner finds when phonemes sound: in a recording that is the voice itself, slowed down, or another's."""

import numpy as np
import pytest

from aoide import voices
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate.align import Aligner, warp
from aoide.generate.runtime import Request, Runtime

PHONEMES = "ɐn ˈIvɹi wˈɔl."


@pytest.fixture(scope="module")
def voice() -> Runtime:
    return Runtime(voices.find(voices.DEFAULT))


def test_a_path_through_a_stretched_copy() -> None:
    draw = np.random.default_rng(0)
    one = draw.standard_normal((20, 4))
    where = np.repeat(np.arange(20), 2)
    path = warp(one, one[where])
    assert np.abs(path - (2 * np.arange(20) + 0.5)).max() <= 1
    assert (np.diff(path) >= 0).all()


@pytest.mark.parametrize("speed", [1.0, 0.8])
def test_the_voice_itself_is_found_at_another_pace(voice: Runtime, speed: float) -> None:
    align = Aligner(voice)
    tokens = align._tokenizer.encode(PHONEMES)
    (said,) = voice.run([Request(tokens, speed, -3.0)])  # slower and lower
    found = align(Sound(said.samples, voice.description.sample_rate), PHONEMES)
    assert len(found) == len(tokens) and sum(found) == len(said.samples) // voice.description.hop
    error = np.abs(np.cumsum(found) - np.cumsum(said.durations)) / align.frame_rate
    assert error.mean() < 0.025 and min(found) >= 1, "boundaries are right to a fortieth of a second"


def test_a_sound_that_cannot_hold_its_text(voice: Runtime) -> None:
    with pytest.raises(UserError, match=r"0.05 s are too short for 16 phonemes"):
        Aligner(voice)(Sound(np.zeros(1200, np.float32), 24000), PHONEMES)
