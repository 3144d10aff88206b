"""aoide explain, as a user calls it."""

from pathlib import Path

import numpy as np
import pytest

from aoide import Sound, cli
from aoide.explain.traces import Trace


def run(*words: str | Path) -> int:
    return cli.main(["explain", *map(str, words)])


def test_a_voice_is_recorded_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, page = tmp_path / "said.aoide", tmp_path / "said.html"
    assert run("en-heart", "Hi.", "-o", trace, "--page", page) == 0
    told = capsys.readouterr().out
    assert "4 steps" in told and "1 trace" in told
    made = Trace.load(trace)
    assert made.about["task"] == "say" and made.about["settings"] == {"voice": "en-heart"}
    handles = made.about["inside"][0]
    assert handles["kind"] == "handles" and handles["resynth"] == {"model": "en-heart", "input": "Hi."}
    assert len(handles["tokens"]) == len(handles["durations"]) == len(handles["pitch"])
    assert page.read_text("utf-8").count("data-name=") == 1

    both = tmp_path / "both.html"
    assert run("--compare", trace, trace, "--page", both) == 0
    assert both.read_text("utf-8").count("data-name=") == 2
    assert run(trace, "--page", both) == 0  # a trace that is there already
    capsys.readouterr()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.html", "said.aoide", "said.html"]


@pytest.mark.sweep
def test_runs_that_differ_in_a_setting(tmp_path: Path) -> None:
    assert (
        run("en-heart", "Hi.", "--vary", "speed=1,1.5", "-o", tmp_path / "a.aoide", "--page", tmp_path / "a.html") == 0
    )
    slow, fast = (Trace.load(tmp_path / f"a-{value}.aoide") for value in ("1", "1.5"))
    assert slow.about["seconds"] > fast.about["seconds"]
    assert (slow.about["label"], fast.about["label"]) == ("en-heart speed=1", "en-heart speed=1.5")


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("model", "kind", "steps"),
    [("convert-24k", "convert", 2), ("universal-24k", "resynth", 2), ("mel-24k", "encode", 9)],
)
def test_models_of_sound(model: str, kind: str, steps: int, tmp_path: Path) -> None:
    import aoide

    aoide.load("en-heart").say("Hi.").save(tmp_path / "in.wav")
    assert run(model, tmp_path / "in.wav", "-o", tmp_path / "a.aoide") == 0
    trace = Trace.load(tmp_path / "a.aoide")
    assert trace.about["task"] == kind and len(trace.about["steps"]) == steps and "reference" in trace.about
    assert trace.about["input"] == "in.wav"  # the folder is nobody's business


@pytest.mark.sweep
def test_a_singer(tmp_path: Path) -> None:
    from aoide.score import Note, Score

    score = Score(notes=(Note(start=0, length=480, pitch=64, lyric="la"),))
    score.save(tmp_path / "a.musicxml")
    assert run("en-heart-song", tmp_path / "a.musicxml", "-o", tmp_path / "a.aoide") == 0
    trace = Trace.load(tmp_path / "a.aoide")
    assert trace.about["inside"][0]["kind"] == "handles" and "resynth" not in trace.about["inside"][0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["en-heart", "Hi."], "where to?"),
        (["--page", "a.html"], "explain what?"),
        (["en-heart", "--page", "a.html"], "what shall en-heart be given?"),
        (["en-heart", "Hi.", "--show", "99999"], "a port is"),
        (["en-heart", "Hi.", "-o", "a.zip"], "ends in .aoide"),
        (["en-heart", "Hi.", "--page", "a.pdf"], "ends in .html"),
        (["en-hart", "Hi.", "--page", "a.html"], "did you mean en-heart"),
        (["en-heart", "Hi.", "spede=2", "--page", "a.html"], "did you mean speed"),
        (["en-heart", "Hi.", "fast", "--page", "a.html"], "settings are words"),
        (["en-heart", "Hi.", "speed=1", "speed=2", "--page", "a.html"], "given twice"),
        (["en-heart", "Hi.", "--vary", "speed=1", "--page", "a.html"], "two to 4 values"),
        (["en-heart", "...", "--page", "a.html"], "nothing to say"),
        (["convert-24k", "none.wav", "--page", "a.html"], "no such file"),
        (["--compare", "none.aoide", "--page", "a.html"], "no such file"),
        (["tts/f5", "Hi.", "--page", "a.html"], "needs weights"),
        (["en-heart", "Hi.", "--like", "a.wav", "--page", "a.html"], "agreed to it"),
        (["en-heart", "Hi.", "speed=fast", "--page", "a.html"], "speed=fast: is a number"),
        (["sounds-24k", "rain", "steps=2.5", "--page", "a.html"], "steps=2.5: is a whole number"),
        (["en-heart-song", "a.xml", "transpose=auto", "--page", "a.html"], "transpose=auto: is a number"),
        (["convert-24k", "a.wav", "transpose=up", "--page", "a.html"], "is a number, or auto"),
        (["en-heart", "Hi.", "--threads", "0", "--page", "a.html"], "--threads 0: 1 or more"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_recording_of_one_sample_is_too_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Sound(np.full(1, 0.1, np.float32), 24_000).save(tmp_path / "one.wav")
    assert run("universal-24k", tmp_path / "one.wav", "--page", tmp_path / "a.html") == 2
    assert "too short to be looked at" in capsys.readouterr().err
