"""aoide convert: what is asked for and how, mixtures, mistakes that get one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide import voices
from aoide.audio import io
from aoide.audio.sound import Sound
from aoide.cli import main
from aoide.commands.convert import mixture
from aoide.config import UserError

RATE = 24_000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A stereo tone at 44.1 kHz, a second long."""
    time = np.arange(44_100) / 44_100
    tone = (0.1 * sum(np.sin(2 * np.pi * 220 * k * time) / k for k in range(1, 20))).astype(np.float32)
    Sound(np.stack([tone, tone], axis=1), 44_100).save(tmp_path / "in.wav")
    return tmp_path / "in.wav"


def told(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["convert", *(str(word) for word in words)])
    return code, capsys.readouterr().err


def test_mixtures() -> None:
    assert mixture("heart") == {"heart": 1.0}
    assert mixture("heart=0.3, f001=0.7") == {"heart": 0.3, "f001": 0.7}
    for wrong in ("", "a=x", "a=-1", "a=nan", "a,a", "=1", "a=inf"):
        with pytest.raises(UserError, match="mixture"):
            mixture(wrong)


def test_mistakes_get_one_clear_line(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out.wav"
    cases = (
        ((tmp_path / "no.wav", "-o", out), "no such file"),
        ((recording, "-o", recording), "read and written at once"),
        ((recording, "-o", out, "--voice", "universal-24k"), "is a vocoder"),
        ((recording, "-o", out, "--voice", tmp_path), "not a converter"),
        ((recording, "-o", out, "--like", tmp_path / "no.wav"), "no such file"),
        ((recording, "-o", out, "--like", recording), "OpenVoice"),
        ((recording, "-o", out, "--like", recording, "--weights", tmp_path), "--i-have-consent"),
        ((recording, "-o", out, "--like", recording, "--transpose", "2"), "another model: leave it out"),
        ((recording, "-o", out, "--like", recording, "--speaker", "heart"), "--speaker is of the package's"),
        ((recording, "-o", out, "--like", recording, "--weights", tmp_path, "--model", "facodec"), "codec/facodec"),
        ((recording, "-o", out, "--like", recording, "--model", "codec/facodec"), "naturalspeech3_facodec"),
        ((recording, "-o", out.with_suffix(".xyz"), "--like", recording, "--weights", tmp_path), ".xyz"),
        ((recording, "-o", out, "--model", "codec/facodec"), "--model is of --like"),
        ((recording, "-o", out, "--retrieval", "3"), "retrieval: 0 to 1"),
    )
    for words, expected in cases:
        code, error = told(capsys, *words)
        assert code == 2 and expected in error and len(error.splitlines()) == 1, error
    assert not out.exists()


def test_arguments_that_are_refused(recording: Path, capsys: pytest.CaptureFixture) -> None:
    for words, expected in (
        ((recording, "-o", "x.wav", "--transpose", "high"), "semitones"),
        ((recording, "-o", "x.wav", "--f0", "ear"), "invalid choice"),
        ((recording, "-o", "x.wav", "--voice", "a", "--like", "b.wav"), "not allowed with"),
        ((recording,), "-o"),
    ):
        code, error = told(capsys, *words)
        assert code == 2 and expected in error


@pytest.mark.skipif(voices.DEFAULT_CONVERTER not in voices.names("converter"), reason="no converter in the package")
def test_a_recording_is_converted(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("pyworld")
    out = tmp_path / "out.wav"
    code, error = told(capsys, recording, "-o", out, "--voice", "heart", "--f0", "dio")
    assert code == 0, error
    made, about = io.read(out), io.probe(out)
    assert about.sample_rate == RATE and abs(about.samples - RATE) <= 1 and np.abs(made.samples).max() > 0.01
    assert not error
    loud = io.read(recording).samples
    Sound(np.clip(20 * loud, -1, 1), 44_100).save(recording)
    code, error = told(capsys, recording, "-o", out, "--voice", "heart", "--f0", "dio")
    assert code == 0 and "cut off at full scale in" in error and len(error.splitlines()) == 1
    assert b"synthetic: yes" in out.read_bytes() and b"convert-24k" in out.read_bytes()
    code, error = told(capsys, recording, "-o", out, "--voice", "haert")
    assert code == 2 and "did you mean heart" in error
    code, error = told(capsys, recording, "-o", out, "--voice", "heart", "--speaker", "f001")
    assert code == 2 and "leave --speaker out" in error


def test_like_a_recording(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """By a run of one's own; every model in tests/generate/test_likeness.py."""
    torch = pytest.importorskip("torch")
    from aoide.config import to_dict
    from aoide.models.codec import facodec
    from aoide.train import checkpoint

    torch.manual_seed(0)
    weights = facodec.Model(facodec.TOY).state_dict()
    snapshot = checkpoint.Snapshot(
        step=1,
        model="model",
        networks={"model": weights},
        average=None,
        optimisers={},
        generators=[],
        sources=[],
        counters={},
    )
    recipe = {"model": {"name": "codec/facodec", **to_dict(facodec.TOY)}, "data": {"kind": "speech", "manifest": "x"}}
    checkpoint.save(tmp_path / "run", snapshot, recipe)
    voice, out = tmp_path / "voice.wav", tmp_path / "out.wav"
    Sound((0.1 * np.random.default_rng(0).standard_normal(RATE * 2)).astype(np.float32), RATE).save(voice)
    told_how = ("--like", voice, "--weights", tmp_path / "run", "--i-have-consent")
    code, error = told(capsys, recording, "-o", out, *told_how, "--model", "codec/facodec")
    assert code == 0 and not error, error
    about = io.probe(out)
    assert (about.sample_rate, about.samples, about.channels) == (facodec.TOY.sample_rate, 8000, 1)
    assert io.read(out).samples.any() and b"another recording by codec/facodec" in out.read_bytes()
    before = voice.read_bytes()
    code, error = told(capsys, recording, "-o", voice, *told_how, "--model", "codec/facodec")
    assert code == 2 and "would be lost" in error and voice.read_bytes() == before
    code, error = told(capsys, recording, "-o", out, *told_how)
    assert code == 2 and "holds a codec/facodec, not a vc/openvoice" in error
    Sound(np.zeros(RATE, np.float32), RATE).save(voice)
    code, error = told(capsys, recording, "-o", out, *told_how, "--model", "codec/facodec")
    assert code == 2 and "voice.wav: too short or too quiet" in error and len(error.splitlines()) == 1
