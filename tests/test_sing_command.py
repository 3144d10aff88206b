"""aoide sing: what it writes, what it tells, what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide import cli
from aoide.audio import io
from aoide.score import Note, Score

SONGS = Path(__file__).parents[1] / "examples" / "songs"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    notes = [Note(start=480 * i, length=480, pitch=pitch, lyric="la") for i, pitch in enumerate((60, 62, 64))]
    path = tmp_path / "song.musicxml"
    Score(notes=tuple(notes), language="en", title="Three notes").save(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = cli.main(["sing", *map(str, words)])
    return status, capsys.readouterr().err


def comment(path: Path) -> str:
    import soundfile

    with soundfile.SoundFile(path) as file:
        return str(file.comment)


def test_a_song_becomes_sound_with_its_origin(song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, song, "-o", tmp_path / "a.wav") == (0, "")
    sound = io.read(tmp_path / "a.wav")
    assert abs(sound.seconds - 1.5) < 0.1 and np.abs(sound.samples).max() > 0.02
    assert "synthetic: yes" in comment(tmp_path / "a.wav") and "en-heart-song" in comment(tmp_path / "a.wav")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "song.musicxml"], "nothing is left over"


def test_what_is_written_sings_the_same(song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, song, "-o", tmp_path / "a.wav", "--write", tmp_path / "a.ds")[0] == 0
    assert run(capsys, tmp_path / "a.ds", "-o", tmp_path / "b.wav")[0] == 0
    first, second = io.read(tmp_path / "a.wav"), io.read(tmp_path / "b.wav")
    assert abs(first.seconds - second.seconds) < 0.5  # the script ends with a pause


def test_japanese_finds_its_singer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tuple(Note(start=480 * i, length=480, pitch=64, lyric=kana) for i, kana in enumerate("さくら"))
    Score(notes=notes).save(tmp_path / "s.musicxml")
    assert run(capsys, tmp_path / "s.musicxml", "-o", tmp_path / "s.wav")[0] == 0
    assert "ja-f001-song" in comment(tmp_path / "s.wav")


def test_no_lyrics_and_a_high_song_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tuple(Note(start=480 * i, length=480, pitch=80 + i) for i in range(3))
    Score(notes=notes).save(tmp_path / "s.mid")
    status, told = run(capsys, tmp_path / "s.mid", "-o", tmp_path / "s.wav")
    assert status == 0 and 'sung on "la"' in told and "bar 1 beat 1" in told and "above the voice's range" in told
    assert "--transpose -6 would bring all notes into its range" in told
    status, told = run(capsys, tmp_path / "s.mid", "-o", tmp_path / "s.wav", "--transpose", -6)
    assert status == 0 and "range" not in told


def test_stems_are_the_parts_and_together_the_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = "".join(
        f'<part id="P{k}"><measure number="1"><attributes><divisions>1</divisions></attributes>'
        f"<note><pitch><step>{step}</step><octave>4</octave></pitch><duration>4</duration>"
        "<lyric><text>la</text></lyric></note></measure></part>"
        for k, step in ((1, "C"), (2, "E"))
    )
    names = "".join(f'<score-part id="P{k}"><part-name>Voice {k}</part-name></score-part>' for k in (1, 2))
    path = tmp_path / "duet.musicxml"
    path.write_text(f"<score-partwise><part-list>{names}</part-list>{parts}</score-partwise>", "utf-8")
    assert run(capsys, path, "-o", tmp_path / "duet.wav", "--stems")[0] == 0
    mix, one, two = (io.read(tmp_path / f"duet{end}.wav").samples for end in ("", "-1", "-2"))
    assert not np.allclose(one, two) and np.abs(one + two - mix).max() < 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.musicxml", "-o", "{tmp}/x.wav"], "no such file"),
        (["{song}", "-o", "{tmp}/x.xyz"], "unknown ending"),
        (["{song}", "-o", "{tmp}/x.wav", "--voice", "en-hart-song"], "en-heart-song"),
        (["{song}", "-o", "{tmp}/x.wav", "--voice", "ja-f001-song"], "choose another voice"),
        (["{song}", "-o", "{tmp}/x.wav", "--steps", "10"], "has no steps"),
        (["{song}", "-o", "{tmp}/x.wav", "--transpose", "100"], "cannot be moved"),
        (["{song}", "-o", "{tmp}/x.wav", "--lyrics", "a b c d"], "no note is left"),
        (["{song}", "-o", "{tmp}/x.wav", "--write", "{tmp}/x.doc"], "endings are"),
        (["{song}", "-o", "{tmp}/x.wav", "--stems", "--part", "1"], "--stems sings every part"),
        (["{song}", "-o", "{tmp}/x.wav", "--part", "9"], "no part"),
        ([str(SONGS / "songbie.musicxml"), "-o", "{tmp}/x.wav"], "no singer of the package sings 'zh'"),
    ],
)
def test_mistakes_end_in_one_line_and_leave_nothing(
    words: list[str], message: str, song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    status, told = run(capsys, *(word.format(tmp=tmp_path, song=song) for word in words))
    assert status == 2 and message in told and told.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
