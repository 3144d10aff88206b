"""Sung words: phonemes in three languages, on which notes, and when."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoide.config import UserError
from aoide.score import Note, Phoneme, Score, Tempo
from aoide.text import lyrics

SONGS = Path(__file__).parents[2] / "examples" / "songs"


def song(text: str, *quarters: int, **parts: object) -> Score:
    """Notes in a row at 60 quarters a minute with the lyrics of `text`; a negative length is a rest."""
    notes, tick = [], 0
    for length in quarters or (1,) * 99:
        if length > 0:
            notes.append(Note(start=tick, length=480 * length, pitch=60))
        tick += 480 * abs(length)
    syllables = sum(1 + word.count("-") + word.count("_") - (word == "_") for word in text.split())
    score = Score(notes=tuple(notes[: syllables or 99]), tempos=(Tempo(tick=0, bpm=60),), **parts)  # type: ignore[arg-type]
    return score.with_lyrics(text) if text else score


def said(score: Score, language: str = "") -> str:
    """The phonemes, `|` before each that begins with another note."""
    text, before = "", None
    for phoneme in lyrics.plan(score, language):
        text += (" | " if before is not None and phoneme.note != before else " ") + phoneme.symbol
        before = phoneme.note
    return text.strip()


def alone(*words: str, language: str) -> str:
    """Each lyric on a note of its own."""
    notes = tuple(Note(start=480 * i, length=480, pitch=60, lyric=word) for i, word in enumerate(words))
    return said(Score(notes=notes), language)


# ---------------------------------------------------------------------------------------------------------- languages


def test_english_words_are_split_at_the_notes() -> None:
    assert said(song("Twin-kle twin-kle lit-tle star")) == "t w ɪ ŋ | k ᵊ l | t w ɪ ŋ | k ᵊ l | l ɪ | T ᵊ l | s t ɑ ɹ"
    assert said(song("a-mong the ash-es")) == "ə | m ʌ ŋ | ð i | æ | ʃ ᵻ z", "the before a vowel; ŋ begins no syllable"
    assert said(song("mon-ster")) == "m ɑ n | s t ə ɹ"


def test_whole_words_with_plus_are_split_too() -> None:
    notes = (
        Note(start=0, length=480, pitch=60, lyric="wonderful"),
        Note(start=480, length=480, pitch=62, lyric="+", slur=True),
        Note(start=960, length=480, pitch=62, lyric="+", slur=True),
        Note(start=1440, length=480, pitch=62, lyric="+", slur=True),
    )
    planned = lyrics.plan(Score(notes=notes), "en")
    assert said(Score(notes=notes), "en") == "w ʌ n | d ə ɹ | f ᵊ l"
    vowel = [p for p in planned if p.note == 2 and p.symbol == "ᵊ"][0]
    assert vowel.end > 1.5, "the last syllable is held through the fourth note"


def test_more_syllables_than_notes() -> None:
    score = song("dia-mond")
    assert said(score) == "d I ə | m ə n d", "where two vowels meet they go together"
    assert [str(f) for f in lyrics.check(score)] == [
        "bar 1 beat 1: 'diamond' has 3 syllables for 2 notes; two are sung on one"
    ]
    assert [str(f) for f in lyrics.check(song("fl-y"))] == [
        "bar 1 beat 1: 'fly' has 1 syllables for 2 notes; the last is held"
    ]
    assert lyrics.check(song("twin-kle")) == []


def test_mandarin() -> None:
    pytest.importorskip("pypinyin")
    assert alone("长", "亭", "外", language="zh") == "ch ang | t ing | w ai"
    assert alone("银", "行", "行", "走", language="zh") == "y in | h ang | x ing | z ou", "readings by the words around"
    assert alone("知", "四", "言", "月", "绿", "女", "元", "日", language="zh") == (
        "zh ir | s i0 | y En | y ve | l v | n v | y van | r ir"
    )
    assert alone("zhang1", "lüe", "er", "n", language="zh") == "zh ang | l ve | er | en"
    with pytest.raises(UserError, match=r"bar 1 beat 2: the lyric 'xyz' is neither a Han letter nor pinyin"):
        alone("a", "xyz", language="zh")


def test_japanese() -> None:
    assert alone("き", "シャ", "ん", "っ", "を", "づ", "ふぁ", language="ja") == "k i | sh a | N | cl | o | z u | f a"
    assert alone("きっ", "らん", "さー", language="ja") == "k i cl | r a N | s a"
    assert alone("tsu", "kya", "n", "a か", language="ja") == "ts u | ky a | N | k a"
    found = lyrics.check(song("さくら"))
    assert [str(f) for f in found] == ["bar 1 beat 1: 'さくら' has 3 syllables for 1 notes; two are sung on one"]
    with pytest.raises(UserError, match=r"bar 1 beat 1: the lyric 'xqz' is neither kana nor a mora"):
        alone("xqz", language="ja")


def test_kanji_need_open_jtalk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyopenjtalk", None)
    with pytest.raises(UserError, match=r"'桜' has kanji; write kana, or pip install 'aoide\[ja\]'"):
        alone("桜", language="ja")


def test_kanji_are_read_by_open_jtalk() -> None:
    pytest.importorskip("pyopenjtalk")
    assert alone("桜", language="ja") == "s a k u r a"


@pytest.mark.parametrize("language", lyrics.LANGUAGES)
def test_all_that_is_planned_is_in_the_alphabet(language: str) -> None:
    if language == "zh":
        pytest.importorskip("pypinyin")
    alphabet = set(lyrics.symbols(language))
    for path in SONGS.glob("*.musicxml"):
        score = Score.load(path)
        if score.language == language:
            assert {p.symbol for p in lyrics.plan(score)} <= alphabet


def test_the_language_is_seen() -> None:
    for text, language in (("hello", "en"), ("さく-ら", "ja"), ("長", "zh")):
        assert lyrics.language_of(song(text)) == language
    assert lyrics.language_of(Score(language="zh")) == "zh"
    with pytest.raises(UserError, match="lyrics in 'tlh' cannot be sung yet; these can: en, zh, ja"):
        lyrics.plan(song("la"), "tlh")


def test_without_lyrics_la_is_sung() -> None:
    score = song("", 1, 1)
    assert said(score, "en") == "l ɑ | l ɑ" and said(score, "ja") == "r a | r a" and said(score, "zh") == "l a | l a"


def test_phonemes_of_the_file_are_kept() -> None:
    timed = (Phoneme(symbol="x", start=0.0, end=0.5),)
    assert lyrics.plan(Score(phonemes=timed)) == list(timed)
    hinted = Score(notes=(Note(start=0, length=480, pitch=60, lyric="star", phonemes=("s", "t", "aa", "r")),))
    assert said(hinted, "en") == "s t aa r"


# ------------------------------------------------------------------------------------------------------------- timing


def times(score: Score, language: str = "") -> list[tuple[str, float, float, bool]]:
    return [(p.symbol, round(p.start, 3), round(p.end, 3), p.onset) for p in lyrics.plan(score, language)]


def test_vowels_begin_with_the_note_and_consonants_before_it() -> None:
    assert times(song("さ-さ-あ"), "ja") == [
        ("s", 0.0, 0.11, False),  # nothing is before it: it takes the beginning of the note
        ("a", 0.11, 0.89, False),
        ("s", 0.89, 1.0, True),
        ("a", 1.0, 2.0, False),
        ("a", 2.0, 3.0, False),
    ]


def test_consonants_take_of_a_rest_what_they_need() -> None:
    assert times(song("あ-さ", 1, -1, 1), "ja") == [
        ("a", 0.0, 1.0, False), ("s", 1.89, 2.0, True), ("a", 2.0, 3.0, False),
    ]  # fmt: skip


def test_consonants_behind_the_vowel_end_with_the_note() -> None:
    planned = times(song("cats", 2), "en")
    assert [symbol for symbol, *_ in planned] == ["k", "æ", "t", "s"]
    assert planned[-1][2] == 2.0 and planned[2][1:3] == (pytest.approx(1.825), pytest.approx(1.89))


def test_a_melisma_holds_the_vowel() -> None:
    assert times(song("さ_ _ た"), "ja")[1] == ("a", 0.11, 2.935, False)


def test_short_notes_squeeze_consonants() -> None:
    """Sixteen notes a second: neither consonants nor vowels vanish."""
    notes = tuple(Note(start=30 * i, length=30, pitch=60, lyric="さ") for i in range(8))
    planned = lyrics.plan(Score(notes=notes, tempos=(Tempo(tick=0, bpm=60),)), "ja")
    assert all(p.end - p.start > 0.014 for p in planned)


def test_breaths() -> None:
    from dataclasses import replace

    score = song("あ-あ", 2, 1)
    breathing = replace(score, notes=(replace(score.notes[0], breath=True), score.notes[1]))
    assert times(breathing, "ja") == [("a", 0.0, 1.7, False), ("AP", 1.7, 2.0, False), ("a", 2.0, 3.0, False)]
    rest = song("あ-あ", 2, -1, 1)
    breathing = replace(rest, notes=(replace(rest.notes[0], breath=True), rest.notes[1]))
    assert times(breathing, "ja")[1] == ("AP", 2.0, 2.3, False)
    written = replace(rest, notes=(rest.notes[0], Note(start=960, length=480, pitch=None, lyric="AP"), rest.notes[1]))
    assert times(written, "ja")[1] == ("AP", 2.0, 3.0, False)


def test_overlapping_and_empty_notes_do_no_harm() -> None:
    notes = (
        Note(start=0, length=960, pitch=60, lyric="あ"),
        Note(start=480, length=480, pitch=62, lyric="い"),
        Note(start=960, length=0, pitch=62, lyric="う"),
    )
    assert times(Score(notes=notes, tempos=(Tempo(tick=0, bpm=60),)), "ja") == [
        ("a", 0.0, 1.0, False), ("i", 1.0, 2.0, False),
    ]  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 400), st.integers(0, 900), st.sampled_from(["さ", "きっ", "ん", "-", "", "つ", "あい"])
        ),
        min_size=1,
        max_size=12,
    )
)
def test_a_plan_is_in_order_and_vowels_are_on_their_notes(row: list[tuple[int, int, str]]) -> None:
    """Whatever the notes are: no phoneme ends before it begins, none overlaps the next, and onsets are before."""
    notes, tick = [], 0
    for gap, length, lyric in row:
        notes.append(Note(start=tick + gap, length=length, pitch=60, lyric=lyric))
        tick += max(1, gap + length)
    score = Score(notes=tuple(notes))
    planned = lyrics.plan(score, "ja")
    for phoneme in planned:
        assert phoneme.end >= phoneme.start >= 0
        assert phoneme.note is not None
        if phoneme.onset:
            assert phoneme.end <= score.seconds(score.notes[phoneme.note].start) + 1e-9
    for before, after in pairwise(planned):
        assert after.start >= before.end - 1e-9


def test_planned_scores_are_written_and_read_again(tmp_path: Path) -> None:
    score = Score.load(SONGS / "twinkle.musicxml")
    planned = lyrics.planned(score)
    planned.save(tmp_path / "song.ds")
    again = Score.load(tmp_path / "song.ds")
    told = [p for p in again.phonemes if p.symbol != "SP"]
    assert [p.symbol for p in told] == [p.symbol for p in planned.phonemes]
    assert all(abs(a.start - b.start) < 1e-4 for a, b in zip(told, planned.phonemes, strict=True))
    sung = [n.pitch for n in again.notes if n.sung]
    assert sung == [n.pitch for n in score.notes] and again.language == "en"
    again.save(tmp_path / "again.ds")
    assert Score.load(tmp_path / "again.ds") == again
