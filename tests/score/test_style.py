"""The closed vocabulary of styles."""

from __future__ import annotations

import pytest

from aoide.config import UserError
from aoide.score.arrange import PATTERNS
from aoide.score.style import GENRES, INSTRUMENTS, SLOWEST, parse, remarks


def test_words_and_numbers() -> None:
    style = parse("folk, female voice, guitar, 90 bpm")
    assert (style.bpm, style.beats, style.unit, style.voice) == (90, 4, 4, "high")
    assert style.instruments == ("guitar", "double bass") and style.pattern == "pick" and not style.unknown
    style = parse("slow strings in A minor, 70 bpm")
    assert style.key == "A minor" and style.bpm == 70 and style.instruments[0] == "strings" and not style.unknown
    assert parse("a sad waltz").mode == "minor" and parse("a sad waltz").beats == 3
    assert parse("in Bb major").tonic == 10 and parse("F# minor").key == "F# minor" and parse("es dur").unknown
    assert parse("6/8, jig").quarters == parse("jig").bpm * 1.5
    assert parse("pop, no drums").drums == "" and parse("folk with drums").drums == "pop"
    assert parse("pop in a major key").bpm == parse("pop in a minor key").bpm == GENRES["pop"].bpm
    assert parse("pop in a minor key").mode == "minor" and parse("major pop").mode == "major"
    assert parse("happy flute").instruments[0] == "flute" and len(parse("happy flute").instruments) > 1


def test_a_style_says_itself() -> None:
    said = str(parse("folk, guitar and flute, 90 bpm in G major, drums"))
    assert said == "G major, 4/4, 90 beats a minute, guitar (pick), flute, double bass, drums"


def test_what_is_not_told_is_drawn_by_the_seed() -> None:
    keys = {parse("pop", seed).key for seed in range(12)}
    assert len(keys) > 3 and parse("pop", 5) == parse("pop", 5)


def test_unknown_words_are_said_with_near_ones() -> None:
    style = parse("folk, gitar and zither")
    assert style.unknown == ("gitar", "zither")
    assert "did you mean guitar" in remarks(style)[0] and "zither" in remarks(style)[1]


@pytest.mark.parametrize(("text", "said"), [("500 bpm", "it plays 40 to 200"), ("7/8", "no metre 7/8; there are 4/4")])
def test_what_nobody_plays(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse(text)


def test_the_tables_fit_together() -> None:
    for name, genre in GENRES.items():
        assert all(instrument in INSTRUMENTS for instrument in genre.instruments), name
        assert genre.pattern in PATTERNS and genre.bpm >= SLOWEST
