"""Which clips are fit to train on, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide.data.clips import Clip, Limits, Refused, check, fingerprint
from tests.data.conftest import RATE, save, voice


def look(path: Path, limits: Limits | None = None, **fields: object) -> str:
    """The reason of a refusal, or the notes of a clip that was taken."""
    checked = check(Clip(**{"id": "x", "audio": path, "text": "Words.", **fields}), limits or Limits())
    return checked.reason if isinstance(checked, Refused) else "; ".join(checked[1])


def test_a_good_clip_is_measured(tmp_path: Path) -> None:
    save(tmp_path / "x.wav", voice(1.5))
    checked = check(Clip(id="x", audio=tmp_path / "x.wav", text="Words."), Limits())
    assert not isinstance(checked, Refused)
    clip, notes = checked
    assert (clip.samples, clip.sample_rate, clip.channels, clip.seconds, notes) == (24000, RATE, 1, 1.5, ())
    save(tmp_path / "same.flac", voice(1.5))
    same = check(Clip(id="y", audio=tmp_path / "same.flac", text="Words."), Limits())
    assert same[0].content == clip.content, "the same sound in another file has the same hash"
    assert fingerprint(np.zeros(5), 8000) != fingerprint(np.zeros(5), 16000)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bad-text.wav", "not a sound file"),
        ("bad-cut.wav", "ends too early"),
        ("bad-cut.flac", "broken sound file"),
        ("bad-empty.wav", "empty file"),
        ("bad-none.wav", "no samples"),
        ("bad-silent.wav", "silent"),
        ("bad-nan.wav", "no numbers"),
        ("bad-short.wav", "0.10 s is shorter than 0.2 s"),
        ("bad-long.wav", "31.0 s is longer than 30 s"),
        ("missing.wav", "no such file"),
    ],
)
def test_refusals(hostile: Path, name: str, reason: str) -> None:
    assert reason in look(hostile / name)
    assert str(hostile) not in look(hostile / name), "the file is named beside the reason, not in it"


def test_text(tmp_path: Path) -> None:
    save(tmp_path / "x.wav", voice(1.0))
    assert look(tmp_path / "x.wav", text=None) == look(tmp_path / "x.wav", text=" ") == "no text"
    assert look(tmp_path / "x.wav", Limits(text=False), text=None) == ""
    assert "more than one can say" in look(tmp_path / "x.wav", text="abcdef " * 20)


def test_notes(hostile: Path) -> None:
    assert "24" in look(hostile / "good-24bit.wav")
    assert "8000 Hz" in look(hostile / "good-8khz.wav")
    assert "FLOAT" in look(hostile / "good-float.wav")
    assert "2 channels" in look(hostile / "good-stereo.flac")


def test_arrays_must_cover_the_sound(tmp_path: Path) -> None:
    save(tmp_path / "x.wav", voice(1.0))
    np.save(tmp_path / "f0.npy", np.zeros(100, np.float32))
    given = {"frame_rate": 100.0, "arrays": {"f0": tmp_path / "f0.npy"}}
    assert look(tmp_path / "x.wav", durations=(40, 60), **given) == ""
    assert "durations have 90 frames, the sound has 100.0" in look(tmp_path / "x.wav", durations=(40, 50), **given)
    assert "f0 have 100 frames" in look(tmp_path / "x.wav", **{**given, "frame_rate": 80.0})
    assert "no frame rate" in look(tmp_path / "x.wav", durations=(40, 60))
    (tmp_path / "f0.npy").write_bytes(b"\x93NUMPY")
    assert "cannot be read" in look(tmp_path / "x.wav", **given)


def test_a_stretch_of_a_long_file(tmp_path: Path) -> None:
    samples = voice(3.0)
    save(tmp_path / "x.wav", samples)
    checked = check(Clip(id="x", audio=tmp_path / "x.wav", text="Words.", start=8000, samples=16000), Limits())
    assert not isinstance(checked, Refused) and checked[0].seconds == 1.0
    beyond = Clip(id="x", audio=tmp_path / "x.wav", text="Words.", start=40000, samples=16000)
    assert "ends too early" in check(beyond, Limits()).reason


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="below max_seconds"):
        Limits(min_seconds=5, max_seconds=2)
