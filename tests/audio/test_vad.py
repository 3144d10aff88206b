"""Voice activity: what the detectors take for speech, that streaming changes nothing, and where long sounds are cut."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aoide.audio import vad
from aoide.audio.sound import Sound
from aoide.audio.vad import FRAME, HOP, RATE, Detector, Energy, Settings, Silero, Track
from aoide.config import MissingExtra, UserError

silero = pytest.mark.skipif(find_spec("silero_vad") is None, reason="the package silero-vad is not installed")
DETECTORS = [pytest.param("silero", marks=silero), "energy"]


@pytest.fixture(scope="module")
def spoken() -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Three sentences of the voice that comes with the package, in faint noise, and where they are in seconds."""
    import aoide

    voice = aoide.load("en-heart")
    parts, places, at = [np.zeros(RATE, np.float32)], [], RATE
    for text in ("Any input becomes sound.", "It was raining all night.", "Nobody came."):
        said = voice.say(text).resample(RATE).samples
        loud = np.flatnonzero(np.abs(said) > 0.02 * np.abs(said).max())
        said = said[loud[0] : loud[-1]]
        places.append((at / RATE, (at + len(said)) / RATE))
        parts += [said, np.zeros(round(1.5 * RATE), np.float32)]
        at += len(said) + round(1.5 * RATE)
    whole = np.concatenate(parts)
    noise = 3e-4 * np.random.default_rng(0).standard_normal(len(whole))
    return (whole + noise).astype(np.float32), places


def music(seconds: float) -> np.ndarray:
    """Chords of plucked strings, two a second."""
    t = np.arange(round(seconds * RATE)) / RATE
    beat = t % 0.5
    roots = np.array([220.0, 174.6, 196.0, 246.9])[(t // 0.5).astype(int) % 4]
    chord = sum(np.sin(2 * np.pi * roots * ratio * beat * h) / h for ratio in (1, 1.26, 1.5) for h in range(1, 6))
    return (0.1 * chord * np.exp(-4 * beat)).astype(np.float32)


def as_track(levels: list[float], speech: list[float] | None = None) -> Track:
    """A track of which every number is known."""
    level = np.array(levels, np.float32)
    return Track(np.array(speech if speech is not None else level > -40, np.float32), level, len(level) * FRAME)


def in_blocks(samples: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    random, at = np.random.default_rng(seed), 0
    while at < len(samples):
        size = int(random.integers(0, 3000))
        yield samples[at : at + size]
        at += size


# ------------------------------------------------------------------------------------------------------------ detectors


@pytest.mark.parametrize("name", DETECTORS)
def test_sentences_are_found(name: str, spoken: tuple[np.ndarray, list[tuple[float, float]]]) -> None:
    samples, places = spoken
    heard = vad.track([samples], vad.detector(name))
    found = vad.regions(heard, Settings(min_silence=0.5))
    assert len(found) == 3
    for (start, end), (begin, finish) in zip(found, places, strict=True):
        assert start == pytest.approx(begin, abs=0.1) and end == pytest.approx(finish, abs=0.25)
    assert heard.seconds == len(samples) / RATE and len(heard.speech) == len(heard.level) == -(-len(samples) // HOP)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_stream_is_heard_as_the_whole(name: str, spoken: tuple[np.ndarray, list[tuple[float, float]]]) -> None:
    samples = spoken[0][: 4 * RATE + 100]
    detector = vad.detector(name)
    whole = vad.track([samples], detector)
    for seed in range(2):
        pieces = vad.track(in_blocks(samples, seed), detector)
        np.testing.assert_allclose(pieces.speech, whole.speech, atol=2e-6)
        np.testing.assert_array_equal(pieces.level, whole.level)
        assert pieces.seconds == whole.seconds


@silero
def test_only_silero_knows_music_and_noise_from_speech() -> None:
    noise = 0.05 * np.random.default_rng(1).standard_normal(6 * RATE).astype(np.float32)
    sound = np.concatenate([np.zeros(RATE, np.float32), music(8.0), np.zeros(RATE, np.float32), noise])
    assert vad.regions(vad.track([sound], Silero())) == []
    assert vad.regions(vad.track([sound], Energy())), "the fallback is honest about what it cannot tell"


def test_energy_follows_the_noise_floor() -> None:
    """Noise that grows by 20 dB in a minute is never speech; a burst 20 dB above it is, also at its end."""
    random = np.random.default_rng(2)
    t = np.arange(60 * RATE) / RATE
    noise = random.standard_normal(len(t)) * 10 ** ((-60 + 20 * t / 60) / 20)
    assert vad.regions(vad.track([noise], Energy())) == []
    burst = (t > 50) & (t < 51)
    [(start, end)] = vad.regions(vad.track([np.where(burst, 10 * noise, noise)], Energy()))
    assert (start, end) == (pytest.approx(50, abs=0.04), pytest.approx(51, abs=0.04))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("samples", [0, 1, HOP, 3 * RATE])
def test_silence_is_not_speech(name: str, samples: int) -> None:
    heard = vad.track([np.zeros(samples, np.float32)], vad.detector(name))
    assert len(heard.speech) == -(-samples // HOP) and vad.regions(heard) == []
    assert np.isfinite(heard.level).all()


def test_a_detector_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean silero"):
        vad.detector("silerovad")
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not an ONNX graph"):
        Silero(tmp_path / "x.onnx")
    with pytest.raises(UserError, match="no such file"):
        Silero(tmp_path / "y.onnx")
    monkeypatch.setattr(vad.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    assert isinstance(vad.detector(), Energy)
    with pytest.raises(MissingExtra, match=r"silero-vad: pip install 'aoide\[data\]'"):
        vad.detector("silero")


@silero
def test_silero_needs_no_torch() -> None:
    code = "from aoide.audio import vad; vad.detector('silero'); import sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -------------------------------------------------------------------------------------------------- stretches of speech


def frames(*parts: tuple[float, int]) -> list[float]:
    return [value for value, count in parts for _ in range(count)]


def test_speech_begins_at_the_onset_and_ends_below_the_offset() -> None:
    speech = frames((0.0, 10), (0.4, 5), (0.6, 10), (0.4, 10), (0.0, 20), (0.45, 30))
    heard = as_track([-20.0] * len(speech), speech)
    assert vad.regions(heard) == [(pytest.approx(15 * FRAME), pytest.approx(35 * FRAME))]  # the last never begins


def test_short_pauses_and_short_noises_do_not_count() -> None:
    heard = as_track([-20.0] * 100, frames((1, 20), (0, 5), (1, 20), (0, 10), (1, 6), (0, 19), (1, 20)))
    long, pause = Settings(min_speech=0.25, min_silence=0.2), Settings(min_speech=0.0, min_silence=0.1)
    assert [(round(a / FRAME), round(b / FRAME)) for a, b in vad.regions(heard, long)] == [(0, 45), (80, 100)]
    assert len(vad.regions(heard, pause)) == 4
    with pytest.raises(ValueError, match="offset 0.6"):
        Settings(offset=0.6)
    with pytest.raises(ValueError, match="at least 0"):
        Settings(min_speech=-1)


def test_speech_of_a_sound_is_in_its_own_samples(spoken: tuple[np.ndarray, list[tuple[float, float]]]) -> None:
    samples, places = spoken
    sound = Sound(np.stack([samples, samples], axis=1), RATE).resample(44100)
    found = vad.speech(sound, Energy(), Settings(min_silence=0.5))
    assert [start / 44100 for start, _ in found] == [pytest.approx(begin, abs=0.1) for begin, _ in places]


# ------------------------------------------------------------------------------------------------------- places to cut


def test_slices_are_the_whole_and_end_in_pauses(spoken: tuple[np.ndarray, list[tuple[float, float]]]) -> None:
    samples, places = spoken
    for by in (None, Energy()):
        found = vad.slices(Sound(samples, RATE), 3.6, by)
        assert found[0][0] == 0 and found[-1][1] == len(samples)
        assert all(before[1] == after[0] for before, after in pairwise(found))
        assert all(0 < end - start <= 3.6 * RATE for start, end in found)
        for start, _ in found[1:]:
            assert not any(begin < start / RATE < end for begin, end in places)


@pytest.mark.parametrize(("seconds", "most"), [(10.0, 0.7), (10.0, 3.0), (10.05, 10.0), (7.3, 0.1), (31.0, 30.0)])
def test_where_nobody_pauses_slices_are_within_their_length(seconds: float, most: float) -> None:
    sound = Sound(0.1 * np.random.default_rng(3).standard_normal(round(seconds * 8000)).astype(np.float32), 8000)
    found = vad.slices(sound, most, Energy())
    assert found[0][0] == 0 and found[-1][1] == len(sound.samples)
    assert all(before[1] == after[0] for before, after in pairwise(found))
    lengths = [(end - start) / 8000 for start, end in found]
    assert max(lengths) <= most and min(lengths) >= most / 4 - 0.04


def test_a_cut_takes_the_longest_pause_or_the_quietest_frame() -> None:
    level = [-20.0] * 240
    level[120:124] = [-60.0] * 4
    level[140:150] = [-60.0] * 10
    assert vad.cuts(as_track(level), 0.0, 240 * FRAME, 160 * FRAME) == [pytest.approx(145 * FRAME)]
    level[120:150] = [-30.0] * 30
    level[130:133] = [-35.0] * 3
    assert vad.cuts(as_track(level), 0.0, 240 * FRAME, 160 * FRAME) == [pytest.approx(131.5 * FRAME)]


def test_what_needs_no_cut_is_not_listened_to() -> None:
    class Deaf:
        name = "deaf"

        def listen(self, blocks: object) -> Iterator[np.ndarray]:
            raise AssertionError

    deaf: Detector = Deaf()
    assert vad.slices(Sound(np.zeros(8000, np.float32), 8000), 1.0, deaf) == [(0, 8000)]
    assert vad.slices(Sound(np.zeros(0, np.float32), 8000), 1.0, deaf) == []
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="max_seconds"):
            vad.slices(Sound(np.zeros(8000, np.float32), 8000), wrong, deaf)
