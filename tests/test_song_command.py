"""aoide song: what it writes, what it tells, what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide import cli
from aoide.audio import io
from aoide.generate import cascade


@pytest.fixture
def lyrics(tmp_path: Path) -> Path:
    path = tmp_path / "lyrics.txt"
    path.write_text("[verse]\nLittle star", "utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = cli.main(["song", *map(str, words)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_a_song_its_stems_and_its_stages(
    lyrics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "song.wav"
    style = "folk, gitar, 190 bpm"
    monkeypatch.setattr(cascade, "RATE", 16_000)  # a mix of fewer samples
    status, out, err = run(capsys, lyrics, "--style", style, "-o", output, "--stems", "--via", "cascade", "--seed", 3)
    assert status == 0 and "sung by en-heart-song" in out and "did you mean guitar" in err
    assert (tmp_path / "song" / "melody.musicxml").exists()
    parts = [io.read(tmp_path / f"song-{name}.wav").samples for name in ("voice", "accompaniment")]
    assert np.array_equal(io.read(output).samples, parts[0] + parts[1])
    assert "synthetic: yes" in io.probe(output).tags["comment"]
    status, _, err = run(capsys, lyrics, "-o", output, "--via", "cascade")
    assert status == 2 and f"--resume {tmp_path / 'song'}" in err
    status, _, err = run(
        capsys, "--resume", tmp_path / "song", "-o", tmp_path / "b.flac", "--picture", tmp_path / "b.png"
    )
    assert status == 0 and (tmp_path / "b.png").exists()
    assert np.array_equal(io.read(tmp_path / "b.flac").samples, io.read(output).samples)


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("", (), "is empty"),
        ("[verse]\n[chorus]", (), "no words to sing"),
        ("[vers]\nla", (), "[vers] is no section of a song; did you mean verse"),
        ("[00:10.00]a\n[00:05.00]b", (), "times rise"),
        ("la", ("--style", "900 bpm"), "it plays 40 to 200"),
        ("la", ("--voice", "en-hart-song"), "did you mean en-heart-song"),
        ("la", ("--via", "flow"), "--via flow needs a trained model"),
        ("la", ("--model", "runs/none", "--folder", "x"), "--folder is for the cascade"),
        ("la", ("--steps", 4), "--steps is for a trained --model"),
        ("la", ("--seed", -1), "seed: 0 or more"),
        ("la", ("--resume", "nowhere"), "no such folder"),
        ("la", ("--font", "none.sf2"), "none.sf2"),
        ("la", ("-o", "song.txt"), "txt"),
        ("[verse]\n你好 世界", ("--via", "cascade"), "no singer of the package sings 'zh'"),
    ],
)
def test_mistakes_are_one_line(
    lyrics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: tuple[object, ...], said: str
) -> None:
    lyrics.write_text(text, "utf-8")
    before = sorted(tmp_path.iterdir())
    status, _, err = run(capsys, lyrics, "-o", tmp_path / "s.wav", *words)
    assert status == 2 and said in err and len(err.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before, "nothing is left over"


def test_a_song_that_was_only_begun_can_be_gone_on_with(
    lyrics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "song").mkdir()
    (tmp_path / "song" / "script.txt").write_text("[verse]\nla", "utf-8")
    status, _, err = run(capsys, lyrics, "-o", tmp_path / "song.wav", "--via", "cascade")
    assert status == 2 and f"go on with --resume {tmp_path / 'song'}" in err


def test_lyrics_are_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "which lyrics?" in run(capsys, "-o", tmp_path / "s.wav")[2]


def test_a_trained_model_makes_songs(
    lyrics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    import aoide

    class Songs:
        name, sample_rate, stems = "toy", 12_000, ("voice", "accompaniment")

        def generate(self, script: object, style: str, seconds: float, **options: object) -> dict[str, torch.Tensor]:
            assert style == "pop" and seconds == 2.0 and options["steps"] == 3
            noise = 0.1 * torch.randn(2, 24_000, generator=options["generator"])
            return {"voice": noise[0], "accompaniment": noise[1], "mix": noise.sum(0)}

    monkeypatch.setattr(aoide, "load", lambda name: Songs() if str(name) == "run" else object())
    output = tmp_path / "s.wav"
    words = (lyrics, "-o", output, "--style", "pop", "--seconds", 2, "--steps", 3, "--stems", "--model")
    assert run(capsys, *words, "run")[0] == 0
    parts = [io.read(tmp_path / f"s-{name}.wav").samples for name in ("voice", "accompaniment")]
    assert np.array_equal(io.read(output).samples, parts[0] + parts[1])
    assert "makes no songs" in run(capsys, *words, "other")[2]
