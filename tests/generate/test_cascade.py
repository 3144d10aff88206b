"""Songs by the cascade: its files, what an edit of one remakes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aoide.audio import io
from aoide.audio.loudness import loudness
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate import cascade
from aoide.generate.cascade import STAGES, Cascade, Song, compose, read_rules, register
from aoide.score import Score, harmony
from aoide.score.rules import check_melody
from aoide.score.song_script import SongScript

LYRICS = "[ti: Star]\n[verse]\nLittle star is shining"
STYLE = "folk, guitar, 190 bpm in D major"
RATE = 16_000


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """A mix of half as many samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cascade, "RATE", RATE)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Song:
    folder = tmp_path_factory.mktemp("cascade") / "song"
    return Cascade(folder, SongScript.read(LYRICS), STYLE, seed=2).run()


@pytest.fixture
def folder(made: Song, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "song"))


def test_every_stage_is_a_file_and_the_mix_is_as_it_should_be(made: Song) -> None:
    names = {name for stage in STAGES for name in stage.files} | {"script.txt", "song.json"}
    assert {path.name for path in made.folder.iterdir()} == names
    assert made.made == tuple(stage.name for stage in STAGES) and not made.edited and not made.remarks
    assert abs(loudness(made.sound) + 14) < 0.5
    assert np.array_equal(made.sound.samples, sum(stem.samples for stem in made.stems.values()))
    score, rules = Score.load(made.folder / "melody.musicxml"), read_rules(made.folder / "rules.json")
    composition = compose(SongScript.read(LYRICS), STYLE, seed=2)
    assert score.notes == composition.score.notes and rules == composition.rules, "the files hold what was composed"
    assert check_melody(score, rules) == []
    assert harmony.load(made.folder / "chords.mid")[0] == composition.spans
    assert (made.folder / "song.png").read_bytes()[:4] == b"\x89PNG"


def test_nothing_is_made_twice(folder: Path) -> None:
    assert Cascade(folder).run().made == ()
    (folder / "song.png").unlink()
    assert Cascade(folder).run().made == ("picture",)


def test_an_edited_melody_is_kept_and_what_hangs_on_it_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_playing", "_mix"):  # what they do, others test
        monkeypatch.setattr(Cascade, name, lambda self: None)
    score = Score.load(folder / "melody.musicxml")
    notes = [replace(note, pitch=(note.pitch or 0) + 1) if i == 2 else note for i, note in enumerate(score.notes)]
    replace(score, notes=tuple(notes)).save(folder / "melody.musicxml")
    singing = (folder / "singing.wav").read_bytes()
    song = Cascade(folder).run()
    assert song.edited == ("melody.musicxml",) and "melody" not in song.made
    assert {"chords", "singing", "mix", "picture"} <= set(song.made)
    assert any("is not of the key" in remark for remark in song.remarks), "it says which rule the edit breaks"
    assert Score.load(folder / "melody.musicxml").notes[2].pitch == notes[2].pitch
    assert (folder / "singing.wav").read_bytes() != singing
    again = Cascade(folder).run()
    assert again.made == () and again.edited == ("melody.musicxml",)
    other = Cascade(folder, style="waltz").run()
    assert any("edited by hand and stays" in remark for remark in other.remarks) and "melody" not in other.made


def test_edited_chords_change_the_band_and_ones_own_voice_takes_the_place_of_the_singer(folder: Path) -> None:
    spans, score = harmony.load(folder / "chords.mid")
    harmony.save([replace(spans[0], chord=harmony.Chord.named("Bm")), *spans[1:]], score, folder / "chords.mid")
    band = (folder / "accompaniment.mid").read_bytes()
    time = np.arange(2 * 16_000) / 16_000
    io.write(folder / "singing.wav", Sound((0.3 * np.sin(2 * np.pi * 300 * time)).astype(np.float32), 16_000), {})
    song = Cascade(folder).run()
    assert song.made == ("accompaniment", "playing", "mix", "picture")
    assert song.edited == ("chords.mid", "singing.wav") and (folder / "accompaniment.mid").read_bytes() != band
    voice = song.stems["voice"].samples
    assert voice[RATE : RATE + 100].any() and not voice[round(3.3 * RATE) :].any()


def test_composing_needs_no_sound_and_knows_the_singer() -> None:
    script = SongScript.read("[verse]\nゆきが ふる\nよるの まち")
    composition = compose(script, "slow, zither, low voice", seed=1)
    assert {note.lyric for note in composition.score.notes} >= {"ゆ", "き", "ふ"}
    assert composition.score.language == "ja" and check_melody(composition.score, composition.rules) == []
    assert "'zither' is no word that it knows" in composition.remarks[0] and "low voice" in composition.remarks[1]
    assert min(n.pitch or 0 for n in composition.score.notes) >= 55, "the Japanese singer's lowest note"


def test_lines_that_come_too_late_are_said() -> None:
    lines = "[00:01.00]one small word\n[00:02.00]and one more\n[00:03.00]and more"
    remarks = compose(SongScript.read(lines), "folk, 100 bpm in C major").remarks
    assert "and one more ... begins at" in remarks[0] and ", and 1 more: lines take whole bars" in remarks[0]


def test_ranges_lie_inside_the_singers() -> None:
    assert register(50, 76, "high") == (57, 74) and register(50, 76, "low") == (50, 66)
    low, high = register(50, 76)
    assert 50 < low < high < 76 and register(60, 75, "low") == (60, 73)


@pytest.mark.parametrize(
    ("lyrics", "said"),
    [
        ("[verse]\n你好 世界", "no singer of the package sings 'zh'"),
        ("[verse]\nСпи, моя радость", "letters"),
        ("[verse]\n...", "has a word to sing|no words"),
    ],
)
def test_words_that_nobody_sings(lyrics: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        compose(SongScript.read(lyrics), "folk")


def test_broken_folders(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="no song to go on with"):
        Cascade(tmp_path)
    (folder / "rules.json").write_text("{}")
    with pytest.raises(UserError, match=r"rules.json: is not what `aoide song` writes"):
        Cascade(folder).run()
    (folder / "song.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="is not what `aoide song` writes"):
        Cascade(folder)
