"""The corpus that Sinsy sings: melodies by number, boundaries of phonemes, and what lies on disk as clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import sinsy
from aoide.data.corpora._melodies import melody
from aoide.text import lyrics
from aoide.text.phonemes import SYMBOLS


def test_a_melody_follows_from_its_number_and_can_be_sung() -> None:
    for language in ("ja", "en"):
        first, again, other = melody(7, language), melody(7, language), melody(8, language)
        assert first == again and first != other
        pitches = [note.pitch or 0 for note in first.notes]
        assert min(pitches) >= 58 and max(pitches) <= 75
        assert all(a.end <= b.start for a, b in zip(first.notes, first.notes[1:], strict=False))
        phonemes = lyrics.plan(first)
        assert phonemes and {p.note for p in phonemes} <= set(range(len(first.notes)))
        assert first.check() == []


def test_each_phoneme_has_a_letter_that_the_house_knows() -> None:
    assert len(set(sinsy.LETTERS.values())) == len(sinsy.LETTERS)
    assert set(sinsy.LETTERS.values()) <= set(SYMBOLS)
    assert set(lyrics.symbols("ja")) - set(sinsy.LETTERS) == {"AP"}


def test_held_notes_are_spelled_with_their_vowel() -> None:
    score = next(s for s in map(melody, range(50)) if any(note.lyric == "ー" for note in s.notes))
    spelled = sinsy._spelled(score)
    assert all(
        note.lyric in "あいうえおん" for a, note in zip(score.notes, spelled.notes, strict=True) if a.lyric == "ー"
    )
    assert not any(note.slur for note in spelled.notes)


def test_boundaries_are_found_where_the_sound_changes() -> None:
    random = np.random.default_rng(0)
    shapes = {symbol: (np.full(4, mean), np.full(4, 0.1)) for symbol, mean in (("k", -2.0), ("a", 1.0), ("N", 3.0))}
    look = np.repeat([-2.0, 1.0, 3.0], [9, 60, 31])[:, None] + 0.2 * random.standard_normal((100, 4))
    group = sinsy.Group(0.0, 1.0, ("k", "a", "N"))
    assert sinsy._best(look, group, shapes) == [9, 69]
    assert sinsy._best(look[:70], sinsy.Group(0.0, 0.7, ("k", "a")), shapes)[0] == 9
    assert sinsy._best(look, sinsy.Group(0.0, 0.03, ("k", "a")), shapes) == sinsy._first(
        sinsy.Group(0.0, 0.03, ("k", "a"))
    )


def test_songs_on_disk_are_clips_and_others_say_why_not(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    record = {"number": 1, "symbols": ["pau", "ky", "a", "pau"], "durations": [5, 6, 30, 9]}
    (tmp_path / "songs" / "song-00001.json").write_text(json.dumps(record), "utf-8")
    missing, clip = sinsy.clips(tmp_path, songs=2)
    assert isinstance(missing, Refused) and isinstance(clip, Clip)
    assert clip.phonemes == "ca" and clip.durations == (5, 6, 30, 9) and clip.frame_rate == 100.0
    assert set(clip.arrays) == set(sinsy.PARTS)
