"""aoide sing: what it writes, what it tells, what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aoide
from aoide import cli
from aoide.audio import io
from aoide.audio.sound import Sound
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


# ------------------------------------------------------------------------------------------------------ trained singers

SMALL = {
    "diffsinger": "dim=16 layers=1 first.channels=8 first.layers=1 denoiser.channels=16 denoiser.layers=1",
    "diffsinger-variance": "dim=16 layers=1 melody.dim=8 melody.layers=1 durations.channels=8 durations.layers=1",
    "xiaoicesing": "encoder_dim=16 encoder_layers=1 dim=16 hidden=16 layers=1",
}


def trained(folder: Path, name: str) -> Path:
    """A run of two steps with a recipe of the house, small, on three clips that were prepared for it."""
    singer = folder / "singers" / "anna"
    (singer / "wavs").mkdir(parents=True, exist_ok=True)
    if not (folder / "data").exists():
        rows = ["name,ph_seq,ph_dur,ph_num,note_seq,note_dur,note_slur"]
        for i in range(3):
            time = np.arange(round((0.6 + 0.1 * i) * 24_000)) / 24_000
            sound = 0.2 * sum(np.cos(2 * np.pi * 220 * k * time) / k for k in range(1, 8))
            io.write(singer / "wavs" / f"{i}.wav", Sound(np.float32(sound), 24_000))
            rows.append(f"{i},SP s a,0.1 0.1 {0.4 + 0.1 * i:.1f},2 1,rest A3,0.2 {0.4 + 0.1 * i:.1f},0 0")
        (singer / "transcriptions.csv").write_text("\n".join(rows) + "\n")
        words = ("prepare", "diffsinger", "--root", folder / "singers", "-o", folder / "data", "--language", "ja")
        assert cli.main(list(map(str, words))) == 0
    recipe = SONGS.parents[1] / "recipes" / "svs" / f"{name}-folder.yaml"
    loop = "steps=2 tensorboard=false device=cpu precision=fp32 threads=1"
    settings = [f"model.{word}" for word in SMALL[name].split()] + [f"loop.{word}" for word in loop.split()]
    data = [f"data.manifest={folder / 'data'}", "data.workers=0", "data.validation=0"]
    assert cli.main(["train", str(recipe), "--run", str(folder / name), *settings, *data]) == 0
    return folder / name


@pytest.mark.slow
def test_a_run_sings_and_what_it_filled_in_is_sung_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """8 s: two runs of two steps."""
    pytest.importorskip("torch")
    voice, variance = trained(tmp_path, "diffsinger"), trained(tmp_path, "diffsinger-variance")
    notes = [Note(start=480 * i, length=480, pitch=57 + i, lyric="さ") for i in range(2)]
    Score(notes=tuple(notes), language="ja").save(tmp_path / "s.musicxml")
    capsys.readouterr()
    first = ("--voice", voice, "--variance", variance, "--steps", 2, "--write", tmp_path / "s.ds")
    status, told = run(capsys, tmp_path / "s.musicxml", "-o", tmp_path / "a.wav", *first)
    assert status == 0 and "above the voice's range" in told and "synthetic: yes" in comment(tmp_path / "a.wav")
    assert run(capsys, tmp_path / "s.ds", "-o", tmp_path / "b.wav", "--voice", voice, "--steps", 2)[0] == 0
    a, b = (io.read(tmp_path / f"{name}.wav").samples for name in "ab")
    assert len(a) == len(b) and np.abs(a).max() > 1e-3 and np.abs(a - b).max() < 1e-4
    assert np.array_equal(aoide.load(voice).sing(Score.load(tmp_path / "s.ds"), steps=2).samples.shape, a.shape)
    status, told = run(capsys, tmp_path / "s.ds", "-o", tmp_path / "c.wav", "--voice", variance)
    assert status == 2 and "is no singer" in told
    status, told = run(capsys, tmp_path / "s.ds", "-o", tmp_path / "c.wav", "--voice", voice, "--variance", voice)
    assert status == 2 and "fills in nothing" in told


@pytest.mark.slow
def test_a_run_becomes_a_singer_without_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """15 s: a graph is exported."""
    pytest.importorskip("onnxscript")
    voice = trained(tmp_path, "xiaoicesing")
    assert cli.main(["export", str(voice), "-o", str(tmp_path / "anna"), "--licence", "mine"]) == 0
    singer = aoide.load(tmp_path / "anna")
    assert (singer.description.language, singer.description.rest, singer.description.unvoiced) == ("ja", "SP", ("s",))
    assert set(singer.description.symbols) == {"SP", "a", "s"} and singer.description.low == 57
    notes = [Note(start=480 * i, length=480, pitch=57, lyric="さ") for i in range(2)]
    score = Score(notes=tuple(notes), language="ja")
    alone, torch_too = singer.sing(score), aoide.load(voice).sing(score)
    assert abs(alone.seconds - torch_too.seconds) < 0.3 and np.isfinite(alone.samples).all()
    assert capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.musicxml", "-o", "{tmp}/x.wav"], "no such file"),
        (["{song}", "-o", "{tmp}/x.xyz"], "unknown ending"),
        (["{song}", "-o", "{tmp}/x.wav", "--voice", "en-hart-song"], "en-heart-song"),
        (["{song}", "-o", "{tmp}/x.wav", "--voice", "ja-f001-song"], "choose another voice"),
        (["{song}", "-o", "{tmp}/x.wav", "--steps", "10"], "has no steps"),
        (["{song}", "-o", "{tmp}/x.wav", "--sampler", "euler"], "has no sampler"),
        (["{song}", "-o", "{tmp}/x.wav", "--start", "0.5"], "has no start"),
        (["{song}", "-o", "{tmp}/x.wav", "--variance", "runs/x"], "is for a trained voice"),
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
