"""MusicGen as transformers saves it, and `aoide music`: tiny random weights, and music by rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide import cli
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.score import Score

torch = pytest.importorskip("torch")
SONG = Path(__file__).parents[2] / "examples" / "songs" / "twinkle.musicxml"


@pytest.fixture(scope="module", params=[False, True], ids=["words", "melody"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the hub has it."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    from tests.models.test_musicgen import published

    target = tmp_path_factory.mktemp("melody" if request.param else "words")
    published(melody=request.param).save_pretrained(target)
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[UNK]": 1, "[PAD]": 0, "slow": 2, "strings": 3}, unk_token="[UNK]")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]").save_pretrained(target)
    return target


@pytest.mark.sweep  # seconds: transformers, or two pieces of music
def test_a_published_folder_makes_music(folder: Path) -> None:
    from aoide.generate.musicgen import MusicGen

    music = MusicGen.of_folder(folder)
    tone = Sound(np.sin(np.arange(800) / 5).astype(np.float32), 800)

    def make(**settings: Any) -> Any:
        return music.generate(["slow strings", "slow"], 0.5, generator=torch.Generator().manual_seed(1), **settings)

    made = make()
    assert made.shape == (2, 400) and torch.equal(made, make())
    if music.follows_melody:
        assert make(melody=tone).shape == (2, 400)
        with pytest.raises(UserError, match="silent"):
            make(melody=Sound(np.zeros(800, np.float32), 800))
    else:
        with pytest.raises(UserError, match="follows no melody"):
            make(melody=tone)
    for captions, seconds, says in (
        (["..."], 1, "says nothing"),
        (["slow"], 0, "more than 0"),
        (["slow"], 1e4, "most"),
    ):
        with pytest.raises(UserError, match=says):
            music.generate(captions, seconds)
    with pytest.raises(UserError, match="no steps"):
        make(steps=4)


@pytest.mark.sweep  # seconds: transformers, or two pieces of music
def test_long_music_goes_on_from_what_it_wrote(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aoide.generate import musicgen

    monkeypatch.setattr(musicgen, "PIECE", 0.3)
    monkeypatch.setattr(musicgen, "OVERLAP", 0.1)
    music = musicgen.MusicGen.of_folder(folder)
    asked: list[Any] = []
    write = music.model.write
    monkeypatch.setattr(music.model, "write", lambda *a, **k: asked.append(k.get("prompt")) or write(*a, **k))
    assert music.generate(["slow"], 1.0).shape == (1, 800)
    assert asked[0] is None and all(prompt.shape[1] == 5 for prompt in asked[1:]) and len(asked) == 5


def test_another_model_is_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from aoide.generate.musicgen import MusicGen

    transformers.T5Config(d_model=8, num_layers=1).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="not MusicGen"):
        MusicGen.of_folder(tmp_path)


# ------------------------------------------------------------------------------------------------------------ the verb


def music(*words: Any) -> int:
    return cli.main(["music", *map(str, words)])


def test_music_by_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "m.wav"
    assert (
        music("slow strings in A minor, 60 bpm, kazoo", "--seconds", 8, "-o", target, "--midi", tmp_path / "m.mid") == 0
    )
    assert "'kazoo'" in capsys.readouterr().err
    sound = Sound.load(target)
    assert sound.channels == 2 and 7 < sound.seconds < 12 and np.abs(sound.samples).max() > 0.05
    pitches = {note.pitch % 12 for note in Score.load(tmp_path / "m.mid").notes if note.pitch is not None}
    assert pitches <= {9, 11, 0, 2, 4, 5, 7, 8}  # A minor, natural or harmonic


@pytest.mark.sweep  # seconds: transformers, or two pieces of music
def test_a_melody_is_played(tmp_path: Path) -> None:
    """A score, and a recording of what a score says: both give music in C."""
    rate, score = 16_000, Score.load(SONG)
    hz = [440 * 2 ** ((note.pitch - 69) / 12) for note in score.notes[:14] if note.pitch]
    tones = [np.sin(2 * np.pi * f * np.arange(rate // 2) / rate) * np.hanning(rate // 2) for f in hz]
    Sound(np.concatenate(tones).astype(np.float32) * 0.5, rate).save(tmp_path / "hum.wav")
    for melody in (SONG, tmp_path / "hum.wav"):
        assert music("piano", "--melody", melody, "-o", tmp_path / "m.wav", "--midi", tmp_path / "m.mid") == 0
        assert Score.load(tmp_path / "m.mid").notes
    assert Sound.load(tmp_path / "m.wav").seconds > 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["..."], "says nothing"),
        (["rock", "--seconds", "0"], "more than 0"),
        (["rock", "--seconds", "10000"], "lasts up to"),
        (["rock", "--guidance", "2"], "is for a model"),
        (["rock", "--melody", "nowhere.mid"], "no such file"),
        (["rock", "--model", "x", "--midi", "x.mid"], "by rules"),
        (["rock", "--font", "nowhere.sf2"], "nowhere.sf2"),
        (["rock", "--seed", "-1"], "seed"),
        (["rock", "--model", "nowhere", "--threads", "0"], "--threads 0: 1 or more"),
    ],
)
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert music(*words, "-o", tmp_path / "m.wav") == 2
    assert says in capsys.readouterr().err and not (tmp_path / "m.wav").exists()


def test_silence_is_no_melody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Sound(np.zeros(16_000, np.float32), 16_000).save(tmp_path / "s.wav")
    assert music("rock", "--melody", tmp_path / "s.wav", "-o", tmp_path / "m.wav") == 2
    assert "no melody was heard" in capsys.readouterr().err


def test_karaoke_files_are_scores(tmp_path: Path) -> None:
    from aoide.commands.music import _score

    Score.load(SONG).save(tmp_path / "song.kar")
    assert len(_score(tmp_path / "song.kar").notes) == len(Score.load(SONG).notes)
