"""The Score: time, places, changes, findings, frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoide.config import UserError
from aoide.score import Curve, Meter, Note, Phoneme, Score, Tempo, pitch_name, pitch_number, to_frames
from aoide.score.score import in_seconds
from aoide.score.syllables import breaths_as_notes, words


def song(*notes: tuple[int, int, str], **parts: object) -> Score:
    """Notes of (quarters, pitch, lyric) in a row; pitch 0 is silence."""
    made, tick = [], 0
    for quarters, pitch, lyric in notes:
        if pitch:
            made.append(Note(start=tick, length=480 * quarters, pitch=pitch, lyric=lyric))
        tick += 480 * quarters
    return Score(notes=tuple(made), **parts)  # type: ignore[arg-type]


def test_tempo_changes_are_followed() -> None:
    score = Score(tempos=(Tempo(tick=0, bpm=120), Tempo(tick=960, bpm=60), Tempo(tick=1440, bpm=240)))
    assert [score.seconds(tick) for tick in (0, 480, 960, 1440, 1920)] == [0, 0.5, 1.0, 2.0, 2.25]
    assert [score.tick(seconds) for seconds in (0.25, 1.5, 2.25)] == [240, 1200, 1920]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 5000), st.floats(20, 400)), max_size=6),
    st.integers(0, 30_000),
)
def test_seconds_and_ticks_are_inverse(marks: list[tuple[int, float]], tick: int) -> None:
    tempos, at = [Tempo(tick=0, bpm=100)], 0
    for step, bpm in marks:
        at += step
        tempos.append(Tempo(tick=at, bpm=bpm))
    score = Score(tempos=tuple(tempos))
    assert score.tick(score.seconds(tick)) == tick


def test_places_are_bars_and_beats() -> None:
    score = Score(meters=(Meter(tick=0, beats=3, unit=4), Meter(tick=2880, beats=6, unit=8)))
    assert score.place(0) == "bar 1 beat 1"
    assert score.place(1440 + 720) == "bar 2 beat 2.5"
    assert score.place(2880) == "bar 3 beat 1"
    assert score.place(2880 + 1440 + 240) == "bar 4 beat 2"
    assert in_seconds().place(1_234_567) == "1.23 s"


def test_a_score_that_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="above zero"):
        Score(tempos=(Tempo(tick=0, bpm=0),))
    with pytest.raises(UserError, match="tick 0"):
        Score(tempos=(Tempo(tick=10, bpm=100),))
    with pytest.raises(UserError, match="order of their ticks"):
        Score(tempos=(Tempo(tick=0, bpm=100), Tempo(tick=50, bpm=100), Tempo(tick=20, bpm=100)))
    with pytest.raises(UserError, match="step"):
        Curve(name="f0", start=0, step=0, values=np.zeros(3))


def test_notes_are_put_in_order() -> None:
    score = Score(notes=(Note(start=480, length=1, pitch=61), Note(start=0, length=1, pitch=60)))
    assert [note.pitch for note in score.notes] == [60, 61]


def test_pitches_have_names() -> None:
    assert pitch_name(60) == "C4" and pitch_name(61) == "C#4" and pitch_name(0) == "C-1"
    assert pitch_number("Db4") == (61, 0.0) and pitch_number("B#3") == (60, 0.0) and pitch_number("rest") == (None, 0.0)
    assert pitch_number("C4+12") == (60, 12.0) and pitch_number("f♯3") == (54, 0.0)
    for pitch in range(128):
        assert pitch_number(pitch_name(pitch)) == (pitch, 0.0)
    with pytest.raises(UserError, match="H4"):
        pitch_number("H4")


def test_transpose_moves_notes_and_the_f0_curve() -> None:
    curves = (
        Curve(name="f0", start=0, step=0.1, values=[220.0, 0.0]),
        Curve(name="energy", start=0, step=1, values=[3]),
    )
    score = Score(notes=(Note(start=0, length=9, pitch=60), Note(start=9, length=9, pitch=None)), curves=curves)
    up = score.transpose(12)
    assert [note.pitch for note in up.notes] == [72, None]
    assert up.curves[0].values.tolist() == [440.0, 0.0] and up.curves[1] == curves[1]
    assert up.transpose(-12) == score
    with pytest.raises(UserError, match=r"bar 1 beat 1: C4 cannot be moved by 70"):
        score.transpose(70)


def test_lyrics_are_laid_under_notes() -> None:
    score = song((1, 60, ""), (1, 62, ""), (2, 64, ""), (1, 65, "")).with_lyrics("Twin-kle_ star")
    assert [(n.lyric, n.hyphen, n.slur) for n in score.notes] == [
        ("Twin", True, False), ("kle", False, False), ("", False, True), ("star", False, False),
    ]  # fmt: skip
    assert [word.text for word in words(score)] == ["Twinkle", "star"]
    with pytest.raises(UserError, match=r"5 syllables for 4 notes: after bar 2 beat 1, no note is left for 'e'"):
        score.with_lyrics("a b c d e")
    with pytest.raises(UserError, match=r"3 syllables for 4 notes: none is left at bar 2 beat 1"):
        score.with_lyrics("a b c")


def test_a_good_score_has_no_findings() -> None:
    assert song((1, 60, "one"), (1, 0, ""), (2, 62, "two")).check(low=60, high=62) == []


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (Score(), "the score has no notes"),
        (song((1, 60, ""), (1, 62, "")), 'the score has no lyrics: every note is sung on "la"'),
        (song((4, 60, "one"), (1, 62, "")), "bar 2 beat 1: more notes than syllables"),
        (song((4, 60, "one"), (1, 62, "two three")), "bar 2 beat 1: more syllables than notes: 'two three'"),
        (Score(notes=(Note(start=0, length=9999, pitch=60, lyric="o", hyphen=True),)), "the last word goes on"),
        (song((2, 60, "-"), (2, 60, "one")), "bar 1 beat 1: goes on with a syllable, but nothing is sung before"),
        (song((1, 60, "one"), (1, 50, "two")), "bar 1 beat 2: D3 is below the voice's range, which begins at G3"),
        (song((1, 60, "one"), (1, 90, "two")), "bar 1 beat 2: F#6 is above the voice's range"),
        (song((1, 60, "one"), (0, 62, "two")), "bar 1 beat 2: a note without length (D4)"),
        (song((1, 60, "a"), tempos=(Tempo(tick=0, bpm=3000),)), "bar 1 beat 1: an odd tempo: 3000"),
        (song((1, 60, "a"), tempos=(Tempo(tick=0, bpm=60), Tempo(tick=0, bpm=90))), "two tempos at once: 60 and 90"),
        (song((1, 60, "a"), tempos=(Tempo(tick=0, bpm=60), Tempo(tick=4800, bpm=90))), "comes after the last note"),
        (
            Score(
                notes=(Note(start=0, length=960, pitch=60, lyric="a"), Note(start=480, length=480, pitch=62, lyric="b"))
            ),
            "bar 1 beat 2: D4 overlaps C4",
        ),
        (
            Score(
                notes=(Note(start=0, length=960, pitch=60, lyric="a"), Note(start=960, length=5, pitch=62, lyric="b"))
            ),
            "bar 1 beat 3: a note of less than 30 ms (D4)",
        ),
    ],
)
def test_odd_things_are_found_and_placed(score: Score, words: str) -> None:
    found = [str(finding) for finding in score.check(low=55, high=80)]
    assert any(words in finding for finding in found), found


def test_words_know_melismas_and_rests() -> None:
    score = song((1, 60, "o"), (1, 62, "-"), (1, 0, ""), (1, 64, "ver"), (1, 65, ""))
    first, second = words(score)
    assert first.syllables[0].notes == [0, 1] and first.rest_before
    assert second.syllables[0].notes == [2, 3] and second.rest_before
    touching = words(song((1, 60, "a"), (1, 62, "b")))
    assert not touching[1].rest_before


def test_words_that_sound_like_signs_are_sung() -> None:
    for lyric in ("rest", "sil", "pau", "R", "breath", "息"):
        assert Note(start=0, length=1, pitch=60, lyric=lyric).sung, lyric
    for lyric in ("SP", "AP", "br"):
        assert not Note(start=0, length=1, pitch=60, lyric=lyric).sung, lyric


def test_a_breath_becomes_a_note() -> None:
    score = Score(
        notes=(Note(start=0, length=960, pitch=60, lyric="a", breath=True), Note(start=960, length=9, pitch=60))
    )
    taken = breaths_as_notes(score)
    assert [(n.start, n.length, n.lyric) for n in taken.notes] == [(0, 672, "a"), (672, 288, "AP"), (960, 9, "")]
    assert not taken.notes[1].sung


def test_other_ticks_keep_touching_notes_together() -> None:
    score = Score(notes=tuple(Note(start=100 * i, length=100, pitch=60) for i in range(40)), resolution=333)
    for before, after in zip(score.at_resolution(480).notes, score.at_resolution(480).notes[1:], strict=False):
        assert before.end == after.start
    timed = in_seconds(notes=(Note(start=500_000, length=250_000, pitch=60),))
    assert [(n.start, n.length) for n in timed.with_metre().notes] == [(480, 240)]


def test_frames_do_not_drift() -> None:
    """A third of a frame each: a hundred phonemes of 1/3 frame are 33 frames, not 0 or 100."""
    rate = 100.0
    phonemes = [Phoneme(symbol="a", start=i / 300, end=(i + 1) / 300) for i in range(100)]
    frames = to_frames(Score(), rate, phonemes=phonemes)
    assert frames.durations.sum() == 33 and len(frames.pitch) == 33


def test_frames_show_notes_phonemes_and_curves() -> None:
    score = Score(
        notes=(Note(start=0, length=480, pitch=60, cents=50), Note(start=960, length=480, pitch=62)),
        phonemes=(Phoneme(symbol="a", start=0.0, end=0.5), Phoneme(symbol="o", start=1.0, end=1.5)),
        curves=(Curve(name="f0", start=0.5, step=0.1, values=np.full(5, 220.0)),),
    )
    frames = to_frames(score, 10, symbols={"a": 7, "o": 9})
    assert frames.pitch.tolist() == [60.5] * 5 + [0] * 5 + [62] * 5
    assert frames.note.tolist() == [0] * 5 + [-1] * 5 + [1] * 5
    assert frames.phoneme.tolist() == [0] * 5 + [-1] * 5 + [1] * 5
    assert frames.tokens.tolist() == [7, 9] and frames.durations.tolist() == [5, 5]
    assert frames.curves["f0"].tolist() == [0] * 5 + [220] * 5 + [0] * 5
    assert len(to_frames(score, 10, frames=20).pitch) == 20
    with pytest.raises(UserError, match="no phoneme 'o'"):
        to_frames(score, 10, symbols={"a": 7})


def test_a_curve_is_read_between_its_values() -> None:
    f0 = Curve(name="f0", start=1.0, step=0.5, values=[100.0, 200.0, 0.0, 300.0])
    assert f0.at(np.array([0.0, 1.25, 1.6, 1.9, 9.0])).tolist() == [100.0, 150.0, 200.0, 0.0, 300.0]
    energy = Curve(name="energy", start=0.0, step=1.0, values=[0.0, 10.0])
    assert energy.at(np.array([0.5])).tolist() == [5.0]
