"""Sound, resampling and loudness; and that none of them needs torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aoide.audio.loudness import loudness, normalize
from aoide.audio.resample import Resampler, length, resample
from aoide.audio.sound import Sound


def tone(hz: float, rate: int, seconds: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


def test_sound_basics(tmp_path: Path) -> None:
    stereo = Sound(np.stack([tone(440, 8000), np.zeros(16000)], axis=1), 8000)
    assert (stereo.seconds, stereo.channels, stereo.samples.dtype) == (2.0, 2, np.float32)
    assert np.allclose(stereo.mono().samples, tone(440, 8000) / 2)
    assert stereo.resample(16000).samples.shape == (32000, 2)
    assert repr(stereo) == "Sound(2.00 s, 8000 Hz, 2 channels)"
    stereo.save(tmp_path / "x.flac")
    assert np.allclose(Sound.load(tmp_path / "x.flac").samples, stereo.samples, atol=1e-4)
    assert stereo._repr_html_().startswith('<audio controls src="data:audio/wav;base64,UklGR')


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [(np.zeros((2, 2, 2)), 8000, "shape"), (np.zeros(3, np.int16), 8000, "int16"), (np.zeros(3), 0, "sample rate")],
)
def test_sound_refuses_what_is_none(samples: np.ndarray, rate: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sound(samples, rate)


@pytest.mark.parametrize(("source", "target"), [(44100, 16000), (16000, 24000), (22050, 48000), (8000, 8000)])
def test_resampling_keeps_a_tone_and_the_exact_length(source: int, target: int) -> None:
    for samples in (source, source + 1, source + 17):
        assert len(resample(tone(440, source)[:samples], source, target)) == length(samples, source, target)
    middle = slice(target // 4, -target // 4)
    assert np.abs(resample(tone(440, source), source, target) - tone(440, target))[middle].max() < 1e-3
    assert len(resample(np.zeros(0), source, target)) == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_a_stream_resamples_as_the_whole(channels: int) -> None:
    whole = np.random.default_rng(0).standard_normal((44100, channels)).astype(np.float32).squeeze()
    stream = Resampler(44100, 16000, channels)
    pieces = [stream.push(whole[i : i + 1234]) for i in range(0, len(whole), 1234)]
    joined = np.concatenate([*pieces, stream.finish()])
    assert joined.shape == resample(whole, 44100, 16000).shape
    assert np.abs(joined - resample(whole, 44100, 16000)).max() < 1e-5


def test_loudness_of_the_standard() -> None:
    """BS.1770: 997 Hz at full scale in one channel is -3.01 LUFS, in two 3.01 more."""
    sine = tone(997, 48000)
    assert abs(loudness(Sound(sine, 48000)) + 3.01) < 0.01
    assert abs(loudness(Sound(np.stack([sine, sine], axis=1), 48000)) - 0.0) < 0.01
    assert abs(loudness(Sound(tone(997, 16000), 16000)) + 3.01) < 0.05
    with_pauses = np.concatenate([sine, np.zeros(48000 * 8, np.float32)])
    assert abs(loudness(Sound(with_pauses, 48000)) + 3.01) < 0.5  # the gate drops the pause; ungated it is -10
    assert loudness(Sound(np.zeros(48000), 48000)) == float("-inf")
    assert loudness(Sound(np.zeros(0), 48000)) == float("-inf")
    assert abs(loudness(Sound(sine[:4800], 48000)) + 3.01) < 0.3


def test_normalize_reaches_the_target_without_clipping() -> None:
    quiet = Sound(0.01 * tone(440, 24000), 24000)
    assert abs(loudness(normalize(quiet, -20.0)) + 20.0) < 0.01
    assert np.abs(normalize(quiet, 10.0).samples).max() <= 0.99 + 1e-6
    silence = Sound(np.zeros(100), 24000)
    assert normalize(silence) is silence


def test_the_core_of_audio_needs_no_torch() -> None:
    """...and importing it does not load libsndfile or soxr either, which costs start-up time."""
    modules = ", ".join(f"aoide.audio.{n}" for n in ("sound", "io", "resample", "mel_config", "pitch", "loudness"))
    code = f"import sys, {modules}; print([m for m in ('torch', 'soundfile', 'soxr') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
