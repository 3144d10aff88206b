"""Sound of a mel without a network: it has that mel again, and its tones stay where they were."""

from __future__ import annotations

import numpy as np
import pytest

from aoide.audio.griffin_lim import sound_of
from aoide.audio.mel_config import MelConfig
from aoide.audio.spectrum import log_mel
from aoide.config import UserError

MEL = MelConfig(sample_rate=8_000, n_fft=512, hop=128, win=512, n_mels=40, fmax=4_000, floor=1e-2)


def test_a_tone_comes_back_where_it_was() -> None:
    time = np.arange(8_000) / 8_000
    tone = 0.3 * np.sin(2 * np.pi * 440 * time) * (time > 0.5)
    mel = log_mel(tone.astype(np.float32), MEL)
    sound = sound_of(mel, MEL, steps=16)
    assert sound.shape == (len(mel) * MEL.hop,) and sound.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(sound[4_500:] * np.hanning(len(sound) - 4_500)))
    assert abs(np.argmax(spectrum) * 8_000 / (len(sound) - 4_500) - 440) < 30  # a band is 35 Hz wide there
    assert np.abs(sound[:3_000]).max() < 0.02, "silence stays silent"
    assert np.abs(log_mel(sound, MEL) - mel).mean() < 0.35
    assert np.array_equal(sound, sound_of(mel, MEL, steps=16))


def test_another_mel_is_refused() -> None:
    assert len(sound_of(np.zeros((0, 40)), MEL)) == 0
    with pytest.raises(UserError, match="40 centred bands"):
        sound_of(np.zeros((3, 41)), MEL)
