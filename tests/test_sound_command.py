"""aoide sound: what is asked for and how, what is told, mistakes that get one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide.audio import io
from aoide.audio.sound import Sound
from aoide.cli import main


def told(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["sound", *(str(word) for word in words)])
    return code, capsys.readouterr().err


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    time = np.arange(12_000) / 24_000
    Sound((0.2 * np.sin(2 * np.pi * 330 * time)).astype(np.float32), 24_000).save(tmp_path / "in.wav")
    return tmp_path / "in.wav"


def test_mistakes_get_one_clear_line(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out.wav"
    cases: tuple[tuple[tuple[object, ...], str], ...] = (
        ((" ",), "says nothing"),
        (("?!",), "says nothing"),
        (("word " * 500,), "2000 at most"),
        (("a flute", "--seconds", 0), "more than 0"),
        (("a flute", "--seconds", 10_000), "at most 30"),
        (("a flute", "--steps", 0), "steps"),
        (("a flute", "--guidance", 0), "guidance"),
        (("a flute", "--seed", -1), "seed"),
        (("a flute", "--count", 0), "count"),
        (("a flute", "--strength", 0.5), "--from"),
        (("a flute", "--from", recording), "say what is to be made"),
        (("a flute", "--from", recording, "--strength", 2), "strength"),
        (("a flute", "--from", recording, "--fresh", "3-4"), "after the end"),
        (("a flute", "--from", recording, "--continue", -1), "--continue"),
        (("a flute", "--from", tmp_path / "no.wav", "--strength", 0.5), "no.wav"),
        (("a flute", "--model", "en-heart"), "is a voice"),
        (("a flute", "--model", "sounds-24"), "sounds-24k"),
        (("a flute", "-o", tmp_path / "out.xyz"), "xyz"),
    )
    for words, expected in cases:
        code, error = told(capsys, "-o", out, *words)
        assert code == 2 and expected in error and len(error.splitlines()) == 1, (words, error)
    assert not out.exists()


def test_sounds(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out.wav"
    words = ("-o", out, "--steps", 2, "--guidance", 1)
    code, error = told(capsys, "a low note on a cello", "--seconds", 0.5, "--count", 2, *words)
    assert (code, [line for line in error.splitlines() if "aoide" in line]) == (0, [])
    first, second = (io.read(tmp_path / f"out-{number}.wav") for number in (1, 2))
    assert first.seconds == 0.5 and np.abs(first.samples - second.samples).max() > 0
    assert np.abs(first.samples).max() > 0.003, "something is heard"
    told(capsys, "a low note on a cello", "--seconds", 0.5, "--seed", 1, *words)
    np.testing.assert_array_equal(io.read(out).samples, second.samples)
    code, error = told(capsys, "a dog barks", "--from", recording, "--fresh", "0.2-0.4", *words)
    assert code == 0 and "never heard of dog, barks" in error
    assert io.read(out).seconds == 0.5
    told(capsys, "a flute", "--from", recording, "--continue", 0.5, *words)
    longer = io.read(out)
    assert longer.seconds == 1.0
    np.testing.assert_allclose(longer.samples[:9000], io.read(recording).samples[:9000], atol=1e-4)
