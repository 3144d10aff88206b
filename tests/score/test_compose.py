"""Melodies keep the rules that they state; the checker sees each rule broken; forms repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aoide.config import UserError, build, to_dict
from aoide.score import Note, Score
from aoide.score.compose import EIGHTH, MOST, Syllable, Verse, compose, phrases_of
from aoide.score.harmony import harmonise
from aoide.score.rules import Rules, check_melody, stated
from aoide.score.style import parse

STYLES = ("folk, 90 bpm in G major", "sad waltz in A minor", "march", "jig", "rock, 190 bpm in C minor")


def phrase(*stresses: int, text: str = "la") -> tuple[Syllable, ...]:
    return tuple(Syllable(f"{text}{i}", stress, False) for i, stress in enumerate(stresses))


VERSE = (phrase(0, 2, 0, 2, 0, 2), phrase(0, 0, 2, 0, 2), phrase(2, 0, 1, 0, 2, 0), phrase(0, 2, 2))
OTHER = (phrase(2, 0, 2, 0, 2), phrase(0, 2, 0, 0, 2, 0), phrase(2), phrase(0, 2, 0, 2, 0, 2, 0))
CHORUS = (phrase(2, 0, 2, 0, text="so"), phrase(0, 2, 0, 0, 2, text="so"))
SONG = (Verse("verse", VERSE), Verse("chorus", CHORUS), Verse("verse", OTHER), Verse("chorus", CHORUS))


@pytest.fixture
def song() -> tuple[Score, Rules]:
    return compose(SONG, parse("folk in G major, 96 bpm"), 57, 74, seed=3)


@pytest.mark.parametrize("text", STYLES)
def test_every_rule_is_kept(text: str) -> None:
    for seed in range(2):
        score, rules = compose(SONG, parse(text, seed), 57, 74, seed)
        assert check_melody(score, rules) == []
        assert [note.lyric for note in score.notes] == [s.text for v in SONG for p in v.phrases for s in p]
        assert [span.chord.name for span in harmonise(score, rules)] == list(rules.chords), "the plan fits"


def test_random_words_in_random_forms_keep_them_too() -> None:
    random = np.random.default_rng(0)
    for seed in range(3):
        verses = []
        for tag in random.choice(["verse", "chorus", "bridge", "pre-chorus", "inst", "outro"], 4):
            counts = random.integers(1, 24, random.integers(1, 5))
            found = [p for n in counts for p in phrases_of(phrase(*map(int, random.integers(0, 3, n))))]
            verses.append(Verse(str(tag), tuple(found)))
        score, rules = compose(verses, parse(str(random.choice(STYLES)), seed), 55, 70, seed)
        assert check_melody(score, rules) == []


def test_same_seed_same_song_and_other_seed_another(song: tuple[Score, Rules]) -> None:
    style = parse("folk in G major, 96 bpm")
    assert compose(SONG, style, 57, 74, seed=3) == song
    assert compose(SONG, style, 57, 74, seed=4)[0].notes != song[0].notes


def test_choruses_are_the_same_and_verses_end_alike(song: tuple[Score, Rules]) -> None:
    score, rules = song
    starts = [phrase.bar * rules.bar_eighths * EIGHTH for phrase in rules.phrases]
    so = [[n for n in score.notes if n.lyric.startswith("so") and a - 480 <= n.start < a + 4000] for a in starts]
    first, second = so[4], so[10]
    moved = starts[10] - starts[4]
    assert first and [(n.start + moved, n.length, n.pitch) for n in first] == [
        (n.start, n.length, n.pitch) for n in second
    ]
    chords = [rules.chords[p.bar : p.bar + p.bars] for p in rules.phrases]
    assert chords[0] == chords[6] and rules.phrases[0].bars == rules.phrases[6].bars


def changed(score: Score, at: int, **values: object) -> Score:
    notes = list(score.notes)
    notes[at] = replace(notes[at], **values)
    return replace(score, notes=tuple(notes))


def test_the_checker_sees_each_rule_broken(song: tuple[Score, Rules]) -> None:
    score, rules = song
    last = len(score.notes) - 1
    first_stressed = next(i for i, s in enumerate(rules.phrases[0].stresses) if s == 2)

    def said(broken: Score, by: Rules = rules) -> str:
        return "; ".join(map(str, check_melody(broken, by)))

    pitch = score.notes[0].pitch or 0
    assert "not of the key" in said(changed(score, 0, pitch=next(p for p in (61, 63) if p != pitch)))
    assert "out of the range" in said(changed(score, 0, pitch=86))
    assert "semitones; a sixth" in said(changed(score, 2, pitch=86))
    start = score.notes[first_stressed].start
    assert "is not on a beat" in said(changed(score, first_stressed, start=start + EIGHTH))
    assert "does not begin on an eighth" in said(changed(score, 1, start=score.notes[1].start + 60))
    assert "last note of a phrase is too short" in said(changed(score, last, length=EIGHTH))
    assert "the syllables are not" in said(changed(score, 0, lyric="no"))
    assert "the section ends on" in said(changed(score, last, pitch=(score.notes[last].pitch or 0) - 5))
    assert "overlaps" in said(changed(score, 0, length=4000))
    longer = changed(score, 5, length=score.notes[6].start - score.notes[5].start)
    assert "no rest before a phrase" in said(longer)
    assert "another melody than before" in said(changed(score, last, length=score.notes[last].length + EIGHTH))
    other = tuple("D" if i == rules.phrases[6].bar else c for i, c in enumerate(rules.chords))
    assert "other chords than in the first" in said(score, replace(rules, chords=other))
    up = [replace(n, pitch=(n.pitch or 0) + 7) if i == 1 else n for i, n in enumerate(score.notes)]
    assert "no step the other way follows" in said(replace(score, notes=tuple(up)))
    extra = Note(start=score.notes[0].start - 9 * EIGHTH, length=EIGHTH, pitch=67, lyric="x")
    assert "1 notes stand in no phrase" in said(replace(score, notes=(extra, *score.notes)))


def test_rules_are_words_and_data(song: tuple[Score, Rules]) -> None:
    rules = song[1]
    assert build(Rules, to_dict(rules), "rules") == rules
    assert stated(rules)[0] == "key: all notes are of the scale of G major" and len(stated(rules)) == 10


def test_long_lines_are_cut_between_words_and_rather_at_commas() -> None:
    words = [Syllable("a", 0, i % 2 == 0) for i in range(20)]
    pieces = phrases_of(words, breaks=(8,))
    assert [len(piece) for piece in pieces] == [8, 12] and max(map(len, pieces)) <= MOST
    assert not pieces[0][-1].hyphen and phrases_of([]) == []


def test_times_put_phrases_into_their_bars() -> None:
    style = parse("folk, 120 bpm in C")  # a bar is 2 s
    timed = Verse("verse", CHORUS, (8.0, 20.0))
    _, rules = compose((timed,), style, 57, 74)
    assert [phrase.bar for phrase in rules.phrases] == [4, 10] and rules.parts[0].bars == 4
    close = Verse("verse", CHORUS, (2.0, 6.0))
    assert [(p.bar, p.bars) for p in compose((close,), style, 57, 74)[1].phrases] == [(1, 2), (3, 2)]


def test_a_section_that_also_ends_the_song_closes_each_time() -> None:
    verses = (Verse("bridge", CHORUS), Verse("verse", VERSE), Verse("bridge", CHORUS))
    score, rules = compose(verses, parse("folk in G major"), 57, 74, seed=5)
    assert check_melody(score, rules) == [] and rules.chords[rules.parts[1].bar + rules.parts[1].bars - 1] == "G"


def test_what_cannot_be_composed() -> None:
    style = parse("folk")
    with pytest.raises(UserError, match="no words"):
        compose((Verse("intro"),), style, 57, 74)
    with pytest.raises(UserError, match="an octave"):
        compose(SONG, style, 60, 66)
    with pytest.raises(UserError, match="longer than 30 minutes"):
        compose((Verse("verse", CHORUS, (1900.0, None)),), style, 57, 74)
