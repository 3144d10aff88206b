"""Which clips are fit to train on, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide.data.clips import Clip, Limits, Note, Refused, check, divide, fingerprint
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


def test_a_span_in_seconds_becomes_samples(tmp_path: Path) -> None:
    save(tmp_path / "x.wav", voice(40.0))
    checked = check(Clip(id="x", audio=tmp_path / "x.wav", text="Words.", span=(1.5, 2.25)), Limits())
    assert not isinstance(checked, Refused), "only the span must be short enough, not its file"
    clip, _ = checked
    assert (clip.start, clip.samples, clip.span) == (24000, 12000, None)
    assert look(tmp_path / "x.wav", span=(39.0, 40.1)) == "", "annotators round"
    assert "ends too early" in look(tmp_path / "x.wav", span=(39.0, 41.0))
    assert "40.0 s is longer" in look(tmp_path / "x.wav", span=(0.0, 40.0))
    assert "shorter" in look(tmp_path / "x.wav", span=(3.0, 2.0))


def test_texts_that_nobody_can_say(tmp_path: Path) -> None:
    save(tmp_path / "x.wav", voice(1.0))
    assert look(tmp_path / "x.wav", text="一二三四五六七八九十") == ""
    assert "has 20 letters" in look(tmp_path / "x.wav", text="一二三四五六七八九十" * 2)
    assert look(tmp_path / "x.wav", text="thirty letters are not too many") == ""
    assert "more than one can say" in look(tmp_path / "x.wav", text="thirty letters are not too many, but forty are")
    assert look(tmp_path / "x.wav", text="the caption of a sound may be as long as it likes", caption=True) == ""


def test_phonemes_and_notes_must_fit(tmp_path: Path) -> None:
    save(tmp_path / "x.wav", voice(1.0))
    assert look(tmp_path / "x.wav", text=None, phonemes="a b", phoneme_seconds=(0.5, 0.6)) == "", (
        "it needs no text then"
    )
    assert look(tmp_path / "x.wav", phonemes="a b", phoneme_seconds=(0.5,)) == "has 2 phonemes, and times for 1"
    assert "end at 1.4 s, the sound at 1.0 s" in look(tmp_path / "x.wav", phonemes="a b", phoneme_seconds=(0.5, 0.9))
    assert "end at 2.0 s" in look(tmp_path / "x.wav", notes=(Note(60, 0.0, 2.0),))
    assert "less than no time" in look(tmp_path / "x.wav", phonemes="a b", phoneme_seconds=(0.5, -0.1))


def test_long_recordings_are_cut_where_it_is_quiet(tmp_path: Path) -> None:
    sound = np.concatenate([np.zeros(8000), voice(3.0), np.zeros(4000), voice(4.0, seed=1), np.zeros(32000)])
    save(tmp_path / "x.wav", sound.astype(np.float32), text=None)
    clip = Clip(id="x", audio=tmp_path / "x.wav", divisible=True)
    limits = Limits(max_seconds=5.0, text=False)
    first, second = divide(clip, limits)
    assert first.id == "x-001" and second.id == "x-002" and first.span is not None and second.span is not None
    assert 0.2 < first.span[0] < 0.5 and 3.4 < first.span[1] < 3.8, "in the rest between the two"
    assert first.span[1] <= second.span[0] and second.span[1] - second.span[0] < 8.0 and second.span[1] <= 9.75
    assert not any(isinstance(check(part, limits), Refused) for part in (first, second))
    assert divide(clip, Limits()) == [clip]
    (tmp_path / "x.wav").write_text("no sound")
    assert divide(clip, limits) == [clip]


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="below max_seconds"):
        Limits(min_seconds=5, max_seconds=2)
