"""Lines -> syllables with stress."""

from __future__ import annotations

import pytest

from aoide.config import UserError
from aoide.score import Note, Score
from aoide.text import lyrics
from aoide.text.verses import language_of, split, syllables


def marked(line: str) -> str:
    return " ".join(f"{s.text}{'-' if s.hyphen else ''}{s.stress}" for s in syllables(line, "en"))


def test_english_lines() -> None:
    assert marked("Twinkle, twinkle little star!") == "Twin-2 kle0 twin-2 kle0 lit-2 tle0 star2"
    assert marked("the moon is bright upon the hill") == "the0 moon2 is0 bright2 u-0 pon2 the0 hill2"
    assert marked("...") == "" and marked("Don’t you?").startswith("Don't2")


@pytest.mark.parametrize(
    ("word", "pieces"),
    [("little", "lit tle"), ("diamond", "di a mond"), ("lion", "li on"), ("mother", "mo ther"), ("sleep", "sleep"),
     ("evening", "eve ning"), ("whisper", "whis per"), ("apple", "ap ple"), ("together", "to ge ther"),
     ("yellow", "yel low")],
)  # fmt: skip
def test_words_are_cut_where_they_are_sung(word: str, pieces: str) -> None:
    assert split(word, len(pieces.split())) == pieces.split()


def test_pieces_make_the_word_again_and_are_no_signs_of_scores() -> None:
    line = "Beautiful silver rest, every breath of a lion is a sil of extraordinary rhythm 1999"
    found = syllables(line, "en")
    text = "".join(s.text + ("" if s.hyphen else " ") for s in found).split()
    assert text == line.replace(",", "").split()
    notes = [Note(start=i * 240, length=240, pitch=60, lyric=s.text, hyphen=s.hyphen) for i, s in enumerate(found)]
    assert all(note.sung for note in notes), "rest, breath and sil are words"
    sung = {p.note for p in lyrics.plan(Score(notes=tuple(notes)), "en")}
    assert sung == set(range(len(notes))), "every syllable has a sound of its own"


def test_japanese_lines() -> None:
    assert [s.text for s in syllables("きょうは、ゆきが ふった", "ja")] == [
        "きょ",
        "う",
        "は",
        "ゆ",
        "き",
        "が",
        "ふっ",
        "た",
    ]
    assert language_of("ゆきが") == "ja" and language_of("snow") == "en"
    with pytest.raises(UserError, match="is no kana"):
        syllables("ゆき abc", "ja")
    with pytest.raises(UserError, match="syllables are known of en and ja"):
        syllables("你好", "zh")
